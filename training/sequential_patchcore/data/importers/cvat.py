# SPDX-License-Identifier: Apache-2.0
"""CVAT's own XML, version 1.1, "for images": boxes, polygons, polylines, points, ellipses, masks, tags.

Format: https://docs.cvat.ai/docs/manual/advanced/xml_format/. Tracks through a video are refused.
"""

import hashlib
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ...runtime.errors import UserError
from . import outlines
from .coco import WEAK
from .image_lookup import ImageLookup
from .items import Item, Job, Shape
from .label_numbers import numbers_of, points_of
from .names import relative_name, split_named
from .outlines import Ellipse, Outline, Polygon, RunLengths
from .recognise import CVAT, kind_of_xml
from .xml_files import parse_xml

_Element = ElementTree.Element
_CURE = 'export the task as "CVAT for images 1.1"'


def read_cvat(job: Job) -> list[Item]:
    """The images that the files list; one without shapes is clean."""
    lookup = ImageLookup(job.survey, job.findings)
    items: dict[str, Item] = {}
    found = False
    for path in job.survey.others_with(".xml"):
        try:
            root = parse_xml(path)
        except UserError as error:
            job.findings.problem(str(error))
            continue
        if kind_of_xml(root) != CVAT:
            continue
        found = True
        job.used.add(path)
        tracks = root.findall("track")
        if tracks:
            job.findings.problem(f"{path}: holds {len(tracks)} tracks through a video; {_CURE}")
            continue
        for entry in root.findall("image"):
            said = entry.get("name", "")
            with job.findings.catch(said):
                item = _item(job, path, entry, lookup)
                if item.name in items:
                    raise UserError(f"{item.where} is listed twice, in {items[item.name].label_file} and in {path}")
                items[item.name] = item
    if not found and not job.findings.problems:
        raise UserError(f"{job.src} holds no CVAT file, an .xml with <annotations>; {_CURE}")
    return sorted(items.values(), key=lambda item: item.name)


def _item(job: Job, path: Path, entry: _Element, lookup: ImageLookup) -> Item:
    said = entry.get("name", "")
    try:
        image = lookup.find(said, path.parent)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    name = relative_name(image, job.src)
    size = tuple(float(side) if (side := entry.get(key, "")).isdigit() else None for key in ("height", "width"))
    placed: list[tuple[int, Shape]] = []
    tags = []
    for number, part in enumerate(entry, start=1):
        where = f"{path}: {said}, {part.tag} {number} ({part.get('label', '')!r})"
        with job.findings.catch(name):
            if part.tag == "tag":
                tags += [label for label in [_label(part, where)] if not job.means_good(label)]
            else:
                z_order = part.get("z_order", "0")
                placed.append((int(z_order) if z_order.lstrip("-").isdigit() else 0, _shape(job, part, where)))
    # What lies on top is painted last; of an instance of several parts the topmost decides.
    top: dict[object, int] = {}
    for z_order, shape in placed:
        top[shape.instance or id(shape)] = max(z_order, top.get(shape.instance or id(shape), z_order))
    placed.sort(key=lambda entry: top[entry[1].instance or id(entry[1])])
    digest = hashlib.sha256(ElementTree.tostring(entry)).hexdigest()
    return Item(
        name, image, str(image), tuple(shape for _, shape in placed), as_a_whole=tuple(tags), size=size,
        label_file=path, digests={"label_sha256": digest}, split=split_named(entry.get("subset") or path.stem),
    )


def _label(part: _Element, where: str) -> str:
    label = (part.get("label") or "").strip()
    if not label:
        raise UserError(f"{where} has no label")
    return label


def _shape(job: Job, part: _Element, where: str) -> Shape:
    if part.tag not in _READERS:
        raise UserError(f"{where}: a {part.tag} is not read; known: {', '.join(_READERS)}")
    group = part.get("group_id")
    is_box = part.tag == "box"
    if is_box:
        job.findings.note(WEAK, where)
    outline = _READERS[part.tag](part, where)
    instance = f"group {group}" if group not in (None, "", "0") else None
    return Shape(_label(part, where), outline, where, instance, weak=is_box)


def _numbers(part: _Element, where: str, *keys: str) -> list[float]:
    return numbers_of([part.get(key) for key in keys], where)


def _points(part: _Element, where: str, fewest: int) -> np.ndarray:
    pairs = [pair.split(",") for pair in part.get("points", "").split(";")]
    return points_of(pairs, fewest, f"a {part.tag}", where)


def _turn(part: _Element, where: str) -> float:
    return numbers_of([part.get("rotation") or 0], where)[0]


def _box(part: _Element, where: str) -> Outline:
    left, top, right, bottom = _numbers(part, where, "xtl", "ytl", "xbr", "ybr")
    middle = (left + right) / 2, (top + bottom) / 2
    return outlines.turned_box(left, top, right, bottom, _turn(part, where), middle)


def _ellipse(part: _Element, where: str) -> Outline:
    x, y, across, down = _numbers(part, where, "cx", "cy", "rx", "ry")
    return Ellipse(np.array([x, y]), (across, down), _turn(part, where))


def _mask(part: _Element, where: str) -> Outline:
    left, top, width, height = (round(number) for number in _numbers(part, where, "left", "top", "width", "height"))
    counts = numbers_of([count for count in part.get("rle", "").split(",") if count.strip()], where)
    return RunLengths(np.array(counts, np.int64), (height, width), by_columns=False, left=left, top=top)


_READERS: dict[str, Callable[[_Element, str], Outline]] = {
    "box": _box,
    "polygon": lambda part, where: Polygon(_points(part, where, 3)),
    "polyline": lambda part, where: outlines.polyline(_points(part, where, 2)),
    "points": lambda part, where: outlines.dots(_points(part, where, 1)),
    "ellipse": _ellipse,
    "mask": _mask,
}
