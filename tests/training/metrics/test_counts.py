# SPDX-License-Identifier: Apache-2.0
"""Counts by hand, by a slow loop, and on degenerate images; ranking measures against scikit-learn."""

from collections import namedtuple

import numpy as np
import pytest
from sequential_patchcore.metrics.counts import COVERAGE_PERCENT, InstanceCount, count_image, summarise
from sequential_patchcore.metrics.ranking import ScoreHistogram, auroc
from sklearn.metrics import average_precision_score, roc_auc_score

Class = namedtuple("Class", "id name kind")
CLASSES = (
    Class(1, "bump", "defect"), Class(2, "dent", "defect"), Class(4, "scratch", "defect"), Class(6, "stain", "impurity")
)


def image(mask, predicted, instances=None, region=None):
    mask = np.array(mask, np.uint8)
    instances = np.array(instances if instances is not None else mask, np.uint16)
    region = np.ones(mask.shape, bool) if region is None else np.array(region, bool)
    return count_image(np.array(predicted, np.float32), 1.0, mask, instances, region, CLASSES)


def test_counts_by_hand():
    counts = image(
        [[1, 1, 1, 0, 6, 6], [4, 4, 0, 0, 6, 0]],
        [[1, 1, 0, 1, 1, 0], [0, 0, 0, 0, 0, 1]],
    )
    assert (counts.tp, counts.fp, counts.fn, counts.tn, counts.fp_on_impurities) == (2, 3, 3, 4, 1)
    assert counts.class_pixels == {1: (3, 2), 4: (2, 0), 6: (3, 1)}
    assert counts.missed([1, 4]) == 1
    out = summarise([counts], CLASSES)
    assert out["pixel"]["precision"] == 2 / 5
    assert out["pixel"]["recall"] == 2 / 5
    assert out["pixel"]["f1"] == 4 / 10
    assert out["classes"]["bump"]["pixel_recall"] == 2 / 3
    assert out["classes"]["bump"]["defect_wise_recall"] == 1.0
    assert out["classes"]["stain"]["pixel_recall"] == 1 / 3
    assert out["mean_defect_wise_recall"] == 0.5  # bump found, scratch not; dent has no instance, the stain no part
    assert out["mean_defect_wise_recall_classes"] == ["bump", "scratch"]


def test_the_threshold_itself_is_anomalous():
    counts = image([[1, 0]], [[1.0, np.nextafter(np.float32(1), np.float32(0))]])
    assert (counts.tp, counts.fp) == (1, 0)


def test_pixels_outside_the_region_never_count():
    counts = image([[1, 1, 6, 0]], [[1, 1, 1, 1]], [[7, 8, 9, 0]], [[True, False, False, False]])
    assert (counts.tp, counts.fp, counts.fn, counts.tn) == (1, 0, 0, 0)
    assert [i.id for i in counts.instances] == [7]
    assert counts.class_pixels == {1: (1, 1)}


def test_an_instance_cut_by_the_region_is_measured_on_what_remains():
    counts = image([[1, 1, 1, 1]], [[0, 1, 0, 0]], [[3, 3, 3, 3]], [[True, True, False, False]])
    assert counts.instances == (InstanceCount(3, 1, 2, 1),)


def test_instance_numbers_of_one_class_are_separate():
    counts = image([[1, 1, 0, 1]], [[1, 0, 0, 0]], [[300, 300, 0, 60000]])
    out = summarise([counts], CLASSES)
    assert (out["classes"]["bump"]["detected_instances"], out["classes"]["bump"]["instances"]) == (1, 2)


def test_an_empty_region_gives_no_score_and_no_counts():
    counts = image([[1, 0]], [[1, 1]], region=[[False, False]])
    assert (counts.pixels, counts.score, counts.instances, counts.clean) == (0, None, (), True)


def test_undefined_ratios_are_none_and_not_zero():
    out = summarise([image([[0, 0]], [[0, 0]])], CLASSES)
    assert out["pixel"]["precision"] is out["pixel"]["recall"] is out["pixel"]["f1"] is None
    assert out["classes"]["bump"]["pixel_recall"] is out["classes"]["bump"]["defect_wise_recall"] is None
    assert out["mean_defect_wise_recall"] is None
    assert out["coverage_sweep"]["mean_over_defect_classes"] == [None] * len(COVERAGE_PERCENT)
    missed = summarise([image([[1, 0]], [[0, 0]])], CLASSES)
    assert (missed["pixel"]["precision"], missed["pixel"]["recall"], missed["pixel"]["f1"]) == (None, 0.0, 0.0)
    assert summarise([], CLASSES)["classes"]["dent"]["pixels"] == 0


@pytest.mark.parametrize(
    ("pixels", "predicted", "percent", "detected"),
    [(200, 0, 0, False), (200, 1, 0, True), (200, 1, 1, False), (200, 2, 1, True), (3, 1, 25, True), (3, 1, 50, False),
     (7, 7, 100, True), (10**6, 10**6 - 1, 100, False), (0, 0, 0, False)],
)
def test_zero_percent_means_one_pixel_and_p_percent_at_least_p(pixels, predicted, percent, detected):
    assert InstanceCount(1, 1, pixels, predicted).detected(percent) is detected


