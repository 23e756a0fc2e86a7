# SPDX-License-Identifier: GPL-3.0-or-later
"""Show a material's mask in the viewport instead of its looks: an emission, seen as 1 inside the stains and 0 outside.

    what was at the output --> Mix Shader, factor 1 --> Material Output
    stain: Mask --> Emission --^

What was linked stays linked to the Mix Shader, so that going back needs no memory.
"""

from ..core.stain.parameters import StainParameters
from .coordinates import HELPER, coordinates_of, differs_by_object
from .shader_sites import output_of
from .stain_channels import MARK, layer_of, marked
from .stain_on_material import STAIN, ensure_stain, stain_nodes

_SWITCH, _EMISSION = "mask preview: switch", "mask preview: emission"
_ALONE = "surface_impurities_for_preview"


def is_shown(material) -> bool:
    return bool(material is not None and material.node_tree and marked(material.node_tree, _SWITCH))


def show(material, parameters: StainParameters, backend: str, exposure: float, layer: int = 1) -> None:
    """Let the output show the mask of a layer, which the material has, with an output; `exposure` is what Cycles
    multiplies by."""
    tree = material.node_tree
    surface = output_of(tree).inputs["Surface"]
    # Where the stain lies in a group, its mask does not come out.
    alone = not any(layer_of(node) == layer for node in marked(tree, STAIN))
    other = stain_nodes(material, layer)[0]
    stain = ensure_stain(tree, parameters, backend, coordinates_of(other), differs_by_object(other), layer)
    if alone:
        stain[_ALONE] = True
    switch, emission = tree.nodes.new("ShaderNodeMixShader"), tree.nodes.new("ShaderNodeEmission")
    switch[MARK], emission[MARK] = _SWITCH, _EMISSION
    switch.label, emission.label = "Mask Preview", "Mask"
    x, y = surface.node.location
    switch.location, emission.location = (x, y + 180.0), (x - 200.0, y + 180.0)
    switch.inputs["Fac"].default_value = 1.0
    emission.inputs["Strength"].default_value = 1.0 / exposure
    if surface.is_linked:
        tree.links.new(surface.links[0].from_socket, switch.inputs[1])
    tree.links.new(stain.outputs["Mask"], emission.inputs["Color"])
    tree.links.new(emission.outputs[0], switch.inputs[2])
    tree.links.new(switch.outputs[0], surface)
    switch.select = emission.select = False


def hide(material) -> None:
    """Let the output show what it showed before."""
    tree = material.node_tree
    for switch in marked(tree, _SWITCH):
        before = switch.inputs[1]
        source = before.links[0].from_socket if before.links else None
        for target in [link.to_socket for link in switch.outputs[0].links]:
            if source is not None:
                tree.links.new(source, target)
    for node in [*marked(tree, _SWITCH), *marked(tree, _EMISSION)]:
        tree.nodes.remove(node)
    if any(_ALONE in node for node in marked(tree, STAIN)):
        for node in [*marked(tree, STAIN), *marked(tree, HELPER)]:
            tree.nodes.remove(node)
