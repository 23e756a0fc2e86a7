# SPDX-License-Identifier: GPL-3.0-or-later
"""Digits as strokes: polylines in a box 0.6 wide and 1 high, as a label printer or a hand draws them."""

from itertools import pairwise

import numpy as np

from .feature import draws

WIDTH = 0.6
ADVANCE = 0.82
"""From one digit to the next."""
_ARC_POINTS = 13


def number_strokes(text: str, seed: int, wobble: float) -> list[np.ndarray]:
    """Strokes of a row of digits: polylines (N, 2), x from 0 to about `ADVANCE` times the digits, y from 0 to 1.

    `wobble` is how far a hand departs from the printed shape, 0 for print: every digit is placed, sized and slanted
    anew, and its strokes bend.
    """
    strokes = []
    for place, digit in enumerate(text):
        a, b, c, d = (2.0 * draws(np.arange(4.0) + 4.0 * place, seed) - 1.0) * wobble
        for stroke in _DIGITS[int(digit)]():
            x, y = stroke.T
            bent = x + 0.22 * c * np.sin(2.4 * y + 3.0 * d), y + 0.15 * d * np.sin(5.0 * x + 4.0 * a)
            slant = 0.28 * wobble + 0.2 * a
            drawn = np.stack([bent[0] + slant * bent[1] + 0.08 * b, bent[1] * (1.0 + 0.12 * c) + 0.07 * d], axis=-1)
            strokes.append(drawn + np.array([ADVANCE * place, 0.0]))
    return strokes


def distance_to_strokes(x: np.ndarray, y: np.ndarray, strokes: list[np.ndarray], reach: float) -> np.ndarray:
    """Least distance of points to the strokes, in their unit, at most `reach`; x and y float64 of one shape."""
    result = np.full(x.shape, reach)
    for stroke in strokes:
        low, high = stroke.min(axis=0) - reach, stroke.max(axis=0) + reach
        near = (x > low[0]) & (x < high[0]) & (y > low[1]) & (y < high[1])
        if not near.any():
            continue
        px, py = x[near], y[near]
        best = result[near]
        for (ax, ay), (bx, by) in pairwise(stroke):
            dx, dy = bx - ax, by - ay
            share = np.clip(((px - ax) * dx + (py - ay) * dy) / (dx * dx + dy * dy), 0.0, 1.0)
            best = np.minimum(best, np.hypot(px - ax - share * dx, py - ay - share * dy))
        result[near] = best
    return result


def _line(*points: tuple[float, float]) -> np.ndarray:
    """A polyline, cut finely enough to be bent."""
    points = np.array(points)
    pieces = [np.linspace(a, b, 7)[:-1] for a, b in pairwise(points)]
    return np.concatenate([*pieces, points[-1:]])


def _arc(x: float, y: float, a: float, b: float, start_deg: float, end_deg: float) -> np.ndarray:
    angle = np.radians(np.linspace(start_deg, end_deg, _ARC_POINTS + int(abs(end_deg - start_deg) / 20)))
    return np.stack([x + a * np.cos(angle), y + b * np.sin(angle)], axis=-1)


_DIGITS = (
    lambda: [_arc(0.3, 0.5, 0.3, 0.5, 90, 450)],
    lambda: [_line((0.1, 0.78), (0.34, 1.0), (0.34, 0.0))],
    lambda: [np.concatenate([_arc(0.3, 0.7, 0.29, 0.3, 160, -35), _line((0.5, 0.48), (0.02, 0.0), (0.6, 0.0))])],
    lambda: [_arc(0.28, 0.76, 0.27, 0.24, 150, -90), _arc(0.28, 0.27, 0.31, 0.27, 90, -150)],
    lambda: [_line((0.42, 1.0), (0.02, 0.3), (0.6, 0.3)), _line((0.44, 0.62), (0.44, 0.0))],
    lambda: [np.concatenate([_line((0.54, 1.0), (0.12, 1.0), (0.07, 0.56)), _arc(0.28, 0.32, 0.3, 0.32, 125, -150)])],
    lambda: [np.concatenate([_arc(0.62, 0.36, 0.6, 0.66, 100, 180), _arc(0.3, 0.3, 0.28, 0.3, 180, -180)])],
    lambda: [_line((0.02, 1.0), (0.58, 1.0), (0.2, 0.0))],
    lambda: [_arc(0.3, 0.76, 0.24, 0.24, -90, 270), _arc(0.3, 0.26, 0.29, 0.26, 90, 450)],
    lambda: [np.concatenate([_arc(0.3, 0.7, 0.28, 0.3, 360, 0), _arc(-0.02, 0.64, 0.6, 0.64, 0, -80)])],
)
