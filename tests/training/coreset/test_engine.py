# SPDX-License-Identifier: Apache-2.0
"""The coreset against the rule spelt out as a slow loop, bit for bit; and the laws that follow from the rule."""

import itertools

import numpy as np
import pytest
import torch
from sequential_patchcore.coreset.engine import Coreset, CoresetEngine
from sequential_patchcore.coreset.guarantee import certified_factor
from sequential_patchcore.coreset.kernels import squared_distance, takes_higher
from sequential_patchcore.coreset.shortlist import Shortlist
from slow_rule import KINDS, SlowCoreset, exact_squares, stream

CHUNKS = (1, 7, 64, 5000)
SHAPES = ((2, 1), (3, 3), (16, 20), (61, 3), (61, 152))  # K, D


def show(coreset, patches, first_patch_id=0):
    return coreset.update(torch.from_numpy(patches), np.arange(first_patch_id, first_patch_id + len(patches)))


def until_converged(coreset, patches, limit=300):
    epochs = 0
    while epochs < limit:
        epochs += 1
        if show(coreset, patches) == 0 and epochs > 1:
            return epochs
    raise AssertionError(f"not converged in {limit} epochs")


def assert_same(one, other):
    np.testing.assert_array_equal(one.features, other.features)
    np.testing.assert_array_equal(one.patch_ids, other.patch_ids)


def distances(patches, features):
    """(N, K) float64 Euclidean distances by brute force."""
    return np.sqrt(((patches[:, None].astype(np.float64) - features[None].astype(np.float64)) ** 2).sum(-1))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("size", "dimension"), SHAPES)
def test_equals_the_slow_loop_for_every_chunk_size(kind, size, dimension):
    patches = stream(kind, dimension, seed=size)
    slow = SlowCoreset(size)
    fast = [CoresetEngine(size, dimension, chunk) for chunk in CHUNKS]
    for _ in range(3):
        replaced = slow.epoch(patches)
        for coreset in fast:
            assert show(coreset, patches) == replaced
            np.testing.assert_array_equal(coreset.result().features, np.stack(slow.features))
            np.testing.assert_array_equal(coreset.result().patch_ids, slow.patch_ids)
            if slow.matrix is not None:
                assert coreset.separation == np.sqrt(slow.matrix.min())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("chunk", [64, 150])
def test_equals_the_slow_loop_where_a_shortlist_is_tried_first(kind, chunk, monkeypatch):
    found = []
    settle = Shortlist.settle

    def counted(self, *given):
        witness = settle(self, *given)
        found.append((witness >= 0).sum())
        return witness

    monkeypatch.setattr(Shortlist, "settle", counted)
    patches = stream(kind, 12, seed=chunk, count=1500)
    slow, fast = SlowCoreset(100), CoresetEngine(100, 12, chunk)
    for epoch in range(3):
        if epoch:
            fast.watch()
        before = fast.result()
        assert show(fast, patches) == slow.epoch(patches)
        np.testing.assert_array_equal(fast.result().features, slow.features)
        np.testing.assert_array_equal(fast.result().patch_ids, slow.patch_ids)
        assert fast.separation == np.sqrt(slow.matrix.min())
        if epoch:
            expected = CoresetEngine(100, 12, chunk, before).farthest(torch.from_numpy(patches))
            assert fast.watched.radius == expected
    expected = CoresetEngine(100, 12, chunk, fast.result()).farthest(torch.from_numpy(patches))
    known = 0.0
    for piece in np.array_split(patches, 7):
        known = fast.farthest(torch.from_numpy(piece), known)
    assert known == expected
    if kind in ("random", "integer grid", "sorted", "large offset"):
        assert sum(found) > 500  # else this tests nothing


@pytest.mark.parametrize("seed", range(8))
def test_equals_the_slow_loop_where_a_shortlist_meets_ties(seed):
    rng = np.random.default_rng(seed)
    patches = rng.integers(0, 3, (1500, 6)).astype(np.float32)
    slow, fast = SlowCoreset(70, seed), CoresetEngine(70, 6, 100, eviction="seeded-random", seed=seed)
    for _ in range(4):
        assert show(fast, patches) == slow.epoch(patches)
        np.testing.assert_array_equal(fast.result().features, slow.features)
        np.testing.assert_array_equal(fast.result().patch_ids, slow.patch_ids)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [0, 7, 2**40 + 1])
