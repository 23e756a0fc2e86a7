# SPDX-License-Identifier: GPL-3.0-or-later
"""Features laid on a mesh: seeded, even over its area, off its edges, where it is flat enough, and apart."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..features.classes import CLASS_OF
from ..features.feature import Feature, FeatureField
from ..features.wanted import Wanted
from ..seeding import uniform
from .patch import EDGE, patch_at, point_under
from .tangent_frame import TangentFrame
from .triangles import TriangleMesh

OTHERS = "other features"
TRIES = 64


@dataclass(frozen=True)
class MeshFeature:
    """A feature on a surface. `feature` lies at (0, 0) of the frame; its `angle_deg` counts from the frame's U."""

    feature: Feature
    frame: TangentFrame
    stretch: float
    """Lengths on the surface are at most this times those of the field."""
    surface: int = 0
    """On which of the surfaces that features were laid on together."""

    def field(self, points_mm: np.ndarray, normals: np.ndarray) -> FeatureField:
        """The feature at surface points (..., 3) in the object's space with their normals (..., 3).

        Heights, and so the slopes, are over the frame's plane.
        """
        uvh = self.frame.to_frame(points_mm)
        found = self.feature.field(*self.feature.to_local(uvh[..., :2]))
        holds = self.frame.holds(points_mm, normals)
        parts = (None if part is None else np.where(holds, part, 0.0) for part in found)
        return FeatureField(*parts)._replace(inside=found.inside & holds)

    def parameters(self) -> dict[str, Any]:
        """For the record: all that it takes to recompute the mask."""
        return {"class": CLASS_OF[type(self.feature)].name, **asdict(self.feature), "frame": asdict(self.frame),
                "stretch": self.stretch}


@dataclass(frozen=True)
class Skipped:
    """A feature that found no place, and how many of its tries failed why."""

    feature: Feature
    reasons: tuple[tuple[str, int], ...]

    def parameters(self) -> dict[str, Any]:
        """For the record."""
        return {"class": CLASS_OF[type(self.feature)].name, "reasons": dict(self.reasons)}


def lay_features(
    mesh: TriangleMesh, features: Sequence[Feature], master: int, index: int, purpose: str,
    border_mm: float = 1.0, distance_mm: float = 4.0,
) -> tuple[list[MeshFeature], list[Skipped]]:
    """Lay features on one mesh, see `lay_wanted`; draws are those of (master, index, purpose, the feature's number)."""
    wanted = [Wanted(feature, f"{purpose}{k}", border_mm, distance_mm) for k, feature in enumerate(features)]
    return lay_wanted([mesh], wanted, master, index)


def lay_wanted(
    surfaces: Sequence[TriangleMesh], wanted: Sequence[Wanted], master: int, index: int
) -> tuple[list[MeshFeature], list[Skipped]]:
    """Lay each of the features at the first seeded point of the surfaces, even over their area, where it fits.

    surfaces: each in a space of its own; `Wanted.distance_mm` is that between two features' circles on one surface,
    straight through space. Draws are those of (master, index, the feature's purpose), so that one more feature moves
    none of those before it. One that is to lie on a defect is tried near the defects laid before it, and keeps its
    distance from the others only. One that fits at none of `TRIES` points is skipped, with the reasons.
    """
    laid: list[MeshFeature] = []
    skipped: list[Skipped] = []
    for each in wanted:
        reasons: Counter[str] = Counter()
        defects = [other for other in laid if each.on_defect and CLASS_OF[type(other.feature)].kind == "defect"]
        others = [other for other in laid if other not in defects]
        for k in range(TRIES):
            draws = [uniform(master, index, f"{each.purpose}.try{k}.{name}") for name in ("area", "a", "b")]
            spot = _near(surfaces, defects, *draws) if defects else _at_area(surfaces, *draws)
            if spot is None:
                reasons[EDGE] += 1
                continue
            surface, point, triangle = spot
            if not _is_apart(point, each, [other for other in others if other.surface == surface]):
                reasons[OTHERS] += 1
                continue
            patch = patch_at(surfaces[surface], point, triangle, each.feature, each.border_mm)
            if isinstance(patch, str):
                reasons[patch] += 1
                continue
            laid.append(MeshFeature(each.feature, patch.frame, round(patch.stretch, 6), surface))
            break
        else:
            skipped.append(Skipped(each.feature, tuple(sorted(reasons.items()))))
    return laid, skipped


def _at_area(surfaces: Sequence[TriangleMesh], share: float, first: float, second: float):
    """Surface, point and triangle; three even draws give points even over the area of all surfaces."""
    if len(surfaces) == 1:
        return 0, *surfaces[0].at_area(share, first, second)
    ends = np.cumsum([surface.areas.sum() for surface in surfaces])
    which = int(min(np.searchsorted(ends, share * ends[-1], side="right"), len(ends) - 1))
    start = ends[which - 1] if which else 0.0
    return which, *surfaces[which].at_area((share * ends[-1] - start) / (ends[which] - start), first, second)


def _near(surfaces: Sequence[TriangleMesh], defects: Sequence[MeshFeature], which: float, far: float, turn: float):
    """Surface, point and triangle within half the reach of a defect, or None where no surface lies there."""
    defect = defects[int(which * len(defects))]
    radius, angle = 0.5 * _reach(defect.feature) * np.sqrt(far), 2.0 * np.pi * turn
    spot = point_under(surfaces[defect.surface], defect.frame, radius * np.cos(angle), radius * np.sin(angle))
    return None if spot is None else (defect.surface, *spot)


def _is_apart(point: np.ndarray, wanted: Wanted, laid: Sequence[MeshFeature]) -> bool:
    """Whether the circles around the boxes of the features keep their distance."""
    return all(
        np.linalg.norm(point - other.frame.origin_mm)
        >= _reach(wanted.feature) + _reach(other.feature) + wanted.distance_mm
        for other in laid
    )


def _reach(feature: Feature) -> float:
    """Radius around the feature's own origin that holds its box."""
    left, right, low, high = feature.box_mm
    return float(np.hypot(max(abs(left), abs(right)), max(abs(low), abs(high))))
