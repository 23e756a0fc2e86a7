# SPDX-License-Identifier: GPL-3.0-or-later
"""Scenes of other people: masks against NumPy at the points that the same rays hit; afterwards all is as before."""

import dataclasses
import pathlib
import sys

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="needs the bpy module")

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import own_scenes  # noqa: E402

from blender_addon.core.errors import UserError  # noqa: E402
from blender_addon.core.recipe.own_scene import unvaried_sample  # noqa: E402
from blender_addon.core.recipe.sample import draw_any  # noqa: E402
from blender_addon.core.recipe.settings import Recipe  # noqa: E402
from blender_addon.core.stain.field import stain_field  # noqa: E402
from blender_addon.materials import layers as stain_layers  # noqa: E402
from blender_addon.materials import stain_on_material  # noqa: E402
from blender_addon.materials.coordinates import metres_per_unit, seed_on  # noqa: E402
from blender_addon.render import own_passes, own_scene, session  # noqa: E402
from blender_addon.scene.digest import described, digest  # noqa: E402
from blender_addon.scene.inspected import leave_slot_out, mark  # noqa: E402
from blender_addon.scene.ledger import Ledger  # noqa: E402
from blender_addon.scene.stain_values import read_stain  # noqa: E402

PAIR = unvaried_sample("pair")


def recipe(**sections) -> Recipe:
    return Recipe("own", "own", "", 4, 5, (("train", 1),), {"scene": {}, **sections})


def find(scene, names=()):
    with session.silence(session.FATAL):
        return own_scene.find(scene, names)


def labels_of(own, folder, emit=None):
    """The label pass, or what `emit` shows in it."""
    with session.silence(session.FATAL), Ledger() as changes:
        nodes = own_scene._root_nodes(own, changes)
        return own_passes.render_labels(own.scene, own.parts, nodes, own.numbers, folder, emit)


def hit_points(own, folder) -> np.ndarray:
    """Object-space positions at the pixels' centres, by the same rays: (H, W, 3). Emission has no sign: two renders."""
    found = []
    for sign in (1.0, -1.0):

        def emit(tree, label, sign=sign):
            scale, clamp = (tree.nodes.new("ShaderNodeVectorMath") for _ in range(2))
            scale.operation, clamp.operation = "SCALE", "MAXIMUM"
            scale.inputs["Scale"].default_value = sign
            tree.links.new(tree.nodes.new("ShaderNodeTexCoord").outputs["Object"], scale.inputs[0])
            tree.links.new(scale.outputs["Vector"], clamp.inputs[0])
            return clamp.outputs["Vector"]

        found.append(labels_of(own, folder, emit))
    return found[0] - found[1]


@pytest.mark.parametrize("size", [(200, 150), pytest.param((800, 600), marks=pytest.mark.long)])
@pytest.mark.parametrize("name", own_scenes.SCENES)
def test_masks_are_the_numpy_field_at_the_hit_points(name, size, tmp_path):
    scene = own_scenes.make(name)
    scene.render.resolution_x, scene.render.resolution_y = size
    own = find(scene)
    with session.silence(session.FATAL):
        labels = own_scene.scene_labels(own, tmp_path)
    packed = np.rint(labels_of(own, tmp_path)[..., 2]).astype(int) // own_scene.MATERIALS
    points = hit_points(own, tmp_path)
    different = seen = 0
    for part in own.parts:
        (layer,) = [each for each in own.layers if each.material.name in part.object.data.materials]
        stain = dataclasses.replace(layer.parameters,
                                    seed=seed_on(part.object, layer.parameters.seed, layer.by_object))
        here = (packed == part.number) & labels.region
        field = stain_field(points[here] * np.array(layer.metres_per_unit, np.float32), stain)
        rust = labels_of_rust(own, part, tmp_path)[here] if name == "casting" else np.zeros(here.sum(), bool)
        different += int(((labels.mask[here] == 6) != field.inside & ~rust).sum())
        seen += int(here.sum())
        hashes = {each["hash"] for each in labels.instance_list if each["object"] == part.object.name}
        assert hashes == {float(value) for value in np.unique(field.instance_hash[field.inside & ~rust])}
    assert seen > 0.05 * labels.mask.size and (labels.mask == 6).sum() > 100
    assert different <= 1 + seen / 100_000, f"{different} of {seen} pixels differ"
    assert not (labels.mask[~labels.region]).any()