def test_the_sweep_by_hand():
    one = image([[1] * 4 + [2] * 2], [[1, 0, 0, 0, 1, 1]])
    sweep = summarise([one], CLASSES)["coverage_sweep"]
    assert sweep["classes"]["bump"]["recall"] == [1.0] * 9 + [0.0] * 3  # covered by a quarter
    assert sweep["classes"]["dent"]["recall"] == [1.0] * 12
    assert sweep["mean_over_defect_classes"] == [1.0] * 9 + [0.5] * 3


def test_false_positives_on_clean_images_are_counted_apart():
    images = [image([[0, 0, 0]], [[1, 0, 0]]), image([[0, 0, 0]], [[0, 0, 0]]), image([[6, 0, 0]], [[1, 1, 0]])]
    out = summarise(images, CLASSES)
    assert out["clean_images"] == {
        "images": 2, "images_with_false_positives": 1, "pixels": 6, "false_positive_pixels": 1,
        "false_positive_share": 1 / 6,
    }
    assert out["images_by_content"] == {"with_defects": 0, "with_impurities_only": 1, "clean": 2}


@pytest.mark.parametrize("seed", range(5))
def test_counts_equal_a_loop_over_pixels(seed):
    rng = np.random.default_rng(seed)
    shape = (23, 31)
    mask = rng.choice([0, 1, 2, 4, 6], shape).astype(np.uint8)
    numbers = (mask * 10 + rng.integers(1, 3, shape)).astype(np.uint16) * (mask > 0)
    scores, region = rng.random(shape, np.float32), rng.random(shape) < 0.8
    counts = count_image(scores, 0.6, mask, numbers.astype(np.uint16), region, CLASSES)
    cells = dict.fromkeys(["tp", "fp", "fn", "tn"], 0)
    covered = {}
    for y in range(shape[0]):
        for x in range(shape[1]):
            if not region[y, x]:
                continue
            hit, positive = bool(scores[y, x] >= np.float32(0.6)), mask[y, x] in (1, 2, 4)
            cells[("t" if hit == positive else "f") + ("p" if hit else "n")] += 1
            if numbers[y, x]:
                seen, found = covered.get(int(numbers[y, x]), (0, 0))
                covered[int(numbers[y, x])] = (seen + 1, found + hit)
    assert {name: getattr(counts, name) for name in cells} == cells
    assert {i.id: (i.pixels, i.predicted) for i in counts.instances} == covered
    assert all(i.class_id == i.id // 10 for i in counts.instances)


def test_arrays_of_different_shape_raise():
    with pytest.raises(ValueError, match="one shape"):
        count_image(np.zeros((2, 3), np.float32), 1, *[np.zeros((3, 2), np.uint8)] * 2, np.ones((2, 3), bool), CLASSES)


@pytest.mark.parametrize("kind", ["smooth", "ties", "one bin", "constant"])
@pytest.mark.parametrize("share", [0.01, 0.5])
def test_ranking_equals_scikit_learn_within_its_own_bound(kind, share):
    rng = np.random.default_rng(1)
    positive = rng.random(20_000) < share
    scores = {
        "smooth": rng.gamma(2, 1, 20_000) + positive * 1.5,
        "ties": rng.integers(0, 7, 20_000) + positive,
        "one bin": 1 + rng.integers(0, 1000, 20_000) * 2.0**-23,
        "constant": np.ones(20_000),
    }[kind].astype(np.float32)
    histogram = ScoreHistogram()
    for first in range(0, 20_000, 3000):
        histogram.add(scores[first : first + 3000], positive[first : first + 3000])
    for (value, error), truth in (
        (histogram.auroc(), roc_auc_score(positive, scores)),
        (histogram.average_precision(), average_precision_score(positive, scores)),
    ):
        assert abs(value - truth) <= error + 1e-12
        if kind == "smooth":
            assert error < 2e-3
            assert value == pytest.approx(truth, abs=2e-4)
        if kind in ("ties", "constant"):  # one score to a bin: exact
            assert value == pytest.approx(truth, abs=1e-12)
    assert auroc(scores, positive) == pytest.approx(roc_auc_score(positive, scores), abs=1e-12)


def test_ranking_without_one_side_is_undefined():
    histogram = ScoreHistogram()
    assert histogram.auroc() == histogram.average_precision() == (None, None)
    histogram.add(np.ones(3, np.float32), np.zeros(3, bool))
    assert histogram.auroc() == histogram.average_precision() == (None, None)
    assert histogram.curve() == {"recall": [], "precision": []}
    assert auroc([1.0, 2.0], [False, False]) is None


def test_curve_passes_through_the_exact_points():
    histogram = ScoreHistogram()
    histogram.add(np.array([4, 3, 2, 1], np.float32), np.array([True, False, True, False]))
    assert histogram.curve() == {"recall": [0.5, 1.0], "precision": [1.0, 2 / 3]}
