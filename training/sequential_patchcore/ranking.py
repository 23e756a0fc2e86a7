# SPDX-License-Identifier: Apache-2.0
"""Measures of ranking: how well scores separate positive from negative pixels, whatever the threshold."""

import numpy as np

from .threshold import float_bits

_SHIFT = 11  # of 31 bits without the sign, 20 remain: 2^20 bins, 4096 to a doubling of the score
_BINS = 1 << (31 - _SHIFT)
_CHUNK = 1 << 20


class ScoreHistogram:
    """Counts of positive and negative pixels by score; 16 MiB, whatever the number of pixels.

    A bin spans 1/4096 of its score or less. Inside a bin the order is unknown; each measure comes with a bound on
    what that can change.
    """

    def __init__(self) -> None:
        self._negative = np.zeros(_BINS, np.int64)
        self._positive = np.zeros(_BINS, np.int64)

    def add(self, scores: np.ndarray, positive: np.ndarray) -> None:
        """Count pixels: scores (n,) float32, non-negative and finite, and positive (n,) bool."""
        for first in range(0, len(scores), _CHUNK):
            cell = float_bits(scores[first : first + _CHUNK]) >> _SHIFT
            of_positive = np.bincount(cell[positive[first : first + _CHUNK]], minlength=_BINS)
            self._positive += of_positive
            self._negative += np.bincount(cell, minlength=_BINS) - of_positive

    @property
    def positives(self) -> int:
        return int(self._positive.sum())

    @property
    def negatives(self) -> int:
        return int(self._negative.sum())

    def auroc(self) -> tuple[float | None, float | None]:
        """Area under the ROC curve and a bound on its error; None without positives or without negatives.

        Pairs in one bin count half, so that at most half of them are counted wrongly, in either direction.
        """
        pairs = self.positives * self.negatives
        if not pairs:
            return None, None
        negative_below = np.cumsum(self._negative) - self._negative
        won = float((self._positive * negative_below.astype(np.float64)).sum())
        tied = float((self._positive * self._negative.astype(np.float64)).sum())
        return (won + tied / 2) / pairs, tied / 2 / pairs

    def average_precision(self) -> tuple[float | None, float | None]:
        """Average precision and a bound on its error; None without positives.

        The bin counts as one tie. The precision at a positive inside it lies between that of the bin's first positive
        after all its negatives and that of its positives before any of its negatives.
        """
        positives = self.positives
        if not positives:
            return None, None
        p, n, tp, fp = self._from_above()
        value = (p * (tp / (tp + fp))).sum() / positives
        least = (p * ((tp - p + 1) / (tp - p + 1 + fp))).sum() / positives
        largest = (p * (tp / (tp + fp - n))).sum() / positives
        return float(value), float(max(value - least, largest - value))

    def curve(self, points: int = 400) -> dict[str, list[float]]:
        """The precision-recall curve from the highest score down, thinned to at most `points`: recall, precision."""
        p, _, tp, fp = self._from_above()
        if not len(p):
            return {"recall": [], "precision": []}
        recall, precision = tp / max(self.positives, 1), tp / (tp + fp)
        keep = np.unique(np.searchsorted(recall, np.linspace(0, recall[-1], points)))
        return {"recall": recall[keep].tolist(), "precision": precision[keep].tolist()}

    def _from_above(self) -> tuple[np.ndarray, ...]:
        """Bins with positives, from the highest: their positives, negatives, and TP, FP down to their lower edge."""
        tp, fp = np.cumsum(self._positive[::-1]), np.cumsum(self._negative[::-1])
        used = np.flatnonzero(self._positive[::-1])
        return self._positive[::-1][used], self._negative[::-1][used], tp[used], fp[used]


def auroc(scores: np.ndarray, positive: np.ndarray) -> float | None:
    """Exact area under the ROC curve of (n,) scores, ties counting half; None without positives or negatives.

    The Mann-Whitney statistic; for as many values as fit in memory, such as one score an image.
    """
    scores, positive = np.asarray(scores, np.float64), np.asarray(positive, bool)
    negatives, positives = np.sort(scores[~positive]), scores[positive]
    if not len(negatives) or not len(positives):
        return None
    below, upto = np.searchsorted(negatives, positives, "left"), np.searchsorted(negatives, positives, "right")
    return float((below + upto).sum() / (2 * len(negatives) * len(positives)))
