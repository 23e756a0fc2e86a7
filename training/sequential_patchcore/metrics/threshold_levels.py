# SPDX-License-Identifier: Apache-2.0
"""Levels of the threshold about the chosen one, and at how many of them each pixel is predicted, filters included.

With a filter a pixel is predicted at a threshold t when the region that it belongs to above `hysteresis` t is large
enough and reaches t. As t rises regions shrink and what they must reach grows, so a pixel that is not predicted at a
level is not at any higher one: one number a pixel says it all, and one sweep over the image finds it. From the highest
level down pixels are joined to regions (union-find), each of which knows its size and its highest score.
"""

import numpy as np
from numba import njit

from .binarize import Rule

# Levels to a doubling of the threshold, from its 2^-2 to its 2^3. Finest about the threshold itself, where people look.
_OCTAVES = ((-2, -1, 12), (-1, 1, 48), (1, 3, 16))


def threshold_levels(threshold: float) -> np.ndarray:
    """(L,) float32, rising and without equals; one of them is the threshold itself. L <= 255."""
    start = float(threshold) if threshold > 0 else 1.0
    exponents = np.concatenate([
        low + np.arange((high - low) * steps) / steps for low, high, steps in _OCTAVES
    ] + [[_OCTAVES[-1][1]]])
    with np.errstate(over="ignore"):
        levels = np.float32(start) * np.exp2(exponents).astype(np.float32)
    return np.unique(np.append(levels[np.isfinite(levels)], np.float32(threshold)))


def level_codes(scores: np.ndarray, levels: np.ndarray, region: np.ndarray, rule: Rule) -> np.ndarray:
    """(H, W) uint8: how many of the levels, from the lowest up, each pixel is predicted at; 0 outside the region.

    Args:
        scores: (H, W) float32.
        levels: (L,) float32 thresholds, rising, L <= 255.
        region: (H, W) bool.
        rule: the filters; at each level the result is `binarize.binary_map` with that threshold.
    """
    lower = (rule.hysteresis * levels.astype(np.float64)).astype(np.float32)
    high, low = (
        np.where(region, np.searchsorted(edges, scores.ravel(), side="right").reshape(scores.shape), 0).astype(np.uint8)
        for edges in (levels, lower)
    )
    return _sweep(low, high, rule.min_region, len(levels))


@njit(cache=True)
def _root(parent, pixel):
    while parent[pixel] != pixel:
        parent[pixel] = parent[parent[pixel]]
        pixel = parent[pixel]
    return pixel


@njit(cache=True)
def _sweep(low, high, smallest, levels):
    height, width = low.shape
    flat, top = low.ravel(), high.ravel().copy()
    order = _falling(flat, levels)
    parent = np.full(flat.size, -1, np.int32)
    size = np.ones(flat.size, np.int32)
    codes = np.zeros(flat.size, np.uint8)
    waiting = np.empty(order.size, np.int32)
    waits = at = 0
    for level in range(levels - 1, -1, -1):
        while at < order.size and flat[order[at]] == level + 1:
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
            if size[root] >= smallest and top[root] > level:
                codes[waiting[k]] = level + 1
            else:
                waiting[still] = waiting[k]
                still += 1
        waits = still
    return codes.reshape(height, width)


@njit(cache=True)
def _falling(flat, levels):
    """The pixels of at least one level, those of the most first."""
    first = np.zeros(levels + 2, np.int64)
    for code in flat:
        first[levels - code] += 1
    total = 0
    for k in range(levels):
        first[k], total = total, total + first[k]
    order = np.empty(total, np.int32)
    for pixel in range(flat.size):
        if flat[pixel]:
            order[first[levels - flat[pixel]]] = pixel
            first[levels - flat[pixel]] += 1
    return order
