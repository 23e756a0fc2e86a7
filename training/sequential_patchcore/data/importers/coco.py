# SPDX-License-Identifier: Apache-2.0
"""COCO's annotation files: polygons, both kinds of run lengths, crowds, boxes alone.

Format: https://cocodataset.org/#format-data. Several files may lie below the source, one for each split.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...runtime.errors import UserError
from ..format import KINDS, canonical_json, parse_json
from ..png import read_bytes
from . import outlines
from .image_lookup import ImageLookup
from .items import Item, Job, Shape
from .label_numbers import numbers_of, points_of
from .names import relative_name, split_of_words
from .outlines import Outline, Polygon, RunLengths
from .recognise import COCO, kind_of_json
from .run_lengths import coco_counts

WEAK = "{count} labels are boxes alone: weak labels, every pixel in the box counts as labelled"


def read_coco(job: Job) -> list[Item]:
    """The images that the files list, each with its annotations; one that is listed and has none is clean."""
    lookup = ImageLookup(job.survey, job.findings)
    items: dict[str, Item] = {}
    found = False
    for path in job.survey.others_with(".json"):
        content = _load(job, path)
        if content is None:
            continue
        found = True
        job.used.add(path)
        for item in _CocoFile(job, path, content, lookup).items():
            if item.name in items:
                before = items[item.name].label_file
                job.findings.problem(f"{item.where} is listed twice, in {before} and in {path}", item.name)
            items.setdefault(item.name, item)
    if not found and not job.findings.problems:
        raise UserError(f"{job.src} holds no COCO file: expected a .json with images, annotations and categories")
    return sorted(items.values(), key=lambda item: item.name)


def _load(job: Job, path: Path) -> dict[str, Any] | None:
    """The content of a COCO file; None for another file."""
    try:
        content = parse_json(read_bytes(path).decode("utf-8-sig"), str(path))
    except (UserError, UnicodeDecodeError) as error:
        job.findings.problem(str(error) if isinstance(error, UserError) else f"{path}: expected UTF-8 text")
        return None
    return content if kind_of_json(content) == COCO else None


class _CocoFile:
    """One annotation file on its way to items."""

    def __init__(self, job: Job, path: Path, content: Mapping[str, Any], lookup: ImageLookup) -> None:
        self._job, self._path, self._content, self._lookup = job, path, content, lookup
        self._names = self._categories()
        self._split = split_of_words(path.stem) or split_of_words(path.parent.name)

    def items(self) -> list[Item]:
        by_image: dict[str | None, list[dict]] = {}
        for number, entry in enumerate(self._content["annotations"], start=1):
            if not isinstance(entry, dict):
                self._job.findings.problem(f"{self._path}: annotation {number} is no object")
            else:
                by_image.setdefault(_key(entry.get("image_id")), []).append(entry)
        items, ids, listed = [], set(), set()
        for entry in self._content["images"]:
            said = entry.get("file_name") if isinstance(entry, dict) else None
            with self._job.findings.catch(*([said] if isinstance(said, str) else [])):
                image_id = _key(entry.get("id")) if isinstance(entry, dict) else None
                listed.add(image_id)
                image, size = self._image(entry)
                if image_id in ids:
                    raise UserError(f"{self._path}: two images have the id {image_id!r}")
                ids.add(image_id)
                items.append(self._item(image, size, by_image.get(image_id, [])))
        for image_id in sorted(map(str, by_image.keys() - listed)):
            count = sum(len(entries) for key, entries in by_image.items() if str(key) == image_id)
            self._job.findings.problem(f"{self._path}: {count} annotations are of the image {image_id}, which the file "
                                       "does not list")
        return items

    def _categories(self) -> dict[Any, str]:
        names: dict[str | None, str] = {}
        categories = self._content.get("categories")
        for entry in categories if isinstance(categories, list) else []:
            if isinstance(entry, dict) and isinstance(entry.get("name"), str) and entry["name"].strip():
                names[_key(entry.get("id"))] = entry["name"].strip()
                if entry.get("supercategory") in KINDS:
                    self._job.kinds[entry["name"].strip()] = entry["supercategory"]
        return names

    def _image(self, entry: Any) -> tuple[Path, tuple[float | None, float | None]]:
        if not (isinstance(entry, dict) and isinstance(entry.get("file_name"), str) and _key(entry.get("id"))):
            raise UserError(f"{self._path}: expected images with id and file_name, found {json.dumps(entry)[:100]}")
        try:
            image = self._lookup.find(entry["file_name"], self._path.parent)
        except UserError as error:
            raise UserError(f"{self._path}: {error}") from error
        size = entry.get("height"), entry.get("width")
        if not all(side is None or (isinstance(side, (int, float)) and side > 0) for side in size):
            raise UserError(f"{self._path}: expected width and height of {image.name} in pixels, found {size[1]!r} and "
                            f"{size[0]!r}")
        return image, size

    def _item(self, image: Path, size: tuple[Any, Any], annotations: list[dict]) -> Item:
        name = relative_name(image, self._job.src)
        shapes: list[Shape] = []
        for entry in annotations:
            with self._job.findings.catch(name):
                shapes += self._shapes(entry, image)
        labels = [entry | {"category": self._names.get(_key(entry.get("category_id")))} for entry in annotations]
        digest = hashlib.sha256(canonical_json(labels).encode("utf-8", "surrogatepass")).hexdigest()
        return Item(name, image, str(image), tuple(shapes), size=size, label_file=self._path,
                    digests={"label_sha256": digest}, split=self._split)

    def _shapes(self, entry: dict, image: Path) -> list[Shape]:
        """An annotation's parts, of one instance."""
        identity, category = entry.get("id"), entry.get("category_id")
        label = self._names.get(_key(category))
        where = f"{self._path}: annotation {identity} ({label!r}) of {image.name}"
        if label is None:
            raise UserError(f"{self._path}: annotation {identity} of {image.name} has the unknown category "
                            f"{category!r}")
        if entry.get("iscrowd"):
            self._job.findings.note("{count} annotations are crowds; each is taken for one instance", where)
        parts = _outlines(entry.get("segmentation"), where)
        is_weak = not parts or bool(entry.get("weak"))
        if not parts:
            parts = [_box(entry.get("bbox"), where)]
        if is_weak:
            self._job.findings.note(WEAK, where)
        return [Shape(label, part, where, f"annotation {identity}", weak=is_weak) for part in parts]


