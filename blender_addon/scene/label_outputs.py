# SPDX-License-Identifier: GPL-3.0-or-later
"""Let every material of a scene show what is where, beside its own looks, which nothing is taken from.

A second Material Output is put into each node tree and made the active one. It emits to the camera alone

    red    the instance hash of the stain that lies on top
    green  2 x its layer, counted from 1, + a number from 0 to 1 that tells copies of an object apart; 0 where none is
    blue   512 x the object's number + the material's number; 0 where nothing inspected is

and keeps the displacement of the first. Nothing else gives light in this pass, so surfaces without nodes are black.
Where features lie on the parts, three shader layers carry the hit point and the surface's own normal, both in object
space, and the number that tells copies apart.
"""

from collections.abc import Mapping, Sequence

import bpy

from . import compat
from .ledger import Ledger

HIT_POINT, HIT_NORMAL, HIT_COPY = "Hit Point", "Hit Normal", "Hit Copy"
HITS = (HIT_POINT, HIT_NORMAL, HIT_COPY)
"""Layers of a pass that tells where the rays hit."""
MATERIALS = 512
"""How many materials can be told apart, 0 included; with 2^15 object indices, float32 counts all pairs exactly."""


def add_label_outputs(
    changes: Ledger, stains: Mapping[str, Sequence], numbers: Mapping[str, int], emit=None, hits: bool = False
) -> None:
    """Add the outputs to all materials in use.

    Args:
        stains: material -> its stains' nodes in the material's own tree, the lowest layer first.
        numbers: material -> its number for blue, where it has one.
        emit: (tree, label socket) -> socket; what is shown instead of the label, for tests.
        hits: write the layers `HITS` too.
    """
    for material in bpy.data.materials:
        if material.users and not getattr(material, "is_grease_pencil", False) and material.node_tree is not None \
                and material.use_nodes:
            _add_output(changes, material, stains.get(material.name, ()), numbers.get(material.name, 0), emit, hits)


def _add_output(changes: Ledger, material, stains: Sequence, number: int, emit, hits: bool) -> None:
    tree = material.node_tree
    active, before = tree.nodes.active, tree.get_output_node("CYCLES")
    selected = [node for node in tree.nodes if node.select]
    made = []

    def restore() -> None:
        for node in made:
            tree.nodes.remove(node)
        if before is not None:
            before.is_active_output = True
        tree.nodes.active = active
        for node in tree.nodes:
            if node.select != (node in selected):
                node.select = node in selected

    changes.on_undo(restore)
    for name, value in (("emission_sampling", "NONE"), ("sample_as_light", False)):
        changes.set(material.cycles, name, value)
    add = _Adder(tree, made)
    output = add("ShaderNodeOutputMaterial")
    output.target, output.is_active_output = "CYCLES", True
    if before is not None and before.inputs["Displacement"].is_linked:
        tree.links.new(before.inputs["Displacement"].links[0].from_socket, output.inputs["Displacement"])
    if before is not None and before.inputs["Volume"].is_linked and not before.inputs["Surface"].is_linked:
        tree.links.new(add("ShaderNodeBsdfTransparent").outputs[0], output.inputs["Surface"])
        return
    if hits:
        _add_hits(add)
    label = _label(add, stains, number)
    emission, path = add("ShaderNodeEmission"), add("ShaderNodeLightPath")
    tree.links.new(path.outputs["Is Camera Ray"], emission.inputs["Strength"])
    tree.links.new(emit(tree, label) if emit else label, emission.inputs["Color"])
    tree.links.new(emission.outputs[0], output.inputs["Surface"])


class _Adder:
    """Makes nodes, and remembers which."""

    def __init__(self, tree, made: list) -> None:
        self.tree, self._made = tree, made

    def __call__(self, kind: str):
        node = self.tree.nodes.new(kind)
        self._made.append(node)
        return node

    def math(self, operation: str, *operands):
        """A Math node of sockets or numbers; its output."""
        node = self("ShaderNodeMath")
        node.operation = operation
        for socket, operand in zip(node.inputs, operands, strict=False):
            if isinstance(operand, bpy.types.NodeSocket):
                self.tree.links.new(operand, socket)
            else:
                socket.default_value = operand
        return node.outputs[0]


def _add_hits(add: _Adder) -> None:
    coordinates, info = add("ShaderNodeTexCoord"), add("ShaderNodeObjectInfo")
    sources = (coordinates.outputs["Object"], coordinates.outputs["Normal"], info.outputs["Random"])
    for name, source in zip(HITS, sources, strict=True):
        output = add("ShaderNodeOutputAOV")
        compat.name_shader_output(output, name)
        add.tree.links.new(source, output.inputs["Color"])


def _label(add: _Adder, stains: Sequence, number: int):
    info = add("ShaderNodeObjectInfo")
    red, green = 0.0, 0.0
    for layer, stain in enumerate(stains, start=1):
        mask, instance = stain.outputs["Mask"], stain.outputs["Instance"]
        place = add.math("MULTIPLY", add.math("ADD", info.outputs["Random"], 2.0 * layer), mask)
        if layer == 1:
            red, green = instance, place
            continue
        outside = add.math("SUBTRACT", 1.0, mask)
        red = add.math("ADD", add.math("MULTIPLY", red, outside), instance)
        green = add.math("ADD", add.math("MULTIPLY", green, outside), place)
    blue = add.math("ADD", add.math("MULTIPLY", info.outputs["Object Index"], float(MATERIALS)), float(number))
    combine = add("ShaderNodeCombineXYZ")
    for axis, value in zip("XYZ", (red, green, blue), strict=True):
        if isinstance(value, bpy.types.NodeSocket):
            add.tree.links.new(value, combine.inputs[axis])
        else:
            combine.inputs[axis].default_value = value
    return combine.outputs["Vector"]
