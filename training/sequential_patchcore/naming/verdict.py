# SPDX-License-Identifier: Apache-2.0
"""What a predicted region was taken for, and the figures behind it; loads neither torch nor HDF5."""

from dataclasses import asdict, dataclass
from typing import Any

DEFECT, UNSURE, UNKNOWN = "defect", "unsure", "unknown"
"""Verdicts of a region that are no class's name; and what a patch says that is far from every memory."""


@dataclass(frozen=True)
class RegionVerdict:
    """The verdict of one region.

    Attributes:
        verdict: "defect", an impurity's name, or "unsure".
        reason: why, in a few words.
        defect_likeness: log odds of a defect against an impurity, averaged around the patch where they are highest.
        patches: how many patches of the region say what: "defect", an impurity's name, or "unknown".
        nominal_distance: of the deciding patch to the nominal memory, in the features' own unit.
        memory_distances: of the same patch to each other memory.
        cell: (y, x) of the deciding patch on the feature grid.
        at: (x, y) in pixels, where it looks.
    """

    verdict: str
    reason: str
    defect_likeness: float
    patches: dict[str, int]
    nominal_distance: float
    memory_distances: dict[str, float]
    cell: tuple[int, int]
    at: tuple[int, int]

    @property
    def passed(self) -> bool:
        """Whether it is no alarm: it has an impurity's name."""
        return self.verdict not in (DEFECT, UNSURE)

    @property
    def nearest_memory(self) -> str | None:
        """The memory that the deciding patch is nearest to."""
        return min(self.memory_distances, key=lambda name: self.memory_distances[name], default=None)

    def figures(self) -> dict[str, Any]:
        """All but the verdict, JSON-ready."""
        found = asdict(self)
        del found["verdict"]
        return found | {"cell": list(self.cell), "at": list(self.at)}

    @classmethod
    def from_figures(cls, verdict: str, figures: dict[str, Any]) -> "RegionVerdict":
        return cls(verdict, **figures | {"cell": tuple(figures["cell"]), "at": tuple(figures["at"])})


def image_verdict(regions: list[RegionVerdict]) -> tuple[str, dict[str, int]]:
    """ "normal", "dirty" or "anomalous", and how many regions were passed under each name."""
    dirt: dict[str, int] = {}
    for region in regions:
        if region.passed:
            dirt[region.verdict] = dirt.get(region.verdict, 0) + 1
    if any(not region.passed for region in regions):
        return "anomalous", dict(sorted(dirt.items()))
    return ("dirty" if dirt else "normal"), dict(sorted(dirt.items()))


def shown(verdict: str, dirt: dict[str, int] | None) -> str:
    """An image's verdict for reading: "normal, dirty: water_stain x3"."""
    if verdict != "dirty" or not dirt:
        return verdict
    return "normal, dirty: " + ", ".join(f"{name} x{count}" for name, count in dirt.items())
