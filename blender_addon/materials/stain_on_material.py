# SPDX-License-Identifier: GPL-3.0-or-later
"""Put the stain into a material that is there, keep it as the panel says, and take it out again without a trace."""

import bpy

from ..core.errors import UserError
from ..core.stain.parameters import StainParameters
from ..scene import stain_osl
from ..scene.stain_nodes import STAMP, add_stain_node, group_for
from ..scene.stain_sockets import VECTOR, set_stain_values
from .coordinates import (
    HELPER,
    coordinates_of,
    differ_by_object,
    differs_by_object,
    feed_coordinates,
    helpers_behind,
    seed_inputs,
)
from .shader_sites import give_groups_back, sites, trees
from .stain_channels import CHANNELS, MARK, layer_of, marked, plug, remove, set_layer

STAIN = "stain"


def is_stained(material: bpy.types.Material | None) -> bool:
    return bool(material is not None and material.node_tree and stain_nodes(material))


def stain_nodes(material: bpy.types.Material, layer: int | None = None) -> list:
    """The stains that `apply_stain` put into the material: one per layer and tree that holds a Principled BSDF.

    layer: only those of this one.
    """
    return [node for tree in trees(material.node_tree) for node in _stains(tree, layer)]


def layers_in(material: bpy.types.Material) -> int:
    """How many layers of stains the material has."""
    return max((layer_of(node) for node in stain_nodes(material)), default=0) if material.node_tree else 0


def _stains(tree, layer: int | None) -> list:
    return [node for node in marked(tree, STAIN) if layer in (None, layer_of(node))]


def group_of(parameters: StainParameters, backend: str):
    """The node group that these parameters need."""
    return group_for(parameters, backend)


def apply_stain(
    material: bpy.types.Material, parameters: StainParameters, backend: str,
    scale: tuple[float, float, float] | None = None, by_object: bool | None = None, layer: int = 1,
) -> None:
    """Let the stain act on every Principled BSDF that leads to the output, or change the stain that is there.

    Args:
        scale: metres on the part for a unit of its object space; None leaves it, 1 for a new stain.
        by_object: whether each object adds a seed of its own; None leaves it.
        layer: which of the stains that lie on each other, from 1, the lowest; a new one is the highest.

    Raises:
        UserError: the backend or this Blender's nodes cannot show these parameters; the material is as before.
    """
    fresh = layer > layers_in(material)
    try:
        for tree, principled in sites(material.node_tree, own=True):
            stain = ensure_stain(tree, parameters, backend, scale, by_object, layer)
            for shader in principled:
                plug(tree, stain, shader, parameters)
        for tree in trees(material.node_tree):
            if _stains(tree, layer):  # the mask preview's, where no shader is
                ensure_stain(tree, parameters, backend, scale, by_object, layer)
    except UserError:
        if fresh:
            remove_stain(material, layer)
        raise
    remove_unused_groups()


def ensure_stain(
    tree, parameters: StainParameters, backend: str, scale=None, by_object: bool | None = None, layer: int = 1
):
    """The tree's stain of this layer, made where there is none, of the right kind and with these values."""
    group = group_of(parameters, backend)
    there, active = next(iter(_stains(tree, layer)), None), tree.nodes.active
    if there is not None and there.node_tree == group:
        stain = there
        set_stain_values(stain, parameters, backend)
    else:
        stain = _new_stain(tree, parameters, backend)
        set_layer(stain, layer)
        if there is None:
            _place(tree, stain)
        else:
            scale = coordinates_of(there) if scale is None else scale
            by_object = differs_by_object(there) if by_object is None else by_object
            _replace(tree, there, stain)
    if scale is not None and tuple(scale) != coordinates_of(stain):
        feed_coordinates(tree, stain, scale)
    if by_object is not None:
        differ_by_object(tree, stain, by_object)
    for socket in seed_inputs(stain):
        socket.default_value = float(parameters.seed)
    tree.nodes.active = active
    return stain


def _new_stain(tree, parameters: StainParameters, backend: str):
    before, active = {node.name for node in tree.nodes}, tree.nodes.active
    try:
        stain = add_stain_node(tree, parameters, backend)
    except UserError:
        for node in [node for node in tree.nodes if node.name not in before]:
            tree.nodes.remove(node)
        raise
    for node in [node for node in tree.nodes if node.name not in before]:
        node[MARK], node.select = HELPER, False
    stain[MARK] = STAIN
    tree.nodes.active = active
    return stain


def remove_stain(material: bpy.types.Material, layer: int | None = None) -> None:
    """Take the stain out: what was linked is linked again, and shared groups are shared again.

    layer: only this one; those above it move down.
    """
    for tree in trees(material.node_tree):
        for channel in CHANNELS:
            remove(tree, channel, list(tree.nodes), layer)
        for node in _stains(tree, layer):
            for helper in helpers_behind(node):
                tree.nodes.remove(helper)
            tree.nodes.remove(node)
        for node in tree.nodes if layer is not None else ():
            if layer_of(node) > layer:
                set_layer(node, layer_of(node) - 1)
    if not is_stained(material):
        for tree in trees(material.node_tree):
            for helper in marked(tree, HELPER):
                tree.nodes.remove(helper)
        give_groups_back(material.node_tree)
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


def _replace(tree, old, new) -> None:
    """Put a new stain node, of another group, in the place of an old one."""
    coordinates, helpers = new.inputs[VECTOR].links[0].from_node, helpers_behind(old)
    if helpers:
        coordinates.location = helpers[0].location
    for helper in helpers:
        tree.nodes.remove(helper)
    for output in old.outputs:
        for target in [link.to_socket for link in output.links]:
            tree.links.new(new.outputs[output.name], target)
    new.location = old.location
    tree.nodes.remove(old)


def _place(tree, stain) -> None:
    """Place a new stain and its coordinates below all other nodes; the channels line up beside it."""
    others = [node for node in tree.nodes if not node.get(MARK) and node.type != "FRAME"]
    left = min((node.location.x for node in others), default=0.0)
    low = min((node.location.y - max(node.dimensions.y, 300.0) for node in others), default=0.0) - 120.0
    low -= 900.0 * (layer_of(stain) - 1)
    stain.location = (left, low)
    stain.inputs[VECTOR].links[0].from_node.location = (left - 220.0, low)
