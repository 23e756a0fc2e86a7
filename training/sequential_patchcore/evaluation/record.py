# SPDX-License-Identifier: Apache-2.0
"""metrics.json: the figures of all models with their intervals, and the counts of every image."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..data.dataset import Dataset
from ..metrics.bootstrap import differences, intervals
from ..metrics.counts import DEFINITIONS
from ..metrics.tally import Tally
from ..report.cards import Card
from ..scoring.nearest_nominal import Nominal
from .folder import FORMAT_VERSION


@dataclass(frozen=True)
class EvaluatedModel:
    """A model as the evaluation sees it.

    Attributes:
        name: shown in tables and used in file names; unique within a comparison.
        path: the model file, for messages and the record.
        threshold: raw score units; a pixel is anomalous when score >= threshold.
        score: (H, W, 3) float32 RGB in [0, 1] to the (H, W) float32 anomaly map, non-negative.
        info: what the report says about the model, free-form and JSON-ready. Known keys: `random_weights` (bool) puts
            a red banner on the page, `epochs` (list of counts or of mappings with "replacements") makes a figure,
            `training_pictures` (list of (caption, (H, W, 3) array)) are shown and stay out of metrics.json.
        explain: for pixels (row, column) of the image scored last the nominal patches they were compared with.
    """

    name: str
    path: str | None
    threshold: float | None
    score: Callable[[np.ndarray], np.ndarray]
    info: dict = field(default_factory=dict)
    explain: Callable[[Sequence[tuple[int, int]]], list[Nominal]] | None = None


def metrics_record(
    models: Sequence[EvaluatedModel], tallies: Sequence[Tally], dataset: Dataset, split: str, inputs: str | None,
    shown: Sequence[Card],
) -> dict:
    """What metrics.json holds, but for the names of the files beside it."""
    classes = [{"id": c.id, "name": c.name, "kind": c.kind} for c in dataset.classes]
    samples = [_sample_record(card, models, tallies[0].coverage) for card in shown]
    reference = models[0].name
    found = {}
    for model, tally in zip(models, tallies, strict=True):
        chance = intervals(samples, model.name, classes)
        if chance["intervals"]:
            chance["intervals"] |= tally.ranking_intervals()
        found[model.name] = {
            "path": model.path,
            **tally.figures(),
            "bootstrap": chance,
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


def _sample_record(card: Card, models: Sequence[EvaluatedModel], coverage: float) -> dict:
    """The counts of one image, so that any other number can be made without scoring again."""
    return {
        "id": card.id,
        "group": card.group,
        "models": {
            model.name: {
                "outcome": tile.outcome,
                "score": tile.counts.score,
                "true_positive": tile.counts.tp,
                "false_positive": tile.counts.fp,
                "false_negative": tile.counts.fn,
                "true_negative": tile.counts.tn,
                "false_positive_on_impurities": tile.counts.fp_on_impurities,
                "false_positive_regions": tile.false_regions,
                "classes": [
                    {"class_id": class_id, "pixels": pixels, "predicted": predicted}
                    for class_id, (pixels, predicted) in tile.counts.class_pixels.items()
                ],
                "instances": [
                    {"id": i.id, "class_id": i.class_id, "pixels": i.pixels, "predicted": i.predicted,
                     "detected": i.detected(coverage)}
                    for i in tile.counts.instances
                ],
            }
            for model, tile in zip(models, card.tiles, strict=True)
        },
    }


def _plain(value: object) -> object:
    """`value` in JSON's types; a number that JSON lacks becomes None, a foreign object its text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(of) for key, of in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(of) for of in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)
