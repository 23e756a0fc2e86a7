# SPDX-License-Identifier: Apache-2.0
"""What the labels of a data set say about the predicted regions of an image, and about its patches."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from ..extractors.grid import Grid
from ..metrics.counts import ClassLike

CLEAN = ""
"""In place of a class's name: the region touches no label."""


@dataclass(frozen=True)
class RegionTruth:
    """What a region lies on.

    Attributes:
        defects: numbers of the defect instances that it touches, and their class's name.
        impurity: the impurity that most of its labelled pixels carry; `CLEAN` where there is none.
    """

    defects: dict[int, str]
    impurity: str


def region_truths(
    labels: np.ndarray, count: int, mask: np.ndarray, instances: np.ndarray, classes: Sequence[ClassLike]
) -> list[RegionTruth]:
    """Of each of the `count` regions numbered in (H, W) `labels`; mask and instances are (H, W) too."""
    names = {info.id: info.name for info in classes}
    defect_ids = [info.id for info in classes if info.kind == "defect"]
    impurity_ids = [info.id for info in classes if info.kind == "impurity"]
    defects: list[dict[int, str]] = [{} for _ in range(count)]
    on_defect = (labels > 0) & np.isin(mask, defect_ids)
    rows = np.unique(np.stack([labels[on_defect], instances[on_defect], mask[on_defect]], 1).astype(np.int64), axis=0)
    for region, instance, class_id in rows.tolist():
        defects[region - 1].setdefault(instance, names[class_id])
    votes = np.zeros((count + 1, 256), np.int64)
    on_impurity = (labels > 0) & np.isin(mask, impurity_ids)
    np.add.at(votes, (labels[on_impurity], mask[on_impurity]), 1)
    winners = votes.argmax(1)
    return [
        RegionTruth(defects[region], names[int(winners[region + 1])] if votes[region + 1].any() else CLEAN)
        for region in range(count)
    ]


def cell_classes(mask: np.ndarray, grid: Grid, classes: Sequence[ClassLike]) -> np.ndarray:
    """(h, w) int64: the class of each patch, for learning; 0 where it has none, -1 where it should not be learnt from.

    A patch has the class that covers at least half of its cell, of a defect a quarter, since defects are thin. Patches
    next to a defect see it without lying on it: nothing is learnt from them.
    """
    height, width = grid.cells
    rows, columns = grid.nearest_cells()
    flat = (rows[:, None] * width + columns[None, :]).ravel()
    pixels = np.maximum(np.bincount(flat, minlength=height * width), 1)

    def share(ids: Sequence[int]) -> np.ndarray:
        return np.bincount(flat, np.isin(mask, ids).ravel(), height * width) / pixels

    found = np.zeros(height * width, np.int64)
    defect = share([info.id for info in classes if info.kind == "defect"]).reshape(height, width)
    near = cv2.dilate((defect > 0).astype(np.uint8), np.ones((5, 5), np.uint8)).ravel() > 0
    best = np.zeros(height * width)
    for info in classes:
        covered = share([info.id])
        takes = (covered >= (0.25 if info.kind == "defect" else 0.5)) & (covered > best)
        takes &= near if info.kind == "defect" else ~near
        found[takes], best[takes] = info.id, covered[takes]
    found[near & ~np.isin(found, [info.id for info in classes if info.kind == "defect"])] = -1
    return found.reshape(height, width)
