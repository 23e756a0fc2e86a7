# SPDX-License-Identifier: GPL-3.0-or-later
"""The stain on any material, and the material afterwards as it was before."""

import bpy
import numpy as np

from .tools import add_bare_object, add_object, behind, picture_of, press, refusal, settings, stain, stain_of

ALL_CHANNELS = {"intensity": -0.2, "roughness_change": 0.2, "film_height_um": 5.0}


def _on_and_off(*trees):
    """Add the stain with all channels, twice, and take it off again: the trees must be as before. What was between."""
    before = [picture_of(tree) for tree in trees]
    for name, value in ALL_CHANNELS.items():
        setattr(settings(), name, value)
    assert press("add_stain") == {"FINISHED"}
    assert press("add_stain") == {"FINISHED"}, "pressed twice is one stain"
    yield
    assert press("remove_stain") == {"FINISHED"}
    for tree, old in zip(trees, before, strict=True):
        assert picture_of(tree) == old
    assert not [tree for tree in bpy.data.node_groups if tree.name.startswith("Water Stain")]
    settings().roughness_change = settings().film_height_um = 0.0


def _through(steps):
    """Run a generator of two halves."""
    next(steps)
    yield
    for _ in steps:
        pass


def check_all_channels_keep_what_was_linked():
    tree, principled = add_object()
    links = {"Base Color": "ShaderNodeRGB", "Roughness": "ShaderNodeValue", "Normal": "ShaderNodeNormalMap"}
    for socket, kind in links.items():
        reroute = tree.nodes.new("NodeReroute")
        tree.links.new(tree.nodes.new(kind).outputs[0], reroute.inputs[0])
        tree.links.new(reroute.outputs[0], principled.inputs[socket])
    for _ in _through(_on_and_off(tree)):
        stain = stain_of(tree)
        fed = {link.to_node.type for output in stain.outputs for link in output.links}
        assert fed == {"VECT_MATH", "MATH", "BUMP"}
        bump = principled.inputs["Normal"].links[0].from_node
        assert behind(tree, bump.inputs["Normal"]) == "REROUTE" and bump.inputs["Distance"].default_value == 1.0


def check_values_are_taken_over_into_the_channels():
    tree, principled = add_object()
    principled.inputs["Roughness"].default_value = 0.35
    for _ in _through(_on_and_off(tree)):
        add = principled.inputs["Base Color"].links[0].from_node.inputs[0].links[0].from_node
        assert np.allclose(add.inputs[0].default_value, (0.2, 0.4, 0.6))
        rough = principled.inputs["Roughness"].links[0].from_node
        assert np.isclose(rough.inputs[0].default_value, 0.35) and rough.use_clamp


def check_mixed_shaders():
    tree, principled = add_object()
    mix, second = tree.nodes.new("ShaderNodeMixShader"), tree.nodes.new("ShaderNodeBsdfPrincipled")
    reroute = tree.nodes.new("NodeReroute")
    output = next(node for node in tree.nodes if node.type == "OUTPUT_MATERIAL")
    tree.links.new(principled.outputs[0], reroute.inputs[0])
    tree.links.new(reroute.outputs[0], mix.inputs[1])
    tree.links.new(second.outputs[0], mix.inputs[2])
    tree.links.new(mix.outputs[0], output.inputs["Surface"])
    for _ in _through(_on_and_off(tree)):
        stain_of(tree)
        assert behind(tree, principled.inputs["Base Color"]) == behind(tree, second.inputs["Base Color"]) == "VECT_MATH"


def check_a_shader_inside_a_shared_group():
    group = _group_with_principled()
    trees = []
    for name in ("First", "Second"):
        tree, principled = add_object(name)
        tree.nodes.remove(principled)
        node = tree.nodes.new("ShaderNodeGroup")
        node.node_tree = group
        output = next(node for node in tree.nodes if node.type == "OUTPUT_MATERIAL")
        tree.links.new(node.outputs[0], output.inputs["Surface"])
        trees.append(tree)
    for _ in _through(_on_and_off(trees[1], trees[0], group)):
        inner = next(node for node in trees[1].nodes if node.type == "GROUP").node_tree
        assert inner != group and stain_of(inner), "the copy is stained"
        assert not any(node.type == "GROUP" for node in group.nodes), "the other material's shader is not"
        press("show_mask")
        stain().radius_mm = 1.5
        assert stain_of(trees[1]).inputs["Radius"].default_value == np.float32(1.5e-3), "the preview follows too"
        press("show_mask")


def _group_with_principled():
    tree = bpy.data.node_groups.new("Varnish", "ShaderNodeTree")
    if hasattr(tree, "interface"):
        tree.interface.new_socket("Shader", in_out="OUTPUT", socket_type="NodeSocketShader")
    else:
        tree.outputs.new("NodeSocketShader", "Shader")
    shader, end = tree.nodes.new("ShaderNodeBsdfPrincipled"), tree.nodes.new("NodeGroupOutput")
    tree.links.new(shader.outputs[0], end.inputs[0])
    return tree


def check_an_object_without_a_material_gets_one_and_loses_it():
    item = add_bare_object()
    materials = [material.name for material in bpy.data.materials]
    assert press("add_stain") == {"FINISHED"}
    assert stain_of(item.active_material.node_tree)
    press("remove_stain")
    assert not item.material_slots and [material.name for material in bpy.data.materials] == materials
    press("add_stain")
    principled = next(node for node in item.active_material.node_tree.nodes if node.type == "BSDF_PRINCIPLED")
    principled.inputs["Metallic"].default_value = 1.0
    press("remove_stain")
    assert item.active_material is not None, "a material that a person has worked on stays"


def check_a_material_without_nodes_keeps_its_colour():
    item = add_bare_object("Plain")
    material = bpy.data.materials.new("Plain")
    if material.use_nodes:  # from 5.0 on a material always has nodes
        return
    item.data.materials.append(material)
    material.diffuse_color, material.roughness = (0.1, 0.2, 0.3, 1.0), 0.7
    press("add_stain")
    principled = next(node for node in material.node_tree.nodes if node.type == "BSDF_PRINCIPLED")
    assert np.allclose(principled.inputs["Base Color"].default_value, (0.1, 0.2, 0.3, 1.0))
    assert np.isclose(principled.inputs["Roughness"].default_value, 0.7)
    press("remove_stain")
    assert not material.use_nodes and not material.keys()


def check_buttons_say_why_not():
    tree, principled = add_object("Odd")
    tree.nodes.remove(principled)
    assert "No Principled BSDF" in refusal("add_stain")
    lamp = bpy.data.objects.new("Lamp", bpy.data.lights.new("Lamp", "POINT"))
    bpy.context.scene.collection.objects.link(lamp)
    bpy.context.view_layer.objects.active = lamp
    assert "'Lamp' is a light" in refusal("add_stain")
    bpy.context.view_layer.objects.active = None
    assert "Select an object first" in refusal("add_stain")
    assert "Choose a folder" in refusal("render_pair")
    assert "no water stain" in refusal("show_mask")
    assert "No render is at work" in refusal("stop_render")
