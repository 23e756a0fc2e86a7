# SPDX-License-Identifier: GPL-3.0-or-later
"""Defects and impurities on parts of other people's scenes: masks against NumPy at the hit points, looks, traces."""

import pathlib
import sys

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="needs the bpy module")

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import own_scenes  # noqa: E402
from test_own_scene import find, hit_points, labels_of, recipe  # noqa: E402

from blender_addon.core.errors import UserError  # noqa: E402
from blender_addon.core.features.classes import CLASS_ID, CLASS_OF  # noqa: E402
from blender_addon.core.recipe.sample import draw_any  # noqa: E402
from blender_addon.render import own_features, own_passes, own_scene, session  # noqa: E402
from blender_addon.scene.digest import described  # noqa: E402
from blender_addon.scene.inspected import leave_slot_out  # noqa: E402
from blender_addon.scene.ledger import Ledger  # noqa: E402

SMALL = {
    "scratch": {"count": 4, "length_mm": 6.0, "width_um": 400.0, "depth_um": 30.0, "bow_mm": 0.1, "border_mm": 0.3,
                "distance_mm": 0.2},
    "dent": {"count": 6, "border_mm": 0.3, "distance_mm": 0.2},
    "bump": {"count": 6, "border_mm": 0.3, "distance_mm": 0.2},
    "fingerprint": {"count": 3, "width_mm": 5.0, "length_mm": 6.0, "border_mm": 0.3, "distance_mm": 0.2},
    "sticker": {"count": 3, "width_mm": 5.0, "height_mm": 3.0, "border_mm": 0.3, "distance_mm": 0.2},
}


def normals_of(own, folder) -> np.ndarray:
    """The surface's own normals in object space, by an emission of their own: (H, W, 3)."""

    def emit(tree, label):
        half = tree.nodes.new("ShaderNodeVectorMath")
        half.operation = "MULTIPLY_ADD"
        half.inputs[1].default_value = half.inputs[2].default_value = (0.5, 0.5, 0.5)
        tree.links.new(tree.nodes.new("ShaderNodeTexCoord").outputs["Normal"], half.inputs[0])
        return half.outputs[0]

    return 2.0 * labels_of(own, folder, emit) - 1.0


def laid_on(own, sections=None, index=0):
    return own_features.lay_on_parts(own.surfaces, draw_any(recipe(**(sections or SMALL)), index))


def labels_with(own, laid, folder):
    with session.silence(session.FATAL):
        return own_scene.scene_labels(own, folder, laid)


def best_of(own, folder, tries=6):
    """Of some parts, the one of which the camera sees most features."""
    found = [(laid, labels_with(own, laid, folder)) for laid in (laid_on(own, index=k) for k in range(tries))]
    return max(found, key=lambda each: len({entry.get("feature") for entry in each[1].instance_list}))


@pytest.mark.parametrize(("name", "size"), [
    ("bracket", (160, 120)), ("two_parts", (160, 120)),
    *(pytest.param(name, (800, 600), marks=pytest.mark.long) for name in own_scenes.SCENES)])
def test_masks_are_the_numpy_fields_at_the_hit_points(name, size, tmp_path):
    scene = own_scenes.make(name)
    scene.render.resolution_x, scene.render.resolution_y = size
    own = find(scene)
    laid, labels = best_of(own, tmp_path)
    owners = np.rint(labels_of(own, tmp_path)[..., 2]).astype(int) // own_scene.MATERIALS
    points, normals = hit_points(own, tmp_path).astype(float), normals_of(own, tmp_path).astype(float)
    expected = np.zeros(owners.shape, int)
    for kind in ("impurity", "defect"):
        for number, each in enumerate(laid.features, start=1):
            part, factor = (held[each.surface] for held in (laid.surfaces.parts, laid.surfaces.millimetres_per_unit))
            here = owners == part.number
            if CLASS_OF[type(each.feature)].kind == kind:
                inside = each.field(points[here] * factor, normals[here] / factor).inside
                expected[here] = np.where(inside, number, expected[here])
    entries = {entry["id"]: entry for entry in labels.instance_list}
    shown = np.array([0, *(entries[k].get("feature", -1) + 1 for k in sorted(entries))])[labels.instances]
    assert len(np.unique(expected)) > 4 and (expected > 0).sum() > 15
    assert (shown != expected).sum() <= 1 + (owners > 0).sum() // 100_000
    for entry in entries.values():
        assert (labels.instances == entry["id"]).sum() == entry["pixels"] > 0
        assert (labels.mask[labels.instances == entry["id"]] == CLASS_ID[entry["class"]]).all()
        if "feature" in entry:
            each = laid.features[entry["feature"]]
            assert entry["class"] == CLASS_OF[type(each.feature)].name
            assert entry["object"] == laid.surfaces.parts[each.surface].object.name


@pytest.mark.parametrize("name", ["bracket", *(pytest.param(name, marks=pytest.mark.long) for name in
                                               ("two_parts", "casting"))])
def test_the_file_is_as_before_after_a_sample_with_features(name, tmp_path, monkeypatch):
    scene = own_scenes.make(name)
    bpy.context.view_layer.update()
    before = described()
    own = find(scene)
    varied = recipe(**SMALL, pose={"rotation_z_deg": 20.0}, render={"samples": 1})
    own_scene.render_own_sample(own, draw_any(varied, 1), varied, "CPU", tmp_path)

    def fail(*_):
        raise MemoryError("no more")

    monkeypatch.setattr(own_passes, "_read_png", fail)  # as late as it can: everything is laid
    with pytest.raises(MemoryError):
        own_scene.render_own_sample(own, draw_any(varied, 2), varied, "CPU", tmp_path)
    after = described()
    assert not {key for key in {**before, **after} if before.get(key) != after.get(key)}


