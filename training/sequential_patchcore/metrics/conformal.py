# SPDX-License-Identifier: Apache-2.0
"""Thresholds that keep a promise about new plates, whatever the distribution: split conformal, and its form for losses.

A plate is a list of scores: of the plate as a whole, of its images, of pieces of its surface, or of its defects. What
is promised is the mean, over a new plate, of the share of them that alarms (of sound plates), or that is missed (of
defects). With one score a plate that is the probability that a new plate alarms.

Let the n plates at hand and the new one be exchangeable: any order of the n + 1 is as likely. For a loss between 0 and
1 that the threshold only lowers (or only raises), the threshold at which the n losses and one more loss of 1 sum to at
most `rate` (n + 1) keeps the mean loss of the new plate at or below `rate` (Angelopoulos, Bates, Fisch, Lei, Schuster,
"Conformal Risk Control", ICLR 2024, theorem 1). With one score a plate it is the k-th smallest of the n, with
k = ceil((n + 1)(1 - rate)), of split conformal prediction (Vovk, Gammerman, Shafer 2005; Lei and others 2018). Below
n = ceil(1 / rate) - 1 plates no finite threshold can promise the rate.

The mean is over the plates at hand as well as over the new one. For the threshold that was found, the rate of new
plates is a number that nobody knows; `rate_below` says below what it lies for so many in ten draws of the plates at
hand, where scores have no ties (then it is distributed as Beta(m, n + 1 - m), with m = floor(rate (n + 1))).

Decisions are made on fractions, not on rounded sums.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from .binomial import upper_limit


def as_fraction(rate: float) -> Fraction:
    """The rate as it is written: 0.1 is a tenth.

    Raises:
        ValueError: not between 0 and 1.
    """
    if not 0 < rate < 1:
        raise ValueError(f"expected a rate between 0 and 1, got {rate:g}")
    return Fraction(repr(float(rate)))


def plates_needed(rate: float) -> int:
    """The least number of plates with which the rate can be promised."""
    return math.ceil(1 / as_fraction(rate)) - 1


def least_rate(plates: int) -> float:
    """The least rate that can be promised with so many plates: 1 / (n + 1), or the next number above it.

    Raises:
        ValueError: no plate at all, with which nothing can be promised.
    """
    if plates < 1:
        raise ValueError("with no plate nothing can be promised")
    rate = 1 / (plates + 1)
    while as_fraction(rate) * (plates + 1) < 1:  # rounded down
        rate = math.nextafter(rate, 1)
    return rate


@dataclass(frozen=True)
class _Shares:
    """All scores of the plates in ascending order, and of how many scores the plate of each is.

    Attributes:
        scores: (N,) float32.
        plate_sizes: (N,) int64.
        sizes: the distinct ones.
        plates: how many plates there are.
    """

    scores: np.ndarray
    plate_sizes: np.ndarray
    sizes: tuple[int, ...]
    plates: int

    @classmethod
    def of(cls, plates: Sequence[np.ndarray]) -> "_Shares":
        lists = [np.ravel(np.asarray(plate, np.float32)) for plate in plates]
        if any(len(plate) == 0 for plate in lists):
            raise ValueError("a plate without a score: leave it out, nothing of it can alarm or be missed")
        if not all(np.isfinite(plate).all() for plate in lists):
            raise ValueError("a score is not finite")
        if not lists:
            return cls(np.zeros(0, np.float32), np.zeros(0, np.int64), (), 0)
        scores = np.concatenate(lists)
        sizes = np.concatenate([np.full(len(plate), len(plate)) for plate in lists])
        order = np.argsort(scores, kind="stable")
        return cls(scores[order], sizes[order], tuple(map(int, np.unique(sizes))), len(lists))

    def sum_from(self, place: int) -> Fraction:
        """Over the plates, the sum of the share of each that lies from this place on in the order."""
        return self._sum(self.plate_sizes[place:])

    def sum_before(self, place: int) -> Fraction:
        """The same of what lies before this place."""
        return self._sum(self.plate_sizes[:place])

    def _sum(self, sizes: np.ndarray) -> Fraction:
        return sum((Fraction(int((sizes == size).sum()), size) for size in self.sizes), Fraction(0))


def false_alarm_threshold(plates: Sequence[np.ndarray], rate: float) -> float | None:
    """The least threshold at which the mean share of a new sound plate that alarms is promised to be at most the rate.

    A score alarms where it is >= the threshold.

    Args:
        plates: of each sound plate its scores, float32 (c,), c >= 1 of any number.
        rate: between 0 and 1.

    Returns:
        A float32 value: the next above one of the scores. None where there are fewer plates than `plates_needed`.
    """
    shares, allowed = _Shares.of(plates), as_fraction(rate)
    budget = allowed * (shares.plates + 1)
    if budget < 1:
        return None
    values = np.unique(shares.scores)
    first = _first(len(values), lambda row: shares.sum_from(
        int(np.searchsorted(shares.scores, values[row], "right"))) + 1 <= budget)
    return float(np.nextafter(values[first], np.float32(np.inf)))


def lost_defects_threshold(plates: Sequence[np.ndarray], rate: float) -> float | None:
    """The largest threshold at which the mean share of a new plate's defects that is missed is promised to be so small.

    A defect is missed where its highest score is < the threshold.

    Args:
        plates: of each plate with defects the highest score of each defect, float32 (c,), c >= 1 of any number.
        rate: between 0 and 1.

    Returns:
        One of the scores, float32. None where there are fewer plates than `plates_needed`.
    """
    shares, allowed = _Shares.of(plates), as_fraction(rate)
    budget = allowed * (shares.plates + 1)
    if budget < 1:
        return None
    values = np.unique(shares.scores)
    beyond = _first(len(values), lambda row: shares.sum_before(
        int(np.searchsorted(shares.scores, values[row], "left"))) + 1 > budget)
    return float(values[beyond - 1])


def _first(count: int, holds: Callable[[int], bool]) -> int:
    """The first row of 0 ... count - 1 where a condition holds that never ends once it does; `count` without one."""
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle + 1
    return low


def promised_false_alarms(plates: Sequence[np.ndarray], threshold: float) -> float:
    """What can be promised at a threshold that was fixed beforehand: (sum of shares that alarm + 1) / (n + 1)."""
    shares = _Shares.of(plates)
    place = int(np.searchsorted(shares.scores, np.float32(threshold), "left"))
    return float((shares.sum_from(place) + 1) / (shares.plates + 1))


def promised_lost_defects(plates: Sequence[np.ndarray], threshold: float) -> float:
    """The same for the share of defects missed."""
    shares = _Shares.of(plates)
    place = int(np.searchsorted(shares.scores, np.float32(threshold), "left"))
    return float((shares.sum_before(place) + 1) / (shares.plates + 1))


def rate_below(plates: int, rate: float, confidence: float = 0.9) -> float:
    """Below what the rate of new plates lies at the threshold found, for this share of the draws of the plates at hand.

    With one score a plate, all different; an upper bound where scores are equal.

    Args:
        plates: n, at least `plates_needed(rate)`.
    """
    allowed = math.floor(as_fraction(rate) * (plates + 1))
    if allowed < 1:
        raise ValueError(f"{plates} plates are too few for {rate:g}: it takes {plates_needed(rate)}")
    # P(Beta(m, n + 1 - m) <= x) = P(Binomial(n, x) >= m)
    return upper_limit(allowed - 1, plates, confidence)


@dataclass(frozen=True)
class Trade:
    """What can be promised at each of several thresholds, ascending.

    Attributes:
        thresholds: (T,) float32.
        false_alarms: (T,) float64, falling.
        lost_defects: (T,) float64, rising.
    """

    thresholds: np.ndarray
    false_alarms: np.ndarray
    lost_defects: np.ndarray


def trade(sound: Sequence[np.ndarray], defective: Sequence[np.ndarray], at_most: int = 400) -> Trade:
    """Both promises over the thresholds: at most `at_most` of those where one of the two changes."""
    up = np.float32(np.inf)
    lists = [np.nextafter(np.ravel(plate).astype(np.float32), up) for plate in sound]
    lists += [np.ravel(plate).astype(np.float32) for plate in defective]
    values = np.unique(np.concatenate(lists))
    if len(values) > at_most:
        values = values[np.unique(np.linspace(0, len(values) - 1, at_most).round().astype(int))]
    return Trade(
        values, np.array([promised_false_alarms(sound, value) for value in values]),
        np.array([promised_lost_defects(defective, value) for value in values]),
    )
