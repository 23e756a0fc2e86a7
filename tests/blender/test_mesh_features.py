# SPDX-License-Identifier: GPL-3.0-or-later
"""Features on meshes as Blender renders them, against NumPy at the points that the same rays hit."""

import math

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="needs the bpy module")

from blender_addon.core.errors import UserError  # noqa: E402
from blender_addon.core.features.bump import Bump  # noqa: E402
from blender_addon.core.features.fingerprint import Fingerprint  # noqa: E402
from blender_addon.core.features.sticker import Sticker  # noqa: E402
from blender_addon.core.mesh.numbers import number_mesh_features  # noqa: E402
from blender_addon.core.mesh.placing import lay_features  # noqa: E402
from blender_addon.render import passes, session  # noqa: E402
from blender_addon.scene.mesh_feature_nodes import (  # noqa: E402
    add_mesh_features,
    build_mesh_feature_group,
    millimetres_per_unit,
    triangle_mesh,
)

PIXELS = 220


@pytest.fixture
def scene():
    bpy.ops.wm.read_factory_settings(use_empty=True)
    with session.silence():
        made, _ = session.start("CPU", needs_osl=False)
    render, cycles = made.render, made.cycles
    render.resolution_x = render.resolution_y = PIXELS
    cycles.samples, cycles.seed, cycles.pixel_filter_type, cycles.film_exposure = 1, 0, "BOX", 1.0
    return made


def add_object(scene, kind: str):
    """A sphere of 30 mm, a shaft of 40 x 90 mm, or Suzanne, smooth and subdivided, 60 mm wide; turned and shifted."""
    if kind == "sphere":
        bpy.ops.mesh.primitive_uv_sphere_add(segments=96, ring_count=48, radius=0.03)
    elif kind == "shaft":
        bpy.ops.mesh.primitive_cylinder_add(vertices=128, radius=0.02, depth=0.09)
    else:
        bpy.ops.mesh.primitive_monkey_add(size=0.06)
        bpy.context.object.modifiers.new("smooth", "SUBSURF").levels = 2
    thing = bpy.context.object
    for face in thing.data.polygons:
        face.use_smooth = kind != "shaft"
    thing.rotation_euler = (0.4, 0.3, 0.2)
    if thing.name not in scene.collection.all_objects:
        scene.collection.objects.link(thing)
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    camera.data.clip_start = 0.001
    camera.location = (0.0, 0.0, 0.25)
    camera.data.angle = 0.4
    scene.collection.objects.link(camera)
    scene.camera = camera
    scene.world = None
    bpy.context.view_layer.update()
    return thing


def render_vector(scene, thing, folder, choose):
    """A vector of the object's material at the pixels' centres: (H, W, 3) float32; `choose` makes it."""
    parts = []
    for sign in (1.0, -1.0):  # emission carries no sign
        material = bpy.data.materials.new("field")
        material.use_nodes = True
        tree = material.node_tree
        tree.nodes.clear()
        scale, clamp = tree.nodes.new("ShaderNodeVectorMath"), tree.nodes.new("ShaderNodeVectorMath")
        scale.operation, clamp.operation = "SCALE", "MAXIMUM"
        scale.inputs["Scale"].default_value = sign
        emission, output = tree.nodes.new("ShaderNodeEmission"), tree.nodes.new("ShaderNodeOutputMaterial")
        tree.links.new(choose(tree), scale.inputs[0])
        tree.links.new(scale.outputs["Vector"], clamp.inputs[0])
        tree.links.new(clamp.outputs["Vector"], emission.inputs["Color"])
        tree.links.new(emission.outputs["Emission"], output.inputs["Surface"])
        thing.data.materials.clear()
        thing.data.materials.append(material)
        with session.silence():
            layers = passes._render(scene, folder)
        parts.append(np.stack([layers[f"Combined.{channel}"] for channel in "RGB"], axis=-1))
    return parts[0] - parts[1]


def coordinate(name):
    return lambda tree: tree.nodes.new("ShaderNodeTexCoord").outputs[name]


def group_output(features, factor, name):
    def choose(tree):
        principled = tree.nodes.new("ShaderNodeBsdfPrincipled")
        return add_mesh_features(tree, principled, features, factor, 0.2, "laid").outputs[name]

    return choose


