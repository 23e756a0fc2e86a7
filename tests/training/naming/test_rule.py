# SPDX-License-Identifier: Apache-2.0
"""The parts of the rule of verdicts, each against a slow or obvious form of it."""

from dataclasses import replace

import numpy as np
import pytest
from sequential_patchcore.data.format import ClassInfo
from sequential_patchcore.extractors.grid import Grid
from sequential_patchcore.model.naming import Naming, promise_in_words
from sequential_patchcore.naming.judgement import PatchFigures, class_scores, judge, likeness_and_impurity
from sequential_patchcore.naming.linear import SHRINKAGE, discriminant
from sequential_patchcore.naming.moments import Moments, pooled_covariance
from sequential_patchcore.naming.networks import trained
from sequential_patchcore.naming.operating_point import JudgedRegion, operating_point
from sequential_patchcore.naming.pooling import worst_neighbourhood
from sequential_patchcore.naming.regions import regions_of, surroundings
from sequential_patchcore.naming.sampling import Sample
from sequential_patchcore.naming.truth import cell_classes, region_truths
from sequential_patchcore.naming.verdict import RegionVerdict, image_verdict, shown
from sequential_patchcore.runtime.errors import UserError

CLASSES = (ClassInfo(2, "dent", "defect"), ClassInfo(5, "smear", "impurity"), ClassInfo(6, "stain", "impurity"))
GRID = Grid((64, 96), (8, 12), 8, 3.5, 1.0)
# On one axis stains lie at -10, smears at -20, dents at +10; a second axis says how far a patch is from all of them.
# What lies on the first axis goes through the hidden units as its positive and its negative part.
NAMING = Naming(
    ("smear", "stain", "dent"), ("impurity", "impurity", "defect"),
    np.array([[[1, 0], [-1, 0]]], np.float32), np.zeros((1, 2), np.float32),
    np.array([[[-20, 20], [-10, 10], [10, -10]]], np.float32), np.array([[-200, -50, -50]], np.float32),
    np.array([3, 3, 0], np.float32), 0.0, 0.0, 3, 3, 4.0, 2, 0.5, 1.0,
)
NOMINAL = 5.0


def blob(*boxes: tuple[int, int, int, int]) -> np.ndarray:
    predicted = np.zeros(GRID.size, bool)
    for x, y, width, height in boxes:
        predicted[y : y + height, x : x + width] = True
    return predicted


def judged(
    predicted: np.ndarray, plane: np.ndarray, naming: Naming = NAMING, off: np.ndarray | None = None,
    nominal: np.ndarray | None = None,
):
    """Of an image whose patches lie at `plane` (8, 12) on the first axis; by default only regions are anomalous."""
    nominal = np.zeros(GRID.cells) if nominal is None else nominal
    regions = surroundings(regions_of(predicted, GRID), nominal, naming.near_from, naming.near_cells)
    y, x = regions.cells.T
    vectors = np.stack([plane[y, x], np.zeros(len(y)) if off is None else off[y, x]], 1).astype(np.float32)
    places = {"smear": np.array([-20, 0]), "stain": np.array([-10, 0])}
    likeness, impurity = likeness_and_impurity(naming, vectors)
    distances = np.stack([np.linalg.norm(vectors - place, axis=1) for place in places.values()], 1)
    figures = PatchFigures(likeness, impurity, np.full(len(y), 5.0), distances[np.arange(len(y)), impurity])
    return judge(naming, regions, figures, GRID, lambda rows: [dict(zip(places, each.tolist(), strict=True))
                                                               for each in distances[rows]])


def test_a_sample_holds_all_while_there_is_room_and_then_each_vector_as_likely():
    vectors = np.arange(40, dtype=np.float32)[:, None]
    few = Sample(1, 0, largest_bytes=400)
    few.add(vectors[:7])
    few.add(vectors[7:])
    np.testing.assert_array_equal(few.vectors, vectors)
    kept = np.zeros(40)
    for seed in range(500):
        found = Sample(1, seed, largest_bytes=40)
        found.add(vectors[:3])
        found.add(vectors[3:])
        assert found.seen == 40 and len(np.unique(found.vectors)) == 10
        kept[found.vectors[:, 0].astype(int)] += 1
    assert kept.min() > 85 and kept.max() < 165  # 125 expected, with a standard deviation of 9.7


