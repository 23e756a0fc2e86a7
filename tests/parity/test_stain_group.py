# SPDX-License-Identifier: GPL-3.0-or-later
"""The stain's node groups as objects: sockets, rebuilding, refusals. Their values: test_parity.py."""

import importlib.util

import numpy as np
import pytest

if importlib.util.find_spec("bpy") is None:
    pytest.skip("the bpy module is not installed here", allow_module_level=True)

import bpy

from blender_addon.core.errors import UserError
from blender_addon.core.seeding import SEED_LIMIT
from blender_addon.core.stain.parameters import LOOKS, StainParameters
from blender_addon.scene import stain_osl, stain_sockets
from blender_addon.scene.stain_nodes import STAMP, add_stain_node, build_stain_group

OUTPUTS = [
    "Reflectance", "Reflectance Delta", "Roughness Delta", "Height", "Mask", "Distance", "Boundary",
    "Normalised Distance", "Instance", "Scatter",
]
needs_osl = pytest.mark.skipif(not stain_osl.osl_available()[0], reason=stain_osl.osl_available()[1] or "OSL is here")


@pytest.fixture(autouse=True)
def empty_file():
    bpy.ops.wm.read_factory_settings(use_empty=True)


@pytest.fixture
def material_tree():
    material = bpy.data.materials.new("Metal")
    material.use_nodes = True
    return material.node_tree


def stain(seed=7, cell_size_mm=20.0, **changes) -> StainParameters:
    return StainParameters(4.0, 0.25, 1.5, 2.0, -0.3, seed, cell_size_mm=cell_size_mm, **changes)


def socket_names(node) -> tuple[list[str], list[str]]:
    return [s.name for s in node.inputs], [s.name for s in node.outputs]


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("neighbours", [27, 8, 0])
def test_built_twice_is_built_once(neighbours, look):
    first = build_stain_group(neighbours=neighbours, look=look)
    nodes = [node.as_pointer() for node in first.nodes]
    assert build_stain_group(neighbours=neighbours, look=look) == first
    assert [node.as_pointer() for node in first.nodes] == nodes
    assert sum(tree.name.startswith("Water Stain (") for tree in bpy.data.node_groups) == 1


def test_an_old_group_is_rebuilt_in_place_and_its_users_keep_links_and_values(material_tree):
    node = add_stain_node(material_tree, stain())
    group, nodes = node.node_tree, len(node.node_tree.nodes)
    group.nodes.remove(group.nodes[-1])
    group[STAMP] = "nodes 0"
    assert build_stain_group(neighbours=8) == group == node.node_tree
    assert len(group.nodes) == nodes
    assert node.inputs["Vector"].is_linked
    assert node.inputs["Radius"].default_value == np.float32(0.004)


@needs_osl
@pytest.mark.parametrize("place", [
    {}, {"cell_size_mm": 5.5}, {"cell_size_mm": None, "centre_mm": (1, 2, 3)}, {"edge_width_um": 90.0},
    {"satellites": 0.5, "film_scatter": 0.1}, {"cell_size_mm": None, "centre_mm": (1, 2, 3), "satellites": 0.5},
])
def test_both_backends_have_the_same_sockets_and_values(material_tree, place):
    parameters = stain(**place)
    nodes, osl = (add_stain_node(material_tree, parameters, backend) for backend in ("nodes", "osl"))
    assert socket_names(nodes) == socket_names(osl)
    assert socket_names(nodes)[1] == OUTPUTS
    for name in socket_names(nodes)[0]:
        assert np.array_equal(nodes.inputs[name].default_value, osl.inputs[name].default_value), name


def test_sockets_hold_the_bits_that_numpy_computes_with(material_tree):
    parameters = stain(cell_size_mm=7.7)
    inputs = add_stain_node(material_tree, parameters).inputs
    values = parameters.in_metres()
    assert np.float32(inputs["Cell Size"].default_value) == values.cell_size
    assert np.float32(inputs["Noise Frequency"].default_value) == values.noise_frequency
    assert np.float32(inputs["Noise Amplitude"].default_value) == values.noise_amplitude


def test_nodes_lie_in_labelled_frames_and_do_not_overlap():
    whole = [build_stain_group(neighbours=27), build_stain_group(neighbours=27, look="drops")]
    for tree in (*whole, *(tree for tree in bpy.data.node_groups if "Nearest" in tree.name)):
        nodes = [node for node in tree.nodes if node.type != "FRAME"]
        assert all(node.parent and node.parent.label for node in nodes if node.type != "GROUP_OUTPUT")
        assert len({(round(node.location.x), round(node.location.y)) for node in nodes}) == len(nodes)


def test_a_seed_that_the_noise_node_cannot_tell_apart_is_refused(material_tree):
    if bpy.app.version < (3, 5, 0):
        pytest.skip("this noise node does not repeat")
    add_stain_node(material_tree, stain(seed=SEED_LIMIT - 1))
    with pytest.raises(UserError, match="seed"):
        add_stain_node(material_tree, stain(seed=SEED_LIMIT))


@needs_osl
def test_osl_takes_every_seed_and_leaves_the_engine_alone(material_tree):
    bpy.context.scene.render.engine = "BLENDER_WORKBENCH"
    node = add_stain_node(material_tree, stain(seed=2**24 - 1), "osl")
    assert node.inputs["Seed"].default_value == 2**24 - 1
    assert bpy.context.scene.render.engine == "BLENDER_WORKBENCH"


@needs_osl
def test_a_broken_shader_raises_and_leaves_no_group_that_looks_whole(monkeypatch):
    monkeypatch.setattr(stain_osl, "shader_source", lambda: "shader water_stain(float Position = 0) { not a shader }")
    for _ in range(2):
        with pytest.raises(RuntimeError, match="did not compile"):
            build_stain_group(backend="osl")


def test_osl_is_refused_where_it_does_not_run():
    for device in ("CUDA", "HIP", "METAL", "ONEAPI"):
        available, reason = stain_osl.osl_available(device)
        assert not available and reason


def test_headers_are_written_into_the_shader():
    source = stain_osl.shader_source()
    assert "#include" not in source and "float nearest_centre(" in source


@pytest.mark.parametrize("arguments", [{"neighbours": 9}, {"backend": "glsl"}, {"look": "wet"}])
def test_refuses_unknown_variants(arguments):
    with pytest.raises(UserError, match="stain group"):
        build_stain_group(**arguments)


def test_refuses_a_name_that_another_kind_of_group_holds():
    bpy.data.node_groups.new("Taken", "GeometryNodeTree")
    with pytest.raises(UserError, match="Taken"):
        build_stain_group("Taken")


def test_every_input_is_described():
    for neighbours in (27, 0):
        for look in LOOKS:
            assert all(spec.tooltip for spec in stain_sockets.inputs(neighbours, look))


def test_a_group_of_another_look_has_the_same_outputs_and_the_parameters_say_which(material_tree):
    plain, dried = add_stain_node(material_tree, stain()), add_stain_node(material_tree, stain(satellites=0.4))
    assert socket_names(plain)[1] == socket_names(dried)[1]
    assert "Satellites" in dried.inputs and "Edge Width" in dried.inputs and "Edge Width" not in plain.inputs
    along = add_stain_node(material_tree, stain(normal_reach=2.0))
    assert along.inputs["Normal"].is_linked and not dried.inputs["Normal"].is_linked