def some_features():
    return [Bump(0.0, 0.0, 3, diameter_mm=4.0, height_um=80.0), Bump(0.0, 0.0, 5, diameter_mm=3.0, height_um=60.0),
            Sticker(0.0, 0.0, 4, angle_deg=20.0, width_mm=9.0, height_mm=6.0),
            Fingerprint(0.0, 0.0, 6, width_mm=8.0, length_mm=9.0)]


@pytest.mark.parametrize("kind", ["sphere", "shaft", "monkey"])
def test_what_the_renderer_shows_is_the_field_at_the_points_that_the_rays_hit(scene, tmp_path, kind):
    thing = add_object(scene, kind)
    mesh, factor = triangle_mesh(thing, scene), millimetres_per_unit(thing, scene)
    position = render_vector(scene, thing, tmp_path, coordinate("Object")).astype(float) * factor
    normals = render_vector(scene, thing, tmp_path, coordinate("Normal"))
    hit = np.linalg.norm(normals, axis=-1) > 0.5
    best = []
    for index in range(40):  # until some of them lie where the camera looks
        laid, _ = lay_features(mesh, some_features(), 11, index, kind, border_mm=0.5, distance_mm=0.5)
        numbers = number_mesh_features(np.where(hit[..., None], position, np.nan), normals, laid)
        if len(np.unique(numbers)) > len(best):
            best, shown, on = np.unique(numbers), laid, numbers
    assert len(best) >= 3 and hit.mean() > 0.1

    cover = render_vector(scene, thing, tmp_path, group_output(shown, factor, "Cover"))[..., 0]
    slopes = render_vector(scene, thing, tmp_path, group_output(shown, factor, "Slope"))
    step, expected, covered = 1e-3, np.zeros((*hit.shape, 3)), np.zeros(hit.shape, bool)
    for each in shown:
        u_axis, v_axis, _ = each.frame.axes
        here = hit & each.frame.holds(position, normals)
        field = each.field(position[here], normals[here])
        if each.feature.gloss:
            covered[here] |= field.inside
            continue
        if field.height_mm is None:
            continue
        for axis in (u_axis, v_axis):
            there, back = (each.field(position[here] + s * step * axis, normals[here]).height_mm for s in (1, -1))
            expected[here] += ((there - back) / (2 * step))[:, None] * axis
    assert ((cover > 0.5) != covered)[hit].mean() < 4e-3
    steep = np.linalg.norm(expected, axis=-1)
    bare = hit & ~covered
    error = np.linalg.norm(slopes - expected, axis=-1)[bare]
    assert np.quantile(error, 0.995) < 0.05 * max(steep[bare].max(), 0.02)
    assert (on > 0).sum() > 50


def test_the_material_keeps_what_it_was_where_no_feature_lies(scene, tmp_path):
    thing = add_object(scene, "sphere")
    laid, _ = lay_features(triangle_mesh(thing, scene), some_features(), 1, 0, "k")
    factor = millimetres_per_unit(thing, scene)
    position = render_vector(scene, thing, tmp_path, coordinate("Object")).astype(float) * factor
    normals = render_vector(scene, thing, tmp_path, coordinate("Normal"))
    bent = render_vector(scene, thing, tmp_path, group_output(laid, factor, "Normal"))
    hit = np.linalg.norm(normals, axis=-1) > 0.5
    away = hit.copy()
    for each in laid:
        left, right, low, high = each.feature.box_mm
        away &= np.linalg.norm(position - each.frame.origin_mm, axis=-1) > 2.0 * math.hypot(right - left, high - low)
    assert away.sum() > 500
    np.testing.assert_allclose(bent[away], normals[away], atol=1e-5)


def test_units_and_scale_are_respected_and_a_sheared_object_is_refused(scene):
    thing = add_object(scene, "sphere")
    scene.unit_settings.scale_length, thing.scale = 0.001, (2.0, 2.0, 4.0)
    bpy.context.view_layer.update()
    assert millimetres_per_unit(thing, scene) == pytest.approx([2.0, 2.0, 4.0])
    assert np.ptp(triangle_mesh(thing, scene).vertices, axis=0) == pytest.approx([0.12, 0.12, 0.24], rel=1e-3)
    parent = bpy.data.objects.new("parent", None)
    scene.collection.objects.link(parent)
    thing.parent, parent.scale = parent, (1.0, 1.0, 2.0)
    bpy.context.view_layer.update()
    with pytest.raises(UserError, match="apply the scale"):
        triangle_mesh(thing, scene)


def test_a_group_without_features_builds(scene):
    assert build_mesh_feature_group([], 0.1, "none").nodes
