# SPDX-License-Identifier: Apache-2.0
"""What a model knows about naming its alarms: a linear score for each class, and how far it may be trusted."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Naming:
    """The rule by which a predicted region gets an impurity's name, or none; `naming.judgement` applies it.

    E small networks, each of one hidden layer of H units, score a patch: weights[e] max(0, hidden_weights[e] x +
    hidden_offsets[e]) + offsets[e] are its scores of the G classes, and the log probabilities that follow are averaged
    over the networks. Its defect-likeness is the log odds of the defects together against the impurities together.

    Attributes:
        names: (G,) names of the classes.
        kinds: (G,) "impurity" or "defect". A region may get the name of an impurity, which the model has a memory of.
        hidden_weights, hidden_offsets, weights, offsets: (E, H, D), (E, H), (E, G, H) and (E, G) float32.
        reach: (G,) float32: a patch that is farther than this from the memory of the impurity that it would be is
            unknown, raw units; 0 for defects.
        pass_below: likeness below which a region is passed; -inf where nothing can be promised.
        defect_from: likeness from which it is called a defect. Between the two it is unsure.
        window: side, in cells, of the neighbourhoods that are judged.
        likest: how many patches of a neighbourhood decide, those likest a defect.
        near_from: distance to the nominal memory from which a patch near a region is judged with it, raw units.
        near_cells: how far such patches may lie from the region.
        unknown_share: of a neighbourhood's patches that may be unknown, or the region is unsure.
        threshold: of the anomaly map, for which the rule was set.
        promise: what was counted on validation plates, and what follows; JSON-ready, see `naming.operating_point`.
        learnt_from: data sets, and patches by class; JSON-ready.
    """

    names: tuple[str, ...]
    kinds: tuple[str, ...]
    hidden_weights: np.ndarray
    hidden_offsets: np.ndarray
    weights: np.ndarray
    offsets: np.ndarray
    reach: np.ndarray
    pass_below: float
    defect_from: float
    window: int
    likest: int
    near_from: float
    near_cells: int
    unknown_share: float
    threshold: float
    promise: dict[str, Any] = field(default_factory=dict)
    learnt_from: dict[str, Any] = field(default_factory=dict)

    @property
    def networks(self) -> tuple[np.ndarray, ...]:
        """Hidden weights and offsets, weights and offsets."""
        return self.hidden_weights, self.hidden_offsets, self.weights, self.offsets

    @property
    def impurities(self) -> tuple[str, ...]:
        """The names that a region may get."""
        return tuple(name for name, kind in zip(self.names, self.kinds, strict=True) if kind == "impurity")


PRODUCTS = "products"
"""In `Naming.learnt_from`: the digest of the thresholds by product and zone that the rule was set with."""


def promise_in_words(promise: dict[str, Any]) -> str:
    """The promise, for people."""
    said = f"{promise['lost']} of {promise['views']} defect views on {promise['plates']} plates lost"
    more = f"{promise['more_plates']} more plates with defects like these"
    if promise["wanted"] is not None and promise["at_most"] == 0:
        return (f"at most {promise['wanted']:.2%} lost with {promise['confidence']:.0%} confidence cannot be promised "
                f"with {promise['views']} defect views on {promise['plates']} plates: every alarm stays unsure. It "
                f"takes {promise['views_needed']} views, about {more}")
    if "library_views" in promise:
        said += f" (and {promise['library_lost']} of {promise['library_views']} of the library)"
    text = (f"{said}: of new ones at most {promise['at_most']:.1%}, with {promise['confidence']:.0%} confidence; "
            f"{promise['passed']} of {promise['other_regions']} other regions passed")
    if promise["wanted"] is None:
        return f"{text}. About {more} would halve that share"
    return text
