# SPDX-License-Identifier: Apache-2.0
"""The sequential coreset with the habits of scikit-learn: what a researcher uses; the rule itself is in `engine`."""

import operator
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Self

import numpy as np

from ..runtime.choices import EVICTIONS, LOWER_INDEX
from .arrays import ArrayKind, as_ids, as_vectors, checked, passes_over
from .engine import Coreset, CoresetEngine
from .epochs import EpochLog
from .guarantee import certified_factor
from .parameters import Parameters
from .search import CHUNK_SIZE, NearestSearch
from .state import CoresetState


class NotFittedError(ValueError, AttributeError):
    """Something was asked of a coreset that no batch has been shown to; of the same parents as scikit-learn's."""


class SequentialCoreset(Parameters):
    """K vectors that cover a stream of vectors, in memory that does not grow with the stream.

    The first K vectors enter; each later one that is farther from all K than the closest two of them are from one
    another takes the place of one of these two. Epochs over the same stream end in a coreset whose covering radius is
    at most twice the smallest possible (Mao, Fulir, Garth, Gospodnetić, arXiv 2501.09579, section IV; `engine` has the
    proof). The result depends on the order of the vectors, and neither on how they are cut into batches, nor on
    `chunk_size`, the number of threads or the device.

    Arrays are numpy or torch. What a method returns is of the kind (and on the device) of what it was given; the
    attributes are of the kind of the latest batch.

    Args:
        size: K, the number of vectors to keep, at least 2.
        eviction: which of the closest two makes room: "lower-index", as in the paper, or "seeded-random".
        random_state: seed of the latter, from 0 on.
        chunk_size: vectors per matrix product; a matter of memory (`engine.bytes_needed`) and speed alone.

    Attributes:
        vectors_: (k, D) float32, the coreset; k = K once K vectors have been shown.
        ids_: (k,) int64, the ids that the vectors were shown with.
        n_features_in_: D, learnt from the first batch.
        separation_: the smallest Euclidean distance between two of the vectors; inf until there are K.
        covering_radius_: the largest distance of a vector of the last whole epoch to its nearest one of `vectors_`;
            None where it is not known, since it was not measured or `vectors_` changed afterwards. See `end_epoch`.
        approximation_factor_: the covering radius is at most so many times the smallest that K vectors can have over
            that epoch's vectors and `vectors_` together; None where nothing is certain.
        converged_: whether a whole epoch over the full coreset replaced nothing, nor anything since.
        history_: a dict per epoch: "replacements"; "separation" at its end; and, as soon as it is known,
            "covering_radius", that of the coreset at its end.
        source_: after `meld` only: (k,) int64, which of the melded coresets a vector came from, by its place in the
            list; -1 for those that were learnt since.

    An attribute or a method that needs a batch raises NotFittedError until one has come.
    """

    _engine: CoresetEngine | None
    _begun_with: dict[str, Any] | None  # what `rule` was at the first batch
    _search: NearestSearch | None  # among the vectors as they stand, made when it is asked for
    _source: np.ndarray | None
    _log: EpochLog
    kind: ArrayKind  # of the attributes

    def __init__(
        self, size: int, *, eviction: str = LOWER_INDEX, random_state: int = 0, chunk_size: int = CHUNK_SIZE
    ) -> None:
        self.size = size
        self.eviction = eviction
        self.random_state = random_state
        self.chunk_size = chunk_size
        self._forget()

    def partial_fit(self, X: object, ids: object = None) -> Self:
        """Show the next vectors of the stream.

        Args:
            X: (N, D) float32, finite, N >= 0; other real numbers are taken as float32.
            ids: (N,) int64, kept beside the vectors that stay; by default a running number that begins at 0 in each
                epoch. With "seeded-random" the coin is tossed with the newcomer's id.

        Raises:
            ValueError: another shape than expected, a value that is not finite, or a parameter that is out of its range
                or was changed since the first batch. Nothing has changed then.
            TypeError: not numbers.
        """
        engine = self._engine
        vectors = as_vectors(X, None if engine is None else engine.dimension)
        first = self._log.shown
        numbers = np.arange(first, first + len(vectors)) if ids is None else as_ids(ids, len(vectors))
        if engine is None:
            engine = self._new_engine(vectors.shape[1])
        elif self._begun_with != self.rule:
            raise ValueError(
                f"the parameters were {self._begun_with} at the first batch and are {self.rule} now; set them back, "
                "or begin anew with `fit`"
            )
        if first == 0 and engine.full:
            engine.watch()
        before = None if self._source is None else engine.result().features
        filled, replaced = engine.filled, engine.update(vectors, numbers)
        self._engine, self._begun_with, self.kind = engine, self.rule, ArrayKind.of(X)
        changed = replaced > 0 or engine.filled > filled
        self._log.see(len(vectors), replaced, changed)
        if changed:
            self._search = None
            self._mark_learnt(before)
        return self

    def end_epoch(self) -> Self:
        """Close a pass over the stream: what is shown next is taken to be the same stream again.

        A pass measures, for little more than it costs anyway, the covering radius of the coreset that it began with, if
        that was full. It goes into `history_`; and where the pass replaced nothing, the coreset is still that one:
        `converged_` is set, and `covering_radius_` is its own. `fit` measures it in any case, and so does
        `covering_radius`.

        Raises:
            ValueError: no vector has been shown in this pass, or fewer than K in all, which a second pass would only
                fill up with copies.
        """
        engine = self._fitted()
        if self._log.shown == 0:
            raise ValueError("no vector has been shown in this epoch; call `partial_fit` before `end_epoch`")
        if not engine.full:
            raise ValueError(
                f"the stream has only {engine.filled} vectors, fewer than the `size` {self.size}; show more, or take a "
                "smaller `size`"
            )
        self._log.finish_epoch(engine.separation, engine.unwatch())
        return self

    def fit(self, X: object, *, max_epochs: int = 5) -> Self:
        """Begin anew, and go through the stream until an epoch replaces nothing, at most so many times.

        Where the last epoch still replaced something, one more pass measures the covering radius.

        Args:
            X: (N, D), N >= K; or a function without arguments that yields batches (n, D), the same ones anew each time
                it is called, for what does not fit into memory.

        Raises:
            ValueError, TypeError: as `partial_fit` and `end_epoch`.
        """
        if operator.index(max_epochs) < 1:
            raise ValueError(f"expected `max_epochs` of at least 1, got {max_epochs}")
        passes = passes_over(X)
        self._forget()
        for epoch in range(max_epochs):
            for batch in passes():
                self.partial_fit(batch)
            if self._log.shown == 0:
                raise ValueError(
                    f"epoch {epoch + 1} has no vectors; a function has to yield its batches anew each time it is called"
                )
            self.end_epoch()
            if self.converged_:
                return self
        self._log.measure(self._farthest(passes()))
        return self

    def nearest(self, X: object) -> tuple[Any, Any]:
        """The nearest coreset vector of each vector, by a matrix product in float32.

        A distance is right to about five digits. The coreset itself decides on exact ones.

        Args:
            X: (N, D).

        Returns:
            (N,) float32, Euclidean distances, and (N,) int64, rows of `vectors_`.
        """
        engine = self._fitted()
        vectors = checked(as_vectors(X, engine.dimension), engine.dimension)
        if engine.filled == 0:
            raise ValueError("the coreset is empty: the batches that it was shown had no vectors")
        search = self._search
        if search is None or search.device != vectors.device:
            search = self._search = NearestSearch(engine.result().features, vectors.device, self.chunk_size)
        distance, index = search.nearest(vectors)
        kind = ArrayKind.of(X)
        return kind.give(distance), kind.give(index)

    def covering_radius(self, X: object) -> float:
        """The largest Euclidean distance of a vector of X to its nearest coreset vector, exactly; 0.0 without vectors.

        Args:
            X: (N, D), or a function that yields batches, as in `fit`.
        """
        self._fitted()
        return self._farthest(passes_over(X)())

    def state_dict(self) -> dict[str, Any]:
        """All that a run needs to go on from here and end in the same coreset, to the bit, also within an epoch.

        Returns:
            Copies. numpy arrays: "vectors" (k, D) float32, "ids" (k,) int64; within an epoch "watched" (K, D) float32,
            the coreset that it began with; after `meld` "source" (k,) int64. And "run", which json.dumps takes: the
            parameters, and how far the run has come.
        """
        engine = self._fitted()
        found = CoresetState(engine.result(), self._log, source=self._source)
        if engine.watched is not None:
            found = replace(found, watched=engine.watched.features, watched_sq=engine.watched.largest_sq)
        return found.to_dict(self._begun_with or self.rule)

    def load_state_dict(self, state: Mapping[str, Any]) -> Self:
        """Take over what `state_dict` of a coreset with the same `size`, `eviction` and `random_state` gave.

        The attributes are numpy until the next batch comes.

        Raises:
            ValueError: the state is of other parameters or another version, or is damaged; nothing has changed then.
        """
        try:
            found = CoresetState.from_dict(state, self.rule)
            engine = self._new_engine(found.coreset.features.shape[1], found.coreset)
            if found.watched is not None:
                engine.watch(found.watched, found.watched_sq)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"this is no state to go on from: {error}") from error
        self._forget()
        self._engine, self._begun_with, self._log, self._source = engine, self.rule, found.log, found.source
        return self

    @property
    def vectors_(self) -> Any:
        return self.kind.give(self._fitted().result().features)

    @property
    def ids_(self) -> Any:
        return self.kind.give(self._fitted().result().patch_ids)

    @property
    def source_(self) -> Any:
        if self._source is None:
            raise NotFittedError("only a coreset that was melded from others has a `source_`")
        return self.kind.give(self._source.copy())

    @property
    def n_features_in_(self) -> int:
        return self._fitted().dimension

    @property
    def separation_(self) -> float:
        return self._fitted().separation

    @property
    def covering_radius_(self) -> float | None:
        self._fitted()
        return self._log.covering_radius

    @property
    def approximation_factor_(self) -> float | None:
        radius = self.covering_radius_
        return None if radius is None else certified_factor(radius, self.separation_)

    @property
    def converged_(self) -> bool:
        self._fitted()
        return self._log.converged

    @property
    def history_(self) -> list[dict[str, Any]]:
        self._fitted()
        return [dict(epoch) for epoch in self._log.history]

    @property
    def rule(self) -> dict[str, Any]:
        """The parameters that the result depends on, as they are in a state."""
        given = {"size": self.size, "eviction": self.eviction, "random_state": self.random_state}
        return {name: operator.index(value) if hasattr(value, "__index__") else value for name, value in given.items()}

    def __getstate__(self) -> dict[str, Any]:
        """For pickle and copy: the parameters and the state, without the matrices of a chunk."""
        state = None if self._engine is None else self.state_dict()
        return {"params": self.get_params(), "begun_with": self._begun_with, "state": state, "kind": self.kind}

    def __setstate__(self, pickled: dict[str, Any]) -> None:
        self._forget()
        self.set_params(**pickled["params"])
        if pickled["state"] is not None:
            self.set_params(**pickled["begun_with"]).load_state_dict(pickled["state"])
        self.kind = pickled["kind"]
        self.set_params(**pickled["params"])

    def _forget(self) -> None:
        """As if no batch had been shown."""
        self._engine = self._begun_with = self._search = self._source = None
        self._log, self.kind = EpochLog(), ArrayKind()

    def _fitted(self) -> CoresetEngine:
        if self._engine is None:
            raise NotFittedError("this SequentialCoreset has seen no batch yet; call `partial_fit` or `fit` first")
        return self._engine

    def _new_engine(self, dimension: int, initial: Coreset | None = None) -> CoresetEngine:
        for name, least in (("size", 2), ("random_state", 0), ("chunk_size", 1)):
            value = getattr(self, name)
            if not hasattr(value, "__index__") or not least <= operator.index(value) < 1 << 62:
                raise ValueError(f"expected a whole number from {least} on as `{name}`, got {value!r}")
        if self.eviction not in EVICTIONS:
            raise ValueError(f"expected an `eviction` of {', '.join(EVICTIONS)}, got {self.eviction!r}")
        return CoresetEngine(
            operator.index(self.size), dimension, operator.index(self.chunk_size), initial, self.eviction,
            operator.index(self.random_state),
        )

    def _farthest(self, batches: Iterable[object]) -> float:
        radius, engine = 0.0, self._fitted()
        for batch in batches:
            radius = engine.farthest(as_vectors(batch, engine.dimension), radius)
        return radius

    def _mark_learnt(self, before: np.ndarray | None) -> None:
        """Note the vectors of a melded coreset that are others than `before`; a newcomer equals none that was there."""
        if before is None or self._source is None:
            return
        after = self._fitted().result().features
        source = np.full(len(after), -1)
        same = np.flatnonzero((after[: len(before)] == before).all(1))
        source[same] = self._source[same]
        self._source = source
