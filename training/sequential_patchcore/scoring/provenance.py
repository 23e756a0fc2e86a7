# SPDX-License-Identifier: Apache-2.0
"""From a coreset vector back to the piece of the training image that it came from.

A model file names the training image and the place on its feature grid that each vector came from; while the training
data set is where it was, the patch can be shown.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import cv2
import numpy as np

from ..data.dataset import Dataset, Sample, open_dataset
from ..extractors.grid import Grid
from ..model.file import Model
from ..runtime.errors import UserError

CONTEXT_CELLS = 8
"""Side of a shown piece, in cells of the feature grid: a cell alone is too small to recognise anything on it."""

CROP = 64  # pixels of the original image around a patch: the stride and what the deeper layer sees around it


@dataclass(frozen=True)
class NominalPatch:
    """What a coreset vector was made from.

    Attributes:
        dataset, sample: the training image.
        cell: (y, x) on its feature grid.
        position: (row, column) in the image, in pixels; None where the image is not found.
        picture: (CROP, CROP, 3) float32 RGB in [0, 1] around the position, or None where it cannot be shown.
        note: why not; may be empty.
    """

    dataset: str
    sample: str
    cell: tuple[int, int]
    position: tuple[float, float] | None
    picture: np.ndarray | None
    note: str = ""


class Provenance:
    """The training images of a model, found again where they were, as far as they still are there.

    Args:
        model: its `data` says where the data sets were.
        places: further folders of data sets, for those that were moved; found by the name in their header.
    """

    def __init__(self, model: Model, places: Iterable[str | Path] = ()) -> None:
        self._model = model
        self._places = [Path(place) for place in places]

    @cached_property
    def _samples(self) -> dict[tuple[str, str], tuple[Dataset, Sample]]:
        """(data set name, sample id) to the sample; of equal names, the sets are looked through in order."""
        found: dict[tuple[str, str], tuple[Dataset, Sample]] = {}
        for place in (*self._places, *(Path(share["path"]) for share in self._model.data)):
            try:
                dataset = open_dataset(place)
            except UserError:
                continue
            for sample in dataset.samples:
                found.setdefault((dataset.name, sample.id), (dataset, sample))
        return found

    def nominal(self, vector: int) -> NominalPatch:
        """Where a coreset vector came from, with its piece of image as far as that can be shown."""
        source = int(self._model.source[vector])
        dataset, sample = self._model.sources[source]
        y, x = (int(value) for value in self._model.position[vector])
        position = self.position(source, y, x)
        image = None if position is None else self._image(source)
        if position is None or image is None:
            places = [*self._places, *(share["path"] for share in self._model.data)]
            note = f"not shown: no image {sample} of {dataset} in {', '.join(map(str, places)) or 'any data set named'}"
            return NominalPatch(dataset, sample, (y, x), position, None, note)
        return NominalPatch(dataset, sample, (y, x), position, crop(image, *position))

    def pieces(self, vectors: Iterable[int], side: int) -> Iterator[tuple[int, np.ndarray | None]]:
        """(vector, uint8 (side, side, 3) RGB, its piece of image, or None where that is gone), image by image."""
        by_image: dict[int, list[int]] = {}
        for vector in vectors:
            by_image.setdefault(int(self._model.source[vector]), []).append(int(vector))
        for source, group in by_image.items():
            image = self._image(source)
            for vector in group:
                yield vector, None if image is None else self._piece(image, vector, side)

    def _piece(self, image: np.ndarray, vector: int, side: int) -> np.ndarray:
        y, x = (int(value) for value in self._model.position[vector])
        return piece(image, self._grid(image.shape[:2]).pixel(y, x), context_pixels(self._model), side)

    def image_of(self, source: int) -> tuple[Dataset, Sample] | None:
        """The training image in a row of the model's `sources`, where its data set is still at hand."""
        return self._samples.get(self._model.sources[source])

    def position(self, source: int, y: int, x: int) -> tuple[float, float] | None:
        """Where in its image, (row, column) in pixels, the patch (y, x) looks; the image's header is enough."""
        known = self._samples.get(self._model.sources[source])
        if known is None:
            return None
        try:
            return self._grid(known[0].image_size(known[1])).pixel(y, x)
        except UserError:
            return None

    @lru_cache(maxsize=4)  # noqa: B019  (the object lives as long as one command)
    def _image(self, source: int) -> np.ndarray | None:
        known = self._samples.get(self._model.sources[source])
        if known is None:
            return None
        try:
            return known[0].image(known[1])
        except UserError:
            return None

    def _grid(self, size: tuple[int, int]) -> Grid:
        made_with = self._model.extractor
        return Grid(size, (0, 0), made_with["stride"], made_with.get("offset", 0.0), made_with["image_scale"])


def context_pixels(model: Model) -> int:
    """Side of a shown piece in pixels of the image."""
    return max(8, round(CONTEXT_CELLS * model.extractor["stride"] / model.extractor["image_scale"]))


def crop(image: np.ndarray, row: float, column: float, side: int = CROP) -> np.ndarray:
    """(side, side, 3) of the (H, W, 3) image around a pixel, moved inward at the border; smaller in a small image."""
    height, width = image.shape[:2]
    top = int(np.clip(round(row) - side // 2, 0, max(0, height - side)))
    left = int(np.clip(round(column) - side // 2, 0, max(0, width - side)))
    return image[top : top + side, left : left + side]


def piece(image: np.ndarray, centre: tuple[float, float], width: int, side: int) -> np.ndarray:
    """A square of `width` pixels around (row, column) of a float (H, W, 3) image, as uint8 (side, side, 3).

    What lies beyond the image's border is dark grey.
    """
    top, left = (round(value - width / 2 + 0.5) for value in centre)
    canvas = np.full((width, width, 3), 0.15, np.float32)
    rows = slice(max(top, 0), min(top + width, image.shape[0]))
    columns = slice(max(left, 0), min(left + width, image.shape[1]))
    if rows.start < rows.stop and columns.start < columns.stop:
        canvas[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = image[rows, columns]
    mode = cv2.INTER_AREA if side < width else cv2.INTER_CUBIC
    resized = cv2.resize(canvas, (side, side), interpolation=mode)
    return (np.clip(resized, 0, 1) * 255 + 0.5).astype(np.uint8)
