# SPDX-License-Identifier: Apache-2.0
"""How far a coreset has come through the epochs over its stream, and what each of them has shown."""

import operator
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


def close_epoch(history: list[dict[str, Any]], replaced: int, separation: float, radius: float | None) -> bool:
    """Add an epoch to the history; whether it shows that the coreset has converged.

    Args:
        history: a dict per epoch, see `EpochLog`; changed in place.
        replaced: by the epoch's vectors.
        separation: of the coreset as it stands.
        radius: covering radius, over this epoch's vectors, of the coreset that the epoch began with; None where it
            began before the coreset was full, which proves nothing by replacing nothing.
    """
    if radius is not None and history:
        history[-1].setdefault("covering_radius", radius)
    history.append({"replacements": replaced, "separation": separation})
    converged = radius is not None and replaced == 0
    if converged:
        history[-1]["covering_radius"] = radius
    return converged


@dataclass
class EpochLog:
    """
    Attributes:
        shown: vectors in the epoch under way.
        replaced: by them.
        converged: a whole epoch over the full coreset replaced nothing, and nothing has been replaced since.
        covering_radius: of the coreset as it stands; None where it is not known.
        history: a dict per epoch: "replacements", "separation" at its end and, where it was measured,
            "covering_radius" of the coreset at its end.
    """

    shown: int = 0
    replaced: int = 0
    converged: bool = False
    covering_radius: float | None = None
    history: list[dict[str, Any]] = field(default_factory=list)

    def see(self, count: int, replaced: int, changed: bool) -> None:
        """So many vectors were shown; they replaced so many, or changed the coreset by filling it."""
        self.shown += count
        self.replaced += replaced
        if changed:
            self.converged, self.covering_radius = False, None

    def finish_epoch(self, separation: float, radius: float | None) -> None:
        """Close the epoch; the arguments are those of `close_epoch`."""
        self.converged = close_epoch(self.history, self.replaced, separation, radius)
        if self.converged:
            self.covering_radius = radius
        self.shown = self.replaced = 0

    def measure(self, radius: float) -> None:
        """Keep the covering radius of the coreset as it stood at the end of the last epoch, and stands."""
        self.covering_radius = radius
        self.history[-1]["covering_radius"] = radius

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "EpochLog":
        """
        Raises:
            KeyError, TypeError, ValueError: something is missing or of another kind.
        """
        radius = stored["covering_radius"]
        return cls(
            shown=operator.index(stored["shown"]), replaced=operator.index(stored["replaced"]),
            converged=bool(stored["converged"]), covering_radius=None if radius is None else float(radius),
            history=[dict(epoch) for epoch in stored["history"]],
        )
