# SPDX-License-Identifier: Apache-2.0
"""What is kept of one model while the images go by: counts, never maps; and how it becomes the model's figures."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from .binarize import Rule, binary_map
from .bootstrap import ranking_intervals
from .counts import ClassLike, ImageCounts, count_image, summarise
from .image_level import image_level
from .ranking import AUPRO_LIMIT, CoarseHistogram, ScoreHistogram
from .regions import SWEPT_HYSTERESIS, FalseRegionTally, FilterSweep, region_table
from .threshold_levels import level_codes
from .threshold_sweep import ThresholdSweep


@dataclass(frozen=True)
class Labelled:
    """One image with its labels: (H, W, 3) float32, (H, W) uint8 class ids, (H, W) numbers, (H, W) bool.

    `as_a_whole` are the classes of labels whose place is not known. Where there is one, no pixel of the image is known
    to be clean.
    """

    image: np.ndarray
    mask: np.ndarray
    instances: np.ndarray
    region: np.ndarray
    classes: Sequence[ClassLike]
    as_a_whole: Sequence[ClassLike] = ()

    @property
    def defect_ids(self) -> tuple[int, ...]:
        return tuple(c.id for c in self.classes if c.kind == "defect")

    @property
    def whole(self) -> str | None:
        """ "defect" or "impurity" where the image is labelled as a whole, a defect winning; else None."""
        if not self.as_a_whole:
            return None
        located = np.isin(self.mask, self.defect_ids) & self.region
        return "defect" if located.any() or any(c.kind == "defect" for c in self.as_a_whole) else "impurity"


@dataclass(frozen=True)
class Scored:
    """What one model made of one image: (H, W) bool prediction, and the counts.

    `reached` (H, W) uint8 says how many levels of the threshold the score reaches, `codes` at how many the pixel is
    predicted: the same array where no filter acts.
    """

    predicted: np.ndarray
    reached: np.ndarray
    codes: np.ndarray
    counts: ImageCounts


@dataclass
class Tally:
    """The counts of one model.

    Attributes:
        threshold: raw score units.
        rule: the filters after it.
        coverage: percentage of an instance that must be predicted for its detection.
    """

    threshold: float
    classes: Sequence[ClassLike]
    rule: Rule = field(default_factory=Rule)
    coverage: float = 0
    images: list[ImageCounts] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    histogram: ScoreHistogram = field(default_factory=ScoreHistogram)

    def __post_init__(self) -> None:
        self.sweep = ThresholdSweep(self.threshold, self.classes)
        self.false_regions = FalseRegionTally()
        self._filters = FilterSweep(self.classes)
        self._coarse: dict[str, CoarseHistogram] = {}

    def add(self, scores: np.ndarray, image: Labelled, group: str) -> Scored:
        """Count one image: scores (H, W) float32."""
        predicted = binary_map(scores, self.threshold, image.region, self.rule)
        labels = (image.mask, image.instances, image.region, image.classes)
        counts = count_image(scores, self.threshold, *labels, predicted, image.whole)
        self.images.append(counts)
        self.groups.append(group)
        reached = self.sweep.codes(scores)
        codes = reached if self.rule.plain else level_codes(scores, self.sweep.levels, image.region, self.rule)
        if counts.whole is not None:
            self.sweep.add_whole(codes, image.region, counts.whole)
            self._coarse.setdefault(group, CoarseHistogram())
            self.false_regions.per_image.append(0)
            return Scored(predicted, reached, codes, counts)
        self._rank(scores, image, group)
        self.sweep.add(codes, image.mask, image.instances, image.region, counts.instances)
        tables = {
            share: region_table(scores, self.threshold, *labels, share)
            for share in {*SWEPT_HYSTERESIS, self.rule.hysteresis}
        }
        self.false_regions.add(tables[self.rule.hysteresis], self.rule, counts.clean)
        self._filters.add(
            [tables[share] for share in SWEPT_HYSTERESIS], {i.id: i.class_id for i in counts.instances},
            counts.tp + counts.fn, counts.clean,
        )
        return Scored(predicted, reached, codes, counts)

    def _rank(self, scores: np.ndarray, image: Labelled, group: str) -> None:
        positive = np.isin(image.mask, image.defect_ids) & image.region
        inside = image.region
        regions = cv2.connectedComponents(positive.astype(np.uint8), connectivity=8)[1]
        self.histogram.add(scores[inside], positive[inside], regions[inside])
        self._coarse.setdefault(group, CoarseHistogram()).add(scores[inside], positive[inside], regions[inside])

    def figures(self) -> dict:
        """All figures of the model that do not need the others, JSON-ready."""
        summary = summarise(self.images, self.classes, self.coverage)
        for name in ("auroc", "average_precision", "aupro"):
            summary["pixel"][name], summary["pixel"][f"{name}_error"] = getattr(self.histogram, name)()
        summary["pixel"]["aupro_limit"] = AUPRO_LIMIT
        located = sum(i.whole is None for i in self.images)
        levels = image_level(self.images, self.groups)
        return {
            "threshold": float(self.threshold),
            "rule": {"min_region": self.rule.min_region, "hysteresis": self.rule.hysteresis, "text": str(self.rule)},
            **summary,
            "image_auroc": levels["images"]["auroc"],
            "image_level": levels,
            "false_positive_regions": self.false_regions.summary(),
            "filter_sweep": self._filters.summary(located),
            "threshold_sweep": self.sweep.summary(),
            "precision_recall_curve": self.histogram.curve(),
        }

    def ranking_intervals(self) -> dict[str, list[float] | None]:
        return ranking_intervals(self._coarse, self.groups)
