# SPDX-License-Identifier: Apache-2.0
"""SequentialCoreset against the slow loop and against the engine used by hand; stopped and resumed anywhere."""

import copy
import json
import pickle
import warnings

import numpy as np
import pytest
import torch
from sequential_patchcore import SequentialCoreset
from sequential_patchcore.coreset import arrays
from sequential_patchcore.coreset.engine import CoresetEngine
from sequential_patchcore.coreset.guarantee import certified_factor
from sequential_patchcore.coreset.sequential import NotFittedError
from sklearn.base import clone
from slow_rule import KINDS, SlowCoreset, stream

EVICTIONS = ("lower-index", "seeded-random")


def batches_of(X, *lengths):
    """X in pieces of these lengths, over and over; an empty one among them is a piece too."""
    first = number = 0
    while first < len(X):
        length = lengths[number % len(lengths)]
        yield X[first : first + length]
        first, number = first + length, number + 1


def assert_same(one, other):
    np.testing.assert_array_equal(one.vectors_, other.vectors_)
    np.testing.assert_array_equal(one.ids_, other.ids_)
    assert one.separation_ == other.separation_
    assert one.history_ == other.history_
    assert (one.converged_, one.covering_radius_) == (other.converged_, other.covering_radius_)


def radius_of(X, vectors):
    """By brute force in float64."""
    return np.sqrt(((X[:, None].astype(np.float64) - vectors[None]) ** 2).sum(-1)).min(1).max()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("eviction", EVICTIONS)
def test_equals_the_slow_loop_however_the_stream_is_cut(kind, eviction):
    X = stream(kind, 7, seed=4)
    slow = SlowCoreset(23, 5 if eviction == "seeded-random" else None)
    fast = [SequentialCoreset(23, eviction=eviction, random_state=5, chunk_size=chunk) for chunk in (1, 40, 2048)]
    for _ in range(3):
        replaced = slow.epoch(X)
        for coreset, lengths in zip(fast, ((300,), (1, 0, 50), (17,)), strict=True):
            for batch in batches_of(X, *lengths):
                coreset.partial_fit(batch)
            coreset.end_epoch()
            assert coreset.history_[-1]["replacements"] == replaced
            np.testing.assert_array_equal(coreset.vectors_, slow.features)
            np.testing.assert_array_equal(coreset.ids_, slow.patch_ids)
            assert coreset.separation_ == np.sqrt(slow.matrix.min())


@pytest.mark.parametrize("kind", ["random", "integer grid", "large offset"])
def test_equals_the_engine_used_by_hand(kind):
    X = stream(kind, 12, seed=1, count=1500)
    ids = np.random.default_rng(0).permutation(len(X)) + 10**12
    engine = CoresetEngine(80, 12, 256)
    coreset = SequentialCoreset(80, chunk_size=256)
    for epoch in range(3):
        if epoch:
            engine.watch()
        replaced = engine.update(torch.from_numpy(X), ids)
        coreset.partial_fit(X, ids).end_epoch()
        result = engine.result()
        assert coreset.vectors_.tobytes() == result.features.tobytes()
        assert coreset.ids_.tolist() == result.patch_ids.tolist()
        assert coreset.separation_ == engine.separation
        assert coreset.history_[-1]["replacements"] == replaced
        if epoch:
            assert coreset.history_[-2]["covering_radius"] == engine.watched.radius


@pytest.mark.parametrize("kind", KINDS)
def test_the_covering_radius_is_of_the_coreset_that_it_stands_beside(kind):
    X = stream(kind, 6, seed=2)
    coreset = SequentialCoreset(15)
    after = []
    while not after or not coreset.converged_:
        coreset.partial_fit(X).end_epoch()
        after.append(coreset.vectors_)
        assert coreset.converged_ == (coreset.covering_radius_ is not None)
    assert coreset.history_[-1]["replacements"] == 0 and all(
        epoch["replacements"] for epoch in coreset.history_[1:-1]
    )
    for epoch, vectors in zip(coreset.history_, after, strict=True):
        assert epoch["covering_radius"] == pytest.approx(radius_of(X, vectors), rel=1e-12, abs=1e-30)
    assert coreset.covering_radius_ == coreset.covering_radius(X) <= coreset.separation_
    assert coreset.approximation_factor_ == 2.0


