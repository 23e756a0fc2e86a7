# SPDX-License-Identifier: Apache-2.0
"""Measures of ranking: how well scores separate positive from negative pixels, whatever the threshold."""

from collections.abc import Sequence

import numpy as np

from .threshold import float_bits

_SHIFT = 11  # of 31 bits without the sign, 20 remain: 2^20 bins, 4096 to a doubling of the score
_BINS = 1 << (31 - _SHIFT)
_CHUNK = 1 << 20
_COARSE_SHIFT = 17  # 64 bins to a doubling
AUPRO_LIMIT = 0.3  # of the false-positive rate; the MVTec benchmark's


class ScoreHistogram:
    """Counts of positive and negative pixels by score; 24 MiB, whatever the number of pixels.

    A bin spans 1/4096 of its score or less. Inside a bin the order is unknown; each measure comes with a bound on
    what that can change.
    """

    def __init__(self) -> None:
        self._negative = np.zeros(_BINS, np.int64)
        self._positive = np.zeros(_BINS, np.int64)
        self._overlap = np.zeros(_BINS)
        self._defect_regions = 0

    def add(self, scores: np.ndarray, positive: np.ndarray, defect_region: np.ndarray | None = None) -> None:
        """Count pixels.

        Args:
            scores: (n,) float32, non-negative and finite.
            positive: (n,) bool.
            defect_region: (n,) int, for AUPRO: which connected region of positive pixels of this image each belongs
                to, from 1; 0 where not positive.
        """
        weight = None
        if defect_region is not None:
            pixels = np.bincount(defect_region)
            self._defect_regions += int((pixels[1:] > 0).sum())
            weight = np.divide(1.0, pixels, out=np.zeros(len(pixels)), where=pixels > 0)
        for first in range(0, len(scores), _CHUNK):
            part = slice(first, first + _CHUNK)
            cell, which = float_bits(scores[part]) >> _SHIFT, positive[part]
            of_positive = np.bincount(cell[which], minlength=_BINS)
            self._positive += of_positive
            self._negative += np.bincount(cell, minlength=_BINS) - of_positive
            if weight is not None:
                self._overlap += np.bincount(cell[which], weight[defect_region[part][which]], minlength=_BINS)

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

    def aupro(self, limit: float = AUPRO_LIMIT) -> tuple[float | None, float | None]:
        """Area under the per-region-overlap curve up to a false-positive rate, over that rate; a bound on its error.

        At a threshold the overlap is the mean, over the connected regions of defects, of the share of a region's
        pixels that is predicted; the false-positive rate is over all other pixels of the inspected region. Between
        two bins, as between two distinct scores, the curve is a straight line. None without defects or without others.
        """
        negatives = self.negatives
        if not self._defect_regions or not negatives:
            return None, None
        used = np.flatnonzero((self._overlap > 0) | (self._negative > 0))[::-1]
        rate = np.concatenate([[0.0], np.cumsum(self._negative[used]) / negatives])
        overlap = np.concatenate([[0.0], np.cumsum(self._overlap[used]) / self._defect_regions])
        inside = rate < limit
        at_limit = np.interp(limit, rate, overlap)
        x, y = np.append(rate[inside], limit), np.append(overlap[inside], at_limit)
        if rate[-1] < limit:
            x[-1] = rate[-1]
        area = float((np.diff(x) * (y[1:] + y[:-1])).sum() / 2)
        return area / limit, float((np.diff(x) * np.diff(y)).sum() / 2 / limit)

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


class CoarseHistogram:
    """Counts of negative and positive pixels in 64 bins to a doubling; a few KiB, for one group of images."""

    def __init__(self) -> None:
        self._counts: dict[int, np.ndarray] = {}

    def add(self, scores: np.ndarray, positive: np.ndarray) -> None:
        """Count pixels as in `ScoreHistogram.add`."""
        for first in range(0, len(scores), _CHUNK):
            cell = (float_bits(scores[first : first + _CHUNK]) >> _COARSE_SHIFT).astype(np.int64) * 2
            counts = np.bincount(cell + positive[first : first + _CHUNK], minlength=2 << (31 - _COARSE_SHIFT))
            counts = counts.reshape(-1, 2)
            for key in np.flatnonzero(counts.any(1)).tolist():
                self._counts[key] = self._counts.get(key, 0) + counts[key]

    @staticmethod
    def stack(histograms: Sequence["CoarseHistogram"]) -> tuple[np.ndarray, np.ndarray]:
        """(G, bins) int64 each: the negative and positive counts of G groups over the bins that any of them uses."""
        bins = sorted(set().union(*(of._counts for of in histograms)))
        place = {each: k for k, each in enumerate(bins)}
        table = np.zeros((2, len(histograms), len(bins)), np.int64)
        for row, of in enumerate(histograms):
            for each, counts in of._counts.items():
                table[:, row, place[each]] = counts
        return table[0], table[1]


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