def test_moments_of_batches_are_those_of_all_at_once():
    rng = np.random.default_rng(0)
    vectors, found = rng.normal(3, 2, (500, 6)), Moments.none(6)
    for batch in np.split(vectors, [1, 1, 100, 490]):
        found.add(batch)
    assert found.count == 500
    np.testing.assert_allclose(found.mean, vectors.mean(0))
    np.testing.assert_allclose(found.scatter / 500, np.cov(vectors.T, bias=True))
    one, other = Moments.none(6), Moments.none(6)
    one.add(vectors[:200])
    other.add(vectors[200:])
    np.testing.assert_allclose((one + other).scatter, found.scatter)
    half = pooled_covariance([found], 0.5)
    np.testing.assert_allclose(np.diag(half), vectors.var(0))
    np.testing.assert_allclose(half[0, 1], np.cov(vectors.T, bias=True)[0, 1] / 2)


def test_the_linear_form_gives_the_probabilities_of_normal_distributions():
    rng = np.random.default_rng(3)
    classes = [rng.normal(at, 1.5, (400, 4)) for at in (0.0, 1.0, -1.0)]
    moments = []
    for vectors in classes:
        moments.append(Moments.none(4))
        moments[-1].add(vectors)
    shares = [0.5, 0.5, 1.0]
    shown = rng.normal(size=(50, 4))
    found = class_scores(discriminant(moments, shares).parts, shown.astype(np.float32))
    precision = np.linalg.inv(pooled_covariance(moments, SHRINKAGE))
    logs = np.stack([
        np.log(share) - 0.5 * np.einsum("ni,ij,nj->n", shown - each.mean, precision, shown - each.mean)
        for each, share in zip(moments, shares, strict=True)
    ], 1)
    np.testing.assert_allclose(found, logs - np.log(np.exp(logs).sum(1, keepdims=True)), atol=1e-4)


def test_class_scores_are_the_mean_log_probabilities_of_the_networks():
    rng = np.random.default_rng(0)
    parts = [rng.normal(size=size).astype(np.float32) for size in ((3, 5, 4), (3, 5), (3, 2, 5), (3, 2))]
    vectors = rng.normal(size=(6, 4)).astype(np.float32)
    expected = []
    for hidden, hidden_offsets, last, offsets in zip(*parts, strict=True):
        scores = [last @ np.maximum(hidden @ vector + hidden_offsets, 0) + offsets for vector in vectors]
        expected.append([each - np.log(np.exp(each).sum()) for each in scores])
    np.testing.assert_allclose(class_scores(tuple(parts), vectors), np.mean(expected, 0), atol=1e-5)


def test_networks_learn_a_border_that_no_plane_is_and_a_rare_class_counts_as_much():
    rng = np.random.default_rng(1)
    ring = rng.normal(size=(4000, 2))
    ring *= 3 / np.linalg.norm(ring, axis=1, keepdims=True)
    middle = rng.normal(0, 0.3, (60, 2))
    steps = []
    # Vectors far from 0 and of small spread: the standardisation has to be folded in.
    networks = trained([(100 + 0.1 * each).astype(np.float32) for each in (ring, middle)], [1, 1], [5, 6],
                       lambda: steps.append(1))
    scores = class_scores(networks.parts, (100 + 0.1 * np.concatenate([ring[:500], middle])).astype(np.float32))
    right = (scores.argmax(1) == np.repeat([0, 1], [500, 60])).reshape(-1)
    assert right[:500].mean() > 0.97 and right[500:].mean() > 0.97 and len(steps) == 2 * 8
    again = trained([(100 + 0.1 * each).astype(np.float32) for each in (ring, middle)], [1, 1], [6])
    np.testing.assert_allclose(again.weights[0], networks.weights[1], atol=1e-5)
    both = again + networks
    assert both.weights.shape[0] == 3 and both.hidden_weights.shape == (3, 64, 2)


@pytest.mark.parametrize("seed", range(5))
def test_surroundings_are_what_steps_from_neighbour_to_neighbour_reach(seed):
    rng = np.random.default_rng(seed)
    distances = rng.uniform(0, 2, GRID.cells)
    regions = regions_of(blob((0, 0, 18, 10), (60, 30, 20, 20)), GRID)
    found = surroundings(regions, distances, 1.0, 2)
    for number in range(regions.count):
        own = {tuple(cell) for cell in regions.cells[regions.region == number]}
        reached = set(own)
        for _ in range(2):
            reached |= {(y + down, x + right) for y, x in reached for down in (-1, 0, 1) for right in (-1, 0, 1)
                        if 0 <= y + down < 8 and 0 <= x + right < 12 and distances[y + down, x + right] >= 1}
        of_region = found.region == number
        assert {tuple(cell) for cell in found.cells[of_region]} == reached
        assert {tuple(cell) for cell in found.cells[of_region & found.own]} == own
        assert of_region.sum() == len(reached) and (np.diff(found.region) >= 0).all()