def test_what_is_shown_after_convergence_either_changes_nothing_or_takes_the_certificate_away():
    X = stream("random", 6, count=800)
    coreset = SequentialCoreset(15).fit(X, max_epochs=100)
    radius = coreset.covering_radius_
    assert coreset.converged_ and radius is not None
    coreset.partial_fit(X[:100])
    assert coreset.converged_ and coreset.covering_radius_ == radius
    coreset.partial_fit(X[:1] + 1000)
    assert not coreset.converged_ and coreset.covering_radius_ is None and coreset.approximation_factor_ is None
    coreset.partial_fit(X[100:]).end_epoch()
    assert not coreset.converged_
    assert coreset.history_[-2]["covering_radius"] == radius  # measured in the epoch that it belongs to


def test_fit_is_partial_fit_over_and_over_for_an_array_and_for_a_function():
    X = stream("random", 9, seed=3, count=1000)
    by_hand = SequentialCoreset(40)
    for _ in range(2):
        by_hand.partial_fit(X).end_epoch()
    passes = []

    def anew():
        passes.append(len(passes))
        return batches_of(X, 130)

    from_array, from_function = SequentialCoreset(40).fit(X, max_epochs=2), SequentialCoreset(40)
    assert from_function.fit(anew, max_epochs=2) is from_function
    assert_same(from_array, from_function)
    assert not from_array.converged_
    assert len(passes) == 3  # the last one only measured
    assert from_array.covering_radius_ == by_hand.covering_radius(X)
    assert from_array.approximation_factor_ == certified_factor(from_array.covering_radius_, from_array.separation_) > 2
    np.testing.assert_array_equal(by_hand.vectors_, from_array.vectors_)
    assert by_hand.covering_radius_ is None
    assert from_array.history_[0] == by_hand.history_[0]
    assert from_array.history_[1] == by_hand.history_[1] | {"covering_radius": from_array.covering_radius_}


def test_fit_stops_when_an_epoch_replaced_nothing_and_begins_anew_each_time():
    X = stream("clustered", 9, seed=3)
    coreset = SequentialCoreset(40).fit(X, max_epochs=100)
    assert coreset.converged_ and len(coreset.history_) < 100
    once = coreset.vectors_
    other = coreset.fit(stream("random", 4)).vectors_
    assert other.shape == (40, 4) and coreset.n_features_in_ == 4
    np.testing.assert_array_equal(coreset.fit(X, max_epochs=100).vectors_, once)


def test_an_array_goes_by_in_pieces(monkeypatch):
    X = stream("random", 5)
    whole = SequentialCoreset(20).fit(X)
    monkeypatch.setattr(arrays, "_ROWS", 37)
    assert_same(SequentialCoreset(20).fit(X), whole)
    assert SequentialCoreset(20).fit(X).covering_radius(X) == whole.covering_radius_


@pytest.mark.parametrize("eviction", EVICTIONS)
@pytest.mark.parametrize("kind", ["random", "sliding line"])
def test_stopped_after_any_batch_and_resumed_it_ends_in_the_same_coreset(eviction, kind):
    X = stream(kind, 5, seed=8)
    batches = list(batches_of(X, 29))
    steps = [(epoch, number) for epoch in range(4) for number in range(len(batches) + 1)]

    def go_on(coreset, remaining):
        for _, number in remaining:
            if number < len(batches):
                coreset.partial_fit(batches[number])
            else:
                coreset.end_epoch()
        return coreset

    parameters = {"eviction": eviction, "random_state": 3}
    undisturbed = go_on(SequentialCoreset(31, **parameters), steps)
    assert undisturbed.history_[1]["replacements"] > 0  # else the epochs have nothing to lose
    for stop in range(1, len(steps)):
        state = go_on(SequentialCoreset(31, **parameters), steps[:stop]).state_dict()
        run = json.loads(json.dumps(state.pop("run"), allow_nan=False))
        stored = {name: np.frombuffer(array.tobytes(), array.dtype).reshape(array.shape)
                  for name, array in state.items()} | {"run": run}
        resumed = SequentialCoreset(31, chunk_size=11, **parameters).load_state_dict(stored)
        assert_same(go_on(resumed, steps[stop:]), undisturbed)


