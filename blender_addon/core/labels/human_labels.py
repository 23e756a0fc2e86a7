# SPDX-License-Identifier: GPL-3.0-or-later
"""Labels as a person draws them: polygons with few corners, some pixels off, generous where a border is soft.

The exact masks stay what they are; these lie beside them, as LabelMe files, so that the bias of drawn labels can be
measured (appendix B of the paper).
"""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

LABELME_VERSION = "5.5.0"
"""Of LabelMe, whose file format this is."""

_GROWN_PX = {"bump": (6.0, 16.0), "water_stain": (2.0, 6.0), "fingerprint": (2.0, 8.0)}
"""By how many pixels a person draws larger, from and to; these have soft borders."""
_GROWN_ELSE_PX = (0.5, 3.5)
_TOLERANCE_PX = 1.5
"""How far a person lets a straight side depart from the border."""
_HAND_PX = 1.2
"""Standard deviation of a click."""
_PLACE_PX = 0.8
"""Standard deviation of the whole shape's place."""
_SMALLEST_PX = 6
"""Smaller things are not noticed."""


def labelme_file(instances: np.ndarray, instance_list: Sequence[dict[str, Any]], image_path: str, seed: int) -> bytes:
    """The drawn labels of one image as a LabelMe file.

    Args:
        instances: (H, W) instance numbers, row 0 on top.
        instance_list: `{"id", "class", "pixels"}` of the instances.
        image_path: of the image, as seen from the file.
        seed: of the hand.

    Returns:
        JSON; the pieces of one instance share a group_id, which is the instance's number.
    """
    height, width = instances.shape
    shapes = []
    for instance in instance_list:
        if instance["pixels"] < _SMALLEST_PX:
            continue
        rng = np.random.Generator(np.random.Philox(key=[seed, instance["id"]]))
        for polygon in draw_by_hand(instances == instance["id"], instance["class"], rng):
            points = np.clip(polygon, 0.0, (width, height)).round(2)
            shapes.append({"label": instance["class"], "points": points.tolist(), "group_id": instance["id"],
                           "description": "", "shape_type": "polygon", "flags": {}})
    content = {"version": LABELME_VERSION, "flags": {}, "shapes": shapes, "imagePath": image_path, "imageData": None,
               "imageHeight": height, "imageWidth": width}
    return (json.dumps(content, indent=1) + "\n").encode()


def draw_by_hand(mask: np.ndarray, name: str, rng: np.random.Generator) -> list[np.ndarray]:
    """Polygons (N, 2) of (x, y), pixels from the image's upper left corner, around the pieces of a mask (H, W) bool."""
    low, high = _GROWN_PX.get(name, _GROWN_ELSE_PX)
    grown = grow(mask, round(rng.uniform(low, high)))
    shift = rng.normal(0.0, _PLACE_PX, 2)
    polygons = []
    for outline in outlines(grown):
        corners = simplify(outline, _TOLERANCE_PX)
        if len(corners) >= 3:
            polygons.append(corners + shift + rng.normal(0.0, _HAND_PX, corners.shape))
    return polygons


def grow(mask: np.ndarray, pixels: int) -> np.ndarray:
    """The mask (H, W) bool grown by some pixels on all sides, with an octagon for a disc."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, bottom = max(rows[0] - pixels, 0), rows[-1] + pixels + 1
    left, right = max(columns[0] - pixels, 0), columns[-1] + pixels + 1
    part = mask[top:bottom, left:right]
    for step in range(pixels):
        padded = np.pad(part, 1)
        next_part = part | padded[:-2, 1:-1] | padded[2:, 1:-1] | padded[1:-1, :-2] | padded[1:-1, 2:]
        if step % 2:
            next_part |= padded[:-2, :-2] | padded[:-2, 2:] | padded[2:, :-2] | padded[2:, 2:]
        part = next_part
    result = mask.copy()
    result[top:bottom, left:right] = part
    return result


def outlines(mask: np.ndarray) -> list[np.ndarray]:
    """Outer borders of the pieces of a mask (H, W) bool, along the cracks between pixels.

    Pixels that touch at a corner belong together. Each border is (N, 2) of (x, y), clockwise on the screen, without
    the first point repeated; borders of holes are left out.
    """
    padded = np.pad(mask, 1)
    inner = padded[1:-1, 1:-1]
    steps = (  # (outside neighbour, start of the crack, end of the crack), the mask on the right of the way
        (padded[:-2, 1:-1], (0, 0), (1, 0)),
        (padded[1:-1, 2:], (1, 0), (1, 1)),
        (padded[2:, 1:-1], (1, 1), (0, 1)),
        (padded[1:-1, :-2], (0, 1), (0, 0)),
    )
    ways: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for neighbour, (ax, ay), (bx, by) in steps:
        for y, x in np.argwhere(inner & ~neighbour).tolist():
            ways.setdefault((x + ax, y + ay), []).append((x + bx, y + by))
    found = []
    while ways:
        came = start = next(iter(ways))
        point = first = ways[start][0]
        border = [start]
        while True:
            end = min(ways[point], key=lambda there: _turn(came, point, there))
            if (point, end) == (start, first):
                break
            border.append(point)
            _take(ways, point, end)
            came, point = point, end
        _take(ways, start, first)
        outline = np.array(border, dtype=float)
        if _area(outline) > 0:
            found.append(outline)
    return found


def simplify(outline: np.ndarray, tolerance: float) -> np.ndarray:
    """A closed border (N, 2) with the corners that keep it within `tolerance`: Douglas and Peucker, 1973."""
    far = int(np.linalg.norm(outline - outline[0], axis=1).argmax())
    keep = np.zeros(len(outline) + 1, bool)
    closed = np.concatenate([outline, outline[:1]])
    keep[[0, far]] = True
    stack = [(0, far), (far, len(outline))]
    while stack:
        first, last = stack.pop()
        if last - first < 2:
            continue
        chord = closed[last] - closed[first]
        away = closed[first + 1 : last] - closed[first]
        length = np.hypot(*chord)
        distance = np.abs(chord[0] * away[:, 1] - chord[1] * away[:, 0]) / length if length else np.hypot(*away.T)
        worst = int(distance.argmax())
        if distance[worst] > tolerance:
            middle = first + 1 + worst
            keep[middle] = True
            stack += [(first, middle), (middle, last)]
    return outline[keep[:-1]]


def _take(ways: dict, start: tuple[int, int], end: tuple[int, int]) -> None:
    ways[start].remove(end)
    if not ways[start]:
        del ways[start]


def _turn(came: tuple[int, int], point: tuple[int, int], end: tuple[int, int]) -> int:
    """Negative for a turn to the left on the screen, where y runs down."""
    (ax, ay), (bx, by), (cx, cy) = came, point, end
    return (bx - ax) * (cy - by) - (by - ay) * (cx - bx)


def _area(outline: np.ndarray) -> float:
    """Positive for a border that runs clockwise on the screen."""
    x, y = outline.T
    return 0.5 * float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))
