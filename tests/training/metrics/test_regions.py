# SPDX-License-Identifier: Apache-2.0
"""Filters and false-positive regions against a slow flood fill and cases counted by hand."""

from collections import namedtuple

import numpy as np
import pytest
from scipy import ndimage
from sequential_patchcore.metrics.binarize import Rule, binary_map
from sequential_patchcore.metrics.counts import count_image
from sequential_patchcore.metrics.regions import (
    SWEPT_HYSTERESIS,
    SWEPT_SIZES,
    FalseRegionTally,
    FilterSweep,
    region_table,
)
from sequential_patchcore.runtime.errors import UserError

Class = namedtuple("Class", "id name kind")
CLASSES = (Class(1, "dent", "defect"), Class(2, "scratch", "defect"), Class(6, "stain", "impurity"))
EIGHT = np.ones((3, 3))


def slow_map(scores, threshold, region, rule):
    """Each component of the low map that holds a high pixel and enough pixels."""
    high = (scores >= np.float32(threshold)) & region
    low = (scores >= np.float32(rule.hysteresis * threshold)) & region
    labels, count = ndimage.label(low, EIGHT)
    kept = np.zeros(scores.shape, bool)
    for number in range(1, count + 1):
        inside = labels == number
        if (inside & high).any() and inside.sum() >= rule.min_region:
            kept |= inside
    return kept


def scene(seed):
    """Smooth scores, random labels with instances, and a region with a hole and a strip cut away."""
    rng = np.random.default_rng(seed)
    scores = ndimage.gaussian_filter(rng.random((40, 50)), 1.2).astype(np.float32)
    mask, numbers = np.zeros(scores.shape, np.uint8), np.zeros(scores.shape, np.uint16)
    for number, class_id in enumerate(rng.choice([1, 2, 6], 6), 1):
        y, x = rng.integers(2, (34, 44))
        mask[y : y + 5, x : x + 5], numbers[y : y + 5, x : x + 5] = class_id, number
    region = rng.random(scores.shape) < 0.97
    region[:, 24:26] = False
    return scores, mask, numbers, region, float(np.quantile(scores, 0.85))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("rule", [Rule(), Rule(5), Rule(0, 0.9), Rule(9, 0.8), Rule(10_000)])
def test_the_binary_map_is_that_of_a_slow_flood_fill(seed, rule):
    scores, _, _, region, threshold = scene(seed)
    found = binary_map(scores, threshold, region, rule)
    assert np.array_equal(found, slow_map(scores, threshold, region, rule))
    assert rule.min_region == 10_000 or found.any()


def test_regions_do_not_connect_through_what_is_masked_out():
    scores = np.ones((3, 5), np.float32)
    region = np.ones((3, 5), bool)
    region[:, 2] = False
    assert not binary_map(scores, 0.5, region, Rule(7)).any()
    assert binary_map(scores, 0.5, region, Rule(6)).sum() == 12


def test_corners_connect():
    assert binary_map(np.eye(4, dtype=np.float32), 0.5, np.ones((4, 4), bool), Rule(4)).sum() == 4


def test_a_filter_that_makes_no_sense_is_refused():
    for rule in ((-1, 1.0), (0, 0.0), (0, 1.5)):
        with pytest.raises(UserError, match="smallest region"):
            Rule(*rule)


@pytest.mark.parametrize("seed", range(3))
def test_the_sweep_is_what_each_rule_gives_by_itself(seed):
    sweep, expected, images = FilterSweep(CLASSES), {}, []
    for k in range(3):
        scores, mask, numbers, region, threshold = scene(10 * seed + k)
        if k == 2:
            mask, numbers = np.zeros_like(mask), np.zeros_like(numbers)
        counts = count_image(scores, threshold, mask, numbers, region, CLASSES)
        tables = [region_table(scores, threshold, mask, numbers, region, CLASSES, share) for share in SWEPT_HYSTERESIS]
        sweep.add(tables, {i.id: i.class_id for i in counts.instances}, counts.tp + counts.fn, counts.clean)
        images.append((scores, mask, numbers, region, threshold))
    found = {(row["hysteresis"], row["min_region"]): row for row in sweep.summary(3)}
    for share in SWEPT_HYSTERESIS:
        for size in SWEPT_SIZES:
            expected = [0, 0, 0, 0, 0]
            for scores, mask, numbers, region, threshold in images:
                predicted = slow_map(scores, threshold, region, Rule(size, share))
                counts = count_image(scores, threshold, mask, numbers, region, CLASSES, predicted)
                labels, regions = ndimage.label(predicted, EIGHT)
                touching = set(np.unique(labels[np.isin(mask, [1, 2]) & predicted]))
                expected[0] += counts.tp
                expected[1] += counts.fp
                expected[2] += regions - len(touching)
                expected[3] += sum(i.detected() for i in counts.instances if i.class_id in (1, 2))
                expected[4] += counts.clean and bool(predicted.any())
            row = found[share, size]
            assert [row["true_positive"], row["false_positive"], row["false_positive_regions"],
                    row["detected_instances"]["dent"] + row["detected_instances"]["scratch"],
                    row["clean_images_with_false_positives"]] == expected
            assert row["clean_images"] == 1


def test_false_regions_by_size_counted_by_hand():
    scores = np.zeros((12, 30), np.float32)
    mask = np.zeros(scores.shape, np.uint8)
    scores[0, 0] = 1  # 1 pixel
    scores[5, 0:4] = 1  # 4 pixels
    scores[8:12, 10:14] = 1  # 16 pixels, on an impurity
    mask[8, 10] = 6
    scores[0:2, 20:24] = 1  # 8 pixels, but it touches a defect
    mask[1, 23] = 1
    nothing, region = np.zeros(scores.shape, np.uint16), np.ones(scores.shape, bool)
    tally = FalseRegionTally()
    table = region_table(scores, 1.0, mask, nothing, region, CLASSES)
    tally.add(table, Rule(), clean=False)
    tally.add(region_table(scores, 1.0, mask * 0, nothing, region, CLASSES), Rule(4), clean=True)
    found = tally.summary()
    assert tally.per_image == [3, 3]
    assert [row["regions"] for row in found["by_size"]] == [1, 3, 2, 0, 0, 0, 0]
    assert [row["regions_on_clean_images"] for row in found["by_size"]] == [0, 2, 1, 0, 0, 0, 0]
    assert (found["per_image"], found["per_clean_image"], found["touching_impurities"]) == (3.0, 3.0, 1)
