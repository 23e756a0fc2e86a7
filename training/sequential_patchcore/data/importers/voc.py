# SPDX-License-Identifier: Apache-2.0
"""Pascal VOC: XML with boxes, one file an image, as LabelImg, CVAT and others write it; masks by `voc_masks`.

Format: http://host.robots.ox.ac.uk/pascal/VOC/voc2012/htmldoc/devkit_doc.html. Corners are taken as positions in the
image, as today's tools write them; the first data sets counted pixels from 1.
"""

import hashlib
import xml.etree.ElementTree as ElementTree
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from ...runtime.errors import UserError
from ..png import read_bytes
from . import outlines
from .coco import WEAK
from .image_lookup import ImageLookup
from .items import Item, Job, Shape
from .label_numbers import points_of
from .names import name_key, relative_name, split_named, split_of_words
from .outlines import Polygon
from .recognise import BROKEN, VOC, recognise
from .voc_masks import find_masks
from .xml_files import number_of, parse_xml, size_of, text_of

_IMAGES = "jpegimages"


def read_voc(job: Job) -> list[Item]:
    """Every picture with its XML and its masks; one without is clean. Splits come from ImageSets/…/train.txt, val.txt,
    test.txt.
    """
    masks = find_masks(job)
    images = _photographs(job, masks.paths)
    lookup = ImageLookup(replace(job.survey, images=images), job.findings)
    splits = _image_sets(job)
    items: dict[str, Item] = {}
    for path in job.survey.others_with(".xml"):
        if recognise(path) not in (VOC, BROKEN, None):
            continue
        with job.findings.catch(relative_name(path, job.src)):
            root = parse_xml(path)
            if root.tag != "annotation":
                continue
            job.used.add(path)
            item = _item(job, path, root, lookup, splits)
            if item.name in items:
                job.findings.problem(f"{item.where} has two label files: {items[item.name].label_file} and {path}",
                                     item.name)
            items[item.name] = item
    if not items and not masks.classes and not job.findings.problems:
        raise UserError(f"{job.src} holds no Pascal VOC file: expected one .xml with <annotation> for each image, or "
                        "masks in SegmentationClass")
    without = 0
    for image in images:
        name = relative_name(image, job.src)
        with job.findings.catch(name):
            drawn = masks.shapes_of(image)
            without += name not in items and drawn is None
            item = items.get(name) or Item(name, image, str(image), split=splits.get(name_key(image.stem)))
            items[name] = item if drawn is None else _with_masks(item, *drawn, job)
    masks.report_left_over()
    if without:
        job.findings.say(f"{without} of {len(items)} images have no label file: they count as clean")
    return sorted(items.values(), key=lambda item: item.name)


def _photographs(job: Job, masks: Collection[Path]) -> tuple[Path, ...]:
    """The pictures that are no masks; of a tree with a folder JPEGImages those in it, since tools lay pictures of the
    labels beside it."""
    images = tuple(path for path in job.survey.images if path not in masks)
    inside = tuple(
        path for path in images if any(name_key(part) == _IMAGES for part in path.relative_to(job.src).parts[:-1])
    )
    return inside or images


def _image_sets(job: Job) -> Mapping[str, str]:
    """Name of an image without its ending -> split, from the lists that are named after a split."""
    splits: dict[str, str] = {}
    for path in job.survey.others_with(".txt"):
        split = split_named(path.stem) or split_of_words(path.stem)
        if split is None or name_key(path.parent.name) not in ("main", "segmentation", "layout", "imagesets"):
            continue
        job.used.add(path)
        for line in read_bytes(path).decode("utf-8-sig", "replace").splitlines():
            words = line.split()
            if words and (len(words) == 1 or words[-1] != "-1"):
                splits[name_key(Path(words[0]).stem if "." in words[0] else words[0])] = split
    return splits


def _item(
    job: Job, path: Path, root: ElementTree.Element, lookup: ImageLookup, splits: Mapping[str, str]
) -> Item:
    said = text_of(root, "filename") or path.stem
    try:
        image = lookup.find(said, path.parent)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    name = relative_name(image, job.src)
    shapes = []
    for number, entry in enumerate(root.iter("object"), start=1):
        with job.findings.catch(name):
            shapes.append(_shape(job, entry, number, path))
    digest = hashlib.sha256(read_bytes(path)).hexdigest()
    return Item(name, image, str(image), tuple(shapes), size=size_of(root, "size/height", "size/width"),
                label_file=path, digests={"label_sha256": digest}, split=splits.get(name_key(image.stem)))


def _with_masks(item: Item, drawn: tuple[Shape, ...], digests: Mapping[str, Path], job: Job) -> Item:
    """The masks in place of the boxes; a box of a class that no mask of the image has stays."""
    classes = {name_key(shape.label) for shape in drawn}
    boxes = tuple(shape for shape in item.shapes if name_key(shape.label) not in classes)
    if len(boxes) < len(item.shapes):
        job.findings.note("{count} images have masks, which count in place of the boxes of their classes", item.where)
    for box in boxes:
        job.findings.note("{count} boxes stay beside a mask, which does not have their class", box.where)
    label_file = item.label_file or digests["mask_sha256"]
    return replace(item, shapes=(*boxes, *drawn), label_file=label_file, digests={**item.digests, **digests})


def _shape(job: Job, entry: ElementTree.Element, number: int, path: Path) -> Shape:
    label = text_of(entry, "name")
    where = f"{path}: object {number} ({label!r})"
    if not label:
        raise UserError(f"{path}: object {number} has no name")
    if entry.find("polygon/x1") is not None:
        return Shape(label, Polygon(_corners(entry, where)), where)
    if entry.find("bndbox") is None:
        raise UserError(f"{where} has no bndbox")
    left, top, right, bottom = (number_of(entry, f"bndbox/{side}", where) for side in ("xmin", "ymin", "xmax", "ymax"))
    if right < left or bottom < top:
        raise UserError(f"{where}: its box runs from {left:g}, {top:g} to {right:g}, {bottom:g}")
    job.findings.note(WEAK, where)
    return Shape(label, outlines.box(left, top, right, bottom), where, weak=True)


def _corners(entry: ElementTree.Element, where: str) -> np.ndarray:
    """The corners of an outline beside the box, float64 (N, 2): x1, y1, x2, y2, … as Roboflow and supervision write."""
    count = len(entry.findall("polygon/*")) // 2
    pairs = [[number_of(entry, f"polygon/{axis}{number}", where) for axis in "xy"] for number in range(1, count + 1)]
    return points_of(pairs, 3, "a polygon", where)