def _key(value: Any) -> str | None:
    """An id, for which some tools write a text instead of a number; None for what can be none."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)) or value != value:
        return None
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _outlines(segmentation: Any, where: str) -> list[Outline]:
    """Of a list of polygons or of run lengths; none where there is nothing."""
    if not segmentation:
        return []
    if isinstance(segmentation, dict):
        return [_run_lengths(segmentation, where)]
    if not isinstance(segmentation, list):
        raise UserError(f"{where}: expected segmentation as polygons or run lengths, found {str(segmentation)[:60]!r}")
    if all(isinstance(number, (int, float)) for number in segmentation):
        segmentation = [segmentation]  # some tools leave the list of lists out
    polygons: list[Outline] = []
    for part in segmentation:
        if isinstance(part, dict):
            polygons.append(_run_lengths(part, where))
            continue
        if not isinstance(part, list) or len(part) % 2:
            raise UserError(f"{where}: expected a polygon as x1, y1, x2, y2, …, found {str(part)[:60]!r}")
        pairs = [part[place : place + 2] for place in range(0, len(part), 2)]
        polygons.append(Polygon(points_of(pairs, 3, "a polygon", where)))
    return polygons


def _run_lengths(segmentation: Mapping[str, Any], where: str) -> RunLengths:
    counts, size = segmentation.get("counts"), segmentation.get("size")
    if not (isinstance(size, list) and len(size) == 2 and all(isinstance(side, int) and side > 0 for side in size)):
        raise UserError(f"{where}: expected run lengths with their size, found {size!r}")
    if isinstance(counts, str):
        try:
            values = coco_counts(counts)
        except UserError as error:
            raise UserError(f"{where}: {error}") from error
    elif isinstance(counts, list) and all(isinstance(count, int) for count in counts):
        values = np.array(counts, np.int64)
    else:
        raise UserError(f"{where}: expected run lengths as a text or a list of whole numbers")
    return RunLengths(values, (size[0], size[1]), by_columns=True, whole=True)


def _box(bbox: Any, where: str) -> Polygon:
    if not isinstance(bbox, list) or len(bbox) != 4:
        raise UserError(f"{where} has neither a segmentation nor a bbox")
    x, y, width, height = numbers_of(bbox, where)
    if width < 0 or height < 0:
        raise UserError(f"{where}: its box is {width:g} pixels wide and {height:g} high")
    return outlines.box(x, y, x + width, y + height)