def test_seeded_random_eviction_equals_the_slow_loop(kind, seed):
    patches = stream(kind, 5, seed=seed % 97)
    slow = SlowCoreset(13, seed)
    fast = [CoresetEngine(13, 5, chunk, eviction="seeded-random", seed=seed) for chunk in CHUNKS]
    for _ in range(3):
        replaced = slow.epoch(patches)
        for coreset in fast:
            assert show(coreset, patches) == replaced
            np.testing.assert_array_equal(coreset.result().features, np.stack(slow.features))
            np.testing.assert_array_equal(coreset.result().patch_ids, slow.patch_ids)


def test_the_coin_is_fair_and_needs_its_seed():
    tosses = np.array([[takes_higher(seed, patch_id, 3, 9) for patch_id in range(2000)] for seed in (1, 2)])
    assert (np.abs(tosses.mean(1) - 0.5) < 5 * 0.5 / 2000**0.5).all()
    assert 0.4 < (tosses[0] == tosses[1]).mean() < 0.6


@pytest.mark.parametrize("kind", KINDS)
def test_a_watch_measures_the_coreset_as_it_was(kind):
    patches = stream(kind, 6, seed=3)
    coreset = CoresetEngine(11, 6, 32)
    with pytest.raises(ValueError, match="full"):
        coreset.watch()
    show(coreset, patches)
    for _ in range(3):
        before = coreset.result()
        coreset.watch()
        show(coreset, patches[:130])
        watch = coreset.watched  # in the middle, as from a checkpoint
        coreset = CoresetEngine(11, 6, 32, coreset.result())
        coreset.watch(watch.features, watch.largest_sq)
        show(coreset, patches[130:], 130)
        old = CoresetEngine(11, 6, 32, before)
        assert coreset.watched.radius == old.farthest(torch.from_numpy(patches))


@pytest.mark.parametrize("seed", range(20))
def test_equals_the_slow_loop_where_nearly_everything_ties(seed):
    rng = np.random.default_rng(seed)
    size, dimension = int(rng.integers(2, 12)), int(rng.integers(1, 12))
    patches = rng.integers(0, rng.integers(2, 5), (400, dimension)).astype(np.float32)
    slow, fast = SlowCoreset(size), CoresetEngine(size, dimension, int(rng.integers(1, 500)))
    for _ in range(4):
        assert show(fast, patches) == slow.epoch(patches)
    np.testing.assert_array_equal(fast.result().features, slow.features)
    np.testing.assert_array_equal(fast.result().patch_ids, slow.patch_ids)


