# SPDX-License-Identifier: Apache-2.0
"""Pixels to one closed outline that holds exactly them."""

import numpy as np


def outline_of(inside: np.ndarray) -> np.ndarray:
    """The border of some pixels as one polygon, int64 (N, 2) in (x, y), along the pixels' edges.

    Several parts, and holes, are joined by bridges from the first corner that are run through to and fro: by the
    even-odd rule they enclose nothing, so that the polygon holds the pixels' centres and no others.

    Args:
        inside: bool (H, W), at least one True.
    """
    rings = _rings(inside)
    anchor = rings[0][0]
    path = [*rings[0], anchor]
    for ring in rings[1:]:
        path += [*ring, ring[0], anchor]
    return np.array(path[:-1], np.int64)


def _rings(inside: np.ndarray) -> list[list[tuple[int, int]]]:
    """The border's closed rings, each by its corners."""
    following: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for start, end in _edges(inside):
        following.setdefault(start, []).append(end)
    rings = []
    while following:
        start = next(iter(following))
        ring, here = [start], start
        while True:
            ends = following[here]
            towards = ends.pop()
            if not ends:
                del following[here]
            if towards == start:
                break
            ring.append(towards)
            here = towards
        rings.append(_corners(ring))
    return rings


def _edges(inside: np.ndarray) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """The sides of pixels between inside and outside, with the inside on the right as one walks."""
    padded = np.pad(inside, 1)
    edges = []
    for row, column in np.argwhere(padded[1:, 1:-1] != padded[:-1, 1:-1]).tolist():
        left, right = (column, row), (column + 1, row)
        edges.append((left, right) if padded[row + 1, column + 1] else (right, left))
    for row, column in np.argwhere(padded[1:-1, 1:] != padded[1:-1, :-1]).tolist():
        top, bottom = (column, row), (column, row + 1)
        edges.append((bottom, top) if padded[row + 1, column + 1] else (top, bottom))
    return edges


def _corners(ring: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The ring without the points on straight lines."""
    kept = []
    for place, (x, y) in enumerate(ring):
        (x0, y0), (x1, y1) = ring[place - 1], ring[(place + 1) % len(ring)]
        if (x0 == x) != (x == x1) or (y0 == y) != (y == y1):
            kept.append((x, y))
    return kept
