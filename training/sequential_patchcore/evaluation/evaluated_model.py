# SPDX-License-Identifier: Apache-2.0
"""A model as the evaluation sees it, and how a scorer becomes one."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..metrics.binarize import PLAIN, Rule
from ..naming.namer import Namer, namer_of
from ..naming.verdict import RegionVerdict
from ..scoring.anomaly_map import PatchScores
from ..scoring.description import describe_model
from ..scoring.nearest_nominal import Explanation
from ..scoring.scorer import Scorer


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
        names: for (H, W) numbers of regions of the image scored last, and their count, the verdict of each; None of a
            model that does not name its alarms.
    """

    name: str
    path: str | None
    threshold: float | None
    score: Callable[[np.ndarray], np.ndarray]
    info: dict = field(default_factory=dict)
    explain: Callable[[Sequence[tuple[int, int]]], list[Explanation]] | None = None
    names: Callable[[np.ndarray, int], list[RegionVerdict]] | None = None


def evaluated_models(
    scorers: Scorer | Sequence[Scorer] | Mapping[str, Scorer], rule: Rule = PLAIN
) -> list[EvaluatedModel]:
    """The scorers by their names: those of the mapping, else of their model files, else "model 1", "model 2", ..."""
    if isinstance(scorers, Mapping):
        return [_evaluated(name, scorer, rule) for name, scorer in scorers.items()]
    if isinstance(scorers, Scorer):
        scorers = [scorers]
    return [
        _evaluated(f"model {number}" if scorer.path is None else Path(scorer.path).stem, scorer, rule)
        for number, scorer in enumerate(scorers, start=1)
    ]


def _evaluated(name: str, scorer: Scorer, rule: Rule) -> EvaluatedModel:
    namer = namer_of(scorer, None, rule, by_product=False)
    latest, model = _Latest(scorer, namer), scorer.model
    return EvaluatedModel(
        name, scorer.path, None if scorer.threshold is None else scorer.threshold.value, latest.anomaly_map,
        {} if model is None else describe_model(model), None if model is None else latest.explain,
        None if namer is None else latest.names,
    )


class _Latest:
    """Keeps the patches of the image scored last, so that they can be explained without running the network again."""

    def __init__(self, scorer: Scorer, namer: Namer | None) -> None:
        self._scorer, self._namer = scorer, namer
        self._scored: PatchScores | None = None

    def anomaly_map(self, image: np.ndarray) -> np.ndarray:
        self._scored = self._scorer.patches(image)
        return self._scored.anomaly_map()

    def explain(self, pixels: Sequence[tuple[int, int]]) -> list[Explanation]:
        if self._scored is None:
            raise ValueError("score an image first")
        return self._scorer.explain(self._scored, pixels)

    def names(self, labels: np.ndarray, count: int) -> list[RegionVerdict]:
        if self._scored is None or self._namer is None:
            raise ValueError("score an image first, with a model that names its alarms")
        return self._namer.verdicts(self._scored, labels, count)
