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
            weight, regions = _shares(defect_region)
            self._defect_regions += regions
        for first in range(0, len(scores), _CHUNK):
            part = slice(first, first + _CHUNK)
            cell, which = float_bits(scores[part]) >> _SHIFT, positive[part]
            of_positive = np.bincount(cell[which], minlength=_BINS)
            self._positive += of_positive
            self._negative += np.bincount(cell, minlength=_BINS) - of_positive
            if weight is not None and defect_region is not None:
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
        if not self._defect_regions or not self.negatives:
            return None, None
        return overlap_area(self._negative, self._overlap, self._defect_regions, limit)

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


def overlap_area(negative: np.ndarray, overlap: np.ndarray, regions: float, limit: float) -> tuple[float, float]:
    """AUPRO from counts by bins of rising score, and half the area of the curve's steps, which bounds its error.

    Args:
        negative: (bins,) pixels that are no defect, at least one in all.
        overlap: (bins,) sums of the shares of their regions that defect pixels are.
        regions: how many connected regions of defects there are, above 0.
        limit: of the false-positive rate.
    """
    used = np.flatnonzero((overlap > 0) | (negative > 0))[::-1]
    rate = np.concatenate([[0.0], np.cumsum(negative[used]) / negative.sum()])
    covered = np.concatenate([[0.0], np.cumsum(overlap[used]) / regions])
    inside = rate < limit
    x, y = np.append(rate[inside], limit), np.append(covered[inside], np.interp(limit, rate, covered))
    if rate[-1] < limit:
        x[-1] = rate[-1]
    area = float((np.diff(x) * (y[1:] + y[:-1])).sum() / 2)
    return area / limit, float((np.diff(x) * np.diff(y)).sum() / 2 / limit)


class CoarseHistogram:
    """Counts of negative and positive pixels in 64 bins to a doubling; a few KiB, for one group of images.

    Attributes:
        regions: how many connected regions of defects were counted.
    """

    def __init__(self) -> None:
        self._counts: dict[int, np.ndarray] = {}  # bin -> negative, positive, overlap
        self.regions = 0

    def add(self, scores: np.ndarray, positive: np.ndarray, defect_region: np.ndarray | None = None) -> None:
        """Count pixels as in `ScoreHistogram.add`."""
        weight, regions = _shares(np.zeros(len(scores), np.int64) if defect_region is None else defect_region)
        self.regions += regions
        for first in range(0, len(scores), _CHUNK):
            part = slice(first, first + _CHUNK)
            cell, which = (float_bits(scores[part]) >> _COARSE_SHIFT).astype(np.int64), positive[part]
            counts = np.bincount(cell * 2 + which, minlength=2 << (31 - _COARSE_SHIFT)).reshape(-1, 2)
            shares = 0 if defect_region is None else weight[defect_region[part][which]]
            overlap = np.bincount(cell[which], np.broadcast_to(shares, which.sum()), minlength=len(counts))
            for key in np.flatnonzero(counts.any(1)).tolist():
                self._counts[key] = self._counts.get(key, 0) + np.append(counts[key], overlap[key])

    @staticmethod
    def stack(histograms: Sequence["CoarseHistogram"]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(G, bins) float64 each over the bins that any of G groups uses: negatives, positives, overlaps."""
        bins = sorted(set().union(*(histogram._counts for histogram in histograms)))
        place = {number: k for k, number in enumerate(bins)}
        table = np.zeros((3, len(histograms), len(bins)))
        for row, histogram in enumerate(histograms):
            for number, counts in histogram._counts.items():
                table[:, row, place[number]] = counts
        return table[0], table[1], table[2]


def _shares(defect_region: np.ndarray) -> tuple[np.ndarray, int]:
    """(regions + 1,) what one pixel is of its region, 0 for no region; and how many regions there are."""
    pixels = np.bincount(defect_region)
    pixels[:1] = 0
    return np.divide(1.0, pixels, out=np.zeros(len(pixels)), where=pixels > 0), int((pixels > 0).sum())


def auroc(scores: np.ndarray | Sequence[float], positive: np.ndarray | Sequence[bool]) -> float | None:
    """Exact area under the ROC curve of (n,) scores, ties counting half; None without positives or negatives.

    The Mann-Whitney statistic; for as many values as fit in memory, such as one score an image.
    """
    scores, positive = np.asarray(scores, np.float64), np.asarray(positive, bool)
    negatives, positives = np.sort(scores[~positive]), scores[positive]
    if not len(negatives) or not len(positives):
        return None
    below, upto = np.searchsorted(negatives, positives, "left"), np.searchsorted(negatives, positives, "right")
    return float((below + upto).sum() / (2 * len(negatives) * len(positives)))