def test_a_state_is_a_copy_and_holds_only_what_the_moment_needs():
    X = stream("random", 5)
    coreset = SequentialCoreset(20).partial_fit(X)
    assert set(coreset.state_dict()) == {"vectors", "ids", "run"}
    coreset.end_epoch().partial_fit(X[:50])
    state, before = coreset.state_dict(), coreset.vectors_
    assert set(state) == {"vectors", "ids", "watched", "run"}
    for name in ("vectors", "ids", "watched"):
        state[name][:] = 0
    state["run"]["history"][0]["replacements"] = -1
    np.testing.assert_array_equal(coreset.vectors_, before)
    assert coreset.ids_.any() and coreset.history_[0]["replacements"] >= 0
    assert coreset.state_dict()["watched"].any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state["run"].update(version=2), "its version is 2, expected 1"),
        (lambda state: state["run"].update(size=21), "of a coreset with .*21"),
        (lambda state: state["run"].update(eviction="seeded-random"), "of a coreset with .*seeded-random"),
        (lambda state: state.pop("ids"), "ids"),
        (lambda state: state["run"].pop("history"), "history"),
        (lambda state: state["run"].update(shown="some"), "no state"),
        (lambda state: state.update(ids=state["ids"][:-1]), "one id for each of the 20"),
        (lambda state: state.update(vectors=np.repeat(state["vectors"], 2, 0), ids=np.arange(40)), "more than size 20"),
        (lambda state: state["vectors"].__setitem__(3, np.nan), "not finite"),
        (lambda state: state["watched"].__setitem__(3, np.inf), "not finite"),
        (lambda state: state.update(watched=state["watched"][:, :2]), "vectors of 5 numbers"),
        (lambda state: state.update(watched=state["watched"][:4]), "watched coreset"),
    ],
)
def test_a_damaged_or_foreign_state_is_refused_and_changes_nothing(change, message):
    X = stream("random", 5)
    state = SequentialCoreset(20).partial_fit(X).end_epoch().partial_fit(X[:50]).state_dict()
    change(state)
    coreset = SequentialCoreset(20).fit(X[::-1])
    expected = copy.deepcopy(coreset)
    with pytest.raises(ValueError, match=message):
        coreset.load_state_dict(state)
    assert_same(coreset, expected)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda thing: pickle.loads(pickle.dumps(thing))])
def test_a_pickle_or_a_copy_goes_on_alike_and_apart(duplicate):
    X = stream("random", 5)
    coreset = SequentialCoreset(20, eviction="seeded-random").partial_fit(torch.from_numpy(X[:70]))
    other = duplicate(coreset)
    assert isinstance(other.vectors_, torch.Tensor)
    before = other.vectors_
    coreset.partial_fit(X[70:]).end_epoch()
    assert torch.equal(other.vectors_, before)
    assert_same(other.partial_fit(X[70:]).end_epoch(), coreset)
    fresh = duplicate(SequentialCoreset(20, chunk_size=7))
    assert repr(fresh) == "SequentialCoreset(size=20, chunk_size=7)"
    assert_same(fresh.fit(X), SequentialCoreset(20).fit(X))


def test_parameters_are_those_of_the_constructor():
    coreset = SequentialCoreset(64, random_state=4)
    assert coreset.get_params() == {"size": 64, "eviction": "lower-index", "random_state": 4, "chunk_size": 2048}
    assert repr(coreset) == "SequentialCoreset(size=64, random_state=4)"
    assert coreset.set_params(size=32, eviction="seeded-random") is coreset
    assert repr(coreset) == "SequentialCoreset(size=32, eviction='seeded-random', random_state=4)"
    with pytest.raises(ValueError, match=r"'sise' is no parameter .*size, eviction, random_state, chunk_size"):
        coreset.set_params(chunk_size=1, sise=3)
    assert coreset.chunk_size == 2048
    with pytest.raises(TypeError):
        SequentialCoreset(64, "lower-index")


