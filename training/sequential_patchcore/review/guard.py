# SPDX-License-Identifier: Apache-2.0
"""Before a taught model becomes active: which defects were found, and would no longer be."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..coreset.search import NearestSearch
from ..data.dataset import Dataset, Sample
from ..model.file import Model
from ..runtime.progress import Progress
from .journal import DEFECT, MISSED, Entry
from .patches import RegionPatches
from .region_limits import Peak, limits_at, peak_of, zone_numbers
from .replay import Taught
from .review_set import ReviewSet


@dataclass(frozen=True)
class Loss:
    """A defect that was found and would no longer be: what it is, its score before and after, the new threshold."""

    name: str
    before: float
    after: float
    threshold: float

    def __str__(self) -> str:
        return f"{self.name}: score {self.before:.4g}, then {self.after:.4g}, threshold {self.threshold:.4g}"


class ValidationDefects:
    """The labelled defects of a split, as patches, scored by any memory in a moment.

    Args:
        product_of: tells the product of a sample, where the model has thresholds of several.
    """

    def __init__(
        self, review_set: ReviewSet, dataset: Dataset, split: str = "val",
        product_of: Callable[[Sample], str] | None = None,
    ) -> None:
        defects = {info.name for info in dataset.classes if info.kind == "defect"}
        samples = [
            sample for sample in dataset.samples if sample.split == split
            and any(one.class_name in defects and one.pixels is not None for one in sample.instances)
        ]
        self._patches: dict[str, RegionPatches] = {}
        self._products: dict[str, str] = {}
        with Progress("defects of the validation split", len(samples)) as progress:
            for sample in samples:
                picture = dataset.image(sample)
                vectors, grid = review_set.patches_of(picture)
                numbers, region = dataset.instances(sample), dataset.region(sample)
                for one in sample.instances:
                    inside = region & (numbers == one.id)
                    if one.class_name in defects and one.pixels is not None and inside.any():
                        name = f"{one.class_name} {one.id} of {sample.id} ({dataset.name}, {split})"
                        self._patches[name] = RegionPatches.of(
                            vectors, grid, review_set.blur_sigma, picture, inside, extractor="")
                        self._products[name] = "" if product_of is None else product_of(sample)
                progress.step()
        self._known: tuple[str, dict[str, np.ndarray]] | None = None

    def __len__(self) -> int:
        return len(self._patches)

    def peaks(self, model: Model) -> dict[str, Peak]:
        """The highest score of each, and the threshold that decides there."""
        if self._known is None or self._known[0] != model.fingerprint:
            search = NearestSearch(model.features)
            self._known = (model.fingerprint, {name: one.scores(search) for name, one in self._patches.items()})
        found = {}
        for name, scores in self._known[1].items():
            limits = limits_at(model, self._products[name], self._patches[name].grid.size)
            found[name] = peak_of(scores, limits, zone_numbers(limits, self._patches[name]))
        return found


def losses(
    before: Taught, after: Taught, entries: Sequence[Entry], validation: ValidationDefects | None = None
) -> list[Loss]:
    """The defects of the review and of the validation split that the first model finds and the second does not.

    Args:
        entries: the decisions that count with the second.

    Raises:
        UserError: a model without a threshold.
    """
    found = []
    labelled = [entry for entry in entries if entry.decision in (DEFECT, MISSED) and entry.region]
    for entry in labelled:
        if before.alarms(entry.id) and entry.id in after.peaks and not after.alarms(entry.id):
            name = f"{entry.decision} region of {entry.image.get('name')} at {list(entry.region['box'])}"
            found.append(Loss(name, before.peaks[entry.id], after.peaks[entry.id], after.thresholds[entry.id]))
    if validation is not None:
        then, now = validation.peaks(before.model), validation.peaks(after.model)
        found += [Loss(name, then[name].score, now[name].score, now[name].threshold) for name in then
                  if then[name].alarms and not now[name].alarms]
    return found