def labels_of_rust(own, part, folder) -> np.ndarray:
    """Where the casting's other material is."""

    def emit(tree, label):
        if tree == bpy.data.materials["Rust"].node_tree:
            node = tree.nodes.new("ShaderNodeCombineXYZ")
            node.inputs["X"].default_value = 1.0
            return node.outputs[0]
        return label

    return labels_of(own, folder, emit)[..., 0] == 1.0


def test_two_objects_with_one_stain_have_instances_of_their_own(tmp_path):
    own = find(own_scenes.make("two_parts"))
    with session.silence(session.FATAL):
        labels = own_scene.scene_labels(own, tmp_path)
    assert {entry["object"] for entry in labels.instance_list} == {"Shaft", "Head"}
    for entry in labels.instance_list:
        assert (labels.instances == entry["id"]).sum() == entry["pixels"] > 0
    assert len({entry["id"] for entry in labels.instance_list}) == labels.instances.max()
    assert not labels.region.all() and labels.region.any(), "the table is not inspected"


def test_copies_with_a_seed_of_their_own_differ(tmp_path):
    own = find(own_scenes.make("bracket"))
    with session.silence(session.FATAL):
        labels = own_scene.scene_labels(own, tmp_path)
    hashes = [{entry["hash"] for entry in labels.instance_list if entry["object"] == part.object.name}
              for part in own.parts]
    assert all(hashes) and not hashes[0] & hashes[1]


def test_of_stains_in_layers_the_mask_has_the_upper(tmp_path):
    scene = own_scenes.make("two_parts")
    bpy.data.objects.remove(bpy.data.objects["Head"])
    steel, shaft = bpy.data.materials["Steel"], bpy.data.objects["Shaft"]
    upper = dataclasses.replace(own_scenes.STAIN, radius_mm=3.0, seed=99, cell_size_mm=11.0)
    stain_on_material.apply_stain(steel, upper, "nodes", metres_per_unit(shaft, scene), layer=2)
    own = find(scene)
    assert [(layer.number, layer.parameters.seed) for layer in own.layers] == [(1, 7), (2, 99)]
    with session.silence(session.FATAL):
        labels = own_scene.scene_labels(own, tmp_path)
        distance = own_scene._stain_distance(own, tmp_path, labels)
    points = hit_points(own, tmp_path)
    shown = points[labels.region]
    low, high = (stain_field(shown * np.array(layer.metres_per_unit, np.float32), layer.parameters)
                 for layer in own.layers)
    layers = np.array([0, *(entry["layer"] for entry in labels.instance_list)])[labels.instances][labels.region]
    assert (layers != np.where(high.inside, 2, np.where(low.inside, 1, 0))).sum() <= 1
    assert (low.inside & high.inside).any()
    for number, field in ((1, low), (2, high)):
        here = layers == number
        assert np.allclose(distance[labels.region][here], field.normalised_distance[here], atol=1e-4) and here.any()
    stain_on_material.remove_stain(steel, 1)
    (left,) = find(scene).layers
    assert left.number == 1 and left.parameters == own.layers[1].parameters, "the upper one has moved down"


def test_a_slot_that_is_left_out_is_no_part_of_the_region(tmp_path):
    scene = own_scenes.make("casting")
    whole = find(scene)
    leave_slot_out(bpy.data.objects["Casting"], 1, True)
    part = find(scene)
    with session.silence(session.FATAL):
        before, after = (own_scene.scene_labels(own, tmp_path) for own in (whole, part))
    rust = labels_of_rust(whole, whole.parts[0], tmp_path)
    assert rust.any() and (after.region == before.region & ~rust).all()
    assert not after.mask[rust].any()


