# SPDX-License-Identifier: Apache-2.0
"""The exact counts at levels of the threshold about the chosen one: what the report's slider shows.

Two counts an image and level, a few numbers an instance; the scores themselves are not kept.
"""

from collections.abc import Sequence

import numpy as np

from .counts import COVERAGE_PERCENT, ClassLike, InstanceCount, ratio
from .threshold_levels import threshold_levels


class ThresholdSweep:
    """Counts at every level of the threshold, over the images of one model.

    Attributes:
        levels: (L,) float32 thresholds, rising.
        at: the level of the chosen threshold, its place in `levels`.
        true_positive, false_positive: one (L,) int64 array an image.
        instances: one (I, 12) int16 array an image: the highest level at which each of its instances counts as
            detected, for each of `COVERAGE_PERCENT`; -1 where at none.
    """

    def __init__(self, threshold: float, classes: Sequence[ClassLike]) -> None:
        self.levels = threshold_levels(threshold)
        self.at = int(np.searchsorted(self.levels, np.float32(threshold)))
        self._classes = list(classes)
        self.true_positive: list[np.ndarray] = []
        self.false_positive: list[np.ndarray] = []
        self.instances: list[np.ndarray] = []
        self._class_ids: list[list[int]] = []
        self._class_pixels = np.zeros((len(classes), len(self.levels)), np.int64)
        self._positives: list[int] = []
        self._clean: list[bool] = []
        self._whole: list[str | None] = []

    def codes(self, scores: np.ndarray) -> np.ndarray:
        """Scores of any shape to uint8: how many levels they reach. Predicted at level k is a code above k."""
        return np.searchsorted(self.levels, scores.ravel(), side="right").astype(np.uint8).reshape(scores.shape)

    def add(
        self, codes: np.ndarray, mask: np.ndarray, numbers: np.ndarray, region: np.ndarray,
        instances: Sequence[InstanceCount],
    ) -> None:
        """Count one image: (H, W) codes, class ids, instance numbers, and the region; its instances as counted."""
        inside, at = codes[region], mask[region]
        steps = len(self.levels)
        joint = np.bincount(at.astype(np.int64) * 256 + inside, minlength=1 << 16).reshape(256, 256)
        reached = np.cumsum(joint[:, ::-1], 1)[:, ::-1][:, 1 : steps + 1]  # class id, level
        defects = [c.id for c in self._classes if c.kind == "defect"]
        tp = reached[defects].sum(0)
        self.true_positive.append(tp)
        self.false_positive.append(reached.sum(0) - tp)
        self._class_pixels += reached[[c.id for c in self._classes]]
        self._positives.append(int(joint[defects].sum()))
        self._clean.append(not joint[[c.id for c in self._classes]].any())
        self._whole.append(None)
        self.instances.append(self._highest(inside, numbers[region], instances))
        self._class_ids.append([i.class_id for i in instances])

    def add_whole(self, codes: np.ndarray, region: np.ndarray, kind: str) -> None:
        """An image that is labelled as a whole: its predicted pixels stand as false ones and enter no sum."""
        steps = len(self.levels)
        found = np.bincount(codes[region], minlength=256)
        self.true_positive.append(np.zeros(steps, np.int64))
        self.false_positive.append(np.cumsum(found[::-1])[::-1][1 : steps + 1])
        self._positives.append(0)
        self._clean.append(False)
        self._whole.append(kind)
        self.instances.append(np.zeros((0, len(COVERAGE_PERCENT)), np.int16))
        self._class_ids.append([])

    def _highest(self, codes: np.ndarray, numbers: np.ndarray, instances: Sequence[InstanceCount]) -> np.ndarray:
        """The instance counts at level k while the m-th largest of its codes is above k, m being the pixels asked."""
        labelled = numbers > 0
        numbers, codes = numbers[labelled].astype(np.int64), codes[labelled]
        found = np.zeros((len(instances), len(COVERAGE_PERCENT)), np.int16)
        width = int(numbers.max(initial=0)) + 1
        joint = np.bincount(numbers * 256 + codes, minlength=width * 256).reshape(width, 256)
        reached = np.cumsum(joint[:, ::-1], 1)[:, ::-1]
        for row, instance in enumerate(instances):
            for column, percent in enumerate(COVERAGE_PERCENT):
                asked = max(1, -(-percent * instance.pixels // 100))
                found[row, column] = np.flatnonzero(reached[instance.id] >= asked)[-1] - 1
        return found

    def detected(self, level: int, percent: int = 0) -> dict[str, tuple[int, int]]:
        """Class name to (detected, all) instances at a level, when detection asks for `percent` of their pixels."""
        column = COVERAGE_PERCENT.index(percent)
        pairs = [
            (class_id, highest[column] >= level)
            for ids, rows in zip(self._class_ids, self.instances, strict=True)
            for class_id, highest in zip(ids, rows, strict=True)
        ]
        return {
            c.name: (
                sum(hit for class_id, hit in pairs if class_id == c.id), sum(class_id == c.id for class_id, _ in pairs)
            )
            for c in self._classes
        }

    def summary(self) -> dict:
        """The sums over all images, a list over the levels each: JSON-ready."""
        located = [k for k, kind in enumerate(self._whole) if kind is None]
        none = np.zeros((1, len(self.levels)), np.int64)  # so that there is a sum over no images too
        tp, fp = (
            np.concatenate([none, *(counts[k][None] for k in located)]).sum(0)
            for counts in (self.true_positive, self.false_positive)
        )
        positives, clean = sum(self._positives), np.array(self._clean, bool)
        told = positives > 0 or "defect" not in self._whole  # else clean images alone would make a precision of 0
        alarmed = (np.array(self.false_positive) > 0)[clean].sum(0) if clean.any() else np.zeros(len(tp), int)
        found = [self.detected(level) for level in range(len(self.levels))]
        defects = [c.name for c in self._classes if c.kind == "defect" and found[0][c.name][1]]
        return {
            "threshold": [float(level) for level in self.levels],
            "chosen": self.at,
            "true_positive": tp.tolist(),
            "false_positive": fp.tolist(),
            "positives": positives,
            "precision": [ratio(int(t), int(t + f)) if told else None for t, f in zip(tp, fp, strict=True)],
            "recall": [ratio(int(t), positives) for t in tp],
            "f1": [ratio(2 * int(t), int(t + f) + positives) if told else None for t, f in zip(tp, fp, strict=True)],
            "clean_images_with_false_positives": [int(n) for n in alarmed],
            "clean_images": int(clean.sum()),
            "class_pixels": {c.name: self._class_pixels[k].tolist() for k, c in enumerate(self._classes)},
            "detected_instances": {c.name: [int(detected[c.name][0]) for detected in found] for c in self._classes},
            "mean_defect_wise_recall": [
                ratio(sum(detected[name][0] / detected[name][1] for name in defects), len(defects))
                for detected in found
            ],
        }
