# SPDX-License-Identifier: Apache-2.0
"""One image of an import: its picture, region, mask and instances."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ...runtime.errors import UserError
from ..format import ClassInfo
from ..photographs import decode_image
from ..png import read_bytes
from ..writer import DatasetWriter
from .findings import Findings
from .items import Item, Shape
from .labels import LabelRules
from .plate_region import RegionSource, digest
from .shapes import paint

_MOST_INSTANCES = 65535


@dataclass(frozen=True)
class ImageReader:
    """Reads and writes one image after the other.

    Attributes:
        plate_label: the class name that means the inspected region; None if no shape does.
    """

    rules: LabelRules
    classes: tuple[ClassInfo, ...]
    plate_label: str | None
    region: RegionSource
    line_width: float
    findings: Findings

    def write(self, writer: DatasetWriter, item: Item, sample_id: str, split: str, group: str) -> None:
        """Import an image unless it is there already.

        Raises:
            UserError: the picture or its labels are wrong.
        """
        data = read_bytes(item.image) if isinstance(item.image, Path) else item.image()
        region_file = self.region.file_of(item.name, sample_id)
        parameters = {"source": _source(item, data, region_file)}
        if writer.is_done(sample_id, split, group, parameters):
            return
        image, orientation = decode_image(data, item.where)
        size = image.shape[:2]
        _check_size(item, size, orientation)
        plates = [shape.outline.pixels(size, self.line_width) for shape in item.shapes if self._is_plate(shape)]
        drawn = np.logical_or.reduce(plates) if plates else None
        region = self.region.region_of(image, item.name, region_file, drawn)
        mask, instances, instance_classes = self._draw(item, size)
        writer.add(
            sample_id, image, mask, instances, instance_classes, split, group, region, parameters=parameters
        )
        if orientation != 1:
            self.findings.note("{count} images were turned upright by their EXIF orientation, as viewers show them")

    def _is_plate(self, shape: Shape) -> bool:
        return self.plate_label is not None and self.rules.class_of(shape.label) == self.plate_label

    def _draw(self, item: Item, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, dict[int, int]]:
        """Mask, instances, and instance number -> class id. Impurities are painted first, then defects."""
        areas, instance_classes, first = [], {}, 1
        for info, shapes in self._members(item):
            if shapes[0].connected:
                count, numbers = cv2.connectedComponents(
                    shapes[0].outline.pixels(size, self.line_width).astype(np.uint8), connectivity=8
                )
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
        return np.logical_or.reduce([shape.outline.pixels(size, self.line_width) for shape in shapes])

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


def _source(item: Item, data: bytes, region_file: Path | None) -> dict[str, str]:
    """Where a sample comes from; a change in any of it makes the next import take it anew."""
    source = {"image": item.name, "image_sha256": hashlib.sha256(data).hexdigest()}
    if item.label_file:
        source["label"] = item.label_file.name
    for key, part in item.digests.items():
        source[key] = digest(part) if isinstance(part, Path) else part
    if region_file:
        source["region_sha256"] = digest(region_file)
    return source


def _check_size(item: Item, size: tuple[int, int], orientation: int) -> None:
    if any(said not in (None, true) for said, true in zip(item.size, size, strict=True)):
        height, width = item.size
        hint = "; its EXIF orientation may have been ignored when it was labelled" if orientation != 1 else ""
        raise UserError(f"{item.label_file} was drawn on an image of {width} x {height} pixels, "
                        f"{item.where} has {size[1]} x {size[0]}{hint}")
