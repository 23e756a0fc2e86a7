# SPDX-License-Identifier: Apache-2.0
"""What a model's verdicts are worth, counted while the images go by."""

from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np

from ..metrics.bootstrap import intervals
from ..metrics.counts import ClassLike, ImageCounts, count_image, summarise
from ..metrics.tally import Labelled, Scored
from ..naming.figures import ImageVerdicts, image_verdicts, is_passed, verdict_figures
from ..naming.truth import region_truths
from ..naming.verdict import RegionVerdict

Names = Callable[[np.ndarray, int], list[RegionVerdict]]
"""(H, W) int32 numbers of regions, and how many there are, to the verdict of each, on the image scored last."""


class VerdictTally:
    """Of one model that names its alarms.

    Args:
        names: gives regions their verdicts.
        threshold: of the anomaly map.
        coverage: percentage of an instance that must be predicted for its detection.
    """

    def __init__(self, names: Names, threshold: float, classes: Sequence[ClassLike], coverage: float) -> None:
        self._names, self._threshold, self._classes, self._coverage = names, threshold, classes, coverage
        self._regions: list[tuple[str, list[dict[str, Any]]]] = []
        self._after: list[tuple[str, ImageCounts, int]] = []

    def add(self, scores: np.ndarray, image: Labelled, scored: Scored, group: str) -> ImageVerdicts | None:
        """Judge and count one image; None where it is labelled as a whole, so that nobody knows what is right."""
        if image.as_a_whole:
            return None
        count, labels, stats, _ = cv2.connectedComponentsWithStats(scored.predicted.astype(np.uint8), connectivity=8)
        mask = np.where(image.region, image.mask, 0).astype(np.uint8)
        truths = region_truths(labels, count - 1, mask, image.instances, image.classes)
        on_defects = np.bincount(labels[np.isin(mask, image.defect_ids)], minlength=count)
        found = image_verdicts(labels, stats, self._names(labels, count - 1), truths, on_defects)
        self._regions.append((group, found.records))
        left = scored.predicted & ~found.passed
        counts = count_image(scores, self._threshold, image.mask, image.instances, image.region, self._classes, left)
        alarms = sum(not record["defects"] and not is_passed(record) for record in found.records)
        self._after.append((group, counts, alarms))
        return found

    def latest(self) -> dict[str, Any]:
        """The counts of the image counted last, without what was passed."""
        _, counts, alarms = self._after[-1]
        return counts_record(counts, alarms, self._coverage)

    def figures(self) -> dict[str, Any]:
        """JSON-ready: those of `naming.figures`, and `after`, the model's figures without what was passed."""
        whole = summarise([counts for _, counts, _ in self._after], self._classes, self._coverage)
        kept = ("pixel", "classes", "mean_defect_wise_recall", "clean_images")
        return verdict_figures(self._regions, self._classes) | {
            "after": {key: whole[key] for key in kept} | {"intervals": self._intervals()},
        }

    def _intervals(self) -> dict[str, list[float] | None]:
        samples = [
            {"id": str(number), "group": group, "models": {"after": counts_record(counts, alarms, self._coverage)}}
            for number, (group, counts, alarms) in enumerate(self._after)
        ]
        classes = [{"id": c.id, "name": c.name, "kind": c.kind} for c in self._classes]
        return intervals(samples, "after", classes)["intervals"]


def counts_record(counts: ImageCounts, false_regions: int, coverage: float) -> dict[str, Any]:
    """The counts of one image by one model, as metrics.json holds them."""
    return {
        "score": counts.score,
        "alarmed": counts.predicted > 0,
        "true_positive": counts.tp,
        "false_positive": counts.fp,
        "false_negative": counts.fn,
        "true_negative": counts.tn,
        "false_positive_on_impurities": counts.fp_on_impurities,
        "false_positive_regions": false_regions,
        "classes": [
            {"class_id": class_id, "pixels": pixels, "predicted": predicted}
            for class_id, (pixels, predicted) in counts.class_pixels.items()
        ],
        "instances": [
            {"id": i.id, "class_id": i.class_id, "pixels": i.pixels, "predicted": i.predicted,
             "detected": i.detected(coverage)}
            for i in counts.instances
        ],
    }
