# SPDX-License-Identifier: Apache-2.0
"""The streamed threshold against a brute force over all distinct scores, and against scikit-learn."""

from fractions import Fraction

import numpy as np
import pytest
from sequential_patchcore.metrics import threshold as module
from sequential_patchcore.metrics.threshold import above_quantile, max_f1
from sequential_patchcore.runtime.errors import UserError
from sklearn.metrics import precision_recall_curve


def batches_of(scores, positive, size=97):
    scores, positive = np.asarray(scores, np.float32), np.asarray(positive, bool)
    return lambda: ((scores[i : i + size], positive[i : i + size]) for i in range(0, len(scores), size))


def brute_force(scores, positive):
    """Largest F1 as a fraction, and the highest threshold that reaches it."""
    best = (Fraction(-1), 0.0)
    for value in np.unique(scores):
        predicted = scores >= value
        tp = int((predicted & positive).sum())
        best = max(best, (Fraction(2 * tp, int(predicted.sum() + positive.sum())), float(value)))
    return best


def draw(rng, kind, n=800):
    positive = rng.random(n) < rng.choice([0.02, 0.3, 0.9])
    positive[rng.integers(n)] = True
    scores = {
        "smooth": lambda: rng.gamma(2.0, 1.0, n) + positive * rng.random(),
        "ties": lambda: rng.integers(0, 9, n) / 4 + positive * rng.integers(0, 2),
        "one bin": lambda: 1.0 + rng.integers(0, 50, n) * 2.0**-23,
        "many octaves": lambda: 2.0 ** rng.integers(-149, 100, n),
        "noise": lambda: rng.random(n),
        "inverted": lambda: rng.random(n) + 1 - positive,
    }[kind]()
    return scores.astype(np.float32), positive


@pytest.mark.parametrize("kind", ["smooth", "ties", "one bin", "many octaves", "noise", "inverted"])
@pytest.mark.parametrize("seed", range(8))
def test_equals_brute_force_over_all_distinct_scores(kind, seed):
    scores, positive = draw(np.random.default_rng(seed), kind)
    f1, value = brute_force(scores, positive)
    result = max_f1(batches_of(scores, positive))
    assert (result.threshold, result.f1, result.method) == (value, float(f1), "max_f1")
    predicted = scores >= np.float32(result.threshold)
    assert result.precision == (predicted & positive).sum() / predicted.sum()
    assert result.recall == (predicted & positive).sum() / positive.sum()
    assert (result.positives, result.pixels) == (positive.sum(), len(scores))


@pytest.mark.parametrize("seed", range(4))
def test_equals_scikit_learn(seed):
    scores, positive = draw(np.random.default_rng(seed), "smooth", 5000)
    precision, recall, thresholds = precision_recall_curve(positive, scores)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-300)
    result = max_f1(batches_of(scores, positive))
    assert result.f1 == pytest.approx(f1.max(), abs=1e-12)
    assert result.threshold == thresholds[np.argmax(f1[:-1])]


def test_more_candidate_bins_than_one_pass_takes(monkeypatch):
    monkeypatch.setattr(module, "_BINS_PER_PASS", 2)
    for seed in range(6):
        scores, positive = draw(np.random.default_rng(seed), "many octaves", 300)
        f1, value = brute_force(scores, positive)
        result = max_f1(batches_of(scores, positive))
        assert (result.threshold, result.f1) == (value, float(f1))


def test_large_batches_are_cut_without_a_difference(monkeypatch):
    scores, positive = draw(np.random.default_rng(3), "smooth")
    whole = max_f1(batches_of(scores, positive, 10**6))
    monkeypatch.setattr(module, "_CHUNK", 7)
    assert max_f1(batches_of(scores, positive, 10**6)) == whole


def test_among_equal_f1_the_highest_threshold_wins():
    # At 3: TP 1, FP 0, of 3 positives: F1 = 2/4. At 1: TP 3, FP 6: F1 = 6/12. Equal.
    scores = [3.0, 1.0, 1.0] + [1.0] * 6
    result = max_f1(batches_of(scores, [True] * 3 + [False] * 6))
    assert (result.threshold, result.f1) == (3.0, 0.5)


def test_constant_map_predicts_everything_or_nothing():
    result = max_f1(batches_of([0.7] * 10, [True] * 2 + [False] * 8))
    assert result.threshold == np.float32(0.7)
    assert (result.precision, result.recall) == (0.2, 1.0)


def test_without_negatives_the_least_score_is_the_threshold():
    result = max_f1(batches_of([0.5, 0.25, 4.0], [True] * 3))
    assert (result.threshold, result.f1) == (0.25, 1.0)


def test_minus_zero_counts_as_zero():
    assert max_f1(batches_of([-0.0, 0.0], [True, True])).threshold == 0.0


def test_without_positives_the_threshold_lies_above_a_quantile_of_the_scores():
    scores = np.random.default_rng(0).permutation(np.arange(1, 1001)).astype(np.float32)
    result = max_f1(batches_of(scores, np.zeros(1000, bool)))
    assert (result.method, result.quantile, result.f1, result.positives) == ("nominal_quantile", 0.999, None, 0)
    assert result.threshold == np.nextafter(np.float32(999), np.float32(np.inf))
    assert (scores >= np.float32(result.threshold)).sum() == 1


def test_without_positives_a_constant_map_has_no_pixel_predicted():
    scores = np.full(50, 2.5, np.float32)
    result = max_f1(batches_of(scores, np.zeros(50, bool)))
    assert not (scores >= np.float32(result.threshold)).any()


@pytest.mark.parametrize("quantile", [0.001, 0.25, 0.5, 0.9, 0.999, 1.0])
def test_quantile_leaves_at_most_its_rest(quantile):
    rng = np.random.default_rng(5)
    scores, positive = rng.gamma(2.0, 1.0, 3001).astype(np.float32), rng.random(3001) < 0.2
    nominal = np.sort(scores[~positive])
    value = above_quantile(batches_of(scores, positive), quantile)
    at_least = np.ceil(round(quantile * len(nominal), 6))
    assert value == np.nextafter(nominal[int(at_least) - 1], np.float32(np.inf))
    assert (nominal >= np.float32(value)).mean() <= 1 - quantile + 1e-12


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0, -np.inf])
def test_scores_that_are_no_distances_raise(bad):
    with pytest.raises(ValueError, match="negative or not finite"):
        max_f1(batches_of([0.5, bad], [True, False]))


def test_no_pixels_is_the_users_error():
    with pytest.raises(UserError, match="no pixels"):
        max_f1(lambda: iter(()))


def test_passes_that_differ_raise():
    rng = np.random.default_rng(0)
    labels = np.arange(500) % 2 == 0
    with pytest.raises(ValueError, match="second pass"):
        max_f1(lambda: [((rng.random(500) * rng.integers(1, 9)).astype(np.float32), labels)])
