# SPDX-License-Identifier: Apache-2.0
"""Maps that real runs bring and formulas forget, through whole implementations of others.

A region's overlap at a threshold is a recall in which each pixel weighs one over its region's size. So scikit-learn's
weighted ROC curve, with SciPy's labels, is a second implementation of AUPRO.
"""

import cv2
import numpy as np
import pytest
from scipy import ndimage
from sequential_patchcore.extractors.base import ExtractorSettings
from sequential_patchcore.extractors.builder import extractor_of
from sequential_patchcore.metrics.ranking import AUPRO_LIMIT, ScoreHistogram
from sequential_patchcore.metrics.threshold import max_f1
from sequential_patchcore.runtime.errors import UserError
from sequential_patchcore.scoring.scorer import Scorer
from sklearn.metrics import auc, average_precision_score, roc_auc_score, roc_curve

SIZE = (40, 50)


def defects(seed: int) -> np.ndarray:
    """Regions of all sizes, single pixels and corners that touch among them."""
    rng = np.random.default_rng(seed)
    positive = cv2.GaussianBlur(rng.standard_normal(SIZE), (0, 0), 1.5) > 0.35
    positive[3, 3] = positive[4, 4] = positive[20, 49] = True
    return positive


def scores_of(kind: str, positive: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(7)
    return {
        "noise": lambda: rng.gamma(2, 1, SIZE) + positive,
        "constant": lambda: np.full(SIZE, 0.3),
        "zero": lambda: np.zeros(SIZE),
        "two values": lambda: 1.0 + (rng.random(SIZE) < 0.3 + 0.4 * positive),
        "perfect": lambda: positive * 1.0,
        "upside down": lambda: 1.0 - positive,
        "one hot pixel": lambda: np.where(np.arange(positive.size).reshape(SIZE) == 7, 1e30, 1e-30),
        "denormal": lambda: rng.random(SIZE) * 1e-42,
    }[kind]().astype(np.float32)


def second_aupro(images) -> float:
    labels, scores, weights = [], [], []
    for score, positive in images:
        parts, count = ndimage.label(positive, np.ones((3, 3)))
        size = ndimage.sum_labels(positive, parts, range(count + 1))
        labels.append(positive.ravel())
        scores.append(score.ravel())
        weights.append(np.where(positive, 1 / np.maximum(size, 1)[parts], 1.0).ravel())
    labels, scores, weights = map(np.concatenate, (labels, scores, weights))
    rate, overlap, _ = roc_curve(labels, scores, sample_weight=weights, drop_intermediate=False)
    inside = rate < AUPRO_LIMIT
    x = np.append(rate[inside], AUPRO_LIMIT)
    return auc(x, np.append(overlap[inside], np.interp(AUPRO_LIMIT, rate, overlap))) / AUPRO_LIMIT


def counted(images) -> ScoreHistogram:
    histogram = ScoreHistogram()
    for score, positive in images:
        parts = cv2.connectedComponents(positive.astype(np.uint8), connectivity=8)[1]
        histogram.add(score.ravel(), positive.ravel(), parts.ravel())
    return histogram


KINDS = ("noise", "constant", "zero", "two values", "perfect", "upside down", "one hot pixel", "denormal")


@pytest.mark.parametrize("kind", KINDS)
def test_ranking_is_that_of_scikit_learn_and_scipy(kind):
    images = [(scores_of(kind, defects(seed)), defects(seed)) for seed in range(3)]
    images.append((scores_of(kind, np.zeros(SIZE, bool)), np.zeros(SIZE, bool)))
    histogram = counted(images)
    scores, labels = (np.concatenate([pair[k].ravel() for pair in images]) for k in (0, 1))
    for (value, error), truth in (
        (histogram.auroc(), roc_auc_score(labels, scores)),
        (histogram.average_precision(), average_precision_score(labels, scores)),
        (histogram.aupro(), second_aupro(images)),
    ):
        assert abs(value - truth) <= error + 1e-9
        if kind == "noise":
            assert error < 2e-3
        elif kind != "denormal":  # one score to a bin: exact
            assert value == pytest.approx(truth, abs=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("positive", [False, True])
def test_of_one_kind_of_pixel_nothing_is_ranked_and_a_threshold_exists(kind, positive):
    labels = np.full(SIZE, positive)
    scores = scores_of(kind, labels)
    histogram = counted([(scores, labels)])
    assert histogram.auroc() == histogram.aupro() == (None, None)
    assert histogram.average_precision()[0] == (1.0 if positive else None)
    found = max_f1(lambda: [(scores.ravel(), labels.ravel())])
    assert (found.f1, found.threshold) == (1.0, scores.min()) if positive else found.f1 is None
    assert positive or (scores >= np.float32(found.threshold)).mean() <= 0.001


def test_an_empty_region_adds_nothing():
    histogram = counted([(scores_of("noise", defects(0)), defects(0))])
    before = histogram.auroc(), histogram.average_precision(), histogram.aupro()
    histogram.add(np.zeros(0, np.float32), np.zeros(0, bool), np.zeros(0, np.int32))
    assert (histogram.auroc(), histogram.average_precision(), histogram.aupro()) == before


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0])
def test_what_is_no_distance_enters_no_histogram(bad):
    scores = np.ones(5, np.float32)
    scores[2] = bad
    with pytest.raises(ValueError, match="finite"):
        ScoreHistogram().add(scores, np.zeros(5, bool))


def test_vectors_that_are_no_numbers_are_refused_in_one_line():
    extractor = extractor_of(ExtractorSettings("filters"), "none")
    scorer = Scorer.of_vectors(extractor, np.full((3, extractor.dimension), np.nan, np.float32))
    with pytest.raises(UserError, match="130 of 130 patches have a distance that is no finite number"):
        scorer.anomaly_map(np.random.default_rng(0).random((*SIZE, 3), np.float32))  # 40 x 50 at stride 4
