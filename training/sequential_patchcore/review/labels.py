# SPDX-License-Identifier: Apache-2.0
"""Decisions as labels for other programs: LabelMe files, and a data set of the images that are still there."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..data.format import ClassInfo
from ..data.photographs import decode_image
from ..data.png import read_bytes
from ..data.writer import DatasetWriter
from ..runtime.errors import UserError
from ..runtime.file_names import unique_names
from ..runtime.files import make_folder, write_text
from ..runtime.progress import say
from .journal import DEFECT, DIRT, DIRT_CLASSES, MISSED, SKIP, Entry


def classes_of(entries: Iterable[Entry]) -> tuple[ClassInfo, ...]:
    """Defect, and dirt by its names."""
    named = {entry.impurity for entry in entries if entry.decision == DIRT} - {DEFECT}
    names = [*DIRT_CLASSES, *sorted(named - set(DIRT_CLASSES))]
    return (ClassInfo(1, DEFECT, "defect"),
            *(ClassInfo(number, name, "impurity") for number, name in enumerate(names, start=2)))


def export_labelme(entries: Sequence[Entry], folder: Path) -> int:
    """A LabelMe file for each image: defects, and dirt by its kind; what is sound bears no shape.

    Returns:
        how many files were written.
    """
    images = _by_image(entries)
    make_folder(folder)
    for name, (image, decided) in zip(_names(images), images, strict=True):
        height, width = image["size"]
        record = {
            "version": "5.5.0", "flags": {}, "imagePath": image.get("path") or image["name"], "imageData": None,
            "imageHeight": height, "imageWidth": width,
            "shapes": [
                {"label": _label(entry), "points": [list(point) for point in entry.region["outline"]], "group_id": None,
                 "shape_type": "polygon", "flags": {}, "description": f"{entry.decision} by {entry.who}, {entry.time}"}
                for entry in decided if _label(entry) and len(entry.region.get("outline", ())) >= 3
            ],
        }
        write_text(folder / f"{name}.json", json.dumps(record, indent=2, ensure_ascii=False) + "\n")
    return len(images)


def export_dataset(entries: Sequence[Entry], folder: Path, split: str = "val") -> int:
    """A data set with each decided image as a sample of `split`: defects and dirt as instances.

    An image whose file is gone, or another than it was, is named and left out.

    Returns:
        how many images were written.

    Raises:
        UserError: the folder holds something else; not one image is there any more.
    """
    images = _by_image(entries)
    written = 0
    known = classes_of(entries)
    with DatasetWriter(folder, folder.name, "review", known) as writer:
        for name, (image, decided) in zip(_names(images), images, strict=True):
            if any(entry.decision == SKIP for entry in decided):
                say(f"{image['name']} is left out: something on it was skipped, so nobody knows what it shows")
                continue
            pixels = _pixels(image)
            if pixels is None:
                continue
            mask = np.zeros(pixels.shape[:2], np.uint8)
            instances = np.zeros(pixels.shape[:2], np.uint16)
            classes = {}
            # Where a defect and an impurity overlap the defect owns the pixel, so defects come last.
            labelled = sorted((one for one in decided if _label(one)), key=lambda one: _label(one) == DEFECT)
            for number, entry in enumerate(labelled, start=1):
                (class_id,) = [info.id for info in known if info.name == _label(entry)]
                inside = _filled(entry, mask.shape)
                mask[inside], instances[inside], classes[number] = class_id, number, class_id
            writer.add(name, pixels, mask, instances, classes, split, name)
            written += 1
    if not written:
        raise UserError("not one decided image can be written (see above), so that there is no data set")
    return written


def _by_image(entries: Iterable[Entry]) -> list[tuple[dict[str, Any], list[Entry]]]:
    found: dict[str, tuple[dict[str, Any], list[Entry]]] = {}
    for entry in entries:
        found.setdefault(entry.image["sha256"], (dict(entry.image), []))[1].append(entry)
    return list(found.values())


def _names(images: Sequence[tuple[dict[str, Any], list[Entry]]]) -> list[str]:
    return list(unique_names([Path(str(image["name"])).stem for image, _ in images]))


def _label(entry: Entry) -> str:
    """The class of a decision; "" where it says that nothing is there."""
    if not entry.region:
        return ""
    return {DEFECT: DEFECT, MISSED: DEFECT, DIRT: entry.impurity}.get(entry.decision, "")


def _pixels(image: dict[str, Any]) -> np.ndarray | None:
    path = Path(str(image.get("path", "")))
    try:
        data = read_bytes(path)
        if hashlib.sha256(data).hexdigest() != image["sha256"]:
            raise UserError(f"{path} is another file than the one that was decided on")
        return decode_image(data, path)[0]
    except UserError as error:
        say(f"left out: {error}")
        return None


def _filled(entry: Entry, size: tuple[int, int]) -> np.ndarray:
    canvas = np.zeros(size, np.uint8)
    cv2.fillPoly(canvas, [np.array(entry.region["outline"], np.int32)], 1)
    return canvas > 0
