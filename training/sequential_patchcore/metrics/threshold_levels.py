# SPDX-License-Identifier: Apache-2.0
"""At how many rungs of a ladder of thresholds each pixel is predicted, filters included, in one sweep over the image.

With a filter a pixel is predicted at a threshold t when the region that it belongs to above `hysteresis` t is large
enough and reaches t. As t rises regions shrink and what they must reach grows, so a pixel that is not predicted at a
rung is not at any higher one: one number a pixel says it all. From the highest rung down pixels are joined to regions
(union-find), each of which knows its size and its highest score.
"""

import numpy as np
from numba import njit

from .binarize import Rule


def rung_codes(scores: np.ndarray, levels: np.ndarray, region: np.ndarray, rule: Rule) -> np.ndarray:
    """(H, W) uint8: how many of the rungs, from the lowest up, each pixel is predicted at; 0 outside the region.

    Args:
        scores: (H, W) float32.
        levels: (L,) float32 thresholds, rising, L <= 255.
        region: (H, W) bool.
        rule: the filters; at each rung the result is `regions.binary_map` with that threshold.
    """
    lower = (rule.hysteresis * levels.astype(np.float64)).astype(np.float32)
    high, low = (
        np.where(region, np.searchsorted(of, scores.ravel(), side="right").reshape(scores.shape), 0).astype(np.uint8)
        for of in (levels, lower)
    )
    return _sweep(low, high, rule.min_region, len(levels))


@njit(cache=True)
def _root(parent, pixel):
    while parent[pixel] != pixel:
        parent[pixel] = parent[parent[pixel]]
        pixel = parent[pixel]
    return pixel


@njit(cache=True)
def _sweep(low, high, smallest, rungs):
    height, width = low.shape
    flat, top = low.ravel(), high.ravel().copy()
    order = _falling(flat, rungs)
    parent = np.full(flat.size, -1, np.int32)
    size = np.ones(flat.size, np.int32)
    codes = np.zeros(flat.size, np.uint8)
    waiting = np.empty(order.size, np.int32)
    waits = at = 0
    for rung in range(rungs - 1, -1, -1):
        while at < order.size and flat[order[at]] == rung + 1:
            pixel = order[at]
            at += 1
            parent[pixel] = pixel
            row, column = pixel // width, pixel % width
            for y in range(max(row - 1, 0), min(row + 2, height)):
                for x in range(max(column - 1, 0), min(column + 2, width)):
                    if parent[y * width + x] >= 0:
                        a, b = _root(parent, pixel), _root(parent, y * width + x)
                        if a != b:
                            if size[a] < size[b]:
                                a, b = b, a
                            parent[b] = a
                            size[a] += size[b]
                            top[a] = max(top[a], top[b])
            waiting[waits] = pixel
            waits += 1
        still = 0
        for k in range(waits):
            root = _root(parent, waiting[k])
            if size[root] >= smallest and top[root] > rung:
                codes[waiting[k]] = rung + 1
            else:
                waiting[still] = waiting[k]
                still += 1
        waits = still
    return codes.reshape(height, width)


@njit(cache=True)
def _falling(flat, rungs):
    """The pixels of at least one rung, those of the most first."""
    first = np.zeros(rungs + 2, np.int64)
    for each in flat:
        first[rungs - each] += 1
    total = 0
    for k in range(rungs):
        first[k], total = total, total + first[k]
    order = np.empty(total, np.int32)
    for pixel in range(flat.size):
        if flat[pixel]:
            order[first[rungs - flat[pixel]]] = pixel
            first[rungs - flat[pixel]] += 1
    return order