def test_features_show_on_their_object_alone_and_where_their_mask_is(tmp_path):
    """Two heads, one mesh, one material: what lies on the one is not to be seen on the other."""
    scene = own_scenes.make("two_parts")
    for name in ("Table", "Shaft"):
        bpy.data.objects.remove(bpy.data.objects[name])
    head = bpy.data.objects["Head"]
    twin = head.copy()
    twin.name, twin.location.x = "Twin", head.location.x - 0.06
    scene.collection.objects.link(twin)
    scene.cycles.max_bounces, scene.cycles.seed = 0, 1
    scene.render.resolution_x, scene.render.resolution_y = 200, 150
    own = find(scene)
    stickers = {"sticker": {"count": 12, "width_mm": 4.0, "height_mm": 3.0, "border_mm": 0.1, "distance_mm": 0.1}}
    for index in range(8):
        laid = laid_on(own, stickers, index)
        on_head = [each for each in laid.features if laid.surfaces.parts[each.surface].object == head]
        laid = own_features.LaidFeatures(laid.surfaces, tuple(on_head), ())
        labels = labels_with(own, laid, tmp_path)
        if (labels.mask == CLASS_ID["sticker"]).sum() > 20:
            break
    with session.silence(session.FATAL):
        clean = own_passes.render_picture(scene, tmp_path, 8).astype(int)
        with Ledger() as changes:
            laid.show(changes)
            covered = own_passes.render_picture(scene, tmp_path, 8).astype(int)
        again = own_passes.render_picture(scene, tmp_path, 8).astype(int)
    mask = labels.mask == CLASS_ID["sticker"]
    assert mask.sum() > 20 and (clean == again).all()
    changed = np.abs(covered - clean).max(axis=2)
    near = np.zeros(mask.shape, bool)
    rows, columns = np.nonzero(mask)
    for y in range(-3, 4):
        for x in range(-3, 4):
            near[np.clip(rows + y, 0, mask.shape[0] - 1), np.clip(columns + x, 0, mask.shape[1] - 1)] = True
    # Values pass through more operations there: a pixel that lies on the edge between two grey levels may tip over.
    assert changed[~near].max() <= 1 and (changed[~near] > 0).mean() < 1e-3
    assert (changed[mask] > 0).mean() > 0.8


def test_a_slot_that_is_left_out_carries_nothing(tmp_path):
    scene = own_scenes.make("casting")
    leave_slot_out(bpy.data.objects["Casting"], 1, True)
    own = find(scene)
    mesh, = own.surfaces.meshes
    leave_slot_out(bpy.data.objects["Casting"], 1, False)
    whole, = find(scene).surfaces.meshes
    assert 0.5 * whole.areas.sum() < mesh.areas.sum() < 0.95 * whole.areas.sum()


def test_modifiers_count_as_they_are_rendered():
    scene = own_scenes.make("casting")
    ball = bpy.data.objects["Casting"]
    ball.modifiers["Smooth"].render_levels = 1
    coarse, = find(scene).surfaces.meshes
    ball.modifiers["Smooth"].render_levels = 2
    fine, = find(scene).surfaces.meshes
    ball.modifiers["Smooth"].show_render = False
    bare, = find(scene).surfaces.meshes
    assert len(fine.triangles) == 4 * len(coarse.triangles) == 24 * len(bare.triangles)
    assert ball.modifiers["Smooth"].levels == 1 and ball.modifiers["Smooth"].show_viewport


def test_what_found_no_place_is_recorded_with_the_reasons(tmp_path):
    own = find(own_scenes.make("two_parts"))
    varied = recipe(sticker={"width_mm": 60.0, "height_mm": 40.0}, bump={}, render={"samples": 1})
    record, _ = own_scene.render_own_sample(own, draw_any(varied, 0), varied, "CPU", tmp_path)
    (skipped,), (laid,) = record["parameters"]["skipped_features"], record["parameters"]["features"]
    assert skipped["class"] == "sticker" and sum(skipped["reasons"].values()) == 64
    assert laid["class"] == "bump" and laid["object"] in ("Head", "Shaft") and 1.0 <= laid["stretch"] <= 1.1
    assert len(laid["millimetres_per_unit"]) == 3


REFUSED = {
    "no principled": (lambda: [bpy.data.materials["Steel"].node_tree.nodes.remove(node) for node in
                               list(bpy.data.materials["Steel"].node_tree.nodes) if node.type == "BSDF_PRINCIPLED"],
                      "'Steel' has none"),
    "sheared": (lambda: _shear(bpy.data.objects["Head"]), "Head: it is sheared"),
}


def _shear(item):
    parent = bpy.data.objects.new("Parent", None)
    bpy.context.scene.collection.objects.link(parent)
    parent.scale = (1.0, 2.0, 1.0)
    item.parent, item.rotation_euler = parent, (0.0, 0.0, 0.7)
    bpy.context.view_layer.update()


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_carry_features_says_why(case):
    scene = own_scenes.make("two_parts")
    change, words = REFUSED[case]
    change()
    varied = recipe(dent={})
    with pytest.raises(UserError, match=words):
        own_scene.prepare(find(scene), varied, [draw_any(varied, 0)])
