# SPDX-License-Identifier: GPL-3.0-or-later
"""Features laid on a mesh: seeded, even over its area, off its edges, where it is flat enough, and apart."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..features.classes import CLASS_OF
from ..features.feature import Feature, FeatureField
from ..seeding import uniform
from .patch import patch_at
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
    """Lay each of the features at the first seeded point of the surface, even over its area, where it fits.

    features: with `centre_x_mm` = `centre_y_mm` = 0. border_mm: between a feature's box and the edges where the surface
    ends or bends sharply; distance_mm: between two features' circles, straight through space. Draws are those of
    (master, index, purpose, the feature's number), so that one more feature moves none of those before it. One that
    fits at none of `TRIES` points is skipped, with the reasons.
    """
    laid: list[MeshFeature] = []
    skipped: list[Skipped] = []
    for number, feature in enumerate(features):
        reasons: Counter[str] = Counter()
        for k in range(TRIES):
            place = f"{purpose}{number}.try{k}"
            point, triangle = mesh.at_area(*(uniform(master, index, f"{place}.{name}") for name in ("area", "a", "b")))
            if not _is_apart(point, feature, laid, distance_mm):
                reasons[OTHERS] += 1
                continue
            patch = patch_at(mesh, point, triangle, feature, border_mm)
            if isinstance(patch, str):
                reasons[patch] += 1
                continue
            laid.append(MeshFeature(feature, patch.frame, round(patch.stretch, 6)))
            break
        else:
            skipped.append(Skipped(feature, tuple(sorted(reasons.items()))))
    return laid, skipped


def _is_apart(point: np.ndarray, feature: Feature, laid: Sequence[MeshFeature], distance_mm: float) -> bool:
    """Whether the circles around the boxes of the features keep their distance."""
    return all(
        np.linalg.norm(point - other.frame.origin_mm) >= _reach(feature) + _reach(other.feature) + distance_mm
        for other in laid
    )


def _reach(feature: Feature) -> float:
    """Radius around the feature's own origin that holds its box."""
    left, right, low, high = feature.box_mm
    return float(np.hypot(max(abs(left), abs(right)), max(abs(low), abs(high))))
