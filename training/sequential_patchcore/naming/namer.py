# SPDX-License-Identifier: Apache-2.0
"""From a scored image to the verdict of each of its predicted regions, by the model's rule and memories."""

import hashlib
from functools import cached_property

import numpy as np
import torch

from ..coreset.search import NearestSearch
from ..metrics.binarize import PLAIN, Rule
from ..model.file import Model
from ..model.naming import PRODUCTS, Naming
from ..model.products import products_digest
from ..runtime.errors import UserError
from ..runtime.progress import say
from ..scoring.anomaly_map import PatchScores
from ..scoring.scorer import Scorer
from .judgement import PatchFigures, judge, likeness_and_impurity
from .regions import regions_of_labels, surroundings
from .verdict import RegionVerdict


class Namer:
    """Gives predicted regions their verdicts.

    Args:
        scorer: made of a model that has a rule, or of one without where `naming` is given.
        naming: in place of the model's.

    Raises:
        UserError: no rule, or one that does not fit the model's memories.
    """

    def __init__(self, scorer: Scorer, naming: Naming | None = None) -> None:
        model = scorer.model
        assert model is not None
        chosen = naming or model.naming
        if chosen is None:
            raise UserError("the model has no rule to name alarms by; `sequential-patchcore verdicts` sets one")
        self.naming, self._scorer, self._model = chosen, scorer, model
        if missing := [name for name in chosen.impurities if name not in model.memories]:
            raise UserError(f"the rule names {', '.join(missing)}, of which the model has no memory")

    @property
    def identity(self) -> list:
        """What verdicts depend on beside the nominal scores, JSON-ready."""
        return [naming_digest(self.naming), memories_digest(self._model)]

    @cached_property
    def searches(self) -> dict[str, NearestSearch]:
        """Of each memory the search for its nearest vector."""
        return {
            name: NearestSearch(memory.vectors, self._scorer.device) for name, memory in self._model.memories.items()
        }

    def verdicts(self, scored: PatchScores, labels: np.ndarray, count: int) -> list[RegionVerdict]:
        """The verdict of each region of an image.

        Args:
            scored: its patches.
            labels: (H, W) int32, 0 where nothing is predicted, else the number of the region, 1 ... `count`.
        """
        if not count:
            return []
        regions = surroundings(
            regions_of_labels(labels, count, scored.grid), scored.distances, self.naming.near_from,
            self.naming.near_cells,
        )
        at = tuple(torch.from_numpy(places) for places in regions.cells.T)
        with torch.inference_mode():
            vectors = scored.vectors[at]
            likeness, impurity = likeness_and_impurity(self.naming, vectors.cpu().numpy())
            figures = PatchFigures(
                likeness, impurity, scored.distances[tuple(regions.cells.T)],
                self._remembered(vectors, impurity, regions.own),
            )
            return judge(self.naming, regions, figures, scored.grid, lambda rows: self.to_memories(vectors[rows]))

    def _remembered(self, vectors: torch.Tensor, impurity: np.ndarray, own: np.ndarray) -> np.ndarray:
        """(n,) float32: of a region's own patches the distance to the memory of the impurity that each would be."""
        found = np.zeros(len(vectors), np.float32)
        for place, name in enumerate(self.naming.impurities):
            rows = np.flatnonzero(own & (impurity == place))
            if len(rows):
                found[rows] = self.searches[name].distances(vectors[torch.from_numpy(rows)]).cpu().numpy()
        return found

    def to_memories(self, vectors: torch.Tensor) -> list[dict[str, float]]:
        """Of (n, D) patches the distance of each to each memory."""
        with torch.inference_mode():
            found = {name: search.distances(vectors).cpu().tolist() for name, search in self.searches.items()}
        return [{name: distances[row] for name, distances in found.items()} for row in range(len(vectors))]


def naming_digest(naming: Naming) -> str:
    """Of all that decides a verdict."""
    sha = hashlib.sha256(repr((
        naming.names, naming.kinds, naming.pass_below, naming.defect_from, naming.window, naming.likest,
        naming.near_from, naming.near_cells, naming.unknown_share,
    )).encode())
    for array in (*naming.networks, naming.reach):
        sha.update(np.ascontiguousarray(array, np.float32).tobytes())
    return sha.hexdigest()[:16]


def memories_digest(model: Model) -> str:
    """Of the vectors of all memories."""
    sha = hashlib.sha256()
    for name, memory in sorted(model.memories.items()):
        sha.update(name.encode() + np.ascontiguousarray(memory.vectors).tobytes())
    return sha.hexdigest()[:16]


def namer_of(
    scorer: Scorer, threshold: float | None = None, rule: Rule = PLAIN, by_product: bool = True
) -> Namer | None:
    """The namer of a scorer's model; None where the model does not name, or where its rule says nothing.

    The rule was set for the regions at one threshold, without hysteresis; of others it promises nothing.

    Args:
        threshold: in place of the model's.
        rule: filters after the threshold.
        by_product: the model's thresholds by product and zone decide, where it has any.
    """
    naming = None if scorer.model is None else scorer.model.naming
    if scorer.model is None or naming is None:
        return None
    products = scorer.model.products if by_product and threshold is None else {}
    if naming.learnt_from.get(PRODUCTS, "") != (products_digest(products) if products else ""):
        say("note: alarms are not named: the verdicts were set for the alarms of other thresholds by product and zone")
        return None
    at = threshold if threshold is not None else scorer.threshold and scorer.threshold.value
    if at != naming.threshold or rule.hysteresis != 1:
        how = "with a hysteresis" if at == naming.threshold else f"at the threshold {at:.6g}"
        say(f"note: alarms are not named {how}: the verdicts were set at {naming.threshold:.6g}, without one")
        return None
    return Namer(scorer)
