# SPDX-License-Identifier: Apache-2.0
"""The forms in which labels say where something is. Each becomes pixels, bool (H, W), when its image's turn comes.

Coordinates are (x, y) in pixels, the origin in the upper left corner of the upright image.
"""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from . import shapes

Box = tuple[float, float, float, float]
"""(left, top, right, bottom) in pixels."""


class Outline(Protocol):
    """Where something is."""

    def pixels(self, size: tuple[int, int], line_width: float) -> np.ndarray:
        """The pixels that belong to it, bool (H, W), cut to the image.

        Args:
            size: (H, W).
            line_width: pixels, of what has no area of its own.
        """

    @property
    def bounds(self) -> Box | None:
        """The box around it, without the width of lines; None for what is as large as the image."""

    @property
    def flaw(self) -> str:
        """Why it cannot be what was meant to be labelled; "" for a sound one."""


@dataclass(frozen=True)
class Polygon:
    """The area inside a closed outline, float64 (N, 2), N >= 3: pixels whose centre is inside.

    One that is thinner than a pixel covers all pixels that it touches: a labelled scratch must not vanish or fall to
    pieces.
    """

    points: np.ndarray

    def pixels(self, size: tuple[int, int], line_width: float) -> np.ndarray:
        inside = shapes.fill_polygon(self.points, size)
        if not inside.any() or self._mean_width(int(inside.sum())) < 1 - 1e-6:
            inside |= shapes.trace(np.stack([self.points, np.roll(self.points, -1, axis=0)], axis=1), size)
        return inside

    @property
    def bounds(self) -> Box:
        return _bounds(self.points)

    @property
    def flaw(self) -> str:
        if np.ptp(self.points, axis=0).max() < _NO_EXTENT:
            return f"all its points are ({self.points[0][0]:g}, {self.points[0][1]:g}), so that it has no extent"
        return ""

    @property
    def is_flat(self) -> bool:
        """Whether all its points lie on one line, as those of a box that is 0 pixels wide."""
        return float(np.linalg.svd(self.points - self.points.mean(axis=0), compute_uv=False)[1]) < _NO_EXTENT

    @property
    def _signed_area(self) -> float:
        """By the shoelace formula; of an outline that crosses itself its parts may cancel out."""
        x, y = (self.points - self.points[0]).T
        return float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2

    def _mean_width(self, covered: int) -> float:
        """That of the rectangle of its area and perimeter; infinite where there is none.

        Args:
            covered: pixels whose centre is inside: they count where parts of the area cancel out.
        """
        perimeter = float(np.linalg.norm(self.points - np.roll(self.points, -1, axis=0), axis=1).sum())
        area = max(abs(self._signed_area), covered - perimeter / 2)
        root = perimeter**2 - 16 * area
        return (perimeter - math.sqrt(root)) / 4 if root >= 0 else math.inf


@dataclass(frozen=True)
class Circle:
    """The disc around a centre (x, y): pixels whose centre is inside, or the one below its own centre."""

    centre: np.ndarray
    radius: float

    def pixels(self, size: tuple[int, int], line_width: float) -> np.ndarray:
        inside = shapes.fill_circle(self.centre, self.radius, size)
        x, y = np.floor(self.centre).astype(int)
        if not inside.any() and 0 <= y < size[0] and 0 <= x < size[1]:
            inside[y, x] = True
        return inside

    @property
    def bounds(self) -> Box:
        (x, y), reach = self.centre, self.radius
        return float(x - reach), float(y - reach), float(x + reach), float(y + reach)

    @property
    def flaw(self) -> str:
        return f"its radius is {self.radius:g} pixels" if self.radius < _NO_EXTENT else ""


@dataclass(frozen=True)
class Strokes:
    """Lines that have no area of their own, float64 (N, 2, 2): N segments, their two ends; equal ends are a point."""

    segments: np.ndarray

    def pixels(self, size: tuple[int, int], line_width: float) -> np.ndarray:
        inside = shapes.draw_strokes(self.segments, line_width, size)
        if line_width < _GAPLESS:
            inside |= shapes.trace(self.segments, size)
        return inside

    @property
    def bounds(self) -> Box:
        return _bounds(self.segments.reshape(-1, 2))

    @property
    def flaw(self) -> str:
        return ""


@dataclass(frozen=True)
class Bitmap:
    """A bool (h, w) patch with its upper left corner at column `left`, row `top`."""

    patch: np.ndarray
    left: int = 0
    top: int = 0

    def pixels(self, size: tuple[int, int], line_width: float) -> np.ndarray:
        return shapes.paste(self.patch, self.left, self.top, size)

    @property
    def bounds(self) -> Box | None:
        rows, columns = (np.flatnonzero(self.patch.any(axis=axis)) for axis in (1, 0))
        if not len(rows):
            return None
        return (float(self.left + columns[0]), float(self.top + rows[0]), float(self.left + columns[-1] + 1),
                float(self.top + rows[-1] + 1))  # fmt: skip

    @property
    def flaw(self) -> str:
        return "" if self.patch.any() else "its mask is empty"


_NO_EXTENT = 1e-9  # pixels
_GAPLESS = 1.5  # pixels; a stroke of this width, slightly more than a pixel's diagonal, has no gaps


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


def _bounds(points: np.ndarray) -> Box:
    (left, top), (right, bottom) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    return left, top, right, bottom