def test_scikit_learn_can_clone_it():
    coreset = SequentialCoreset(20, eviction="seeded-random", random_state=7, chunk_size=50)
    coreset.fit(stream("random", 5))
    other = clone(coreset)
    assert other.get_params() == coreset.get_params() and not hasattr(other, "vectors_")
    assert_same(other.fit(stream("random", 5)), coreset)


ATTRIBUTES = ("vectors_", "ids_", "n_features_in_", "separation_", "covering_radius_", "approximation_factor_",
              "converged_", "history_")


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_an_attribute_is_missing_until_a_batch_has_come(attribute):
    coreset = SequentialCoreset(4)
    assert not hasattr(coreset, attribute)
    with pytest.raises(NotFittedError, match="no batch yet"):
        getattr(coreset, attribute)
    coreset.partial_fit(np.zeros((1, 3), np.float32))
    getattr(coreset, attribute)


@pytest.mark.parametrize("call", [
    lambda coreset: coreset.end_epoch(),
    lambda coreset: coreset.nearest(np.zeros((1, 3))),
    lambda coreset: coreset.covering_radius(np.zeros((1, 3))),
    lambda coreset: coreset.state_dict(),
])
def test_a_method_that_needs_a_batch_says_so(call):
    with pytest.raises(NotFittedError, match="`partial_fit` or `fit`"):
        call(SequentialCoreset(4))


def test_while_it_fills_up_it_can_be_looked_at():
    coreset = SequentialCoreset(5).partial_fit(np.float32([[0, 0], [3, 4]]))
    assert coreset.vectors_.tolist() == [[0, 0], [3, 4]] and coreset.ids_.tolist() == [0, 1]
    assert coreset.separation_ == np.inf and coreset.covering_radius_ is None and not coreset.converged_
    assert coreset.covering_radius([[0.0, 2.0]]) == 2.0
    distance, index = coreset.nearest([[3.0, 3.0], [0.0, 1.0]])
    assert distance.tolist() == pytest.approx([1, 1], rel=1e-6) and index.tolist() == [1, 0]


def brute_force(X, vectors):
    distances = np.sqrt(((X[:, None].astype(np.float64) - vectors[None]) ** 2).sum(-1))
    return distances.min(1), distances.argmin(1)


@pytest.mark.parametrize("chunk_size", [7, 2048])
def test_nearest_is_right_and_follows_the_coreset(chunk_size):
    X = stream("random", 20)
    coreset = SequentialCoreset(30, chunk_size=chunk_size)
    for first in range(0, 300, 60):
        coreset.partial_fit(X[first : first + 60])
        distance, index = coreset.nearest(X)
        expected, row = brute_force(X, coreset.vectors_)
        assert distance.dtype == np.float32 and index.dtype == np.int64 and distance.shape == index.shape == (300,)
        np.testing.assert_array_equal(index, row)
        np.testing.assert_allclose(distance, expected, rtol=1e-5, atol=0)
    distance, index = coreset.nearest(X[:0])
    assert distance.shape == index.shape == (0,)


DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(
    not torch.cuda.is_available(), reason="no CUDA device on this machine"))]


