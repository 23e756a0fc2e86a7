# SPDX-License-Identifier: GPL-3.0-or-later
"""Defects and impurities on the parts of a person's own scene: laid, shown, and found again where the rays hit."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np

from ..core.errors import UserError
from ..core.features.classes import CLASS_OF
from ..core.labels.own_scene import FeatureLabel
from ..core.mesh.numbers import number_mesh_features
from ..core.mesh.placing import MeshFeature, Skipped, lay_wanted
from ..core.mesh.triangles import TriangleMesh
from ..core.recipe.own_scene import OwnSample
from ..materials.features_on_parts import check_features_fit, show_features
from ..scene.inspected import Part
from ..scene.ledger import Ledger
from ..scene.mesh_feature_nodes import millimetres_per_unit, triangle_mesh
from .own_passes import Hits


@dataclass(frozen=True)
class PartSurfaces:
    """The inspected objects that have faces, with their surfaces in millimetres, one by one."""

    parts: tuple[Part, ...]
    meshes: tuple[TriangleMesh, ...]
    millimetres_per_unit: tuple[np.ndarray, ...]
    """(3,) each."""


@dataclass(frozen=True)
class LaidFeatures:
    """What lies on the parts in one picture."""

    surfaces: PartSurfaces
    features: tuple[MeshFeature, ...]
    skipped: tuple[Skipped, ...]

    @property
    def labels(self) -> list[FeatureLabel]:
        return [FeatureLabel(CLASS_OF[type(each.feature)].name, self.surfaces.parts[each.surface].number)
                for each in self.features]

    def numbers(self, hits: Hits, owners: np.ndarray) -> np.ndarray:
        """Which feature owns each pixel, from 1; 0 for none: (H, W). owners: (H, W), the objects' numbers."""
        found = np.zeros(owners.shape, np.uint16)
        for row, part in enumerate(self.surfaces.parts):
            own = [(number, each) for number, each in enumerate(self.features, start=1) if each.surface == row]
            here = owners == part.number
            if not own or not here.any():
                continue
            factor = self.surfaces.millimetres_per_unit[row]
            local = number_mesh_features(hits.points[here] * factor, hits.normals[here] / factor,
                                         [each for _, each in own])
            found[here] = np.array([0, *(number for number, _ in own)], np.uint16)[local]
        return found

    def show(self, changes: Ledger) -> None:
        """Lay them over the parts' materials; `changes` takes them away."""
        for row, part in enumerate(self.surfaces.parts):
            own = [each for each in self.features if each.surface == row]
            if own:
                show_features(changes, part, own, self.surfaces.millimetres_per_unit[row])

    def parameters(self) -> dict[str, Any]:
        """For the record."""
        parts = self.surfaces.parts
        return {
            "features": [
                {"object": parts[each.surface].object.name,
                 "millimetres_per_unit": [float(factor) for factor in self.surfaces.millimetres_per_unit[each.surface]],
                 **each.parameters()} for each in self.features
            ],
            "skipped_features": [each.parameters() for each in self.skipped],
        }


def part_surfaces(scene: bpy.types.Scene, parts: Sequence[Part]) -> PartSurfaces:
    """
    Raises:
        UserError: no inspected object has faces, or one is sheared, or its materials take no features.
    """
    check_features_fit(parts)
    found = [(part, triangle_mesh(part.object, scene, part.left_out)) for part in parts]
    found = [(part, mesh) for part, mesh in found if mesh is not None]
    if not found:
        raise UserError("scratches, dents, bumps, fingerprints and stickers need faces to lie on, and no inspected "
                        "object has any; instances of geometry nodes do not count: realize them")
    factors = tuple(millimetres_per_unit(part.object, scene) for part, _ in found)
    return PartSurfaces(tuple(part for part, _ in found), tuple(mesh for _, mesh in found), factors)


def lay_on_parts(surfaces: PartSurfaces, sample: OwnSample) -> LaidFeatures:
    """Lay what the sample wants where its part has room for it."""
    master = sample.seed if sample.master is None else sample.master
    laid, skipped = lay_wanted(surfaces.meshes, sample.features, master, sample.part)
    return LaidFeatures(surfaces, tuple(laid), tuple(skipped))
