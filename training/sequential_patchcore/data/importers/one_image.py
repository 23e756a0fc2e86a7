# SPDX-License-Identifier: Apache-2.0
"""One image of an import: its picture, region, mask and instances."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ...runtime.errors import UserError
from ...runtime.memory import gib, parse_size
from ..format import ClassInfo
from ..photographs import decode_image, picture_size
from ..png import read_bytes
from .findings import Findings
from .items import Item, Shape
from .labels import LabelRules
from .options import ImportOptions
from .plate_region import RegionSource, digest
from .shape_checks import checked_pixels
from .shapes import paint

_MOST_INSTANCES = 65535
_FEW_BITS = 14  # a camera's; 16-bit files whose values need no more hold them in the lower bits
_BYTES_PER_PIXEL = 40  # while an image is read and written: measured at most 28, and 12 for the parts of a mask


@dataclass(frozen=True)
class ImageParts:
    """What becomes of an image: arrays as `DatasetWriter.add` takes them."""

    image: np.ndarray
    mask: np.ndarray
    instances: np.ndarray
    instance_classes: Mapping[int, int]
    region: np.ndarray | None
    as_a_whole: tuple[int, ...] = ()
    weak: frozenset[int] = frozenset()


@dataclass
class ImageReader:
    """Reads one image after the other.

    Attributes:
        plate_label: the class name that means the inspected region; None if no shape does.
        deep: the 16-bit pictures so far.
        deepest: the bits that their largest value needs.
    """

    rules: LabelRules
    classes: tuple[ClassInfo, ...]
    plate_label: str | None
    region: RegionSource
    options: ImportOptions
    findings: Findings
    deepest: int = 0
    deep: list[str] = field(default_factory=list)
    _seen: dict[tuple[str, int], Item] = field(default_factory=dict)

    def sources(self, item: Item, sample_id: str) -> tuple[bytes, Path | None, dict[str, Any]]:
        """The picture's bytes, the file of its region, and the parameters that identify both and the labels.

        Raises:
            UserError: a file is missing or cannot be read.
        """
        data = read_bytes(item.image) if isinstance(item.image, Path) else item.image()
        region_file = self.region.file_of(item.name, sample_id)
        source = _source(item, data, region_file)
        self._compare_copies(item, source["image_sha256"])
        return data, region_file, {"source": source}

    def read(self, item: Item, data: bytes, region_file: Path | None) -> ImageParts:
        """Decode an image and draw its labels.

        Raises:
            UserError: the picture or its labels are wrong.
        """
        _check_budget(item, data, self.options.memory_budget)
        image, orientation = decode_image(data, item.where, item.page, self.options.bit_depth)
        size = image.shape[:2]
        _check_size(item, size, orientation)
        drawing = _Drawing(size, self.options.line_width, self.findings)
        plates = [drawing.pixels(shape) for shape in item.shapes if self._is_plate(shape)]
        drawn = np.logical_or.reduce(plates) if plates else None
        mask, instances, instance_classes = self._draw(item, drawing)
        for problem in drawing.problems[1:]:
            self.findings.problem(problem, item.name)
        if drawing.problems:
            raise UserError(drawing.problems[0])
        region = self.region.region_of(image, item.name, region_file, drawn)
        if orientation != 1:
            self.findings.note("{count} images were turned upright by their EXIF orientation, as viewers show them")
        if image.dtype == np.uint16:
            self.deep.append(item.where)
            self.deepest = max(self.deepest, int(image.max()).bit_length())
        whole = self._classes_as_a_whole(item)
        return ImageParts(image, mask, instances, instance_classes, region, whole, frozenset(drawing.weak))

    def say_about_depth(self) -> None:
        """16-bit pictures that leave their upper bits empty look nearly black beside 8-bit ones."""
        if self.deep and self.deepest <= _FEW_BITS and self.options.bit_depth is None:
            self.findings.say(
                f"{len(self.deep)} images have 16 bits a channel, and none has a value above {2**self.deepest - 1} "
                f"({self.deepest} bits; the first: {self.deep[0]}): as they are they are dark, and nearly black to a "
                f"model of 8-bit images; `bit_depth` {max(self.deepest, 10)} scales them to the whole range"
            )

    def _compare_copies(self, item: Item, sha256: str) -> None:
        """The same picture twice is said, and louder where only one of the two is labelled."""
        other = self._seen.setdefault((sha256, item.page), item)
        if other is item:
            return
        if bool(other.labels) == bool(item.labels):
            self.findings.note("{count} pictures are copies of others, byte for byte", f"{item.where} is {other.where}")
        else:
            clean, labelled = (item, other) if other.labels else (other, item)
            self.findings.note("WARNING: {count} pictures without labels are copies, byte for byte, of labelled ones",
                               f"{clean.where} is {labelled.where}")

    def _is_plate(self, shape: Shape) -> bool:
        name = self.rules.class_of(shape.label)
        return self.plate_label is not None and name is not None and name.casefold() == self.plate_label

    def _classes_as_a_whole(self, item: Item) -> tuple[int, ...]:
        """Class ids of the labels without a place; not those of classes that are drawn on the image as well."""
        ids = {info.name: info.id for info in self.classes}
        drawn = {self.rules.class_of(shape.label) for shape in item.shapes}
        names = {self.rules.class_of(label) for label in item.as_a_whole} - drawn - {None}
        return tuple(sorted(ids[name] for name in names))

    def _draw(self, item: Item, drawing: "_Drawing") -> tuple[np.ndarray, np.ndarray, dict[int, int]]:
        """Mask, instances, and instance number -> class id. Impurities are painted first, then defects."""
        areas, instance_classes, first = [], {}, 1
        for info, shapes in self._members(item):
            if shapes[0].connected:
                inside = drawing.pixels(shapes[0])
                count, numbers = cv2.connectedComponents(inside.astype(np.uint8), connectivity=8)
                areas.append((info, np.where(numbers, numbers + (first - 1), 0), shapes))
                count -= 1
            else:
                areas.append((info, first, shapes))
                count = 1
            if first - 1 + count > _MOST_INSTANCES:
                raise UserError(f"{item.where}: found {first - 1 + count} instances, an image holds {_MOST_INSTANCES}")
            instance_classes.update(dict.fromkeys(range(first, first + count), info.id))
            if all(shape.weak for shape in shapes):
                drawing.weak.update(range(first, first + count))
            first += count
        bottom_to_top = sorted(areas, key=lambda area: area[0].kind == "defect")
        mask, instances = paint(
            ((number, info.id, drawing.inside(number, shapes)) for info, number, shapes in bottom_to_top), drawing.size
        )
        return mask, instances, instance_classes

    def _members(self, item: Item) -> list[tuple[ClassInfo, list[Shape]]]:
        """Shapes by instance, in their order. Those with one `instance` and class belong together."""
        by_name = {info.name: info for info in self.classes}
        members: dict[tuple[str, object], list[Shape]] = {}
        for position, shape in enumerate(item.shapes):
            class_name = self.rules.class_of(shape.label)
            if class_name is not None and not self._is_plate(shape):
                key = ("shape", position) if shape.instance is None else ("instance", shape.instance)
                members.setdefault((class_name, key), []).append(shape)
        return [(by_name[class_name], shapes) for (class_name, _), shapes in members.items()]


@dataclass
class _Drawing:
    """Shapes to pixels for one image of `size` (H, W); what is wrong with one is a problem, and it has no pixels.

    `weak` holds the numbers of the instances that are boxes around what is meant.
    """

    size: tuple[int, int]
    line_width: float
    findings: Findings
    problems: list[str] = field(default_factory=list)
    weak: set[int] = field(default_factory=set)

    def pixels(self, shape: Shape) -> np.ndarray:
        try:
            return checked_pixels(shape, self.size, self.line_width, self.findings)
        except UserError as error:
            self.problems.append(str(error))
            return np.zeros(self.size, bool)

    def inside(self, number: int | np.ndarray, shapes: Sequence[Shape]) -> np.ndarray:
        """The pixels of an instance, or of all that an array of their numbers holds."""
        if isinstance(number, np.ndarray):
            return number > 0
        return np.logical_or.reduce([self.pixels(shape) for shape in shapes])


def _source(item: Item, data: bytes, region_file: Path | None) -> dict[str, str | int]:
    """Where a sample comes from; a change in any of it makes the next import take it anew."""
    source = {"image": item.name, "image_sha256": hashlib.sha256(data).hexdigest()}
    if item.label_file:
        source["label"] = item.label_file.name
    if item.page:
        source["page"] = item.page
    for key, part in item.digests.items():
        source[key] = digest(part) if isinstance(part, Path) else part
    if region_file:
        source["region_sha256"] = digest(region_file)
    return source


def _check_budget(item: Item, data: bytes, budget: str) -> None:
    """Refuse an image that would not fit, from its header."""
    size = picture_size(data)
    if size is None:
        return
    needed, limit = size[0] * size[1] * _BYTES_PER_PIXEL, parse_size(budget)
    if needed > limit:
        raise UserError(
            f"{item.where} has {size[1]} x {size[0]} pixels ({size[0] * size[1] / 1e6:.0f} megapixels); reading it "
            f"takes about {gib(needed)}, the memory budget is {gib(limit)}: raise `memory_budget`, or cut the image "
            "into parts"
        )


def _check_size(item: Item, size: tuple[int, int], orientation: int) -> None:
    if any(said not in (None, true) for said, true in zip(item.size, size, strict=True)):
        height, width = item.size
        hint = "; its EXIF orientation may have been ignored when it was labelled" if orientation != 1 else ""
        width, height = (side if side is None else f"{side:g}" for side in (width, height))
        raise UserError(f"{item.label_file} was drawn on an image of {width} x {height} pixels, "
                        f"{item.where} has {size[1]} x {size[0]}{hint}")