def crowded(kind, count, dimension, seed):
    """Streams in which the closest pair, its partners and those of the evicted vector change at nearly every step."""
    rng = np.random.default_rng(seed)
    steps = np.arange(count)
    values = {
        # Few different vectors, each many times, ever farther apart: nearly all pairs of the coreset tie.
        "copies": lambda: rng.integers(0, 2, (count, dimension)) * 2.0 ** (steps // 60)[:, None],
        # A ring of equal distances, doubled now and then: whoever leaves was the partner of several.
        "ring": lambda: np.eye(dimension)[steps % dimension] * 2.0 ** (steps // (4 * dimension))[:, None],
        # Outward on a line: each newcomer is the nearest of the one before, which is evicted next.
        "outward": lambda: (1.01**steps)[:, None] * np.ones(dimension),
        # Pairs of near twins, which come apart by a rounding error of float32.
        "twins": lambda: (rng.normal(size=(count, dimension)) * (1 + 0.01 * steps)[:, None])[steps // 2]
        + (steps % 2)[:, None] * 1e-6,
    }[kind]()
    return values.astype(np.float32)


@pytest.mark.parametrize("kind", ["copies", "ring", "outward", "twins"])
@pytest.mark.parametrize("seed", [None, 3])
@pytest.mark.parametrize(("size", "dimension"), [(3, 5), (24, 9), (150, 17)])
def test_equals_the_slow_loop_where_the_closest_pair_keeps_changing(kind, seed, size, dimension):
    patches = crowded(kind, 600, dimension, seed=size)
    slow = SlowCoreset(size, seed)
    eviction = {} if seed is None else {"eviction": "seeded-random", "seed": seed}
    fast = [CoresetEngine(size, dimension, chunk, **eviction) for chunk in (1, 7, 2048)]
    in_all = 0
    for _ in range(3):
        replaced = slow.epoch(patches)
        in_all += replaced
        for coreset in fast:
            assert show(coreset, patches) == replaced
            np.testing.assert_array_equal(coreset.result().features, slow.features)
            np.testing.assert_array_equal(coreset.result().patch_ids, slow.patch_ids)
            assert coreset.separation == np.sqrt(slow.matrix.min())
    assert in_all > 5  # else the stream would show nothing


@pytest.mark.parametrize("seed", [None, 3])
@pytest.mark.parametrize("kind", ["copies", "ring", "twins", "outward"])
def test_what_is_known_of_the_pairs_is_true_and_need_not_be_saved(kind, seed):
    patches = crowded(kind, 600, 9, seed=5)
    eviction = {} if seed is None else {"eviction": "seeded-random", "seed": seed}
    undisturbed, resumed = (CoresetEngine(24, 9, 50, **eviction) for _ in range(2))
    bounds = 0
    for first in range(0, 600, 40):
        show(undisturbed, patches[first : first + 40], first)
        show(resumed, patches[first : first + 40], first)
        assert_same(undisturbed.result(), resumed.result())
        if not resumed.full:
            continue
        features = resumed.result().features
        for i in range(23):
            truth = exact_squares(features[i], features[i + 1 :])
            bound, partner = resumed._bounds_sq[i], resumed._partner[i]
            if partner >= 0:
                assert (bound, partner) == (truth.min(), i + 1 + truth.argmin())
            else:
                bounds += 1
                assert bound <= truth.min()
        if first % 120 == 0:
            resumed = CoresetEngine(24, 9, 7, resumed.result(), **eviction)
            assert (resumed._partner[:-1] >= 0).all()
            assert resumed.separation == undisturbed.separation
    assert bounds > 0 or kind == "outward"


@pytest.mark.parametrize("dimension", [1, 7, 8, 20, 152])
def test_exact_distance_is_symmetric_and_right(dimension):
    rng = np.random.default_rng(dimension)
    a, b = rng.normal(size=(2, dimension)).astype(np.float32)
    assert squared_distance(a, b) == squared_distance(b, a) == exact_squares(a, b[None])[0]
    assert squared_distance(a, b) == pytest.approx(((a.astype(float) - b) ** 2).sum(), rel=1e-14)


@pytest.mark.parametrize("kind", KINDS)
def test_pieces_of_any_length_equal_one_call(kind):
    patches = stream(kind, 20)
    whole, pieces = CoresetEngine(30, 20), CoresetEngine(30, 20)
    replaced = show(whole, patches)
    ends = [0, 1, 1, 11, 30, 31, 200, len(patches)]  # an empty piece, and one that ends with the fill
    assert sum(show(pieces, patches[a:b], a) for a, b in itertools.pairwise(ends)) == replaced
    assert_same(whole.result(), pieces.result())


@pytest.mark.parametrize("stop", [1, 29, 30, 31, 250])
@pytest.mark.parametrize("kind", ["random", "integer grid", "large offset"])
def test_saved_and_continued_equals_uninterrupted(kind, stop):
    patches = stream(kind, 20)
    whole, first = CoresetEngine(30, 20), CoresetEngine(30, 20)
    show(whole, patches)
    show(first, patches[:stop])
    second = CoresetEngine(30, 20, chunk_size=13, initial=first.result())
    show(second, patches[stop:], stop)
    assert_same(whole.result(), second.result())
    assert whole.separation == second.separation


def test_an_empty_stream_and_an_empty_start_leave_the_coreset_empty():
    coreset = CoresetEngine(4, 3, initial=Coreset(np.zeros((0, 3), np.float32), np.zeros(0, np.int64)))
    assert show(coreset, np.zeros((0, 3), np.float32)) == 0
    assert coreset.filled == 0 and not coreset.full and coreset.separation == np.inf
    show(coreset, stream("random", 3, count=3))
    assert coreset.filled == 3 and len(coreset.result().patch_ids) == 3


@pytest.mark.parametrize("kind", KINDS)
def test_separation_never_falls_and_the_size_never_exceeds_k(kind):
    patches = stream(kind, 3)
    coreset = CoresetEngine(40, 3)
    before = 0.0
    for first in range(0, len(patches), 25):
        show(coreset, patches[first : first + 25], first)
        assert coreset.filled == len(coreset.result().features) == min(40, first + 25)
        if coreset.full:
            assert coreset.separation >= before
            before = coreset.separation


def test_vectors_and_patch_ids_stay_together():
    patches = stream("clustered", 20)
    coreset = CoresetEngine(40, 20)
    show(coreset, patches)
    result = coreset.result()
    np.testing.assert_array_equal(result.features, patches[result.patch_ids])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("chunk", [7, 5000])
def test_farthest_equals_brute_force(kind, chunk):
    patches = stream(kind, 20)
    coreset = CoresetEngine(25, 20, chunk)
    show(coreset, patches[:200])
    before = coreset.result()
    expected = distances(patches, before.features).min(1).max()
    assert coreset.farthest(torch.from_numpy(patches)) == pytest.approx(expected, rel=1e-13, abs=0)
    assert_same(before, coreset.result())


def test_farthest_is_measured_while_the_fill_is_not_over():
    coreset = CoresetEngine(5, 1)
    with pytest.raises(ValueError, match="empty"):
        coreset.farthest(torch.zeros(1, 1))
    show(coreset, np.float32([[0], [1]]))
    assert coreset.farthest(torch.tensor([[0.25], [4.0]])) == 3.0
    assert coreset.farthest(torch.zeros(0, 1)) == 0.0


def greedy_radius(patches, size):
    """Covering radius of greedy k-center (Gonzalez, 1985), at most twice the smallest possible one."""
    nearest = np.linalg.norm(patches.astype(np.float64) - patches[0], axis=1)
    for _ in range(size - 1):
        far = patches[np.argmax(nearest)]
        nearest = np.minimum(nearest, np.linalg.norm(patches.astype(np.float64) - far, axis=1))
    return nearest.max()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("constant", "tiny")])
@pytest.mark.parametrize(("size", "dimension"), [(5, 2), (40, 20)])
def test_converged_coreset_is_within_twice_the_best(kind, size, dimension):
    patches = stream(kind, dimension)
    coreset = CoresetEngine(size, dimension)
    until_converged(coreset, patches)
    radius = coreset.farthest(torch.from_numpy(patches))
    assert radius <= coreset.separation
    assert certified_factor(radius, coreset.separation) == 2.0
    assert radius <= 2 * greedy_radius(patches, size)  # greedy's radius is at least the best one


@pytest.mark.parametrize("seed", range(10))
def test_certificate_holds_against_the_best_coreset_of_all(seed):
    rng = np.random.default_rng(seed)
    patches = rng.integers(0, 6, (12, 2)).astype(np.float32)
    pairs = distances(patches, patches)
    for size in (2, 3, 4):
        choices = itertools.combinations(range(len(patches)), size)
        # Centres anywhere can be up to twice as good as centres among the patches.
        best = min(pairs[:, list(choice)].min(1).max() for choice in choices) / 2
        coreset = CoresetEngine(size, 2)
        for _ in range(6):
            show(coreset, patches)
            radius = coreset.farthest(torch.from_numpy(patches))
            factor = certified_factor(radius, coreset.separation)
            assert factor is None or radius <= factor * 2 * best + 1e-9
            # The step of the proof: K + 1 vectors this far apart, two of which share a centre.
            assert min(radius, coreset.separation) / 2 <= 2 * best + 1e-9


def test_certified_factor_of_degenerate_coresets():
    assert certified_factor(1.0, 2.0) == 2.0
    assert certified_factor(3.0, 2.0) == 3.0
    assert certified_factor(0.0, 0.0) == 2.0
    assert certified_factor(1.0, 0.0) is None


def test_a_sliding_line_is_badly_covered_by_one_pass_and_well_by_more():
    patches = (np.arange(4096, dtype=np.float32) / 4096)[:, None]
    coreset = CoresetEngine(80, 1)
    show(coreset, patches)
    first = coreset.farthest(torch.from_numpy(patches))
    until_converged(coreset, patches)
    last = coreset.farthest(torch.from_numpy(patches))
    best = 0.5 / 80
    assert first > 10 * best
    assert last <= 2 * best


def test_no_patch_is_farther_than_the_separation_after_an_epoch_that_replaced_nothing():
    patches = stream("sorted", 20)
    coreset = CoresetEngine(40, 20)
    until_converged(coreset, patches)
    nearest = distances(patches, coreset.result().features).min(1)
    assert nearest.max() <= coreset.separation
    before = coreset.result()
    assert show(coreset, patches[::-1].copy()) == 0  # the order no longer matters
    assert_same(before, coreset.result())


def test_a_result_is_a_copy():
    coreset = CoresetEngine(10, 3)
    show(coreset, stream("random", 3))
    kept = coreset.result()
    kept.features[:] = 0
    kept.patch_ids[:] = 0
    assert coreset.result().features.any() and coreset.result().patch_ids.any()


@pytest.mark.parametrize(("size", "dimension", "chunk"), [(1, 3, 8), (4, 0, 8), (4, 3, 0)])
def test_senseless_sizes_are_refused(size, dimension, chunk):
    with pytest.raises(ValueError, match="need size >= 2"):
        CoresetEngine(size, dimension, chunk)


def test_a_start_that_does_not_fit_is_refused():
    features = np.zeros((5, 3), np.float32)
    with pytest.raises(ValueError, match="more than size 4"):
        CoresetEngine(4, 3, initial=Coreset(features, np.arange(5)))
    with pytest.raises(ValueError, match="dimension"):
        CoresetEngine(8, 3, initial=Coreset(features[:, :1], np.arange(5)))


@pytest.mark.parametrize(
    "patches",
    [torch.zeros(4, 2), torch.zeros(4, 3, dtype=torch.float64), torch.zeros(4, 3, 1), torch.zeros(3)],
    ids=["width", "dtype", "rank 3", "rank 1"],
)
def test_patches_of_another_shape_or_dtype_are_refused(patches):
    with pytest.raises(ValueError, match="expected float32"):
        CoresetEngine(4, 3).update(patches, np.arange(len(patches)))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e16])
