# SPDX-License-Identifier: Apache-2.0
"""One LabelMe JSON file: parsed, checked, and its shapes in the common form."""

import base64
import binascii
import hashlib
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ...runtime.errors import UserError
from ..decoders import decoding
from ..format import parse_json
from ..png import read_bytes
from . import outlines
from .items import Shape
from .label_numbers import points_of
from .mask_file import is_lossy, labelled
from .outlines import Bitmap, Outline, Polygon
from .recognise import LABELME, kind_of_json

# Shape type -> fewest points that make one. The last two are X-AnyLabeling's, which keeps LabelMe's files otherwise.
_FEWEST_POINTS = {
    "polygon": 3, "rectangle": 2, "circle": 2, "line": 2, "linestrip": 2, "point": 1, "points": 1, "mask": 2,
    "oriented_rectangle": 4, "rotation": 4, "quadrilateral": 4,
}


@dataclass(frozen=True)
class LabelFile:
    """A label file without its embedded image.

    Attributes:
        image_path: as the file says it, with "/"; also where the rest of the file is broken, if it can be found.
        size: (H, W) as it claims, None for what it does not say.
        tags: the image's flags that are set.
        problems: all that is wrong with it, one line each; the shapes that are right are in `shapes` all the same.
        foreign: whether it holds labels of another tool instead.
        unclean: a mark of `mask_file` for each bitmap that is not clean, and what names it.
    """

    path: Path
    sha256: str
    image_path: str
    size: tuple[int | None, int | None] = (None, None)
    has_image_data: bool = False
    shapes: tuple[Shape, ...] = ()
    tags: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    unclean: tuple[tuple[str, str], ...] = ()
    foreign: bool = False


def read_label_file(path: Path) -> LabelFile:
    """Read and check a LabelMe file.

    Raises:
        UserError: the file cannot be read at all.
    """
    data = read_bytes(path)
    sha256 = hashlib.sha256(data).hexdigest()
    try:
        content = _parse(data, path)
    except UserError as error:
        named = re.search(rb'"imagePath"\s*:\s*"((?:[^"\\]|\\.)*)"', data)
        image_path = named[1].decode(errors="replace").replace("\\\\", "/") if named else ""
        return LabelFile(path, sha256, image_path, problems=(str(error),))
    if content is None:
        return LabelFile(path, sha256, "", foreign=True)
    problems = []
    size = (content.get("imageHeight"), content.get("imageWidth"))
    if not all(extent is None or (isinstance(extent, (int, float)) and extent > 0) for extent in size):
        problems.append(f"{path}: expected imageWidth and imageHeight in pixels, found {size[1]!r} and {size[0]!r}")
        size = (None, None)
    shapes, unclean = [], []
    for number, entry in enumerate(content["shapes"], start=1):
        try:
            shapes.append(_parse_shape(entry, number, path, unclean))
        except UserError as error:
            problems.append(str(error))
    return LabelFile(
        path, sha256, str(content.get("imagePath") or "").replace("\\", "/").replace("\0", ""), size,
        bool(content.get("imageData")), tuple(shapes), _flags(content.get("flags")), tuple(problems), tuple(unclean),
    )


def read_image_data(path: Path) -> bytes:
    """The file that is embedded in `imageData`, decoded from base64."""
    return _decode_base64((_parse(read_bytes(path), path) or {}).get("imageData"), f"{path}: imageData")


def _parse(data: bytes, path: Path) -> dict[str, Any] | None:
    """The file's content; None for labels of another tool."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: expected UTF-8 text ({error.reason} at byte {error.start})") from error
    content = parse_json(text, str(path))
    kind = kind_of_json(content)
    if kind not in (None, LABELME):
        return None
    if kind is None:
        raise UserError(f"{path}: no LabelMe file (it has no list of shapes); move it away, leave it out with "
                        "`exclude`, or name the files to take with a table of `splits`")
    return content


def _parse_shape(entry: Any, number: int, path: Path, unclean: list[tuple[str, str]]) -> Shape:
    if not isinstance(entry, dict):
        raise UserError(f"{path}: shape {number} is no object")
    label = str(entry.get("label") or "").strip()
    where = f"{path}: shape {number} ({label!r})"
    if not label:
        raise UserError(f"{path}: shape {number} has no label")
    kind = entry.get("shape_type") or "polygon"  # files before LabelMe 3.5 hold polygons only and name no type
    if not isinstance(kind, str) or kind not in _FEWEST_POINTS:
        raise UserError(f"{where} has the unknown type {kind!r}; known: {', '.join(_FEWEST_POINTS)}")
    points = points_of(entry.get("points"), _FEWEST_POINTS[kind], f"a {kind}", where)
    group_id = entry.get("group_id")
    if group_id is not None and not isinstance(group_id, (int, str)):
        raise UserError(f"{where}: expected group_id as an integer, a text or null, found {group_id!r}")
    if kind == "mask":
        outline, how = _bitmap(entry.get("mask"), points, where)
        unclean += [(how, where)] if how else []
    else:
        outline = _outline(kind, points)
    return Shape(label, outline, where, None if group_id == "" else group_id)


def _flags(value: Any) -> tuple[str, ...]:
    """LabelMe keeps the flags of an image as names with true or false."""
    return tuple(str(name) for name, is_set in value.items() if is_set) if isinstance(value, dict) else ()


def _outline(kind: str, points: np.ndarray) -> Outline:
    if kind in ("point", "points"):
        return outlines.dots(points)
    if kind in ("line", "linestrip"):
        return outlines.polyline(points)
    if kind == "circle":
        return outlines.circle_through(points[0], points[1])
    if kind == "rectangle" and len(points) == 2:
        return outlines.box(*points[0], *points[1])
    return Polygon(points)


def _bitmap(text: Any, points: np.ndarray, where: str) -> tuple[Bitmap, str]:
    """The bitmap, and what was done where it is not clean (`mask_file.labelled`). Of a palette the index counts."""
    data = _decode_base64(text, f"{where}: mask")
    try:
        with decoding(), Image.open(io.BytesIO(data)) as image:
            values = np.array(image if image.mode in ("1", "L", "P") else image.convert("L"))
            patch, how = labelled(values.astype(np.uint8), is_lossy(data)) if image.mode != "P" else (values > 0, "")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"{where}: its mask is no picture") from error
    left, top = np.rint(points[0]).astype(int).tolist()
    return Bitmap(patch, left, top), how


def _decode_base64(text: Any, where: str) -> bytes:
    if not isinstance(text, str) or not text:
        raise UserError(f"{where} is empty; expected a picture in base64")
    try:
        return base64.b64decode(text, validate=False)
    except (binascii.Error, ValueError) as error:
        raise UserError(f"{where} is no base64: {error}") from error
