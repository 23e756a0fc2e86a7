# SPDX-License-Identifier: Apache-2.0
"""AUPRO against a slow integration over every distinct threshold, a result by hand, and AUROC where both are one."""

import cv2
import numpy as np
import pytest
from sequential_patchcore.metrics.ranking import CoarseHistogram, ScoreHistogram
from sklearn.metrics import roc_auc_score


def slow_aupro(images, limit=0.3):
    """MVTec's definition: mean overlap of the defects' components against the rate over all other pixels."""
    regions = []
    for _, positive in images:
        labels = cv2.connectedComponents(positive.astype(np.uint8), connectivity=8)[1]
        regions.append([labels == k for k in range(1, labels.max() + 1)])
    negatives = np.concatenate([scores[~positive] for scores, positive in images])
    rates, overlaps = [0.0], [0.0]
    for threshold in np.unique(np.concatenate([scores.ravel() for scores, _ in images]))[::-1]:
        rates.append((negatives >= threshold).mean())
        overlaps.append(np.mean([
            (scores[inside] >= threshold).mean()
            for (scores, _), of in zip(images, regions, strict=True) for inside in of
        ]))
    rates, overlaps = np.array(rates), np.array(overlaps)
    x = np.append(rates[rates < limit], limit)
    y = np.append(overlaps[rates < limit], np.interp(limit, rates, overlaps))
    return np.trapezoid(y, x) / limit


def histogram(images):
    made = ScoreHistogram()
    for scores, positive in images:
        labels = cv2.connectedComponents(positive.astype(np.uint8), connectivity=8)[1]
        made.add(scores.ravel(), positive.ravel(), labels.ravel())
    return made


def maps(seed, steps=None):
    rng = np.random.default_rng(seed)
    found = []
    for k in range(3):
        positive = np.zeros((24, 30), bool)
        if k < 2:
            positive[2:4, 3:20], positive[10:20, 22:26], positive[15, 2] = True, True, True
        scores = (rng.random(positive.shape) + 0.4 * positive).astype(np.float32)
        if steps:
            scores = np.round(scores * steps).astype(np.float32)
        found.append((scores, positive))
    return found


@pytest.mark.parametrize("steps", [None, 6, 1])
@pytest.mark.parametrize("limit", [0.3, 0.05, 1.0])
def test_it_is_the_slow_integral_within_the_stated_error(steps, limit):
    for seed in range(3):
        images = maps(seed, steps)
        value, error = histogram(images).aupro(limit)
        # Ties in a bin are ties of the reference too where scores have few values; else the bound covers the rest.
        assert value == pytest.approx(slow_aupro(images, limit), abs=(0 if steps else error) + 1e-12)
        assert 0 <= value <= 1 + 1e-12


def test_by_hand():
    # Two regions of 1 and 3 pixels; the single pixel is found first, then one of two normal pixels, then the rest.
    scores = np.array([[9, 0, 4, 4, 4, 0, 6, 2]], np.float32)
    positive = np.array([[1, 0, 1, 1, 1, 0, 0, 0]], bool)
    # overlap 0.5 from rate 0; rate 1/4 at 0.5; overlap 1 at 1/4; then rates 2/4 and 1
    value, _ = histogram([(scores, positive)]).aupro(1.0)
    assert value == pytest.approx(0.25 * 0.5 + 0.75 * 1.0)


def test_of_one_region_up_to_one_it_is_auroc():
    images = [(scores, positive & (np.arange(24)[:, None] < 5)) for scores, positive in maps(5)[:1]]
    value, _ = histogram(images).aupro(1.0)
    assert value == pytest.approx(roc_auc_score(images[0][1].ravel(), images[0][0].ravel()), abs=1e-3)


def test_perfect_and_undefined():
    perfect = [(positive.astype(np.float32), positive) for _, positive in maps(0)]
    assert histogram(perfect).aupro()[0] == pytest.approx(1.0)
    assert histogram(maps(0)[2:]).aupro() == (None, None)  # no defect
    assert histogram([(np.ones((2, 2), np.float32), np.ones((2, 2), bool))]).aupro() == (None, None)


def test_coarse_histograms_keep_every_pixel():
    rng = np.random.default_rng(0)
    parts = [(rng.random(500, np.float32) * 10.0**k, rng.random(500) < 0.3) for k in range(3)]
    made = []
    for scores, positive in parts:
        of = CoarseHistogram()
        of.add(scores.astype(np.float32), positive)
        made.append(of)
    negative, positive, _ = CoarseHistogram.stack(made)
    assert positive.sum(1).tolist() == [int(p.sum()) for _, p in parts]
    assert (negative + positive).sum(1).tolist() == [500] * 3
