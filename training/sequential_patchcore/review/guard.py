# SPDX-License-Identifier: Apache-2.0
"""Before a taught model becomes active: which defects were found, and would no longer be."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..coreset.search import NearestSearch
from ..data.dataset import Dataset
from ..model.file import Model
from ..runtime.errors import UserError
from ..runtime.progress import Progress
from .journal import DEFECT, MISSED, Entry
from .patches import RegionPatches
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
    """The labelled defects of a split, as patches, scored by any memory in a moment."""

    def __init__(self, review_set: ReviewSet, dataset: Dataset, split: str = "val") -> None:
        defects = {info.name for info in dataset.classes if info.kind == "defect"}
        samples = [
            sample for sample in dataset.samples if sample.split == split
            and any(one.class_name in defects and one.pixels is not None for one in sample.instances)
        ]
        self._patches: dict[str, RegionPatches] = {}
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
                progress.step()
        self._known: tuple[str, dict[str, float]] | None = None

    def __len__(self) -> int:
        return len(self._patches)

    def peaks(self, model: Model) -> dict[str, float]:
        """The highest score of each."""
        if self._known is None or self._known[0] != model.fingerprint:
            search = NearestSearch(model.features)
            self._known = (model.fingerprint, {name: one.peak(search) for name, one in self._patches.items()})
        return self._known[1]


def losses(
    before: Taught, after: Taught, entries: Sequence[Entry], validation: ValidationDefects | None = None
) -> list[Loss]:
    """The defects of the review and of the validation split that the first model finds and the second does not.

    Args:
        entries: the decisions that count with the second.

    Raises:
        UserError: a model without a threshold.
    """
    first, second = _threshold(before.model), _threshold(after.model)
    found = []
    labelled = {entry.id: entry for entry in entries if entry.decision in (DEFECT, MISSED) and entry.region}
    pairs: list[tuple[Mapping[str, str], Mapping[str, float], Mapping[str, float]]] = [(
        {key: f"{entry.decision} region of {entry.image.get('name')} at {list(entry.region['box'])}"
         for key, entry in labelled.items()}, before.peaks, after.peaks,
    )]
    if validation is not None:
        then, now = dict(validation.peaks(before.model)), dict(validation.peaks(after.model))
        pairs.append(({name: name for name in then}, then, now))
    for names, then, now in pairs:
        for key, name in names.items():
            if key in then and key in now and _reaches(then[key], first) and not _reaches(now[key], second):
                found.append(Loss(name, then[key], now[key], second))
    return found


def _reaches(score: float, threshold: float) -> bool:
    return bool(np.float32(score) >= np.float32(threshold))


def _threshold(model: Model) -> float:
    if model.threshold is None:
        raise UserError("the model has no threshold: set one with `sequential-patchcore calibrate`")
    return model.threshold.value