@pytest.mark.parametrize("shown", [0, 50])
def test_values_that_are_not_finite_are_refused_before_anything_changes(value, shown):
    coreset = CoresetEngine(10, 3)
    show(coreset, stream("random", 3)[:shown])
    before = coreset.result()
    bad = stream("random", 3, seed=1)
    bad[17, 1] = value
    with pytest.raises(ValueError, match="not finite"):
        show(coreset, bad)
    with pytest.raises(ValueError, match="not finite"):
        coreset.farthest(torch.from_numpy(bad))
    assert_same(before, coreset.result())


def test_one_patch_id_per_patch():
    with pytest.raises(ValueError, match="expected 4 patch_ids"):
        CoresetEngine(4, 3).update(torch.zeros(4, 3), np.arange(3))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
@pytest.mark.parametrize("kind", KINDS)
def test_patches_on_a_gpu_give_the_same_coreset(kind):
    patches = stream(kind, 152)
    host, device = CoresetEngine(60, 152), CoresetEngine(60, 152)
    for _ in range(3):
        on_device = torch.from_numpy(patches).cuda()
        assert device.update(on_device, np.arange(len(patches))) == show(host, patches)
    assert_same(host.result(), device.result())
    assert device.farthest(on_device) == host.farthest(torch.from_numpy(patches))
