# SPDX-License-Identifier: Apache-2.0
"""What a model knows about naming its alarms: a linear score for each class, and how far it may be trusted."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Naming:
    """The rule by which a predicted region gets an impurity's name, or none; `naming.judgement` applies it.

    A patch x scores weights[g] . x + offsets[g] for class g: log probabilities up to a term that all share, by linear
    discriminant analysis. Its defect-likeness is the log odds of the defects together against the impurities together.

    Attributes:
        names: (G,) names of the classes.
        kinds: (G,) "impurity" or "defect". A region may get the name of an impurity, which the model has a memory of.
        weights: (G, D) float32.
        offsets: (G,) float32.
        reach: (G,) float32: a patch that is farther than this from the memory of the impurity that it would be is
            unknown, raw units; 0 for defects.
        pass_below: likeness below which a region is passed; -inf where nothing can be promised.
        defect_from: likeness from which it is called a defect. Between the two it is unsure.
        window: side, in cells, of the neighbourhoods of which so many patches decide, the likest a defect.
        unknown_share: of a neighbourhood's patches that may be unknown, or the region is unsure.
        threshold: of the anomaly map, for which the rule was set.
        promise: what was counted on validation plates, and what follows; JSON-ready, see `naming.operating_point`.
        learnt_from: data sets, and patches by class; JSON-ready.
    """

    names: tuple[str, ...]
    kinds: tuple[str, ...]
    weights: np.ndarray
    offsets: np.ndarray
    reach: np.ndarray
    pass_below: float
    defect_from: float
    window: int
    unknown_share: float
    threshold: float
    promise: dict[str, Any] = field(default_factory=dict)
    learnt_from: dict[str, Any] = field(default_factory=dict)

    @property
    def impurities(self) -> tuple[str, ...]:
        """The names that a region may get."""
        return tuple(name for name, kind in zip(self.names, self.kinds, strict=True) if kind == "impurity")


def promise_in_words(promise: dict[str, Any]) -> str:
    """The promise, for people."""
    said = f"{promise['lost']} of {promise['views']} defect views on {promise['plates']} plates lost"
    more = f"{promise['more_plates']} more plates with defects like these"
    if promise["wanted"] is not None and promise["at_most"] == 0:
        return (f"at most {promise['wanted']:.2%} lost with {promise['confidence']:.0%} confidence cannot be promised "
                f"with {promise['views']} defect views on {promise['plates']} plates: every alarm stays unsure. It "
                f"takes {promise['views_needed']} views, about {more}")
    text = (f"{said}: of new ones at most {promise['at_most']:.1%}, with {promise['confidence']:.0%} confidence; "
            f"{promise['passed']} of {promise['other_regions']} other regions passed")
    if promise["wanted"] is None:
        return f"{text}. About {more} would halve that share"
    return text
