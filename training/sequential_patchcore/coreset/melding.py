# SPDX-License-Identifier: Apache-2.0
"""Melding: several coresets become one, by the rule of training over their vectors one after the other.

The coreset is filled with the first vectors of the union; all are shown until a pass replaces nothing. A vector of any
source's stream is then within that source's covering radius, plus the melded one's over the union, of the result.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from .engine import Coreset, CoresetEngine
from .epochs import EpochLog
from .search import CHUNK_SIZE
from .sequential import SequentialCoreset
from .state import CoresetState


@dataclass(frozen=True)
class Melded:
    """
    Attributes:
        rows: (K,) int64, the rows of the union that stay, counted through all sources in their order.
        vectors: (K, D) float32, these rows.
        separation: the smallest distance between two of them.
        covering_radius: the largest distance of a vector of the union to its nearest of them.
        passes: a dict per pass over the union: "replacements", "separation", "covering_radius"; the last replaced none.
    """

    rows: np.ndarray
    vectors: np.ndarray
    separation: float
    covering_radius: float
    passes: tuple[dict[str, Any], ...]


class VectorMelder:
    """A meld under construction: sources are added in order, as they come in; the first pass is made as they do.

    Args:
        size: K, vectors to keep.
        dimension: D.
        chunk_size: vectors per matrix product.
    """

    def __init__(self, size: int, dimension: int, chunk_size: int = CHUNK_SIZE) -> None:
        self._engine = CoresetEngine(size, dimension, chunk_size)
        self._sources: list[np.ndarray] = []
        self._log = EpochLog()

    @property
    def available(self) -> int:
        """Vectors of all sources so far."""
        return self._log.shown

    def add(self, vectors: np.ndarray) -> None:
        """(k, D) float32, the vectors of the next source; kept, not copied."""
        self._sources.append(vectors)
        self._pass_over(vectors)

    def finish(self) -> Melded:
        """Show all vectors again until a pass replaces nothing.

        Raises:
            ValueError: the sources have fewer vectors together than are to be kept.
        """
        engine, log = self._engine, self._log
        if not engine.full:
            raise ValueError(f"`size` {engine.size} is more than the {self.available} vectors of all sources together")
        union = np.concatenate(self._sources)
        replaced = log.replaced
        log.finish_epoch(engine.separation, None)
        while replaced:
            engine.watch()
            self._pass_over(union)
            replaced = log.replaced
            log.finish_epoch(engine.separation, engine.unwatch())
        radius = log.covering_radius
        if radius is None:  # the first pass replaced nothing
            radius = engine.farthest(torch.from_numpy(union))
            log.measure(radius)
        result = engine.result()
        return Melded(result.patch_ids, result.features, engine.separation, radius, tuple(log.history))

    def _pass_over(self, vectors: np.ndarray) -> None:
        rows = np.arange(self._log.shown, self._log.shown + len(vectors))
        self._log.see(len(vectors), self._engine.update(torch.from_numpy(vectors), rows), changed=True)


def meld(coresets: Sequence[SequentialCoreset], *, size: int | None = None) -> SequentialCoreset:
    """One coreset from several that were built from vectors of one kind; their order counts.

    Args:
        coresets: at least two, of one dimension.
        size: vectors to keep; by default the `size` of the first.

    Returns:
        A coreset that can be used and trained further. Its `ids_` are those of the inputs as they are, and `source_`
        (K,) int64 says which input each vector came from: together they name it. `history_` has the passes over the
        inputs' vectors; `covering_radius_` is a bound on that over all that the inputs were built from, the largest of
        theirs plus that over their vectors, or None where one of theirs is None. Its eviction is "lower-index".

    Raises:
        TypeError: something else than a SequentialCoreset.
        ValueError: fewer than two, different dimensions, or a size beyond all vectors together.
    """
    coresets = list(coresets)
    for position, coreset in enumerate(coresets):
        if not isinstance(coreset, SequentialCoreset):
            raise TypeError(f"expected coresets, got {type(coreset).__name__} at position {position}")
        if coreset.n_features_in_ != coresets[0].n_features_in_:
            raise ValueError(
                f"the coreset at position {position} has vectors of {coreset.n_features_in_} numbers, the first of "
                f"{coresets[0].n_features_in_}; only vectors of one kind have distances between them"
            )
    if len(coresets) < 2:
        raise ValueError(f"melding needs at least two coresets, got {len(coresets)}")
    result = SequentialCoreset(coresets[0].size if size is None else size, chunk_size=coresets[0].chunk_size)
    states = [coreset.state_dict() for coreset in coresets]
    melder = VectorMelder(result.size, coresets[0].n_features_in_, result.chunk_size)
    for state in states:
        melder.add(state["vectors"])
    melded = melder.finish()
    radii = [coreset.covering_radius_ for coreset in coresets]
    known = [radius for radius in radii if radius is not None]
    bound = max(known) + melded.covering_radius if len(known) == len(radii) else None
    log = EpochLog(converged=True, covering_radius=bound, history=list(melded.passes))
    sources = np.repeat(np.arange(len(states)), [len(state["ids"]) for state in states])
    ids = np.concatenate([state["ids"] for state in states])
    stored = CoresetState(Coreset(melded.vectors, ids[melded.rows]), log, source=sources[melded.rows])
    result.load_state_dict(stored.to_dict(result.rule))
    result.kind = coresets[0].kind
    return result
