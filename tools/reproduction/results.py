# SPDX-License-Identifier: Apache-2.0
"""The figures of all scenarios, from their metrics.json: values, counts, and draws of plates that all of them share."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from sequential_patchcore.metrics.bootstrap import FEW_GROUPS, draw, groups_of, interval, statistics
from sequential_patchcore.runtime.errors import UserError

from .plan import SECONDS


@dataclass(frozen=True)
class Ratio:
    """A share from 0 to 1, its interval, and the counts that it is made of; None where there is nothing to count."""

    value: float | None
    interval: tuple[float, float] | None
    part: int | None
    whole: int | None


@dataclass
class Results:
    """What came out.

    Attributes:
        metrics: scenario to its metrics.json.
        seconds: scenario to processor seconds of its own training, without its parents'.
    """

    metrics: Mapping[str, Mapping]
    seconds: Mapping[str, float]
    _drawn: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    _values: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """
        Raises:
            UserError: the scenarios were evaluated on different images.
        """
        shown = {name: [(each["id"], each["group"]) for each in of["samples"]] for name, of in self.metrics.items()}
        first = next(iter(shown.values()), [])
        if other := [name for name, of in shown.items() if of != first]:
            raise UserError(f"{other[0]} was evaluated on other images than the rest; their figures do not compare")
        samples = self._any()["samples"] if self.metrics else []
        self.groups, self._times = draw(groups_of(samples)) if samples else ([], np.zeros((0, 0), np.int64))

    @property
    def drawn(self) -> str:
        """What the draws are of: plates, or images where the data set does not say which plate one shows."""
        samples = self._any()["samples"] if self.metrics else []
        return f"{len(self.groups)} {'plates' if all(each['group'] for each in samples) else 'plates or single images'}"

    @property
    def few_groups(self) -> bool:
        return len(self.groups) < FEW_GROUPS

    @property
    def classes(self) -> Sequence[Mapping]:
        return self._any()["dataset"]["classes"]

    def _any(self) -> Mapping:
        return next(iter(self.metrics.values()))

    def model(self, scenario: str) -> Mapping:
        return next(iter(self.metrics[scenario]["models"].values()))

    def value(self, scenario: str, figure: str) -> float | None:
        """A share from 0 to 1, or processor seconds; None where it is undefined or the scenario was not made."""
        if figure == SECONDS:
            return self.seconds.get(scenario)
        if scenario not in self.metrics:
            return None
        if scenario not in self._values:
            self._values[scenario] = self._statistics(scenario, np.ones((1, len(self.groups)), np.int64))
        found = self._values[scenario].get(figure)
        return None if found is None or np.isnan(found[0]) else float(found[0])

    def draws(self, scenario: str, figure: str) -> np.ndarray | None:
        """The figure in each draw of plates, (draws,) float64, NaN where undefined; the same draws for all."""
        if scenario not in self.metrics or len(self.groups) < 2:
            return None
        if scenario not in self._drawn:
            self._drawn[scenario] = self._statistics(scenario, self._times)
        return self._drawn[scenario].get(figure)

    def _statistics(self, scenario: str, times: np.ndarray) -> dict[str, np.ndarray]:
        of = self.metrics[scenario]
        name = next(iter(of["models"]))
        samples = [  # of a model that names its alarms, without those that it passes
            sample | {"models": {name: sample["models"][name].get("after", sample["models"][name])}}
            for sample in of["samples"]
        ]
        return statistics(samples, name, of["dataset"]["classes"], times)

    def ratio(self, scenario: str, figure: str) -> Ratio:
        """A figure with its counts; the mean defect-wise recall has none of its own."""
        drawn = self.draws(scenario, figure)
        chance = None if drawn is None else interval(drawn)
        model = self.model(scenario)
        part, whole = _counts(model.get("verdicts", {}).get("after", model), figure)
        return Ratio(self.value(scenario, figure), chance and tuple(chance), part, whole)


def _counts(model: Mapping, figure: str) -> tuple[int | None, int | None]:
    pixels = model["pixel"]["counts"]
    tp, fp, fn = (pixels[key] for key in ("true_positive", "false_positive", "false_negative"))
    whole: dict[str, Callable[[], tuple[int, int]]] = {
        "precision": lambda: (tp, tp + fp),
        "recall": lambda: (tp, tp + fn),
        "f1": lambda: (2 * tp, 2 * tp + fp + fn),
    }
    if figure in whole:
        return whole[figure]()
    kind, _, name = figure.partition(".")
    of = model["classes"].get(name)
    if kind == "pixel_recall" and of:
        return of["predicted_pixels"], of["pixels"]
    if kind == "defect_wise_recall" and of:
        return of["detected_instances"], of["instances"]
    return None, None
