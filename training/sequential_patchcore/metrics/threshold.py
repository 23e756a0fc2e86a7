# SPDX-License-Identifier: Apache-2.0
"""The threshold of largest pixel F1, exactly, over any number of pixels in bounded memory.

The rule of prediction, here and everywhere: a pixel is anomalous when ``score >= threshold``.

The bits of non-negative float32 numbers order like the numbers, so a histogram over the upper 16 bits is a histogram
of sorted bins. A first pass counts it. From the counts above a bin follows the largest F1 that any threshold inside
the bin could reach; only the bins where that is not below the best F1 already certain are counted again, by their
lower 16 bits, where each count belongs to one single float32 value.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from ..runtime.errors import UserError

Batches = Callable[[], Iterable[tuple[np.ndarray, np.ndarray]]]

_UPPER = 1 << 15  # values of the upper 16 bits without the sign
_LOWER = 1 << 16
_BINS_PER_PASS = 128  # 128 MiB of counts
_CHUNK = 1 << 20  # pixels at a time, so that the temporary arrays stay small whatever the batch
_NEARLY = 1 - 1e-12  # F1 ratios closer than this in float64 are compared as fractions


@dataclass(frozen=True)
class ThresholdResult:
    """A threshold and how it came about.

    Attributes:
        threshold: in raw score units, exactly a float32 value.
        f1, precision, recall: over the pixels it was made from; None when there were no positives.
        positives, pixels: how many pixels were positive, and how many there were.
        method: "max_f1" or "nominal_quantile".
        quantile: which quantile of the nominal scores, for "nominal_quantile"; else None.
    """

    threshold: float
    f1: float | None
    precision: float | None
    recall: float | None
    positives: int
    pixels: int
    method: str
    quantile: float | None = None


def max_f1(batches: Batches, fallback_quantile: float = 0.999) -> ThresholdResult:
    """The threshold that maximises F1 among all distinct scores; among equal F1 the highest.

    Args:
        batches: gives the pixels anew at each call (two passes, rarely more), as pairs of scores (n,) float32,
            non-negative and finite, and positive (n,) bool.
        fallback_quantile: without any positive pixel there is no F1; the threshold is then set on the nominal scores
            as in `above_quantile`, and `method` says so.

    Raises:
        UserError: there are no pixels.
        ValueError: a score is negative or not finite, or the passes differ.
    """
    negative, positive = _upper_counts(batches)
    positives, pixels = int(positive.sum()), int(positive.sum() + negative.sum())
    if not pixels:
        raise UserError("no pixels to set a threshold on: expected at least one image with a region that is not empty")
    if not positives:
        threshold = _above_quantile(batches, negative, fallback_quantile)
        return ThresholdResult(threshold, None, None, None, 0, pixels, "nominal_quantile", fallback_quantile)

    tp, fp = _from_above(positive), _from_above(negative)  # at a threshold on the lower edge of each bin
    certain = _f1(tp, fp, positives).max()
    # Inside a bin at best all its positives are found before any of its negatives. A bin without positives cannot
    # hold the maximum: its thresholds add false positives only.
    possible = np.where(positive > 0, _f1(tp, fp - negative, positives), -1.0)
    queue = np.argsort(-possible, kind="stable")
    best = (Fraction(-1), -1, 0, 0)  # F1 / 2, bits of the threshold, TP, FP
    while len(queue := queue[possible[queue] >= max(certain, 2 * float(best[0])) * _NEARLY]):
        bins, queue = queue[:_BINS_PER_PASS], queue[_BINS_PER_PASS:]
        counts = _lower_counts(batches, bins, negative, positive)
        for where, (bin_negative, bin_positive) in zip(bins, counts, strict=True):
            inner_tp = tp[where] - positive[where] + _from_above(bin_positive)
            inner_fp = fp[where] - negative[where] + _from_above(bin_negative)
            best = max(best, _best_within(int(where), inner_tp, inner_fp, bin_positive > 0, positives))
    half_f1, bits, found, false = best
    return ThresholdResult(
        _value(bits), float(2 * half_f1), found / (found + false), found / positives, positives, pixels, "max_f1"
    )


def above_quantile(batches: Batches, quantile: float) -> float:
    """The least float32 above the `quantile` of the scores of non-positive pixels.

    The quantile is the smallest score that at least this share of them does not exceed. At the threshold returned at
    most 1 - `quantile` of these pixels are predicted, and none of a constant map.
    """
    negative, _ = _upper_counts(batches)
    if not negative.any():
        raise UserError("no nominal pixels to set a threshold on: every pixel is labelled as a defect")
    return _above_quantile(batches, negative, quantile)


def _above_quantile(batches: Batches, negative: np.ndarray, quantile: float) -> float:
    if not 0 < quantile <= 1:
        raise UserError(f"the quantile must lie above 0 and at most at 1, got {quantile}")
    rank = math.ceil(Fraction(quantile).limit_denominator(10**9) * int(negative.sum()))
    below = np.cumsum(negative)
    where = int(np.searchsorted(below, rank))
    counts = _lower_counts(batches, np.array([where]), negative, None)[0, 0]
    inside = int(np.searchsorted(np.cumsum(counts), rank - (below[where] - negative[where])))
    return float(np.nextafter(np.float32(_value(where * _LOWER + inside)), np.float32(np.inf)))


def _best_within(
    where: int, tp: np.ndarray, fp: np.ndarray, eligible: np.ndarray, positives: int
) -> tuple[Fraction, int, int, int]:
    """The best threshold of one bin, ties by exact arithmetic: float64 cannot tell all ratios of counts apart."""
    f1 = np.where(eligible, _f1(tp, fp, positives), -1.0)
    near = np.flatnonzero(f1 >= f1.max() * _NEARLY)
    return max(
        (Fraction(int(tp[i]), int(tp[i] + fp[i]) + positives), where * _LOWER + int(i), int(tp[i]), int(fp[i]))
        for i in near
    )


def _f1(tp: np.ndarray, fp: np.ndarray, positives: int) -> np.ndarray:
    return 2 * tp / (tp + fp + positives)


def _from_above(counts: np.ndarray) -> np.ndarray:
    return np.cumsum(counts[::-1])[::-1]


def _value(bits: int) -> float:
    return float(np.uint32(bits).view(np.float32))


def _chunks(batches: Batches) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Checked pieces of the batches: the scores' bits (n,) uint32, and positive (n,) bool."""
    for scores, positive in batches():
        scores, positive = np.ravel(scores), np.ravel(positive)
        if scores.dtype != np.float32 or positive.dtype != bool or len(scores) != len(positive):
            raise ValueError(
                f"expected float32 scores and as many bool labels, got {scores.dtype} ({len(scores)},) "
                f"and {positive.dtype} ({len(positive)},)"
            )
        for first in range(0, len(scores), _CHUNK):
            part = scores[first : first + _CHUNK]
            yield float_bits(part), positive[first : first + _CHUNK]


