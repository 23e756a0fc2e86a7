# SPDX-License-Identifier: Apache-2.0
"""Outlines to pixels, exactly: a pixel belongs to an area when its centre does.

Coordinates are (x, y) in pixels with the origin in the image's top left corner, so the centre of the pixel in
column x, row y is (x + 0.5, y + 0.5). Parts outside the image are cut off. Every function returns bool (H, W).
"""

from collections.abc import Iterable

import numpy as np

STROKE_WIDTH = 3.0
"""Width in pixels of what has no area of its own: lines and points."""

_TINY = 1e-9  # pixels; rounding must not mark a neighbour
_ON_BORDER = 1e-3  # pixels; label files round coordinates
_ASIDE = 1e-2  # pixels; from the border between two pixels into one of them


def fill_polygon(points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Even-odd interior of a closed polygon.

    Each edge that crosses a row's centre line toggles all pixels to its right; the parity of the toggles is the
    interior. Left and upper edges are in, right and lower ones out, so polygons that share an edge share no pixel.

    Args:
        points: (N, 2) corners, N >= 3.
        size: (H, W).
    """
    left, top, right, bottom = _window(points, 0.0, size)
    toggles = np.zeros((bottom - top, right - left + 1), np.int32)
    for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
        if y0 > y1:
            x0, y0, x1, y1 = x1, y1, x0, y0
        first, stop = (int(np.clip(np.ceil(y - 0.5), top, bottom)) for y in (y0, y1))
        if first >= stop:
            continue
        rows = np.arange(first, stop)
        crossings = x0 + (rows + 0.5 - y0) * ((x1 - x0) / (y1 - y0))
        columns = np.clip(np.ceil(crossings - 0.5), left, right).astype(np.intp)
        toggles[rows - top, columns - left] += 1
    inside = np.zeros(size, bool)
    inside[top:bottom, left:right] = np.cumsum(toggles, axis=1)[:, :-1] & 1
    return inside


def fill_circle(centre: np.ndarray, radius: float, size: tuple[int, int]) -> np.ndarray:
    """Pixels whose centre is at most `radius` away from `centre` (x, y)."""
    return draw_strokes(np.stack([centre, centre])[None], 2 * radius, size)


def fill_ellipse(
    centre: np.ndarray, radii: tuple[float, float], degrees: float, size: tuple[int, int]
) -> np.ndarray:
    """Pixels whose centre is inside an ellipse around `centre` (x, y), its first axis turned clockwise from x."""
    reach = max(radii)
    left, top, right, bottom = _window(np.stack([centre, centre]), reach, size)
    x = np.arange(left, right)[None, :] + 0.5 - centre[0]
    y = np.arange(top, bottom)[:, None] + 0.5 - centre[1]
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    inside = np.zeros(size, bool)
    along, across = (x * cos + y * sin) / radii[0], (y * cos - x * sin) / radii[1]
    inside[top:bottom, left:right] = along**2 + across**2 <= 1
    return inside


def draw_strokes(segments: np.ndarray, width: float, size: tuple[int, int]) -> np.ndarray:
    """Pixels whose centre is at most `width / 2` away from a segment: strokes with round ends.

    Args:
        segments: (N, 2, 2): N segments, their two ends, (x, y). Equal ends make a disc.
        width: pixels.
        size: (H, W).
    """
    inside = np.zeros(size, bool)
    reach = width / 2
    for start, end in segments:
        left, top, right, bottom = _window(np.stack([start, end]), reach, size)
        x = np.arange(left, right)[None, :] + 0.5 - start[0]
        y = np.arange(top, bottom)[:, None] + 0.5 - start[1]
        dx, dy = end - start
        length_sq = dx * dx + dy * dy
        along = np.clip((x * dx + y * dy) / length_sq, 0, 1) if length_sq > 0 else 0.0
        inside[top:bottom, left:right] |= (x - along * dx) ** 2 + (y - along * dy) ** 2 <= reach * reach
    return inside


def trace(segments: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Pixels that lines without width run through: those whose open square a segment crosses.

    A segment that runs along the border between two rows or columns of pixels, or next to it, crosses none of them
    (`border_pixels`).

    Args:
        segments: (N, 2, 2): N segments, their two ends, (x, y).
        size: (H, W).
    """
    crossed = np.zeros(size, bool)
    segments = np.where(np.abs(segments - np.rint(segments)) < _ON_BORDER, np.rint(segments), segments)
    for start, end in segments:
        _cross(crossed, *(start, end) if start[1] <= end[1] else (end, start))
    return crossed


def _cross(crossed: np.ndarray, upper: np.ndarray, lower: np.ndarray) -> None:
    """Mark the pixels of one segment, given its upper and its lower end."""
    (x0, y0), (x1, y1) = upper, lower
    if y0 == y1 and y0 == np.floor(y0):
        return
    first, stop = max(int(np.floor(y0)), 0), min(int(max(np.ceil(y1), np.floor(y0) + 1)), crossed.shape[0])
    for row in range(first, stop):
        along = np.clip((np.array([row, row + 1]) - y0) / (y1 - y0), 0, 1) if y1 > y0 else np.array([0.0, 1.0])
        low, high = np.sort(x0 + along * (x1 - x0))
        if high - low < _TINY:
            left = right = int(np.floor(low)) if low != np.floor(low) else -1
        else:
            left, right = int(np.floor(low + _TINY)), int(np.ceil(high - _TINY)) - 1
        crossed[row, max(left, 0) : max(right + 1, 0)] = True


def border_pixels(segments: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The pixels below and right of segments that run along the borders of pixels, or of points if there are no others.
    """
    crossed = np.zeros(size, bool)
    extended = [pair for pair in segments if np.abs(pair[1] - pair[0]).max() > _TINY]
    for start, end in extended or segments:
        is_upright = abs(end[0] - start[0]) <= _TINY
        aside = np.array([_ASIDE if is_upright else 0.0, 0.0 if is_upright and extended else _ASIDE])
        _cross(crossed, *(pair + aside for pair in ((start, end) if start[1] <= end[1] else (end, start))))
    return crossed


def paste(patch: np.ndarray, left: int, top: int, size: tuple[int, int]) -> np.ndarray:
    """A bool (h, w) patch with its corner at column `left`, row `top`, cut to the image."""
    inside = np.zeros(size, bool)
    rows = slice(max(top, 0), min(top + patch.shape[0], size[0]))
    columns = slice(max(left, 0), min(left + patch.shape[1], size[1]))
    if rows.start < rows.stop and columns.start < columns.stop:
        inside[rows, columns] = patch[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    return inside


def paint(
    areas: Iterable[tuple[int | np.ndarray, int, np.ndarray]], size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Paint instances over each other in the order given; a pixel belongs to the last that covers it.

    Args:
        areas: (instance number, class id, bool (H, W)), the number for all pixels or an (H, W) array of numbers;
            impurities come before defects, so that defects own what they share.
        size: (H, W).

    Returns:
        mask uint8 (H, W) of class ids and instances uint16 (H, W).
    """
    mask = np.zeros(size, np.uint8)
    instances = np.zeros(size, np.uint16)
    for number, class_id, inside in areas:
        mask[inside] = class_id
        instances[inside] = number[inside] if isinstance(number, np.ndarray) else number
    return mask, instances


def _window(points: np.ndarray, reach: float, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of the pixels within `reach` of the points' bounding box, cut to the image."""
    low = np.floor(points.min(axis=0) - reach)
    high = np.ceil(points.max(axis=0) + reach)
    left, right = (int(np.clip(x, 0, size[1])) for x in (low[0], high[0]))
    top, bottom = (int(np.clip(y, 0, size[0])) for y in (low[1], high[1]))
    return left, top, right, bottom