def test_a_defect_that_alarms_at_one_end_only_is_seen_by_what_is_anomalous_around_it():
    plane, nominal = np.full((8, 12), -10.0), np.zeros((8, 12))
    plane[4, 6:9], nominal[4, 6:9] = 10, 4.5  # goes on from the region, below the threshold
    (seen,) = judged(blob((0, 0, 44, 64)), plane, nominal=nominal)
    assert seen.verdict == "defect" and seen.patches == {"stain": 48} and seen.cell[1] >= 6
    (not_anomalous,) = judged(blob((0, 0, 44, 64)), plane)
    assert not_anomalous.verdict == "stain"


@pytest.mark.parametrize("seed", range(5))
def test_the_worst_neighbourhood_is_that_of_a_loop(seed):
    rng = np.random.default_rng(seed)
    cells = np.argwhere(rng.random((9, 11)) < 0.6) + 4
    likeness = rng.normal(size=len(cells))
    for window, count in ((3, 3), (5, 25), (1, 1)):
        means = []
        for y, x in cells:
            near = sorted(likeness[np.abs(cells - (y, x)).max(1) <= window // 2], reverse=True)[:count]
            near += [likeness.mean()] * (min(count, len(cells)) - len(near))
            means.append(sum(near) / len(near))
        found = worst_neighbourhood(cells, likeness, window, count)
        assert found == (pytest.approx(max(means)), int(np.argmax(means)))


def test_a_region_of_one_patch_is_that_patch():
    assert worst_neighbourhood(np.array([[3, 4]]), np.array([1.5]), 3, 3) == (1.5, 0)


def test_a_scratch_through_a_large_stain_stays_a_defect():
    plane = np.full((8, 12), -10.0)
    plane[4, 2:6] = 10  # 4 of 96 patches
    (found,) = judged(blob((0, 0, 96, 64)), plane)
    assert found.verdict == "defect" and found.patches == {"defect": 4, "stain": 92} and not found.passed
    assert found.cell[0] in (3, 4, 5) and 1 <= found.cell[1] <= 6
    (without,) = judged(blob((0, 0, 96, 64)), np.full((8, 12), -10.0))
    assert without.verdict == "stain" and without.passed and without.patches == {"stain": 96}
    assert without.memory_distances == {"smear": 10, "stain": 0} and without.nearest_memory == "stain"


def test_each_region_has_its_own_verdict_in_the_order_of_the_numbers():
    plane = np.full((8, 12), -10.0)
    plane[:, 6:] = -20
    plane[5:, 6:] = 10
    found = judged(blob((0, 0, 40, 40), (56, 0, 40, 24), (56, 40, 40, 24)), plane)
    assert [each.verdict for each in found] == ["stain", "smear", "defect"]


def test_what_no_memory_knows_is_unsure():
    off = np.zeros((8, 12))
    off[:, :6] = 9
    far, near = judged(blob((0, 0, 40, 64), (56, 0, 40, 64)), np.full((8, 12), -10.0), off=off)
    assert near.verdict == "stain" and far.verdict == "unsure" and far.reason == "far from every memory"
    part = np.zeros((8, 12))
    part[2:6, 2:6] = 9  # a patch of it within known dirt is enough
    (whole,) = judged(blob((0, 0, 96, 64)), np.full((8, 12), -10.0), off=part)
    assert whole.verdict == "unsure" and whole.patches["unknown"] == 16


def test_between_the_two_points_a_region_is_unsure_and_without_a_promise_all_are():
    naming = replace(NAMING, pass_below=-300.0)
    found = judged(blob((0, 0, 40, 40), (56, 0, 40, 40)), np.where(np.arange(12) < 6, -10.0, 3.0) * np.ones((8, 1)),
                   naming)
    assert [each.verdict for each in found] == ["unsure", "defect"]
    (nothing,) = judged(blob((0, 0, 40, 40)), np.full((8, 12), -20.0), replace(NAMING, pass_below=-np.inf))
    assert nothing.verdict == "unsure" and nothing.reason == "nothing can be promised"


def test_images_get_the_worst_of_their_regions():
    def region(verdict):
        return RegionVerdict(verdict, "", 0.0, {}, 0.0, {}, (0, 0), (0, 0))

    assert image_verdict([]) == ("normal", {})
    dirty = image_verdict([region("stain"), region("stain"), region("print")])
    assert dirty == ("dirty", {"print": 1, "stain": 2})
    assert shown(*dirty) == "normal, dirty: print x1, stain x2"
    for alarm in ("defect", "unsure"):
        assert image_verdict([region("stain"), region(alarm)]) == ("anomalous", {"stain": 1})
    assert shown("anomalous", {"stain": 1}) == "anomalous"


def test_patches_and_regions_are_labelled_as_a_loop_labels_them():
    mask, instances = np.zeros(GRID.size, np.uint8), np.zeros(GRID.size, np.uint16)
    mask[:40, :48], instances[:40, :48] = 6, 1
    mask[50:, 70:], instances[50:, 70:] = 5, 2
    mask[20:24, 16:32], instances[20:24, 16:32] = 2, 7
    cells = cell_classes(mask, GRID, CLASSES)
    assert cells[2, 2] == cells[2, 3] == 2 and cells[7, 10] == 5 and cells[0, 8] == 0
    assert cells[4, 2] == -1, "what sees a defect is not learnt as a stain"
    assert cells[0, 5] == cells[4, 5] == -1 or cells[0, 5] == 6
    labels, count = np.zeros(GRID.size, np.int32), 3
    labels[:30, :30], labels[34:39, 40:45], labels[60:, :5] = 1, 2, 3
    found = region_truths(labels, count, mask, instances, CLASSES)
    assert [each.defects for each in found] == [{7: "dent"}, {}, {}]
    assert [each.impurity for each in found] == ["stain", "stain", ""]


def regions(defects, dirt):
    """One defect a plate at each likeness, and stains at others."""
    return [
        *(JudgedRegion(f"d{k}", f"p{k}", value, ((1, "dent"),), "") for k, value in enumerate(defects)),
        *(JudgedRegion(f"s{k}", "p", value, (), "stain") for k, value in enumerate(dirt)),
    ]


def test_by_default_no_defect_of_the_plates_is_lost():
    point = operating_point(regions([-2.0, 1.0, 4.0], [-5.0, -3.0, -2.0, 0.5]))
    assert point.pass_below == -2.5, "half way to the next stain"
    assert point.promise["lost"] == 0 and point.promise["passed"] == 2
    assert point.promise["views"] == 3 and point.promise["plates"] == 3 and 0.6 < point.promise["at_most"] < 0.64
    assert "0 of 3 defect views on 3 plates lost" in promise_in_words(point.promise)


def test_the_library_s_hardest_defects_keep_the_point_low_where_the_plates_have_few():
    plates, library = regions([5.0, 6.0], [1.0, 3.0]), regions([2.0, 7.0, 8.0], [0.0])
    assert operating_point(plates).pass_below == 4.0
    point = operating_point(plates, library=library)
    assert point.pass_below == 1.5 and point.promise["passed"] == 1
    assert point.promise["library_lost"] == 0 and point.promise["library_views"] == 3
    assert "(and 0 of 3 of the library)" in promise_in_words(point.promise)
    many = regions(list(np.linspace(1, 10, 200)), [])
    level = np.linspace(1, 10, 200)[2]  # two of two hundred may lie below
    assert operating_point([*plates, *regions([], [level - 1e-6])], library=many).promise["library_lost"] == 2
    assert operating_point(regions([-2.0], [1.0]), library=library).pass_below == -2.0
    assert operating_point(regions([3.0], [])).pass_below == 0.0, "nothing to pass was seen"
    assert operating_point(plates, highest=0.5).pass_below == 0.5


def test_a_view_is_lost_only_where_all_its_regions_are():
    twice = [JudgedRegion("d", "p", value, ((1, "dent"),), "") for value in (-9.0, -1.0)]
    assert operating_point([*twice, *regions([], [-4.0])]).pass_below == -2.5
    beside = JudgedRegion("d", "p", -9.0, ((1, "dent"), (2, "bump")), "")
    assert operating_point([*twice, beside]).pass_below == -9.0


def test_a_wanted_share_is_used_up_or_refused():
    levels = list(np.linspace(-10, -0.1, 100))
    point = operating_point(regions(levels, [-9.95, -9.6]), wanted=0.05)
    assert point.promise["lost"] == 1 and point.promise["at_most"] <= 0.05 and point.promise["passed"] == 1
    few = operating_point(regions(levels[:20], [-9.99]), wanted=0.05)
    assert few.pass_below == -np.inf and few.promise["passed"] == 0 and few.promise["views_needed"] == 59
    assert few.promise["more_plates"] == 39 and "39 more plates" in promise_in_words(few.promise)


def test_without_a_defect_nothing_can_be_promised():
    with pytest.raises(UserError, match="no defect of the validation plates alarms"):
        operating_point(regions([], [1.0]))
