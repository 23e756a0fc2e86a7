# SPDX-License-Identifier: Apache-2.0
"""Zones of an image by name: a picture of numbers, outlines drawn in LabelMe, or the regions of a data set."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..runtime.errors import UserError
from . import png
from .dataset import Dataset, open_dataset
from .importers.labelme_file import read_label_file

MOST = 255  # zones


def read_zones(place: Path, names: Mapping[int, str] | None = None) -> tuple[tuple[str, ...], np.ndarray]:
    """The names of the zones 1, 2, ... and (H, W) uint8, the number of the zone that each pixel lies in; 0 in none.

    Args:
        place: a PNG of grey values or with a palette, each value above 0 a zone; a LabelMe file, each label a zone,
            where outlines overlap the later one on top; or the folder of a data set, whose region files are alike and
            hold a value from 128 on for each zone.
        names: of values of a picture or of regions; by default the value itself.

    Raises:
        UserError: nothing of this kind, no zone in it, a name for a value that is not there, or a name twice.
    """
    if place.is_dir():
        values = _regions(open_dataset(place))
        values = np.where(values >= 128, values, 0)
    elif place.suffix.lower() == ".json":
        if names:
            raise UserError(f"{place}: a LabelMe file names its zones by its labels; leave out `zone_names`")
        return _drawn(place)
    else:
        values = png.read_indices(place)
    found = [int(value) for value in np.unique(values) if value]
    if not found:
        raise UserError(f"{place}: no zone in it; every pixel is 0")
    if unknown := sorted(set(names or {}) - set(found)):
        raise UserError(f"{place}: `zone_names` names the value {unknown[0]}; there are {', '.join(map(str, found))}")
    called = tuple((names or {}).get(value, str(value)) for value in found)
    if len(set(called)) < len(called) or "" in called:
        raise UserError(f"{place}: zones need names, each its own; found {', '.join(called)}")
    labels = np.zeros(values.shape, np.uint8)
    for number, value in enumerate(found, start=1):
        labels[values == value] = number
    return called, labels


def _drawn(place: Path) -> tuple[tuple[str, ...], np.ndarray]:
    file = read_label_file(place)
    if file.foreign or file.problems or not file.shapes:
        raise UserError(file.problems[0] if file.problems else f"{place}: expected a LabelMe file with an outline or "
                        "more, each labelled with the name of its zone")
    height, width = file.size
    if height is None or width is None:
        raise UserError(f"{place}: imageHeight and imageWidth are missing, so that nobody knows how large the image is")
    names = tuple(dict.fromkeys(shape.label for shape in file.shapes))
    if len(names) > MOST:
        raise UserError(f"{place}: {len(names)} zones, at most {MOST} are possible")
    labels = np.zeros((int(height), int(width)), np.uint8)
    for shape in file.shapes:
        labels[shape.outline.pixels(labels.shape, 1.0) > 0] = names.index(shape.label) + 1
    if missing := [name for number, name in enumerate(names, start=1) if not (labels == number).any()]:
        raise UserError(f"{place}: nothing is left of the zone {missing[0]!r}: it lies outside, or below others")
    return names, labels


def _regions(dataset: Dataset) -> np.ndarray:
    """(H, W) uint8, the values of the region files, which must be the same for all images."""
    common: np.ndarray | None = None
    for sample in dataset.samples:
        path = dataset.path / "regions" / f"{sample.id}.png"
        if not path.is_file():
            raise UserError(f"{dataset.path}: the image {sample.id} has no region file, and so no zones")
        values = png.read_grey(path, (8,))
        if common is None:
            common = values
        elif values.shape != common.shape or not np.array_equal(values, common):
            raise UserError(f"{path} differs from the region of {dataset.samples[0].id}: zones that move from image to "
                            "image cannot be kept; give one layout as a picture or a LabelMe file")
    if common is None:
        raise UserError(f"{dataset.path} holds no image")
    return common
