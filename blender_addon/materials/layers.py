# SPDX-License-Identifier: GPL-3.0-or-later
"""The stains of a scene's materials as a renderer needs them: their values, and their nodes in every tree."""

from dataclasses import dataclass

import bpy

from ..core.errors import UserError
from ..core.stain.parameters import StainParameters
from ..scene.ledger import Ledger
from ..scene.stain_nodes import STAMP
from ..scene.stain_sockets import VECTOR, set_stain_values
from ..scene.stain_values import read_stain, refuse_links
from .coordinates import coordinates_of, differs_by_object, feed_coordinates, seed_inputs
from .stain_on_material import group_of, layers_in, stain_nodes


@dataclass(frozen=True)
class StainLayer:
    """A stain of a material, in all node trees that it acts in."""

    material: bpy.types.Material
    number: int
    """From 1, the lowest first."""
    nodes: tuple
    parameters: StainParameters
    backend: str
    metres_per_unit: tuple[float, float, float]
    """What the stain's coordinates are multiplied by: object scale and unit of the scene."""
    by_object: bool
    """Whether each object adds a seed of its own."""


def layers_of(material: bpy.types.Material) -> list[StainLayer]:
    """The material's stains, the lowest first.

    Raises:
        UserError: a person has edited a stain so that it has no single set of values.
    """
    found = []
    for number in range(1, layers_in(material) + 1):
        nodes = stain_nodes(material, number)
        if not nodes:  # a person has deleted it
            continue
        try:
            parameters = read_stain(nodes[0])
        except UserError as error:
            raise UserError(f"material '{material.name}': {error}") from error
        refuse_links(nodes[0], material.name)
        found.append(StainLayer(material, len(found) + 1, tuple(nodes), parameters, backend_of(nodes[0]),
                                coordinates_of(nodes[0]), differs_by_object(nodes[0])))
    return found


def backend_of(node) -> str:
    """What computes the stain of this node."""
    return "nodes" if str(node.node_tree.get(STAMP, "nodes")).startswith("nodes") else "osl"


def change(changes: Ledger, layer: StainLayer, parameters: StainParameters) -> None:
    """Give the layer other values, for a while.

    Raises:
        UserError: this Blender's nodes cannot show them.
    """
    for node in layer.nodes:
        before, wanted = node.node_tree, group_of(parameters, layer.backend)
        if before != wanted:
            changes.on_undo(lambda node=node, before=before: setattr(node, "node_tree", before))
            node.node_tree = wanted
        for socket in (*node.inputs, *seed_inputs(node)):
            if hasattr(socket, "default_value"):
                changes.keep(socket, "default_value")
        set_stain_values(node, parameters, layer.backend)
        for socket in seed_inputs(node):
            socket.default_value = float(parameters.seed)


def root_nodes(changes: Ledger, layers: list[StainLayer]) -> list:
    """For each layer of one material its node in the material's own tree, made for a while where it is in a group."""
    found = []
    for layer in layers:
        tree = layer.material.node_tree
        own = [node for node in layer.nodes if node.id_data == tree]
        found.append(own[0] if own else _twin(changes, tree, layer))
    return found


def _twin(changes: Ledger, tree, layer: StainLayer):
    """A stain with the same values in another tree; its nodes go again with the other changes."""
    active, before = tree.nodes.active, {node.name for node in tree.nodes}

    def restore() -> None:
        for node in [node for node in tree.nodes if node.name in made]:
            tree.nodes.remove(node)
        tree.nodes.active = active

    source = layer.nodes[0]
    node = tree.nodes.new("ShaderNodeGroup")
    node.node_tree = source.node_tree
    for socket in source.inputs:
        if hasattr(socket, "default_value") and socket.name != VECTOR:
            node.inputs[socket.identifier if socket.identifier in node.inputs else socket.name].default_value = \
                socket.default_value
    feed_coordinates(tree, node, layer.metres_per_unit, like=source)
    made = {node.name for node in tree.nodes} - before
    changes.on_undo(restore)
    return node