@pytest.mark.parametrize("name", own_scenes.SCENES)
def test_the_file_is_as_before_after_a_sample(name, tmp_path):
    scene = own_scenes.make(name)
    bpy.context.view_layer.update()
    before = described()
    own = find(scene)
    varied = recipe(pose={"rotation_z_deg": 20.0, "shift_x_mm": 3.0}, lamps={"strength": 0.5, "rotation_deg": 30.0},
                    view={"elevation_deg": 60.0}, stain={"radius_mm": 2.0, "seed": 3},
                    render={"stain_distance": True})
    for sample in (PAIR, draw_any(varied, 1)):
        own_scene.render_own_sample(own, sample, varied, "CPU", tmp_path)
    after = described()
    assert not {key for key in {**before, **after} if before.get(key) != after.get(key)}
    assert not list(tmp_path.iterdir()), "no temporary file is left"


@pytest.mark.parametrize("where", ["own_passes.render_picture", "own_passes.render_labels", "compose_scene_labels"])
def test_the_file_is_as_before_after_an_error(where, tmp_path, monkeypatch):
    scene = own_scenes.make("casting")
    bpy.context.view_layer.update()
    before = digest()
    own = find(scene)
    name, render = where.rpartition(".")[2], own_passes._render

    def fail(*arguments):
        raise MemoryError("no more")

    def late(scene, changes, file):
        render(scene, changes, file)
        if (name == "render_labels") == (file.suffix == ".exr"):
            fail()

    if name == "compose_scene_labels":
        monkeypatch.setattr(own_scene, name, fail)
    else:
        monkeypatch.setattr(own_passes, "_render", late)
    with pytest.raises(MemoryError):
        own_scene.render_own_sample(own, PAIR, recipe(), "CPU", tmp_path)
    assert digest() == before


CHANGES = {
    "a node's value": lambda: setattr(_shader().inputs["Roughness"], "default_value", 0.41),
    "a link": lambda: _links().remove(_links()[0]),
    "a place": lambda: setattr(bpy.data.objects["Shaft"].location, "x", 0.001),
    "a vertex": lambda: setattr(bpy.data.objects["Head"].data.vertices[0].co, "x", 1.0),
    "samples": lambda: setattr(bpy.context.scene.cycles, "samples", 3),
    "a file format": lambda: setattr(bpy.context.scene.render.image_settings, "file_format", "BMP"),
    "a custom property": lambda: bpy.data.objects["Shaft"].__setitem__("x", 1),
    "a hidden light": lambda: setattr(bpy.data.objects["Key"], "hide_render", True),
    "a new object": lambda: bpy.data.objects.new("More", None),
    "the world": lambda: setattr(bpy.context.scene, "world", None),
    "a slot": lambda: setattr(bpy.data.objects["Head"].material_slots[0], "material", None),
}


def _shader():
    return next(node for node in bpy.data.materials["Steel"].node_tree.nodes if node.type == "BSDF_PRINCIPLED")


def _links():
    return bpy.data.materials["Steel"].node_tree.links


@pytest.mark.parametrize("change", CHANGES)
def test_the_digest_sees_a_change(change):
    own_scenes.make("two_parts")
    before = digest()
    assert digest() == before
    CHANGES[change]()
    assert digest() != before


def test_stained_and_clean_pictures_are_equal_outside_the_stains_reach(tmp_path):
    """At 4 paths, with a light, without other objects that the stain could shine on."""
    scene = own_scenes.make("two_parts")
    bpy.data.objects.remove(bpy.data.objects["Table"])
    bpy.data.objects.remove(bpy.data.objects["Head"])
    scene.cycles.max_bounces = 0
    own = find(scene)
    pictures = []
    for share in (1.0, 0.0):
        sample = draw_any(recipe(stain={"share": share}), 0)
        assert sample.stained == bool(share)
        with session.silence(session.FATAL), Ledger() as changes:
            for layer in own.layers:
                stain_layers.change(changes, layer, own_scene.stain_of(layer, sample))
            pictures.append(own_passes.render_picture(scene, tmp_path, 8).astype(int))
            scene.render.resolution_percentage = 400  # a stain may be narrower than a pixel
            fine = own_scene.scene_labels(own, tmp_path).mask
            scene.render.resolution_percentage = 100
        pictures.append(fine.reshape(72, 4, 96, 4).max(axis=(1, 3)))
    stained, mask, clean, empty = pictures
    assert mask.any() and not empty.any()
    near = np.zeros(mask.shape, bool)
    rows, columns = np.nonzero(mask)
    for y in range(-3, 4):
        for x in range(-3, 4):
            near[np.clip(rows + y, 0, mask.shape[0] - 1), np.clip(columns + x, 0, mask.shape[1] - 1)] = True
    assert (stained == clean)[~near].all() and (stained != clean)[mask > 0].any()


