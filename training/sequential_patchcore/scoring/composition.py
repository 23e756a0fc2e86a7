# SPDX-License-Identifier: Apache-2.0
"""What a coreset is made of: the share of its vectors on each class of label, on its outline, and on the bare surface.

Nothing is computed from features: a model names the training image and the cell of every vector, and the data set has
that image's labels. A cell stands for the square of pixels around the place it looks at, one stride on a side. What
augmentation laid over the image, such as a false border, is not known any more and not counted.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..data.dataset import Dataset, Sample
from ..model.file import Model
from ..runtime.errors import UserError
from .provenance import Provenance

BARE, OUTSIDE, UNKNOWN = "bare", "outside the region", "unknown"
INSIDE, OUTLINE = "inside", "outline"


@dataclass(frozen=True)
class Composition:
    """How many vectors lie where.

    Attributes:
        vectors: of the coreset.
        places: a place to its vectors. Places are "CLASS inside", where every pixel of the cell's square that belongs
            to the region has the class, "CLASS outline", where some do and no class has more; `BARE`, where none has a
            label; `OUTSIDE`, where no pixel of the square belongs to the region; `UNKNOWN`, where the training image
            or its labels are not found any more. All of them sum to `vectors`.
        area: the same places to their share of the training images' regions, by squares of the same size laid side
            by side, each image once; empty where an image is not found.
    """

    vectors: int
    places: Mapping[str, int]
    area: Mapping[str, float]

    def as_dict(self) -> dict:
        """JSON-ready: per place its vectors, their share, and the share of the area where that is known."""
        return {
            place: {"vectors": count, "share": count / self.vectors, "area_share": self.area.get(place)}
            for place, count in self.places.items()
        }

    def lines(self) -> list[str]:
        """A line a place, the most vectors first."""
        found = []
        for place, count in sorted(self.places.items(), key=lambda item: (-item[1], item[0])):
            area = f", of the area {100 * self.area[place]:.1f} %" if place in self.area else ""
            found.append(f"{place}: {count} vectors, {100 * count / self.vectors:.1f} %{area}")
        return found


def coreset_composition(model: Model, data: Iterable[str | Path] = ()) -> Composition:
    """Where the vectors of a model lie, by the labels of its training images.

    Args:
        data: further folders of data sets, for those that are no longer where the model says.
    """
    provenance = Provenance(model, data)
    side = max(1, round(model.extractor["stride"] / model.extractor["image_scale"]))
    places: Counter[str] = Counter()
    area: defaultdict[str, int] = defaultdict(int)
    all_found = True
    for source in range(len(model.sources)):
        vectors = np.flatnonzero(model.source == source)
        labels = _labels(provenance.image_of(source))
        if labels is None:
            all_found = False
            places[UNKNOWN] += len(vectors)
            continue
        mask, region, names = labels
        for vector in vectors:
            y, x = (int(value) for value in model.position[vector])
            places[_place(*_square(mask, region, provenance.position(source, y, x), side), names)] += 1
        for place, count in _area(mask, region, names, side).items():
            area[place] += count
    total = sum(area.values())
    shares = {place: count / total for place, count in area.items()} if all_found and total else {}
    # A class that covers some of the area and has no vector is worth saying, too.
    found = {place: places[place] for place in (*places, *(place for place in shares if place not in places))}
    return Composition(len(model.features), {place: n for place, n in found.items() if n or place in shares}, shares)


_Labels = tuple[np.ndarray, np.ndarray, Mapping[int, str]]


def _labels(found: tuple[Dataset, Sample] | None) -> _Labels | None:
    """Class ids (H, W) uint8, region (H, W) bool and the classes' names; None where they cannot be read."""
    if found is None:
        return None
    dataset, sample = found
    try:
        region = dataset.region(sample)
        mask = dataset.mask(sample) if sample.instances else np.zeros(region.shape, np.uint8)
    except UserError:
        return None
    return mask, region, {info.id: info.name for info in dataset.classes}


def _square(
    mask: np.ndarray, region: np.ndarray, centre: tuple[float, float], side: int
) -> tuple[np.ndarray, np.ndarray]:
    """The pixels of a cell: `side` x `side` around (row, column), cut off at the image's border, moved into it."""
    starts = [
        min(max(round(place - side / 2 + 0.5), 0), max(length - side, 0))
        for place, length in zip(centre, mask.shape, strict=True)
    ]
    part = tuple(slice(start, start + side) for start in starts)
    return mask[part], region[part]


def _place(mask: np.ndarray, region: np.ndarray, names: Mapping[int, str]) -> str:
    """Of the pixels of one cell."""
    inspected = mask[region]
    if not len(inspected):
        return OUTSIDE
    counts = np.bincount(inspected, minlength=1)
    if counts[0] == len(inspected):
        return BARE
    most = 1 + int(counts[1:].argmax())
    return f"{names[most]} {INSIDE if counts[most] == len(inspected) else OUTLINE}"


def _area(mask: np.ndarray, region: np.ndarray, names: Mapping[int, str], side: int) -> dict[str, int]:
    """Place to the number of squares of `side` pixels, side by side from the upper left corner; whole ones only."""

    def pixels_in_squares(of: np.ndarray) -> np.ndarray:
        height, width = (length // side for length in of.shape)
        return of[: height * side, : width * side].reshape(height, side, width, side).sum(axis=(1, 3))

    inspected = pixels_in_squares(region)
    ids = [number for number in np.unique(mask[region]) if number]
    if not ids:
        return {BARE: int((inspected > 0).sum())}
    counts = np.stack([pixels_in_squares((mask == number) & region) for number in ids])
    most, largest = counts.argmax(axis=0), counts.max(axis=0)
    found = {BARE: int(((inspected > 0) & (largest == 0)).sum())}
    for k, number in enumerate(ids):
        of_class = (most == k) & (largest > 0)
        found[f"{names[number]} {INSIDE}"] = int((of_class & (largest == inspected)).sum())
        found[f"{names[number]} {OUTLINE}"] = int((of_class & (largest < inspected)).sum())
    return {place: count for place, count in found.items() if count}
