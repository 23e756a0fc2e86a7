# SPDX-License-Identifier: GPL-3.0-or-later
"""From any object to a material that can be stained, and back.

An object without a material gets one, a material without nodes gets nodes with its own colour. Both are taken back
with the stain, unless a person has changed them since.
"""

import bpy

from ..scene.inspected import WITH_A_SURFACE
from .shader_sites import sites

_KINDS = {"GPENCIL": "grease pencil", "GREASEPENCIL": "grease pencil"}
_MADE, _NODES = "surface_impurities_made", "surface_impurities_turned_nodes_on"


def why_not(item: bpy.types.Object | None) -> str:
    """Why the object cannot be given a stain, in words for a person; nothing when it can."""
    if item is None:
        return "Select an object first"
    if item.type not in WITH_A_SURFACE:
        kind = _KINDS.get(item.type, item.type.lower().replace("_", " "))
        return f"'{item.name}' is a {kind}, which has no surface that a stain could lie on; select another object"
    material = item.active_material
    if material is None:
        if item.data.library is not None:
            return f"'{item.name}' comes from another file; make it local first"
        return ""
    if material.library is not None or material.override_library is not None:
        return f"Material '{material.name}' comes from another file; make it local first"
    if material.node_tree is not None and not sites(material.node_tree):
        return f"No Principled BSDF leads to the output of material '{material.name}'; the stain acts on that node"
    return ""


def prepare(item: bpy.types.Object) -> bpy.types.Material:
    """The object's material, ready for a stain; made where there is none."""
    material = item.active_material
    if material is None:
        material = _plain_material(item.name)
        material[_MADE] = "slot too" if not item.material_slots else "in a slot that was there"
        item.active_material = material
    elif not material.use_nodes:
        had_tree = material.node_tree is not None
        material.use_nodes = True
        material[_NODES] = True
        if not had_tree:
            _take_over_looks(material)
    return material


def take_back(item: bpy.types.Object, material: bpy.types.Material) -> None:
    """Undo what `prepare` did, as far as nobody has changed it since. The stain is out already."""
    if material.get(_NODES):
        del material[_NODES]
        material.use_nodes = False
    if material.get(_MADE):
        had_no_slot = material[_MADE] == "slot too" and len(item.material_slots) == 1
        del material[_MADE]
        if material.users == 1 and _is_untouched(material):
            item.active_material = None
            if had_no_slot:
                item.data.materials.clear()
            bpy.data.materials.remove(material)


def _plain_material(name: str) -> bpy.types.Material:
    material = bpy.data.materials.new(name)
    if not material.use_nodes:  # from 5.0 on a material always has nodes
        material.use_nodes = True
    return material


def _take_over_looks(material: bpy.types.Material) -> None:
    shader = sites(material.node_tree)[0].principled[0]
    shader.inputs["Base Color"].default_value = material.diffuse_color
    shader.inputs["Roughness"].default_value = material.roughness
    shader.inputs["Metallic"].default_value = material.metallic


def _is_untouched(material: bpy.types.Material) -> bool:
    fresh = _plain_material("fresh")
    try:
        return _picture(fresh) == _picture(material)
    finally:
        bpy.data.materials.remove(fresh)


def _picture(material: bpy.types.Material) -> dict:
    """Nodes with the values of their inputs."""

    def value(socket):
        held = getattr(socket, "default_value", None)
        return tuple(held) if hasattr(held, "__len__") and not isinstance(held, str) else held

    return {node.name: [(socket.identifier, value(socket), socket.is_linked) for socket in node.inputs]
            for node in material.node_tree.nodes}