@pytest.mark.parametrize("device", DEVICES)
def test_torch_in_torch_out_on_the_same_device(device):
    X = stream("random", 6)
    tensor = torch.from_numpy(X).to(device)
    coreset, expected = SequentialCoreset(20).fit(tensor), SequentialCoreset(20).fit(X)
    assert coreset.vectors_.device == coreset.ids_.device == tensor.device
    assert coreset.vectors_.dtype == torch.float32 and coreset.ids_.dtype == torch.int64
    np.testing.assert_array_equal(coreset.vectors_.cpu().numpy(), expected.vectors_)
    np.testing.assert_array_equal(coreset.ids_.cpu().numpy(), expected.ids_)
    assert coreset.history_ == expected.history_
    distance, index = coreset.nearest(tensor)
    assert distance.device == index.device == tensor.device
    np.testing.assert_array_equal(index.cpu().numpy(), expected.nearest(X)[1])
    assert isinstance(coreset.nearest(X)[0], np.ndarray)
    assert type(coreset.covering_radius(tensor)) is float
    coreset.partial_fit(X, ids=torch.arange(300).to(device))
    assert isinstance(coreset.vectors_, np.ndarray) and isinstance(coreset.ids_, np.ndarray)


def test_other_arrays_of_real_numbers_are_taken_as_float32():
    X = stream("integer grid", 6)
    expected = SequentialCoreset(20).fit(X)
    read_only = X.copy()
    read_only.flags.writeable = False
    scattered = np.zeros((300, 12), np.float32)
    scattered[:, ::2] = X
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for other in (
            X.astype(np.float64), X.astype(np.int16), X.astype(np.float16), X.tolist(), read_only, scattered[:, ::2],
            torch.from_numpy(X).double(), torch.from_numpy(X).requires_grad_(), torch.from_numpy(X).bfloat16(),
        ):
            coreset = SequentialCoreset(20).fit(other)
            np.testing.assert_array_equal(np.asarray(coreset.vectors_), expected.vectors_)
            assert coreset.covering_radius(other) == expected.covering_radius_


@pytest.mark.parametrize("bad", [
    np.zeros((4, 3), bool), np.zeros((4, 3), complex), np.array([["a", "b"]]), torch.zeros(4, 3, dtype=torch.bool),
    torch.zeros(4, 3, dtype=torch.complex64), [[None, 1.0]],
])
def test_what_are_no_real_numbers_is_refused(bad):
    with pytest.raises(TypeError, match="real numbers"):
        SequentialCoreset(2).partial_fit(bad)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.zeros(3), r"shape \(N, D\), got \(3,\).*x\[None\]"),
        (np.zeros((2, 3, 3)), r"got \(2, 3, 3\)"),
        (np.zeros((2, 0)), r"got \(2, 0\)"),
        (np.zeros((2, 4)), r"vectors of 3 numbers, as in the first batch, got \(2, 4\)"),
        (torch.zeros(2, 4), r"vectors of 3 numbers, as in the first batch, got \(2, 4\)"),
        (np.full((2, 3), np.nan), "not finite"),
        (np.full((2, 3), 1e300), "not finite"),
    ],
)
def test_a_batch_that_does_not_fit_is_refused_before_anything_changes(bad, message):
    X = stream("random", 3)
    coreset = SequentialCoreset(20).partial_fit(X).end_epoch().partial_fit(X[:10])
    expected = copy.deepcopy(coreset)
    for call in (coreset.partial_fit, coreset.nearest, coreset.covering_radius):
        with pytest.raises(ValueError, match=message if bad.ndim == 2 or call != coreset.covering_radius else "got"):
            call(bad)
    assert_same(coreset.partial_fit(X[10:]).end_epoch(), expected.partial_fit(X[10:]).end_epoch())
    if bad.shape[-1] == 3 and bad.ndim == 2:
        empty = SequentialCoreset(20)
        with pytest.raises(ValueError, match=message):
            empty.partial_fit(bad)
        assert not hasattr(empty, "n_features_in_")
        empty.partial_fit(np.zeros((1, 5)))


@pytest.mark.parametrize(
    ("ids", "error"),
    [([1, 2], ValueError), ([[1], [2], [3]], ValueError), ([1.0, 2.0, 3.0], TypeError), (["a", "b", "c"], TypeError)],
)
def test_ids_are_one_whole_number_a_vector(ids, error):
    with pytest.raises(error, match="id"):
        SequentialCoreset(2).partial_fit(np.zeros((3, 2)), ids)