def test_values_of_a_stain_are_read_back_as_they_were_written():
    scene = own_scenes.make("bracket")
    (layer,) = find(scene).layers
    assert read_stain(layer.nodes[0]) == own_scenes.StainParameters(3.0, 0.3, 1.0, 2.0, -0.3, 11, cell_size_mm=10.0)
    assert layer.by_object and np.allclose(layer.metres_per_unit, (0.08, 0.05, 0.004))


REFUSED = {
    "eevee": (lambda scene: setattr(scene.render, "engine", "BLENDER_WORKBENCH"), "choose Cycles"),
    "no camera": (lambda scene: setattr(scene, "camera", None), "has no camera"),
    "a light marked": (lambda scene: mark(bpy.data.objects["Key"], True), "no surface"),
    "no material": (lambda scene: mark(bpy.data.objects["Table"], True), "has no material"),
    "nothing inspected": (lambda scene: [bpy.data.objects.remove(bpy.data.objects[name]) for name in
                                         ("Shaft", "Head")], "no object is inspected"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_rendered_says_why(case, tmp_path):
    scene = own_scenes.make("two_parts")
    change, words = REFUSED[case]
    change(scene)
    with pytest.raises(UserError, match=words):
        own_scene.prepare(find(scene), recipe(), [draw_any(recipe(), 0)])


def test_unknown_names_are_refused_with_those_that_there_are():
    scene = own_scenes.make("two_parts")
    with pytest.raises(UserError, match=r"no object 'Nut'; there are .*Shaft"):
        find(scene, ["Nut"])
    wrong = recipe(scene={"cameras": ("Back",)})
    with pytest.raises(UserError, match="no camera 'Back'; there are: Front"):
        own_scene.prepare(find(scene), wrong, [draw_any(wrong, 0)])


def test_sixteen_bits_and_the_view_transform(tmp_path):
    scene = own_scenes.make("two_parts")
    scene.render.dither_intensity = 0.0  # its reach is another in each Blender
    with session.silence(session.FATAL):
        eight, sixteen = (own_passes.render_picture(scene, tmp_path, bits) for bits in (8, 16))
    assert eight.dtype == np.uint8 and sixteen.dtype == np.uint16 and eight.shape == (72, 96, 3)
    assert len(np.unique(sixteen)) > 1000
    assert np.abs(eight / 255.0 - sixteen / 65535.0).max() < 0.51 / 255, "rounding alone"


def test_a_turned_part_shows_the_stain_that_turned_with_it(tmp_path):
    """The part and the camera turned together show the same mask."""
    scene = own_scenes.make("two_parts")
    for name in ("Head", "Table"):  # they would stay where they are, before the part
        bpy.data.objects.remove(bpy.data.objects[name])
    own = find(scene)
    turn, masks = 90.0, []
    for pose, azimuth in (({}, -90.0), ({"rotation_z_deg": turn}, -90.0 + turn)):
        varied = recipe(view={"azimuth_deg": azimuth, "elevation_deg": 50.0, "distance_mm": 200.0}, pose=pose)
        with session.silence(session.FATAL), Ledger() as changes:
            own_scene.arrange(changes, own.scene, own.parts, draw_any(varied, 0))
            masks.append(own_scene.scene_labels(own, tmp_path).mask)
    assert masks[0].any() and (masks[0] != masks[1]).sum() <= 2, "rounding of positions, on outlines"
