# SPDX-License-Identifier: Apache-2.0
"""The forms in which labels say where something is. Each becomes pixels, bool (H, W), when its image's turn comes.

Coordinates are (x, y) in pixels, the origin in the upper left corner of the upright image.
"""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from . import shapes


class Outline(Protocol):
    """Where something is."""

    def pixels(self, size: tuple[int, int], line_width: float) -> np.ndarray:
        """The pixels that belong to it, bool (H, W), cut to the image.

        Args:
            size: (H, W).
            line_width: pixels, of what has no area of its own.
        """


@dataclass(frozen=True)
class Polygon:
    """The area inside a closed outline, float64 (N, 2), N >= 3: pixels whose centre is inside.

    One so small that it holds no pixel's centre gets the pixel below its mean point: a labelled defect must not vanish.
    """

    points: np.ndarray

    def pixels(self, size: tuple[int, int], line_width: float) -> np.ndarray:
        return _not_nothing(shapes.fill_polygon(self.points, size), self.points.mean(axis=0))


@dataclass(frozen=True)
class Circle:
    """The disc around a centre (x, y)."""

    centre: np.ndarray
    radius: float

    def pixels(self, size: tuple[int, int], line_width: float) -> np.ndarray:
        return _not_nothing(shapes.fill_circle(self.centre, self.radius, size), self.centre)


@dataclass(frozen=True)
class Strokes:
    """Lines that have no area of their own, float64 (N, 2, 2): N segments, their two ends; equal ends are a point."""

    segments: np.ndarray

    def pixels(self, size: tuple[int, int], line_width: float) -> np.ndarray:
        return shapes.draw_strokes(self.segments, line_width, size)


@dataclass(frozen=True)
class Bitmap:
    """A bool (h, w) patch with its upper left corner at column `left`, row `top`."""

    patch: np.ndarray
    left: int = 0
    top: int = 0

    def pixels(self, size: tuple[int, int], line_width: float) -> np.ndarray:
        return shapes.paste(self.patch, self.left, self.top, size)


def box(x0: float, y0: float, x1: float, y1: float) -> Polygon:
    """The rectangle between two opposite corners."""
    return Polygon(np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float64))


def circle_through(centre: np.ndarray, point: np.ndarray) -> Circle:
    """The disc around `centre` that reaches `point`."""
    return Circle(centre, math.dist(centre, point))


def polyline(points: np.ndarray) -> Strokes:
    """A line through points, float64 (N, 2), N >= 2."""
    return Strokes(np.stack([points[:-1], points[1:]], axis=1))


def dots(points: np.ndarray) -> Strokes:
    """Single points, float64 (N, 2)."""
    return Strokes(np.stack([points, points], axis=1))


def _not_nothing(inside: np.ndarray, middle: np.ndarray) -> np.ndarray:
    if not inside.any():
        x, y = np.floor(middle).astype(int)
        if 0 <= y < inside.shape[0] and 0 <= x < inside.shape[1]:
            inside[y, x] = True
    return inside
