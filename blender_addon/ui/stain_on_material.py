# SPDX-License-Identifier: GPL-3.0-or-later
"""Put the stain into a material that is there, and take it out again.

    base colour (what was linked, or the value) --> + --> at least 0 --> Principled BSDF
                        water stain: Reflectance Delta -^

The nodes that are added carry a mark. What was linked before stays linked to the first of them, and an unlinked socket
keeps its own value, so taking the stain out needs no memory of how the material was.
"""

import bpy

from ..core.errors import UserError
from ..core.stain_parameters import StainParameters
from ..scene import stain_osl
from ..scene.stain_nodes import STAMP, add_stain_node, build_stain_group
from ..scene.stain_sockets import VECTOR, set_stain_values

MARK = "surface_impurities"
_STAIN, _ADD, _CLAMP, _HELPER = "stain", "add", "clamp", "helper"


def material_of(item: bpy.types.Object | None) -> bpy.types.Material | None:
    return None if item is None else item.active_material


def stain_node(material: bpy.types.Material):
    """The stain that `apply_stain` put into the material, or None."""
    return next(iter(_marked(material.node_tree, _STAIN)), None) if material.node_tree else None


def why_not(item: bpy.types.Object | None) -> str:
    """Why the object cannot be given a stain, in words for a person; nothing when it can."""
    if item is None:
        return "Select an object first"
    material = item.active_material
    if material is None:
        return f"'{item.name}' has no material; give it one with a Principled BSDF"
    if material.library is not None or material.override_library is not None:
        return f"Material '{material.name}' comes from another file; make it local first"
    if not material.use_nodes or material.node_tree is None:
        return f"Material '{material.name}' does not use nodes; turn on Use Nodes"
    if not _principled_nodes(material.node_tree):
        return f"No Principled BSDF leads to the output of material '{material.name}'"
    return ""


def apply_stain(material: bpy.types.Material, parameters: StainParameters, backend: str) -> None:
    """Add the stain to the base colour of every Principled BSDF that leads to the output, or change the one there.

    Raises:
        UserError: the backend or this Blender's nodes cannot show these parameters; the material is as before.
    """
    group = build_stain_group(neighbours=parameters.neighbours, backend=backend)
    there = stain_node(material)
    if there is not None and there.node_tree == group:
        set_stain_values(there, parameters, backend)
        return
    tree = material.node_tree
    before = {node.name for node in tree.nodes}
    try:
        stain = add_stain_node(tree, parameters, backend)
    except UserError:
        for node in [node for node in tree.nodes if node.name not in before]:
            tree.nodes.remove(node)
        raise
    if there is not None:
        remove_stain(material)
    for node in [node for node in tree.nodes if node.name not in before]:
        node[MARK] = _HELPER
    stain[MARK] = _STAIN
    coordinates = stain.inputs[VECTOR].links[0].from_node
    for principled in _principled_nodes(tree):
        _insert(tree, stain, principled)
    x, y = min((tuple(node.location) for node in _marked(tree, _ADD)), default=(0.0, 0.0))
    stain.location, coordinates.location = (x - 240, y - 120), (x - 440, y - 120)


def remove_stain(material: bpy.types.Material) -> None:
    """Take the stain out: what was linked to the base colour is linked to it again."""
    tree = material.node_tree
    for add in _marked(tree, _ADD):
        source = add.inputs[0].links[0].from_socket if add.inputs[0].links else None
        for clamp in {link.to_node for link in add.outputs[0].links if link.to_node.get(MARK) == _CLAMP}:
            for target in [link.to_socket for link in clamp.outputs[0].links]:
                if source is not None:
                    tree.links.new(source, target)
    for kind in (_STAIN, _ADD, _CLAMP, _HELPER):
        for node in _marked(tree, kind):
            tree.nodes.remove(node)
    remove_unused_groups()


def remove_unused_groups() -> None:
    """Remove the stain's node groups and shader text that nothing uses any more."""
    unused = True
    while unused:
        unused = [tree for tree in bpy.data.node_groups if tree.get(STAMP) is not None and tree.users == 0]
        for tree in unused:
            bpy.data.node_groups.remove(tree)
    text = bpy.data.texts.get(stain_osl.SHADER)
    if text is not None and not bpy.data.user_map(subset={text})[text]:  # a text's own count is never 0
        bpy.data.texts.remove(text)


def _insert(tree, stain, principled) -> None:
    """Put `+ delta, at least 0` before the base colour."""
    socket = principled.inputs["Base Color"]
    add = _vector_node(tree, "ADD", "Base Colour + Stain", _ADD, principled.location, -400)
    clamp = _vector_node(tree, "MAXIMUM", "At Least 0", _CLAMP, principled.location, -200)
    if socket.is_linked:
        tree.links.new(socket.links[0].from_socket, add.inputs[0])
    else:
        add.inputs[0].default_value = socket.default_value[:3]
    tree.links.new(stain.outputs["Reflectance Delta"], add.inputs[1])
    tree.links.new(add.outputs[0], clamp.inputs[0])
    tree.links.new(clamp.outputs[0], socket)


def _vector_node(tree, operation: str, label: str, mark: str, place, shift: float):
    node = tree.nodes.new("ShaderNodeVectorMath")
    node.operation, node.label, node.location = operation, label, (place[0] + shift, place[1])
    node[MARK] = mark
    return node


def _marked(tree, kind: str) -> list:
    return [node for node in tree.nodes if node.get(MARK) == kind]


def _principled_nodes(tree) -> list:
    """The Principled BSDFs that the active output depends on, in the tree itself."""
    outputs = [node for node in tree.nodes if node.bl_idname == "ShaderNodeOutputMaterial" and node.is_active_output]
    todo, seen = outputs, []
    while todo:
        node = todo.pop()
        if node in seen:
            continue
        seen.append(node)
        todo += [link.from_node for socket in node.inputs for link in socket.links]
    return [node for node in seen if node.bl_idname == "ShaderNodeBsdfPrincipled"]
