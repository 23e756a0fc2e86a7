# SPDX-License-Identifier: GPL-3.0-or-later
"""What a stain is fed with: the surface point in metres on the part, and a seed that may differ from object to object.

    Texture Coordinate: Object --> x object's scale x metres per unit --> Vector      (no factor: linked at once)
    Attribute of the object -----> + the stain's seed, modulo 100,000 --> Seed        (only where copies are to differ)
"""

import bpy
import numpy as np

from ..core.seeding import SEED_LIMIT
from ..scene import compat
from ..scene.stain_sockets import VECTOR
from .stain_channels import MARK

HELPER = "helper"
OBJECT_SEED = "surface_impurities_seed"
"""Custom property of an object: what is added to the seed of its stains."""
_SCALE, _SEED = "surface_impurities_metres_per_unit", "surface_impurities_seed_of_the_material"
PLAIN = (1.0, 1.0, 1.0)


def metres_per_unit(item: bpy.types.Object, scene: bpy.types.Scene) -> tuple[float, float, float]:
    """Metres on the part for one unit of the object's own space, along its x, y and z; float32 numbers."""
    unit = scene.unit_settings.scale_length if scene.unit_settings.system != "NONE" else 1.0
    scale = item.matrix_world.to_scale() if item.parent else item.scale
    return tuple(float(np.float32(round(abs(axis) * unit, 7))) for axis in scale)


def coordinates_of(node) -> tuple[float, float, float]:
    """What the coordinates of this stain are multiplied by."""
    source = node.inputs[VECTOR].links[0].from_node if node.inputs[VECTOR].is_linked else None
    if source is None or not source.get(_SCALE):
        return PLAIN
    return tuple(source.inputs[1].default_value)


def differs_by_object(node) -> bool:
    """Whether linked copies of an object show other stains."""
    return node.inputs["Seed"].is_linked and bool(node.inputs["Seed"].links[0].from_node.get(_SEED))


def feed_coordinates(tree, node, scale=PLAIN, like=None) -> None:
    """Feed a stain with object space times `scale`; as `like` is fed with seed and normal, if that is given."""
    there = _behind(node.inputs[VECTOR])
    coordinates = next((helper for helper in there if helper.type == "TEX_COORD"), None)
    for helper in there:
        if helper != coordinates:
            tree.nodes.remove(helper)
    if coordinates is None:
        coordinates = _helper(tree, "ShaderNodeTexCoord", node, -1)
    source = coordinates.outputs["Object"]
    coordinates.location.x = node.location.x - (220.0 if tuple(scale) == PLAIN else 410.0)
    if tuple(scale) != PLAIN:
        factor = _helper(tree, "ShaderNodeVectorMath", node, -1)
        factor.operation, factor.label = "MULTIPLY", "Metres on the Part"
        factor[_SCALE] = True
        factor.inputs[1].default_value = scale
        tree.links.new(source, factor.inputs[0])
        source = factor.outputs[0]
    tree.links.new(source, node.inputs[VECTOR])
    if like is not None:
        differ_by_object(tree, node, differs_by_object(like))
        if "Normal" in like.inputs and like.inputs["Normal"].is_linked:
            tree.links.new(coordinates.outputs["Normal"], node.inputs["Normal"])


def differ_by_object(tree, node, wanted: bool) -> None:
    """Add each object's own seed to that of the stain, or no more."""
    if wanted == differs_by_object(node):
        return
    if not wanted:
        _unfeed(tree, node.inputs["Seed"])
        return
    attribute = _helper(tree, "ShaderNodeAttribute", node, -3)
    attribute.attribute_type, attribute.attribute_name = "OBJECT", OBJECT_SEED
    attribute.label = "Seed of the Object"
    add, wrap = _helper(tree, "ShaderNodeMath", node, -2), _helper(tree, "ShaderNodeMath", node, -1)
    add.operation, wrap.operation, wrap.label = "ADD", "MODULO", "Seed"
    wrap[_SEED] = True
    add.inputs[1].default_value = node.inputs["Seed"].default_value
    wrap.inputs[1].default_value = float(SEED_LIMIT)
    for part in (attribute, add, wrap):
        part.location.y -= 260.0
    tree.links.new(compat.factor_output(attribute), add.inputs[0])
    tree.links.new(add.outputs[0], wrap.inputs[0])
    tree.links.new(wrap.outputs[0], node.inputs["Seed"])


def seed_inputs(node) -> list:
    """The sockets that hold the stain's seed: its own, and what is added to the object's."""
    found = [node.inputs["Seed"]]
    if differs_by_object(node):
        found.append(found[0].links[0].from_node.inputs[0].links[0].from_node.inputs[1])
    return found


def seed_on(item: bpy.types.Object, seed: int, by_object: bool) -> int:
    """The seed that a stain has on an object."""
    return (seed + int(item.get(OBJECT_SEED, 0))) % SEED_LIMIT if by_object else seed


def helpers_behind(node) -> list:
    """The helper nodes that feed this stain."""
    return [helper for socket in node.inputs for helper in _behind(socket)]


def _unfeed(tree, socket) -> None:
    for helper in _behind(socket):
        tree.nodes.remove(helper)


def _behind(socket) -> list:
    found = []
    for link in socket.links:
        source = link.from_node
        if source.get(MARK) == HELPER:
            found += [source, *(node for further in source.inputs for node in _behind(further))]
    return found


def _helper(tree, kind: str, node, column: int):
    helper = tree.nodes.new(kind)
    helper[MARK], helper.select = HELPER, False
    helper.location = (node.location.x + 200.0 * column - 20.0, node.location.y)
    return helper