def test_ids_are_kept_and_run_from_zero_in_each_epoch_by_default():
    X = stream("random", 3)
    coreset = SequentialCoreset(10)
    for _ in range(3):
        for batch in batches_of(X, 70):
            coreset.partial_fit(batch)
        coreset.end_epoch()
        np.testing.assert_array_equal(coreset.vectors_, X[coreset.ids_])
    ids = np.arange(300) * 10**15 - 5
    coreset = SequentialCoreset(10).partial_fit(X[:100], ids[:100]).partial_fit(X[100:], ids[100:].tolist())
    np.testing.assert_array_equal(coreset.vectors_, X[(coreset.ids_ + 5) // 10**15])


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"size": 1}, "from 2 on as `size`, got 1"), ({"size": 4.0}, "`size`, got 4.0"),
        ({"size": "many"}, "`size`, got 'many'"), ({"chunk_size": 0}, "from 1 on as `chunk_size`, got 0"),
        ({"random_state": -1}, "`random_state`, got -1"), ({"random_state": None}, "`random_state`, got None"),
        ({"eviction": "first"}, "`eviction` of lower-index, seeded-random, got 'first'"),
    ],
)
def test_parameters_out_of_range_are_refused_by_name(parameters, message):
    coreset = SequentialCoreset(**({"size": 4} | parameters))  # as scikit-learn wants it, not yet
    with pytest.raises(ValueError, match=message):
        coreset.partial_fit(np.zeros((3, 2)))


def test_whole_numbers_of_numpy_are_as_good():
    coreset = SequentialCoreset(np.int64(4), random_state=np.uint8(3)).fit(stream("random", 2))
    json.dumps(coreset.state_dict()["run"])
    assert_same(SequentialCoreset(4, random_state=3).load_state_dict(coreset.state_dict()), coreset)


def test_parameters_changed_in_the_middle_are_refused():
    X = stream("random", 3)
    coreset = SequentialCoreset(10).partial_fit(X)
    coreset.set_params(size=20)
    with pytest.raises(ValueError, match=r"'size': 10.* at the first batch .*'size': 20.*`fit`"):
        coreset.partial_fit(X)
    assert len(coreset.fit(X).vectors_) == 20


def test_an_epoch_without_vectors_is_no_epoch():
    X = stream("random", 3)
    coreset = SequentialCoreset(10).partial_fit(X[:0])
    with pytest.raises(ValueError, match="`partial_fit` before `end_epoch`"):
        coreset.end_epoch()
    coreset.partial_fit(X).end_epoch()
    with pytest.raises(ValueError, match="`partial_fit` before `end_epoch`"):
        coreset.end_epoch()
    assert len(coreset.history_) == 1
    with pytest.raises(ValueError, match="epoch 1 has no vectors"):
        SequentialCoreset(10).fit(X[:0])
    once = batches_of(X, 50)
    with pytest.raises(ValueError, match="epoch 2 has no vectors; a function has to yield its batches anew"):
        SequentialCoreset(10).fit(lambda: once)


def test_fewer_vectors_than_the_size_are_refused_at_the_end_of_the_epoch():
    with pytest.raises(ValueError, match="only 9 vectors, fewer than the `size` 10"):
        SequentialCoreset(10).fit(stream("random", 3)[:9])
    assert SequentialCoreset(10).fit(stream("random", 3)[:10]).covering_radius_ == 0.0


def test_an_iterator_is_refused_since_it_has_one_pass_only():
    X = stream("random", 3)
    for bad in (batches_of(X, 20), iter([X]), {"a": X}, None):
        with pytest.raises(TypeError, match="yields batches anew"):
            SequentialCoreset(10).fit(bad)
    with pytest.raises(ValueError, match="at least 1"):
        SequentialCoreset(10).fit(X, max_epochs=0)
    loader = torch.utils.data.DataLoader(torch.from_numpy(X), batch_size=77)
    np.testing.assert_array_equal(
        SequentialCoreset(10).fit(lambda: loader).vectors_.numpy(), SequentialCoreset(10).fit(X).vectors_
    )
