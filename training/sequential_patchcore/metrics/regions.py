# SPDX-License-Identifier: Apache-2.0
"""The connected regions that are predicted in an image, and what they lie on; 8-connected throughout.

What each filter would do to the figures is counted for a grid of both at once: the regions of an image are labelled
once for each lower threshold, and dropping by size is then a sum over a short table.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .binarize import Rule, labelled_regions
from .counts import ClassLike, ratio

SIZE_EDGES = (1, 4, 16, 64, 256, 1024, 4096)  # pixels; the last bin is open
SWEPT_SIZES = (0, 4, 16, 64, 256, 1024)
SWEPT_HYSTERESIS = (1.0, 0.9, 0.8, 0.7, 0.6)


@dataclass(frozen=True)
class RegionTable:
    """The predicted regions of one image.

    Attributes:
        pixels: (R,) int64, their sizes.
        on_defects, on_impurities: (R,) int64, how many of these pixels lie on a class of that kind.
        hits: (P, 3) int64 rows of region (0-based), instance number, shared pixels.
    """

    pixels: np.ndarray
    on_defects: np.ndarray
    on_impurities: np.ndarray
    hits: np.ndarray

    @property
    def false(self) -> np.ndarray:
        """(R,) bool: regions that touch no defect pixel."""
        return self.on_defects == 0


def region_table(
    scores: np.ndarray, threshold: float, mask: np.ndarray, instances: np.ndarray, region: np.ndarray,
    classes: Sequence[ClassLike], hysteresis: float = 1.0,
) -> RegionTable:
    """The regions of one image; the arrays are (H, W) as in `metrics.count_image`. None is dropped by its size."""
    labels, pixels = labelled_regions(scores, threshold, region, hysteresis)
    inside = labels > 0
    numbers, at, instance = labels[inside], mask[inside], instances[inside].astype(np.int64)
    kept = np.flatnonzero(pixels)
    place = np.zeros(len(pixels), np.int64)
    place[kept] = np.arange(len(kept))

    def pixels_on(kind: str) -> np.ndarray:
        ids = [c.id for c in classes if c.kind == kind]
        return np.bincount(place[numbers[np.isin(at, ids)]], minlength=len(kept))

    on = instance > 0
    pairs, shared = np.unique((place[numbers[on]] << 32) | instance[on], return_counts=True)
    hits = np.stack([pairs >> 32, pairs & 0xFFFFFFFF, shared], 1) if len(pairs) else np.zeros((0, 3), np.int64)
    return RegionTable(pixels[kept], pixels_on("defect"), pixels_on("impurity"), hits)


class FalseRegionTally:
    """False-positive regions over images, by size."""

    def __init__(self) -> None:
        self._bins = np.zeros((2, len(SIZE_EDGES)), np.int64)  # on images with a label, on clean ones
        self._images = [0, 0]
        self._on_impurities = 0
        self.per_image: list[int] = []

    def add(self, table: RegionTable, rule: Rule, clean: bool) -> None:
        false = table.false & (table.pixels >= rule.min_region)
        sizes = table.pixels[false]
        where = np.searchsorted(SIZE_EDGES, sizes, side="right") - 1
        self._bins[int(clean)] += np.bincount(where, minlength=len(SIZE_EDGES))
        self._images[int(clean)] += 1
        self._on_impurities += int((table.on_impurities[false] > 0).sum())
        self.per_image.append(int(false.sum()))

    def summary(self) -> dict:
        total, clean = int(self._bins.sum()), int(self._bins[1].sum())
        uppers = [edge - 1 for edge in SIZE_EDGES[1:]] + [None]
        return {
            "regions": total,
            "images": sum(self._images),
            "per_image": ratio(total, sum(self._images)),
            "touching_impurities": self._on_impurities,
            "regions_on_clean_images": clean,
            "clean_images": self._images[1],
            "per_clean_image": ratio(clean, self._images[1]),
            "by_size": [
                {"from_pixels": low, "to_pixels": high, "regions": int(self._bins[:, k].sum()),
                 "regions_on_clean_images": int(self._bins[1, k])}
                for k, (low, high) in enumerate(zip(SIZE_EDGES, uppers, strict=True))
            ],
        }


class FilterSweep:
    """What every pair of `SWEPT_HYSTERESIS` and `SWEPT_SIZES` would give: counts that add up over images."""

    def __init__(self, classes: Sequence[ClassLike]) -> None:
        self._classes = list(classes)
        shape = (len(SWEPT_HYSTERESIS), len(SWEPT_SIZES))
        self._tp, self._fp, self._false, self._alarmed = (np.zeros(shape, np.int64) for _ in range(4))
        self._detected = np.zeros((*shape, len(classes)), np.int64)
        self._instances = np.zeros(len(classes), np.int64)
        self._positives = self._clean = 0

    def add(self, tables: Sequence[RegionTable], class_of: dict[int, int], positives: int, clean: bool) -> None:
        """Count one image.

        Args:
            tables: one for each of `SWEPT_HYSTERESIS`.
            class_of: the class of each instance that counts.
            positives: pixels of defects in the region.
            clean: whether the image has no labelled pixel.
        """
        self._positives += positives
        self._clean += clean
        position = {c.id: k for k, c in enumerate(self._classes)}
        for class_id in class_of.values():
            if class_id in position:
                self._instances[position[class_id]] += 1
        for row, table in enumerate(tables):
            for column, size in enumerate(SWEPT_SIZES):
                kept = table.pixels >= size
                tp = int(table.on_defects[kept].sum())
                self._tp[row, column] += tp
                self._fp[row, column] += int(table.pixels[kept].sum()) - tp
                self._false[row, column] += int((table.false & kept).sum())
                self._alarmed[row, column] += clean and bool(kept.any())
                for number in np.unique(table.hits[kept[table.hits[:, 0]], 1]).tolist():
                    if class_of.get(number) in position:
                        self._detected[row, column, position[class_of[number]]] += 1

    def summary(self, images: int) -> list[dict]:
        """One record for each pair, the plain rule first."""
        found = []
        for row, hysteresis in enumerate(SWEPT_HYSTERESIS):
            for column, size in enumerate(SWEPT_SIZES):
                tp, fp = int(self._tp[row, column]), int(self._fp[row, column])
                recalls = {
                    c.name: ratio(int(self._detected[row, column, k]), int(self._instances[k]))
                    for k, c in enumerate(self._classes)
                }
                defects = [
                    recall for c in self._classes if c.kind == "defect" and (recall := recalls[c.name]) is not None
                ]
                found.append({
                    "hysteresis": hysteresis,
                    "min_region": size,
                    "precision": ratio(tp, tp + fp),
                    "recall": ratio(tp, self._positives),
                    "f1": ratio(2 * tp, tp + fp + self._positives),
                    "true_positive": tp,
                    "false_positive": fp,
                    "positives": self._positives,
                    "mean_defect_wise_recall": ratio(sum(defects), len(defects)),
                    "defect_wise_recall": recalls,
                    "detected_instances": {
                        c.name: int(self._detected[row, column, k]) for k, c in enumerate(self._classes)
                    },
                    "instances": {c.name: int(self._instances[k]) for k, c in enumerate(self._classes)},
                    "false_positive_regions": int(self._false[row, column]),
                    "false_positive_regions_per_image": ratio(int(self._false[row, column]), images),
                    "clean_images_with_false_positives": int(self._alarmed[row, column]),
                    "clean_images": self._clean,
                })
        return found
