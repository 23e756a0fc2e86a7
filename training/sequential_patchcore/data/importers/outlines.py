# SPDX-License-Identifier: Apache-2.0
"""The forms in which labels say where something is. Each becomes pixels, bool (H, W), when its image's turn comes.

Coordinates are (x, y) in pixels, the origin in the upper left corner of the upright image.
"""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ...runtime.errors import UserError
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
            inside |= shapes.trace(self._edges, size)
        return inside if inside.any() else shapes.border_pixels(self._edges, size)

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
    def _edges(self) -> np.ndarray:
        """float64 (N, 2, 2), without those that are run through to and fro: bridges between the parts of an outline.

        Where nothing else is left, of a flat outline, all.
        """
        edges = np.stack([self.points, np.roll(self.points, -1, axis=0)], axis=1)
        ordered = np.where((edges[:, :1, 0] > edges[:, 1:, 0])[..., None], edges[:, ::-1], edges)
        upright = edges[:, 0, 0] == edges[:, 1, 0]
        ordered[upright] = np.sort(edges[upright], axis=1)
        _, places, counts = np.unique(ordered.reshape(-1, 4), axis=0, return_inverse=True, return_counts=True)
        single = edges[(counts % 2 == 1)[places.reshape(-1)]]
        single = single[(single[:, 0] != single[:, 1]).any(axis=1)]
        return single if len(single) else edges

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
        perimeter = float(np.linalg.norm(self._edges[:, 1] - self._edges[:, 0], axis=1).sum())
        area = max(abs(self._signed_area), covered - perimeter / 2)
        root = perimeter**2 - 16 * area
        return (perimeter - math.sqrt(root)) / 4 if root >= 0 else math.inf


@dataclass(frozen=True)
class Circle:
    """The disc around a centre (x, y): pixels whose centre is inside, or the one below its own centre."""

    centre: np.ndarray
    radius: float

    def pixels(self, size: tuple[int, int], line_width: float) -> np.ndarray:
        return _or_below(self.centre, shapes.fill_circle(self.centre, self.radius, size))

    @property
    def bounds(self) -> Box:
        (x, y), reach = self.centre, self.radius
        return float(x - reach), float(y - reach), float(x + reach), float(y + reach)

    @property
    def flaw(self) -> str:
        return f"its radius is {self.radius:g} pixels" if self.radius < _NO_EXTENT else ""


@dataclass(frozen=True)
class Ellipse:
    """The ellipse around a centre (x, y): pixels whose centre is inside, or the one below its own centre.

    Attributes:
        radii: along its own axes, pixels.
        degrees: clockwise, as the image is seen, from x to the first axis.
    """

    centre: np.ndarray
    radii: tuple[float, float]
    degrees: float = 0.0

    def pixels(self, size: tuple[int, int], line_width: float) -> np.ndarray:
        return _or_below(self.centre, shapes.fill_ellipse(self.centre, self.radii, self.degrees, size))

    @property
    def bounds(self) -> Box:
        cos, sin = math.cos(math.radians(self.degrees)), math.sin(math.radians(self.degrees))
        across = math.hypot(self.radii[0] * cos, self.radii[1] * sin)
        down = math.hypot(self.radii[0] * sin, self.radii[1] * cos)
        x, y = self.centre.tolist()
        return x - across, y - down, x + across, y + down

    @property
    def flaw(self) -> str:
        if min(self.radii) < _NO_EXTENT:
            return f"its radii are {self.radii[0]:g} and {self.radii[1]:g} pixels"
        return ""


@dataclass(frozen=True)
class RunLengths:
    """A patch as lengths of alternating runs of outside and inside pixels, beginning with outside (perhaps 0 of them).

    Attributes:
        counts: (N,) integers; their sum is the patch's number of pixels.
        shape: (h, w) of the patch.
        by_columns: whether the runs go down the columns, as COCO's do, rather than along the rows.
        left, top: the patch's upper left corner in the image.
        whole: whether the patch is the image, so that they must have one size.
    """

    counts: np.ndarray
    shape: tuple[int, int]
    by_columns: bool
    left: int = 0
    top: int = 0
    whole: bool = False

    def pixels(self, size: tuple[int, int], line_width: float) -> np.ndarray:
        if self.whole and self.shape != size:
            raise UserError(f"its run lengths are of {self.shape[1]} x {self.shape[0]} pixels, the image has {size[1]} "
                            f"x {size[0]}")
        inside = np.repeat(np.arange(len(self.counts)) % 2 == 1, self.counts)
        patch = inside.reshape(self.shape, order="F" if self.by_columns else "C")
        return shapes.paste(patch, self.left, self.top, size)

    @property
    def bounds(self) -> Box:
        return float(self.left), float(self.top), float(self.left + self.shape[1]), float(self.top + self.shape[0])

    @property
    def flaw(self) -> str:
        if (self.counts < 0).any() or int(self.counts.sum()) != self.shape[0] * self.shape[1]:
            return (f"its run lengths add up to {int(self.counts.sum())} pixels, and {self.shape[1]} x {self.shape[0]} "
                    f"are {self.shape[0] * self.shape[1]}")
        return "" if self.counts[1::2].any() else "its mask is empty"


@dataclass(frozen=True)
class Strokes:
    """Lines that have no area of their own, float64 (N, 2, 2): N segments, their two ends; equal ends are a point."""

    segments: np.ndarray

    def pixels(self, size: tuple[int, int], line_width: float) -> np.ndarray:
        inside = shapes.draw_strokes(self.segments, line_width, size)
        if line_width < _GAPLESS:
            inside |= shapes.trace(self.segments, size)
        return inside if inside.any() else shapes.border_pixels(self.segments, size)

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
                float(self.top + rows[-1] + 1))

    @property
    def flaw(self) -> str:
        return "" if self.patch.any() else "its mask is empty"


_NO_EXTENT = 1e-9  # pixels
_GAPLESS = 1.5  # pixels; a stroke of this width, slightly more than a pixel's diagonal, has no gaps


def box(x0: float, y0: float, x1: float, y1: float) -> Polygon:
    """The rectangle between two opposite corners."""
    return Polygon(np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float64))


def turned_box(x0: float, y0: float, x1: float, y1: float, degrees: float, pivot: tuple[float, float]) -> Polygon:
    """The rectangle between two opposite corners, turned clockwise, as the image is seen, around a point (x, y)."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    corners = box(x0, y0, x1, y1).points - pivot
    return Polygon(corners @ np.array([[cos, sin], [-sin, cos]]) + pivot)


def circle_through(centre: np.ndarray, point: np.ndarray) -> Circle:
    """The disc around `centre` that reaches `point`."""
    return Circle(centre, math.dist(centre, point))


def polyline(points: np.ndarray) -> Strokes:
    """A line through points, float64 (N, 2), N >= 2."""
    return Strokes(np.stack([points[:-1], points[1:]], axis=1))


def dots(points: np.ndarray) -> Strokes:
    """Single points, float64 (N, 2)."""
    return Strokes(np.stack([points, points], axis=1))


def _or_below(centre: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """An area that holds no pixel's centre gets the pixel below its own."""
    x, y = np.floor(centre).astype(int)
    if not inside.any() and 0 <= y < inside.shape[0] and 0 <= x < inside.shape[1]:
        inside[y, x] = True
    return inside


def _bounds(points: np.ndarray) -> Box:
    (left, top), (right, bottom) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    return left, top, right, bottom
