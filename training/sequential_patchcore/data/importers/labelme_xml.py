# SPDX-License-Identifier: Apache-2.0
"""XML of LabelMe 3.0, the web-based program; CVAT exports it too. Polygons, boxes, and masks as files.

Format: http://labelme.csail.mit.edu/guidelines.html and what CVAT writes.
"""

import hashlib
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from ...runtime.errors import UserError
from ..png import read_bytes
from . import outlines
from .items import Job, Shape
from .label_numbers import points_of
from .labelme_file import LabelFile
from .mask_file import MaskFile
from .names import name_key
from .outlines import Outline, Polygon
from .recognise import LABELME, kind_of_xml
from .xml_files import number_of, parse_xml, size_of, text_of

_BOX = "bounding_box"


def read_label_xml(job: Job, path: Path) -> LabelFile | None:
    """A file of LabelMe 3.0 as a label file; None for other XML.

    Raises:
        UserError: the file cannot be read at all.
    """
    root = parse_xml(path)
    if kind_of_xml(root) != LABELME:
        return None
    shapes, problems = [], []
    groups = _groups(root)
    for number, entry in enumerate(root.iter("object"), start=1):
        if text_of(entry, "deleted") in ("1", "true"):
            continue
        where = f"{path}: object {number} ({text_of(entry, 'name')!r})"
        try:
            shapes.append(_shape(job, entry, where, path, groups.get(text_of(entry, "id"))))
        except UserError as error:
            problems.append(str(error))
    folder, name = text_of(root, "folder"), text_of(root, "filename")
    return LabelFile(
        path, hashlib.sha256(read_bytes(path)).hexdigest(), f"{folder}/{name}" if folder else name,
        size_of(root, "imagesize/nrows", "imagesize/ncols"), shapes=tuple(shapes), problems=tuple(problems),
    )


def _groups(root: ElementTree.Element) -> dict[str, str]:
    """Object id -> the id of the whole that it is a part of."""
    groups: dict[str, str] = {}
    for entry in root.iter("object"):
        own = text_of(entry, "id")
        for part in text_of(entry, "parts/hasparts").split(","):
            if part.strip():
                groups[part.strip()] = groups[own] = groups.get(own, own)
    return groups


def _shape(job: Job, entry: ElementTree.Element, where: str, path: Path, group: str | None) -> Shape:
    label = text_of(entry, "name")
    if not label:
        raise UserError(f"{where} has no name")
    outline, is_box = _outline(job, entry, where, path)
    return Shape(label, outline, where, None if group is None else f"object {group}", weak=is_box)


def _outline(job: Job, entry: ElementTree.Element, where: str, path: Path) -> tuple[Outline, bool]:
    """The outline, and whether it is a box around what is meant."""
    polygon = entry.find("polygon")
    if polygon is not None:
        pairs = [[number_of(point, "x", where), number_of(point, "y", where)] for point in polygon.iter("pt")]
        points = points_of(pairs, 2, "a polygon", where)
        if text_of(entry, "type") == _BOX:
            return outlines.box(*points.min(axis=0), *points.max(axis=0)), True
        return (Polygon(points) if len(points) > 2 else outlines.polyline(points)), False
    name = text_of(entry, "segm/mask")
    if not name:
        raise UserError(f"{where} has neither a polygon nor a mask")
    found = next((file for folder in _mask_folders(path) if (file := folder / name).is_file()), None)
    if found is None:
        raise UserError(f"{where}: no such mask: {path.parent / 'Masks' / name}")
    job.used.add(found)
    return MaskFile(found, job.findings), False


def _mask_folders(path: Path) -> list[Path]:
    """Where the masks of a label file may lie: beside it, as CVAT writes, or in the folder Masks that stands beside
    LabelMe's own folder Annotations and has the same folders in it."""
    beside = [path.parent / place for place in ("Masks", "masks", ".")]
    parts = path.parent.parts
    return beside + [
        Path(*parts[:place], masks, *parts[place + 1 :])
        for place, part in enumerate(parts) if name_key(part) == "annotations" for masks in ("Masks", "masks")
    ]
