# SPDX-License-Identifier: Apache-2.0
"""Whose labels a file holds, told by its content."""

import csv
import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

from ...runtime.files import opened, read_bytes, read_text

LABELME, COCO, YOLO, VOC, CVAT, LABELSTUDIO = "labelme", "coco", "yolo", "voc", "cvat", "labelstudio"
OTHER, BROKEN = "other", "broken"

# What is recognised -> how it is called.
TITLES = {
    LABELME: "LabelMe", COCO: "COCO JSON", YOLO: "YOLO text", VOC: "Pascal VOC XML", CVAT: "CVAT XML 1.1",
    LABELSTUDIO: "Label Studio JSON", OTHER: "another labelling tool", BROKEN: "nobody knows what (broken JSON or XML)",
}

_OF_OTHERS = {"_via_img_metadata", "regions", "objects", "annotations", "labels", "shapes", "polygons", "bboxes"}
_BOX_COLUMNS = ({"xmin", "ymin", "xmax", "ymax"}, {"region_shape_attributes"}, {"x1", "y1", "x2", "y2"},
                {"bbox"}, {"segmentation"}, {"encodedpixels"})
_LARGEST = 2**30  # bytes of a file that is looked into
_LONGEST_LINE = 2**24


def recognise(path: Path) -> str | None:
    """The form of the labels in a file; `BROKEN` for JSON or XML that cannot be parsed; None for any other file."""
    suffix = path.suffix.lower()
    looks = {".json": _json, ".xml": _xml, ".txt": _text, ".csv": _table, ".jsonl": _lines, ".ndjson": _lines}
    try:
        if suffix not in looks or path.stat().st_size > _LARGEST:
            return None
        return looks[suffix](path)
    except (OSError, ValueError, LookupError, RecursionError, ElementTree.ParseError):
        return BROKEN if suffix in (".json", ".xml") else None


def kind_of_json(content: Any) -> str | None:
    """The form of parsed JSON."""
    if isinstance(content, list):
        entries = [entry for entry in content if isinstance(entry, dict)]
        if any({"data", "annotations"} <= entry.keys() or {"data", "completions"} <= entry.keys() for entry in entries):
            return LABELSTUDIO
        others = _OF_OTHERS | {"projects", "Label"}
        return OTHER if any(others & entry.keys() for entry in entries) else None
    if not isinstance(content, dict):
        return None
    if isinstance(content.get("shapes"), list):
        return LABELME
    if isinstance(content.get("images"), list) and isinstance(content.get("annotations"), list):
        return COCO
    if {"data", "annotations"} <= content.keys():
        return LABELSTUDIO
    if {"items", "categories"} <= content.keys() or {"data_row", "projects"} <= content.keys():  # Datumaro, Labelbox
        return OTHER
    if any(isinstance(content.get(key), list | dict) and content[key] for key in _OF_OTHERS):
        return OTHER
    entries = [value for value in content.values() if isinstance(value, dict)]
    return OTHER if any({"filename", "regions"} <= entry.keys() for entry in entries) else None


def kind_of_xml(root: ElementTree.Element) -> str | None:
    """The form of parsed XML. LabelMe's first, web-based version wrote XML too."""
    if root.tag == "annotations" and any(root.find(tag) is not None for tag in ("image", "track", "meta", "version")):
        return CVAT
    if root.tag == "annotation":
        if root.find("object/polygon/x1") is not None:  # VOC with outlines, as Roboflow and supervision write it
            return VOC
        if root.find("object/polygon") is not None or root.find("object/segm") is not None:
            return LABELME
        if root.find("object/bndbox") is not None or root.find("size") is not None:
            return VOC
        return LABELME if root.find("imagesize") is not None else None
    return OTHER if root.find(".//bndbox") is not None or root.find(".//polygon") is not None else None


def is_yolo_line(line: str) -> bool:
    """Whether a line is `class x y width height` or `class x1 y1 x2 y2 x3 y3 …`, shares of the image's sides."""
    cells = line.split()
    if len(cells) not in (5, 6) and (len(cells) < 7 or len(cells) % 2 == 0):
        return False
    try:
        values = [float(cell) for cell in cells[1:]]
    except ValueError:
        return False
    return bool(re.fullmatch(r"\d+(\.0*)?", cells[0])) and all(-1 <= value <= 2 for value in values)


def _json(path: Path) -> str | None:
    return kind_of_json(json.loads(read_text(path)))


def _xml(path: Path) -> str | None:
    return kind_of_xml(ElementTree.fromstring(read_bytes(path)))


def _text(path: Path) -> str | None:
    lines = [line for line in read_text(path).splitlines() if line.strip()]
    if not lines:
        return None
    if 2 * sum(is_yolo_line(line) for line in lines) >= len(lines):
        return YOLO
    cells = lines[-1].split()  # DOTA: eight coordinates and a class; KITTI: a class and fourteen numbers
    if len(cells) >= 9 and sum(bool(re.fullmatch(r"-?\d+(\.\d+)?", cell)) for cell in cells) >= 8:
        return OTHER
    return None


def _table(path: Path) -> str | None:
    with opened(path) as file:
        header = file.readline(_LONGEST_LINE).decode("utf-8-sig")
    columns = {column.strip().lower() for column in next(csv.reader([header.replace(";", ",")]), [])}
    return OTHER if any(wanted <= columns for wanted in _BOX_COLUMNS) else None


def _lines(path: Path) -> str | None:
    with opened(path) as file:
        return kind_of_json([json.loads(file.readline(_LONGEST_LINE).decode("utf-8-sig"))])