def float_bits(scores: np.ndarray) -> np.ndarray:
    """(n,) non-negative finite float32 to the (n,) uint32 of their bits, which order alike.

    Raises:
        ValueError: a score is negative or not finite.
    """
    scores = scores + np.float32(0)  # -0.0 becomes 0.0; a copy, contiguous
    bits = scores.view(np.uint32)
    if len(bits) and bits.max() >= 0x7F800000:  # infinity, then NaN, then all with a sign
        raise ValueError("a score is negative or not finite")
    return bits


def _upper_counts(batches: Batches) -> tuple[np.ndarray, np.ndarray]:
    """(2, _UPPER) int64: how many negative and how many positive pixels share each value of the upper 16 bits."""
    counts = np.zeros((2, _UPPER), np.int64)
    for bits, positive in _chunks(batches):
        upper = bits >> 16
        of_positive = np.bincount(upper[positive], minlength=_UPPER)
        counts[1] += of_positive
        counts[0] += np.bincount(upper, minlength=_UPPER) - of_positive
    return counts[0], counts[1]


def _lower_counts(batches: Batches, bins: np.ndarray, negative: np.ndarray, positive: np.ndarray | None) -> np.ndarray:
    """(J, 2, _LOWER) int64: negative and positive pixels by the lower 16 bits, in each of J bins."""
    slot = np.full(_UPPER, -1, np.int64)
    slot[bins] = np.arange(len(bins))
    counts = np.zeros(len(bins) * 2 * _LOWER, np.int64)
    for bits, of_positive in _chunks(batches):
        slots = slot[bits >> 16]
        inside = slots >= 0
        cell = (slots[inside] * 2 + of_positive[inside]) * _LOWER + (bits[inside] & 0xFFFF)
        np.add.at(counts, cell, 1)
    by_bin = counts.reshape(len(bins), 2, _LOWER)
    expected = negative[bins] if positive is None else np.stack([negative[bins], positive[bins]], 1)
    found = by_bin[:, 0].sum(1) if positive is None else by_bin.sum(2)
    if not np.array_equal(found, expected):
        raise ValueError("the second pass over the scores differs from the first: `batches` must give the same twice")
    return by_bin
