# SPDX-License-Identifier: GPL-3.0-or-later
"""Features laid over the materials of inspected objects, for one picture.

Each object gets copies of its materials for the time: a material that two objects share would show the scratches of the
one on the other too. What is not inspected on an object keeps its own.
"""

from collections.abc import Sequence

import bpy
import numpy as np

from ..core.errors import UserError
from ..scene.inspected import Part
from ..scene.ledger import Ledger
from ..scene.mesh_feature_nodes import build_mesh_feature_group, plug_mesh_features
from .shader_sites import give_groups_back, sites

_FINEST = 0.0
"""Textures as fine as the features' details ask for, however near the camera is."""


def check_features_fit(parts: Sequence[Part]) -> None:
    """
    Raises:
        UserError: an object's materials cannot be changed, or have nothing to lay a feature over.
    """
    for part in parts:
        item = part.object
        if item.library is not None:
            raise UserError(f"'{item.name}' is linked from {item.library.filepath}, so no scratches or stickers can be "
                            "laid on it; make it local (Object, Relations, Make Local), or append it instead")
        for material in _inspected_materials(part):
            if not sites(material.node_tree):
                raise UserError(f"'{item.name}': features are laid over a Principled BSDF, and material "
                                f"'{material.name}' has none; give it one, or leave its slot out")


def show_features(changes: Ledger, part: Part, laid: Sequence, mm_per_unit: np.ndarray) -> None:
    """Show the features `laid` on an object; `changes` takes them away again.

    mm_per_unit: (3,), see `mesh_feature_nodes.millimetres_per_unit`.
    """
    group = build_mesh_feature_group(laid, _FINEST, f"Features on {part.object.name}", to_be_read=False)
    changes.on_undo(lambda: _remove_group(group))
    covers = any(each.feature.gloss for each in laid)
    copies = {}
    for material in _inspected_materials(part):
        copy = copies[material] = material.copy()
        changes.on_undo(lambda copy=copy: _remove_material(copy))
        for site in sites(copy.node_tree, own=True):
            for principled in site.principled:
                plug_mesh_features(site.tree, principled, group, mm_per_unit, covers)
    for slot in part.object.material_slots:
        if slot.material in copies:
            _put(changes, slot, copies[slot.material])


def _inspected_materials(part: Part) -> list[bpy.types.Material]:
    found = {slot.material: None for slot in part.object.material_slots
             if slot.material is not None and slot.material.name not in part.left_out}
    return list(found)


def _put(changes: Ledger, slot, material: bpy.types.Material) -> None:
    """Give the object, and not the mesh that others may share, another material in this slot."""
    link = slot.link
    slot.link = "OBJECT"
    before = slot.material

    def restore() -> None:
        slot.material = before
        slot.link = link

    changes.on_undo(restore)
    slot.material = material


def _remove_group(group) -> None:
    """Remove a group with its images, and the groups in it."""
    images = {node.image for node in group.nodes if node.type == "TEX_IMAGE"}
    inner = {node.node_tree for node in group.nodes if node.type == "GROUP"}
    bpy.data.node_groups.remove(group)
    for image in images:
        bpy.data.images.remove(image)
    for each in inner:
        _remove_group(each)


def _remove_material(copy: bpy.types.Material) -> None:
    give_groups_back(copy.node_tree)
    bpy.data.materials.remove(copy)
