# SPDX-License-Identifier: Apache-2.0
"""metrics.json: the figures of all models with their intervals, and the counts of every image."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..data.dataset import Dataset
from ..metrics.bootstrap import differences, intervals
from ..metrics.counts import DEFINITIONS, ImageCounts
from ..metrics.tally import Tally
from .evaluated_model import EvaluatedModel
from .folder import FORMAT_VERSION
from .verdicts import VerdictTally, counts_record


@dataclass(frozen=True)
class ModelResult:
    """What one model made of one image.

    Attributes:
        counts: of pixels and instances.
        outcome: a key of `report.cards.OUTCOMES`.
        false_regions: how many predicted regions touch no defect.
        regions: the records of its regions (`naming.figures`), of a model that names them; else None.
        after: then the counts without what was passed (`counts_record`).
    """

    counts: ImageCounts
    outcome: str
    false_regions: int
    regions: list[dict] | None = None
    after: dict | None = None


@dataclass(frozen=True)
class ImageResult:
    """What came of one image, by each model in the order of the comparison; `id` and `group` are the sample's.

    `whole` is "defect" or "impurity" where the image is labelled as a whole.
    """

    id: str
    group: str
    by_model: tuple[ModelResult, ...]
    whole: str | None = None


def metrics_record(
    models: Sequence[EvaluatedModel], tallies: Sequence[Tally], dataset: Dataset, split: str, inputs: str | None,
    results: Sequence[ImageResult], named: Sequence[VerdictTally | None],
) -> dict:
    """What metrics.json holds, but for the names of the files beside it."""
    classes = [{"id": c.id, "name": c.name, "kind": c.kind} for c in dataset.classes]
    samples = [_sample_record(result, models, tallies[0].coverage) for result in results]
    reference = models[0].name
    found = {}
    for model, tally, verdicts in zip(models, tallies, named, strict=True):
        chance = intervals(samples, model.name, classes)
        if chance["intervals"]:
            chance["intervals"] |= tally.ranking_intervals()
        found[model.name] = {
            "path": model.path,
            **tally.figures(),
            "bootstrap": chance,
            **({} if verdicts is None else {"verdicts": verdicts.figures()}),
            "info": _plain({key: value for key, value in model.info.items() if key != "training_pictures"}),
        }
    return {
        "format_version": FORMAT_VERSION,
        "inputs": inputs,
        "definitions": DEFINITIONS,
        "dataset": {
            "name": dataset.name,
            "path": str(dataset.path),
            "split": split,
            "pixel_size_um": dataset.pixel_size_um,
            "classes": classes,
        },
        "models": found,
        "differences": {
            "reference": reference,
            "intervals": {m.name: differences(samples, m.name, reference, classes) for m in models[1:]},
        },
        "samples": samples,
    }


def _sample_record(result: ImageResult, models: Sequence[EvaluatedModel], coverage: float) -> dict:
    """The counts of one image, so that any other number can be made without scoring again."""
    return {
        "id": result.id,
        "group": result.group,
        **({} if result.whole is None else {"whole": result.whole}),
        "models": {
            model.name: {
                "outcome": found.outcome,
                **counts_record(found.counts, found.false_regions, coverage),
                **({} if found.regions is None else {"regions": found.regions, "after": found.after}),
            }
            for model, found in zip(models, result.by_model, strict=True)
        },
    }


def _plain(value: object) -> object:
    """`value` in JSON's types; a number that JSON lacks becomes None, a foreign object its text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(inner) for inner in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)
