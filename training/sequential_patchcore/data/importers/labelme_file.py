# SPDX-License-Identifier: Apache-2.0
"""One LabelMe JSON file: parsed, checked, and its shapes turned into pixels."""

import base64
import binascii
import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ...runtime.errors import UserError
from ..format import parse_json, read_text
from . import shapes

# Shape type -> fewest points that make one. The last two are X-AnyLabeling's, which keeps LabelMe's files otherwise.
_FEWEST_POINTS = {
    "polygon": 3, "rectangle": 2, "circle": 2, "line": 2, "linestrip": 2, "point": 1, "points": 1, "mask": 2,
    "oriented_rectangle": 4, "rotation": 4, "quadrilateral": 4,
}

_FARTHEST = 1e6  # pixels; beyond it the crossings of a polygon's edges lose their exactness


@dataclass(frozen=True)
class Shape:
    """One shape. `points` is float64 (N, 2) in (x, y); `patch` is the bitmap of a `mask` shape, bool (h, w)."""

    label: str
    kind: str
    points: np.ndarray
    group_id: int | str | None
    patch: np.ndarray | None


@dataclass(frozen=True)
class LabelFile:
    """A label file without its embedded image. `size` is (H, W) as it claims, None for what it does not say."""

    path: Path
    image_path: str
    size: tuple[int | None, int | None]
    has_image_data: bool
    shapes: tuple[Shape, ...]


def read_label_file(path: Path) -> LabelFile:
    """Read and check a LabelMe file.

    Raises:
        UserError: broken JSON, no LabelMe file, an unknown type of shape, coordinates that are no numbers.
    """
    content = _load(path)
    size = (content.get("imageHeight"), content.get("imageWidth"))
    if not all(extent is None or (isinstance(extent, (int, float)) and extent > 0) for extent in size):
        raise UserError(f"{path}: expected imageWidth and imageHeight in pixels, found {size[1]!r} and {size[0]!r}")
    return LabelFile(
        path=path,
        image_path=str(content.get("imagePath") or "").replace("\\", "/").replace("\0", ""),
        size=size,
        has_image_data=bool(content.get("imageData")),
        shapes=tuple(_parse_shape(entry, number, path) for number, entry in enumerate(content["shapes"], start=1)),
    )


def read_image_data(path: Path) -> bytes:
    """The file that is embedded in `imageData`, decoded from base64."""
    return _decode_base64(_load(path).get("imageData"), f"{path}: imageData")


def rasterise(shape: Shape, size: tuple[int, int], line_width: float = shapes.STROKE_WIDTH) -> np.ndarray:
    """The pixels of a shape, bool (H, W), cut to the image.

    Areas hold the pixels whose centre is inside. Lines and points are strokes of `line_width` pixels. An area so
    small that it holds no pixel's centre gets the pixel below its mean point: a labelled defect must not vanish.
    """
    points = shape.points
    if shape.kind == "mask":
        left, top = np.rint(points[0]).astype(int)
        return shapes.paste(shape.patch, int(left), int(top), size)
    if shape.kind in ("point", "points"):
        return shapes.draw_strokes(np.stack([points, points], axis=1), line_width, size)
    if shape.kind in ("line", "linestrip"):
        return shapes.draw_strokes(np.stack([points[:-1], points[1:]], axis=1), line_width, size)
    if shape.kind == "circle":
        inside = shapes.fill_circle(points[0], math.dist(points[0], points[1]), size)
        middle = points[0]
    else:
        if shape.kind == "rectangle" and len(points) == 2:
            (x0, y0), (x1, y1) = points
            points = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
        inside = shapes.fill_polygon(points, size)
        middle = points.mean(axis=0)
    if not inside.any():
        x, y = np.floor(middle).astype(int)
        if 0 <= y < size[0] and 0 <= x < size[1]:
            inside[y, x] = True
    return inside


def _load(path: Path) -> dict[str, Any]:
    content = parse_json(read_text(path), str(path))
    if not isinstance(content, dict) or not isinstance(content.get("shapes"), list):
        raise UserError(f"{path}: no LabelMe file (it has no list of shapes); "
                        "move it away, or name the files to take with --splits CSV")
    return content


def _parse_shape(entry: Any, number: int, path: Path) -> Shape:
    if not isinstance(entry, dict):
        raise UserError(f"{path}: shape {number} is no object")
    label = str(entry.get("label") or "").strip()
    where = f"{path}: shape {number} ({label!r})"
    if not label:
        raise UserError(f"{path}: shape {number} has no label")
    kind = entry.get("shape_type") or "polygon"  # files before LabelMe 3.5 hold polygons only and name no type
    if not isinstance(kind, str) or kind not in _FEWEST_POINTS:
        raise UserError(f"{where} has the unknown type {kind!r}; known: {', '.join(_FEWEST_POINTS)}")
    try:
        points = np.array(entry.get("points"), dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UserError(f"{where}: its points are no list of [x, y]") from error
    if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
        raise UserError(f"{where}: its points are no list of [x, y]")
    if np.abs(points).max(initial=0) > _FARTHEST:
        raise UserError(f"{where}: its points are far outside any image (up to {np.abs(points).max():g} pixels)")
    if len(points) < _FEWEST_POINTS[kind]:
        raise UserError(f"{where}: a {kind} needs {_FEWEST_POINTS[kind]} points, found {len(points)}")
    group_id = entry.get("group_id")
    if group_id is not None and not isinstance(group_id, (int, str)):
        raise UserError(f"{where}: expected group_id as an integer, a text or null, found {group_id!r}")
    patch = None
    if kind == "mask":
        data = _decode_base64(entry.get("mask"), f"{where}: mask")
        try:
            with Image.open(io.BytesIO(data)) as image:
                patch = np.array(image if image.mode in ("1", "L", "P") else image.convert("L")) > 0
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise UserError(f"{where}: its mask is no picture") from error
    return Shape(label, kind, points, None if group_id == "" else group_id, patch)


def _decode_base64(text: Any, where: str) -> bytes:
    if not isinstance(text, str) or not text:
        raise UserError(f"{where} is empty; expected a picture in base64")
    try:
        return base64.b64decode(text, validate=False)
    except (binascii.Error, ValueError) as error:
        raise UserError(f"{where} is no base64: {error}") from error
