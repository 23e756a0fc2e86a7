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

    def sources(self, item: Item, sample_id: str) -> tuple[bytes, Path | None, dict[str, Any]]:
        """The picture's bytes, the file of its region, and the parameters that identify both and the labels.

        Raises:
            UserError: a file is missing or cannot be read.
        """
        data = read_bytes(item.image) if isinstance(item.image, Path) else item.image()
        region_file = self.region.file_of(item.name, sample_id)
        return data, region_file, {"source": _source(item, data, region_file)}

    def read(self, item: Item, data: bytes, region_file: Path | None) -> ImageParts:
        """Decode an image and draw its labels.

        Raises:
            UserError: the picture or its labels are wrong.
        """
        _check_budget(item, data, self.options.memory_budget)
        image, orientation = decode_image(data, item.where, item.page, self.options.bit_depth)
        size = image.shape[:2]
        _check_size(item, size, orientation)
        plates = [self._pixels(shape, size) for shape in item.shapes if self._is_plate(shape)]
        drawn = np.logical_or.reduce(plates) if plates else None
        region = self.region.region_of(image, item.name, region_file, drawn)
        mask, instances, instance_classes = self._draw(item, size)
        if orientation != 1:
            self.findings.note("{count} images were turned upright by their EXIF orientation, as viewers show them")
        if image.dtype == np.uint16:
            self.deep.append(item.where)
            self.deepest = max(self.deepest, int(image.max()).bit_length())
        return ImageParts(image, mask, instances, instance_classes, region)

    def say_about_depth(self) -> None:
        """16-bit pictures that leave their upper bits empty look nearly black beside 8-bit ones."""
        if self.deep and self.deepest <= _FEW_BITS and self.options.bit_depth is None:
            self.findings.say(
                f"{len(self.deep)} images have 16 bits a channel, and none has a value above {2**self.deepest - 1} "
                f"({self.deepest} bits; the first: {self.deep[0]}): as they are they are dark, and nearly black to a "
                f"model of 8-bit images; `bit_depth` {max(self.deepest, 10)} scales them to the whole range"
            )

    def _is_plate(self, shape: Shape) -> bool:
        name = self.rules.class_of(shape.label)
        return self.plate_label is not None and name is not None and name.casefold() == self.plate_label

    def _pixels(self, shape: Shape, size: tuple[int, int]) -> np.ndarray:
        return shape.outline.pixels(size, self.options.line_width)

    def _draw(self, item: Item, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, dict[int, int]]:
        """Mask, instances, and instance number -> class id. Impurities are painted first, then defects."""
        areas, instance_classes, first = [], {}, 1
        for info, shapes in self._members(item):
            if shapes[0].connected:
                inside = self._pixels(shapes[0], size)
                count, numbers = cv2.connectedComponents(inside.astype(np.uint8), connectivity=8)
                areas.append((info, np.where(numbers, numbers + (first - 1), 0), shapes))
                count -= 1
            else:
                areas.append((info, first, shapes))
                count = 1
            if first - 1 + count > _MOST_INSTANCES:
                raise UserError(f"{item.where}: found {first - 1 + count} instances, an image holds {_MOST_INSTANCES}")
            instance_classes.update(dict.fromkeys(range(first, first + count), info.id))
            first += count
        bottom_to_top = sorted(areas, key=lambda area: area[0].kind == "defect")
        mask, instances = paint(
            ((number, info.id, self._inside(number, shapes, size)) for info, number, shapes in bottom_to_top), size
        )
        return mask, instances, instance_classes

    def _inside(self, number: int | np.ndarray, shapes: Sequence[Shape], size: tuple[int, int]) -> np.ndarray:
        if isinstance(number, np.ndarray):
            return number > 0
        return np.logical_or.reduce([self._pixels(shape, size) for shape in shapes])

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
        raise UserError(f"{item.label_file} was drawn on an image of {width} x {height} pixels, "
                        f"{item.where} has {size[1]} x {size[0]}{hint}")
