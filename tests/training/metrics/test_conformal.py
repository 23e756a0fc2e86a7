# SPDX-License-Identifier: Apache-2.0
"""Promised rates: against the definitions written down slowly, and kept on exchangeable draws to the last draw."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats
from sequential_patchcore.metrics.conformal import (
    false_alarm_threshold,
    least_rate,
    lost_defects_threshold,
    plates_needed,
    promised_false_alarms,
    promised_lost_defects,
    rate_below,
    trade,
)


def drawn(rng: np.random.Generator, plates: int, ragged: bool) -> list[np.ndarray]:
    """Plates that differ, with scores that many share."""
    return [
        np.float32(np.round(rng.gamma(4, size=rng.integers(1, 5) if ragged else 1) + rng.normal(), 1))
        for _ in range(plates)
    ]


def test_the_least_rate_is_the_least_that_so_many_plates_allow() -> None:
    """And the threshold that it gives is the lowest score, whatever the number of defects on a plate."""
    rng = np.random.default_rng(4)
    for plates in (*range(1, 60), 999, 12_345):
        rate = least_rate(plates)
        assert plates_needed(rate) <= plates and rate == pytest.approx(1 / (plates + 1), rel=1e-12)
        if plates > 1:
            assert plates_needed(rate * (1 - 1e-9)) > plates
    for plates in range(1, 30):
        scores = drawn(rng, plates, ragged=True)
        assert lost_defects_threshold(scores, least_rate(plates)) == min(plate.min() for plate in scores)
    with pytest.raises(ValueError, match="no plate"):
        least_rate(0)


def alarming(plate: np.ndarray, threshold: float) -> Fraction:
    return Fraction(sum(bool(score >= np.float32(threshold)) for score in plate), len(plate))


def slow_false_alarm_threshold(plates, rate: str) -> float | None:
    """All thresholds that differ, tried from the lowest on."""
    values = sorted({np.nextafter(score, np.float32(np.inf)) for plate in plates for score in plate})
    for value in values:
        if sum(alarming(plate, value) for plate in plates) + 1 <= Fraction(rate) * (len(plates) + 1):
            return float(value)
    return None


def slow_lost_defects_threshold(plates, rate: str) -> float | None:
    for value in sorted({score for plate in plates for score in plate}, reverse=True):
        if sum(1 - alarming(plate, value) for plate in plates) + 1 <= Fraction(rate) * (len(plates) + 1):
            return float(value)
    return None


@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("rate", ["0.5", "0.3", "0.1", "0.05"])
def test_the_thresholds_are_those_found_by_trying_all(ragged: bool, rate: str) -> None:
    rng = np.random.default_rng(1)
    for plates in (1, 2, 3, 8, 9, 10, 18, 19, 20, 57):
        sample = drawn(rng, plates, ragged)
        assert false_alarm_threshold(sample, float(rate)) == slow_false_alarm_threshold(sample, rate)
        assert lost_defects_threshold(sample, float(rate)) == slow_lost_defects_threshold(sample, rate)


@pytest.mark.parametrize(("rate", "needed"), [(0.1, 9), (0.05, 19), (0.01, 99), (0.3, 3), (0.5, 1), (0.07, 14)])
def test_so_many_plates_are_needed_and_are_enough(rate: float, needed: int) -> None:
    assert plates_needed(rate) == needed
    plates = [np.float32([value]) for value in range(needed)]
    assert false_alarm_threshold(plates[1:], rate) is None
    assert false_alarm_threshold(plates, rate) == np.nextafter(np.float32(needed - 1), np.float32(np.inf))
    assert lost_defects_threshold(plates[1:], rate) is None and lost_defects_threshold(plates, rate) == 0


def test_with_one_score_a_plate_it_is_the_quantile_of_split_conformal_prediction() -> None:
    scores = np.random.default_rng(2).random(137).astype(np.float32)
    for rate in (0.01, 0.05, 0.1, 0.25):
        rank = int(np.ceil(138 * (1 - rate) - 1e-9))
        expected = np.nextafter(np.sort(scores)[rank - 1], np.float32(np.inf))
        assert false_alarm_threshold([scores[i : i + 1] for i in range(137)], rate) == expected


def test_every_order_of_a_few_plates_keeps_the_promise() -> None:
    """Exchangeability itself: each of n + 1 plates takes the new one's place once; the mean loss keeps the rate."""
    rng = np.random.default_rng(3)
    for plates, rate, ragged in itertools.product((4, 10, 23), (0.05, 0.2, 0.35), (False, True)):
        if plates < plates_needed(rate):
            continue
        everything = drawn(rng, plates + 1, ragged)
        alarms = lost = Fraction(0)
        for new in range(plates + 1):
            rest = everything[:new] + everything[new + 1 :]
            alarms += alarming(everything[new], false_alarm_threshold(rest, rate))
            lost += 1 - alarming(everything[new], lost_defects_threshold(rest, rate))
        assert alarms <= Fraction(str(rate)) * (plates + 1)
        assert lost <= Fraction(str(rate)) * (plates + 1)


