# SPDX-License-Identifier: GPL-3.0-or-later
"""How a stain acts on a Principled BSDF: one channel per socket, plugged only where the stain changes it.

    base colour  (link or value) --> + Reflectance Delta --> at least 0 -->
    roughness    (link or value) --> + Roughness Delta, 0 to 1 ----------->
    metallic     (link or value) --> - Scatter, 0 to 1 ------------------->
    normal       (link or none)  --> Bump, height in metres -------------->

Stains in layers act one after the other: a channel of each layer, the later plugged behind the earlier.

The nodes carry marks. What was linked stays linked to the first of them, and an unlinked socket keeps its own value,
so that taking a channel out needs no memory of how the material was.
"""

from collections.abc import Callable
from typing import NamedTuple

from ..core.stain.parameters import StainParameters
from .shader_sites import upstream

MARK = "surface_impurities"
LAYER = "surface_impurities_layer"
"""Property of nodes that belong to a layer above the first: its number, from 2."""
_SINGLE = "surface_impurities_single"


class Channel(NamedTuple):
    """One socket of the Principled BSDF, one output of the stain, and the nodes between."""

    socket: str
    output: str
    is_wanted: Callable[[StainParameters], bool]
    build: Callable  # (tree, old value) -> (input for what was there, input for the stain, output)

    @property
    def first(self) -> str:
        """Mark of the node that takes what was there."""
        return f"{self.socket}: first"

    @property
    def last(self) -> str:
        """Mark of the node that feeds the socket."""
        return f"{self.socket}: last"


def plug(tree, stain, principled, parameters: StainParameters) -> None:
    """Plug and unplug the channels of one Principled BSDF so that they are those that the stain needs."""
    layer = layer_of(stain)
    for channel in CHANNELS:
        plugged = _is_plugged(channel, principled, layer)
        if channel.is_wanted(parameters) and not plugged:
            _insert(channel, tree, stain, principled)
        elif plugged and not channel.is_wanted(parameters):
            remove(tree, channel, _feeding(channel, principled), layer)


def remove(tree, channel: Channel, nodes, layer: int | None = None) -> None:
    """Take a channel's nodes out, of one layer or of all: what they were fed with feeds what they fed."""
    for first in [node for node in nodes if node.get(MARK) == channel.first and layer in (None, layer_of(node))]:
        before = first.inputs[_input_of(first)]
        source = before.links[0].from_socket if before.links else None
        last = first if first.get(_SINGLE) else first.outputs[0].links[0].to_node
        for target in [link.to_socket for link in last.outputs[0].links]:
            if source is not None:
                tree.links.new(source, target)
        for node in {first, last}:
            tree.nodes.remove(node)


def layer_of(node) -> int:
    """Which layer of its material a stain, or a node of its channels, belongs to: from 1, the lowest."""
    return int(node.get(LAYER, 1))


def set_layer(node, layer: int) -> None:
    """Count a node to a layer."""
    if layer > 1:
        node[LAYER] = layer
    elif LAYER in node:
        del node[LAYER]


def marked(tree, mark: str) -> list:
    return [node for node in tree.nodes if node.get(MARK) == mark]


def _is_plugged(channel: Channel, principled, layer: int) -> bool:
    return any(node.get(MARK) == channel.first and layer_of(node) == layer for node in _feeding(channel, principled))


def _feeding(channel: Channel, principled) -> list:
    """The nodes behind the socket; a person may have put some between the channel and the socket."""
    return upstream(*(link.from_node for link in principled.inputs[channel.socket].links))


def _insert(channel: Channel, tree, stain, principled) -> None:
    socket = principled.inputs[channel.socket]
    first, last = channel.build(tree)
    first[MARK], last[MARK] = channel.first, channel.last
    if first == last:
        first[MARK], first[_SINGLE] = channel.first, True
    for node in {first, last}:
        set_layer(node, layer_of(stain))
    row = CHANNELS.index(channel) + len(CHANNELS) * (len(marked(tree, channel.first)) - 1)
    for node, shift in ((last, 460.0), (first, 260.0)):
        node.location, node.select = (stain.location.x + shift, stain.location.y - 190.0 * row), False
    before = first.inputs[_input_of(first)]
    if socket.is_linked:
        tree.links.new(socket.links[0].from_socket, before)
    elif before.type == "VALUE":
        before.default_value = socket.default_value
    elif channel.socket == "Base Color":
        before.default_value = socket.default_value[:3]
    stain_input = first.inputs["Height"] if first.type == "BUMP" else first.inputs[1]
    tree.links.new(stain.outputs[channel.output], stain_input)
    tree.links.new(last.outputs[0], socket)


def _input_of(first):
    """The input that takes what was there."""
    return "Normal" if first.type == "BUMP" else 0


def _colour(tree):
    add, clamp = (_node(tree, "ShaderNodeVectorMath", text) for text in ("Base Colour + Stain", "At Least 0"))
    add.operation, clamp.operation = "ADD", "MAXIMUM"
    tree.links.new(add.outputs[0], clamp.inputs[0])
    return add, clamp


def _roughness(tree):
    add = _node(tree, "ShaderNodeMath", "Roughness + Stain")
    add.operation, add.use_clamp = "ADD", True
    return add, add


def _metallic(tree):
    """What a film scatters is no longer mirrored: that share becomes diffuse, of the base colour."""
    subtract = _node(tree, "ShaderNodeMath", "Metallic - Scatter")
    subtract.operation, subtract.use_clamp = "SUBTRACT", True
    return subtract, subtract


def _normal(tree):
    bump = _node(tree, "ShaderNodeBump", "Stain's Film")
    bump.inputs["Strength"].default_value = 1.0
    bump.inputs["Distance"].default_value = 1.0  # the height comes in metres
    return bump, bump


def _node(tree, kind: str, label: str):
    node = tree.nodes.new(kind)
    node.label = label
    return node


CHANNELS = (
    Channel("Base Color", "Reflectance Delta", lambda stain: stain.intensity != 0, _colour),
    Channel("Roughness", "Roughness Delta", lambda stain: stain.roughness_change != 0, _roughness),
    Channel("Metallic", "Scatter", lambda stain: stain.film_scatter != 0, _metallic),
    Channel("Normal", "Height", lambda stain: stain.film_height_um != 0, _normal),
)
