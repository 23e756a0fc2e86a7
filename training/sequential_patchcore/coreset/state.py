# SPDX-License-Identifier: Apache-2.0
"""The state of a coreset under construction as a dict of arrays and of JSON values, to be kept by whatever means."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .arrays import as_ids, as_vectors, checked
from .engine import Coreset
from .epochs import EpochLog

_VERSION = 1


@dataclass(frozen=True)
class CoresetState:
    """
    Attributes:
        coreset: as it stands.
        log: how far the run has come.
        watched: (K, D) float32, the coreset as it was when the epoch under way began; None where it was not full.
        watched_sq: the square of its covering radius, as far as the epoch has seen.
        source: (k,) int64, which of the melded coresets a vector came from; None where none were melded.
    """

    coreset: Coreset
    log: EpochLog
    watched: np.ndarray | None = None
    watched_sq: float = 0.0
    source: np.ndarray | None = None

    def to_dict(self, rule: Mapping[str, Any]) -> dict[str, Any]:
        """Arrays under "vectors", "ids" and, where there are any, "watched" and "source"; "run" is JSON-ready.

        Args:
            rule: the parameters that the result depends on.
        """
        arrays = {"vectors": self.coreset.features, "ids": self.coreset.patch_ids, "watched": self.watched,
                  "source": self.source}
        run = {"version": _VERSION, "watched_sq": float(self.watched_sq), **rule, **self.log.to_json()}
        return {name: array.copy() for name, array in arrays.items() if array is not None} | {"run": run}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any], rule: Mapping[str, Any]) -> "CoresetState":
        """
        Raises:
            KeyError, TypeError, ValueError: something is missing, damaged, of another version or of another rule.
        """
        run = state["run"]
        if run["version"] != _VERSION:
            raise ValueError(f"its version is {run['version']!r}, expected {_VERSION}")
        found = {name: run[name] for name in rule}
        if found != rule:
            raise ValueError(f"it is of a coreset with {found}, this one has {dict(rule)}")
        vectors = _array(state["vectors"])
        return cls(
            Coreset(vectors, as_ids(state["ids"], len(vectors))),
            EpochLog.from_json(run),
            _array(state["watched"], vectors.shape[1]) if "watched" in state else None,
            float(run["watched_sq"]),
            as_ids(state["source"], len(vectors)) if "source" in state else None,
        )


def _array(stored: object, dimension: int | None = None) -> np.ndarray:
    vectors = as_vectors(stored, dimension)
    return checked(vectors, vectors.shape[1]).cpu().numpy()