@pytest.mark.parametrize("rate", [0.1, 0.05, 0.01])
def test_the_rate_is_kept_by_simulation_and_the_highest_score_seen_does_not_keep_it(rate: float) -> None:
    """5,000 draws of plates at hand and a new one; the bound is the exact binomial's, at one error in 10,000."""
    rng = np.random.default_rng(4)
    draws, plates = 5000, plates_needed(rate) + 20
    alarms = bare = 0
    for _ in range(draws):
        scores = np.exp(rng.normal(size=plates + 1)).astype(np.float32)
        alarms += bool(scores[-1] >= false_alarm_threshold(scores[:-1, None], rate))
        bare += bool(scores[-1] > np.quantile(scores[:10], 1 - rate))  # a quantile of few
    assert stats.binomtest(alarms, draws, rate, alternative="greater").pvalue > 1e-4
    assert alarms > 0
    assert stats.binomtest(bare, draws, rate, alternative="greater").pvalue < 1e-4


def test_in_so_many_draws_the_rate_of_the_threshold_lies_below_what_is_said() -> None:
    """Scores uniform on [0, 1]: the rate of new plates at a threshold is what lies above it."""
    rng = np.random.default_rng(5)
    found = [1 - false_alarm_threshold(rng.random((30, 1)).astype(np.float32), 0.1) for _ in range(3000)]
    below = rate_below(30, 0.1, 0.9)
    assert below == pytest.approx(stats.beta.ppf(0.9, 3, 28), rel=1e-9)
    share = int((np.array(found) <= below).sum())
    assert stats.binomtest(share, 3000, 0.9).pvalue > 1e-3


def test_what_is_promised_at_a_threshold_agrees_with_the_threshold_of_a_promise() -> None:
    rng = np.random.default_rng(6)
    sound, defective = drawn(rng, 60, True), [plate + 2 for plate in drawn(rng, 40, True)]
    for rate in (0.05, 0.1, 0.3):
        lowest, highest = false_alarm_threshold(sound, rate), lost_defects_threshold(defective, rate)
        assert promised_false_alarms(sound, lowest) <= rate < promised_false_alarms(
            sound, np.nextafter(np.float32(lowest), np.float32(-np.inf)))
        assert promised_lost_defects(defective, highest) <= rate < promised_lost_defects(
            defective, np.nextafter(np.float32(highest), np.float32(np.inf)))
    both = trade(sound, defective)
    assert (np.diff(both.thresholds) > 0).all()
    assert (np.diff(both.false_alarms) <= 0).all() and (np.diff(both.lost_defects) >= 0).all()
    assert both.false_alarms[-1] == pytest.approx(1 / 61) and both.lost_defects[0] == pytest.approx(1 / 41)


@pytest.mark.parametrize("plates", [[np.zeros(0, np.float32)], [np.float32([np.nan])], [np.float32([np.inf])]])
def test_scores_that_cannot_be_are_refused(plates) -> None:
    with pytest.raises(ValueError):
        false_alarm_threshold(plates, 0.5)


@pytest.mark.parametrize("rate", [0, 1, -0.1, 1.5, float("nan")])
def test_rates_that_cannot_be_are_refused(rate: float) -> None:
    with pytest.raises(ValueError):
        plates_needed(rate)
