# SPDX-License-Identifier: Apache-2.0
"""Melding coresets against the slow loop over their vectors; which patch of which input each vector is stays known."""

import pickle

import numpy as np
import pytest
import torch
from sequential_patchcore import SequentialCoreset, meld
from sequential_patchcore.coreset.melding import VectorMelder
from slow_rule import SlowCoreset, stream

DIMENSION = 6


def built(seed, shift=0.0, size=30, **how):
    """A coreset, and the stream that it was built from; ids that two coresets share."""
    X = stream("random", DIMENSION, seed) + np.float32(shift)
    coreset = SequentialCoreset(size, **how)
    for _ in range(2):
        coreset.partial_fit(X, np.arange(len(X)) + 7).end_epoch()
    return coreset, X


def slow_meld(coresets, size):
    """The rule over the vectors one after the other, until a pass replaces nothing."""
    slow, union = SlowCoreset(size), np.concatenate([np.asarray(coreset.vectors_) for coreset in coresets])
    while slow.epoch(union):
        pass
    return np.stack(slow.features), np.array(slow.patch_ids)


@pytest.mark.parametrize("size", [None, 2, 15, 45, 90])
def test_equals_the_slow_loop_and_every_vector_names_its_patch(size):
    pairs = [built(0), built(1, 1.0), built(2, -1.0)]
    coresets = [coreset for coreset, _ in pairs]
    melded = meld(coresets, size=size)
    vectors, rows = slow_meld(coresets, size or 30)
    np.testing.assert_array_equal(melded.vectors_, vectors)
    np.testing.assert_array_equal(melded.source_, rows // 30)
    np.testing.assert_array_equal(melded.ids_, np.concatenate([coreset.ids_ for coreset in coresets])[rows])
    for vector, source, patch_id in zip(melded.vectors_, melded.source_, melded.ids_, strict=True):
        np.testing.assert_array_equal(vector, pairs[source][1][patch_id - 7])
    assert melded.size == (size or 30) and melded.converged_ and melded.history_[-1]["replacements"] == 0


def test_the_inputs_stay_as_they_are_and_their_order_counts():
    (one, _), (other, _) = built(0), built(1, 0.5)
    before = [coreset.vectors_ for coreset in (one, other)]
    there, back = meld([one, other]), meld([other, one])
    for coreset, vectors in zip((one, other), before, strict=True):
        np.testing.assert_array_equal(coreset.vectors_, vectors)
    assert not np.array_equal(there.vectors_, back.vectors_)


def test_a_coreset_melded_with_itself_stays_as_it_is():
    coreset, _ = built(0)
    melded = meld([coreset, coreset])
    np.testing.assert_array_equal(melded.vectors_, coreset.vectors_)
    np.testing.assert_array_equal(melded.ids_, coreset.ids_)
    assert not melded.source_.any() and len(melded.history_) == 1 and melded.history_[0]["covering_radius"] == 0.0


@pytest.mark.parametrize("size", [10, 30, 50])
def test_the_covering_radius_is_a_bound_for_all_that_the_inputs_were_built_from(size):
    pairs = [built(0), built(1, 1.0)]
    streams = np.concatenate([X for _, X in pairs])
    coresets = [SequentialCoreset(30).fit(X, max_epochs=50) for _, X in pairs]
    melded = meld(coresets, size=size)
    union = np.concatenate([coreset.vectors_ for coreset in coresets])
    over_vectors = melded.covering_radius(union)
    assert melded.history_[-1]["covering_radius"] == over_vectors
    assert melded.covering_radius_ == max(coreset.covering_radius_ for coreset in coresets) + over_vectors
    assert melded.covering_radius(streams) <= melded.covering_radius_
    assert melded.approximation_factor_ == 2 * max(1, melded.covering_radius_ / melded.separation_)


def test_one_radius_that_is_not_known_makes_the_bound_unknown():
    (one, X), (other, _) = built(0), built(1)
    assert one.covering_radius_ is None
    assert meld([one.fit(X), other]).covering_radius_ is None


def test_a_melded_coreset_goes_on_learning_and_tells_what_is_new():
    (one, X), (other, Y) = built(0), built(1, 1.0)
    melded = meld([one, other])
    kept = pickle.loads(pickle.dumps(melded))
    new = stream("random", DIMENSION, 5) + np.float32(2)
    melded.partial_fit(new[:0])
    np.testing.assert_array_equal(melded.source_, kept.source_)
    melded.partial_fit(new, np.arange(300) + 7)
    sources = {0: X, 1: Y, -1: new}
    assert set(melded.source_) == set(sources)
    for vector, source, patch_id in zip(melded.vectors_, melded.source_, melded.ids_, strict=True):
        np.testing.assert_array_equal(vector, sources[source][patch_id - 7])
    np.testing.assert_array_equal(kept.partial_fit(new, np.arange(300) + 7).source_, melded.source_)
    assert not hasattr(melded.fit(new), "source_") and not hasattr(one, "source_")


def test_the_result_is_of_the_kind_of_the_first():
    one, other = built(0)[0], SequentialCoreset(30).fit(torch.from_numpy(stream("random", DIMENSION, 9)))
    assert isinstance(meld([one, other]).vectors_, np.ndarray)
    melded = meld([other, one])
    assert all(isinstance(array, torch.Tensor) for array in (melded.vectors_, melded.ids_, melded.source_))


def test_inputs_that_are_not_full_give_what_they_have():
    few = [SequentialCoreset(50).partial_fit(stream("random", 4, seed)[:20]) for seed in range(3)]
    with pytest.raises(ValueError, match="`size` 50 is more than the 40 vectors"):
        meld(few[:2])
    assert meld(few).vectors_.shape == (50, 4)


def test_what_cannot_be_melded_is_refused():
    one = built(0)[0]
    with pytest.raises(ValueError, match="at least two coresets, got 1"):
        meld([one])
    with pytest.raises(ValueError, match="at least two coresets, got 0"):
        meld([])
    with pytest.raises(TypeError, match="got ndarray at position 1"):
        meld([one, one.vectors_])
    with pytest.raises(ValueError, match="no batch yet"):
        meld([one, SequentialCoreset(3)])
    with pytest.raises(ValueError, match="at position 1 has vectors of 4 numbers, the first of 6"):
        meld([one, SequentialCoreset(3).partial_fit(np.zeros((5, 4)))])
    with pytest.raises(ValueError, match="size"):
        meld([one, one], size=1)


def test_sources_that_come_in_one_by_one_are_passed_over_once_more_only_where_something_was_replaced():
    melder = VectorMelder(4, 2)
    melder.add(np.float32([[0, 0], [9, 0], [0, 9], [9, 9]]))
    melder.add(np.float32([[1, 1], [8, 8]]))
    assert melder.available == 6
    melded = melder.finish()
    assert melded.rows.tolist() == [0, 1, 2, 3] and melded.covering_radius == pytest.approx(2**0.5)
    assert melded.passes == ({"replacements": 0, "separation": 9.0, "covering_radius": melded.covering_radius},)
