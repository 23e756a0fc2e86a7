# SPDX-License-Identifier: GPL-3.0-or-later
"""What Blender renders, against the NumPy fields at the points that the same rays hit."""

import dataclasses
import os
import pathlib

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="needs the bpy module")

from blender_addon.core.inspection import denoise  # noqa: E402
from blender_addon.core.inspection.sensor import expose  # noqa: E402
from blender_addon.core.labels.masks import compose_labels, number_features  # noqa: E402
from blender_addon.core.labels.region import inspected_region  # noqa: E402
from blender_addon.core.recipe.sample import draw_sample  # noqa: E402
from blender_addon.core.recipe.settings import load  # noqa: E402
from blender_addon.core.recipe.view import pixel_pitch_mm  # noqa: E402
from blender_addon.core.stain.field import stain_field  # noqa: E402
from blender_addon.render import passes, session  # noqa: E402
from blender_addon.render.one_sample import render_sample  # noqa: E402
from blender_addon.scene.feature_nodes import build_feature_group  # noqa: E402
from blender_addon.scene.inspection import NAME, build_inspection, remove_inspection  # noqa: E402

RECIPES = pathlib.Path(__file__).parents[2] / "scenes" / "recipes"


def recipe(name, percent=10.0, samples=2, **more):
    changed = load(RECIPES / f"{name}.toml").with_values("render", "x", scale_percent=percent, samples=samples)
    for section, values in more.items():
        changed = changed.with_values(section, "x", **values)
    return changed


@pytest.fixture(scope="module")
def scene():
    with session.silence():
        made, _ = session.start("CPU", needs_osl=False)
    return made


def render_socket(scene, sample, folder, choose):
    """A vector of the label material's tree, rendered like the labels: (H, W, 3).

    Emission carries no sign, hence two renders.
    """
    parts = []
    for sign in (1.0, -1.0):
        built = build_inspection(scene, sample)
        tree = built.labels.node_tree
        scale = tree.nodes.new("ShaderNodeVectorMath")
        scale.operation = "SCALE"
        scale.inputs["Scale"].default_value = sign
        clamp = tree.nodes.new("ShaderNodeVectorMath")
        clamp.operation = "MAXIMUM"
        emission = tree.nodes.new("ShaderNodeEmission")
        output = next(node for node in tree.nodes if node.type == "OUTPUT_MATERIAL")
        tree.links.new(emission.outputs["Emission"], output.inputs["Surface"])
        tree.links.new(choose(tree), scale.inputs[0])
        tree.links.new(scale.outputs["Vector"], clamp.inputs[0])
        tree.links.new(clamp.outputs["Vector"], emission.inputs["Color"])
        with session.silence():
            parts.append(passes.render_labels(scene, built, sample, folder))
    return parts[0] - parts[1]


def object_position(tree):
    return tree.nodes.new("ShaderNodeTexCoord").outputs["Object"]


def on_the_plate(tree):
    """1 wherever there is a surface; what the camera sees past it emits nothing."""
    node = tree.nodes.new("ShaderNodeCombineXYZ")
    for socket in node.inputs:
        socket.default_value = 1.0
    return node.outputs["Vector"]


def feature_output(sample, *names):
    """A vector of up to three outputs of the feature group over a plain metal."""

    def choose(tree):
        group = tree.nodes.new("ShaderNodeGroup")
        group.node_tree = build_feature_group(sample.features, pixel_pitch_mm(sample), f"{NAME} Features")
        millimetres = tree.nodes.new("ShaderNodeVectorMath")
        millimetres.operation = "SCALE"
        millimetres.inputs["Scale"].default_value = 1000.0
        tree.links.new(object_position(tree), millimetres.inputs[0])
        tree.links.new(millimetres.outputs["Vector"], group.inputs["Position"])
        for name, value in (("Slope", (0.0, 0.0, 0.0)), ("Reflectance", 1.0), ("Roughness", 0.0), ("Anisotropy", 0.0)):
            group.inputs[name].default_value = value
        if len(names) == 1:
            return group.outputs[names[0]]
        combine = tree.nodes.new("ShaderNodeCombineXYZ")
        for axis, name in zip("XYZ", names, strict=False):
            tree.links.new(group.outputs[name], combine.inputs[axis])
        return combine.outputs["Vector"]

    return choose


def twin_sample(index, percent=8.0):
    return draw_sample(recipe("inspection_twin", percent), index)


@pytest.mark.parametrize("index", [1, 6])
def test_stains_are_the_numpy_field_at_the_pixel_centres(scene, tmp_path, index):
    sample = draw_sample(recipe("inspection_demo"), index)
    assert sample.stain
    position = render_socket(scene, sample, tmp_path, object_position)
    with session.silence():
        labels = passes.render_labels(scene, build_inspection(scene, sample), sample, tmp_path)
    points = position.reshape(-1, 3)
    assert np.abs(points[:, 2]).max() == 0.0
    stain = stain_field(points, sample.stain)
    np.testing.assert_array_equal(labels[..., 1].ravel() > 0, stain.inside)
    np.testing.assert_array_equal(labels[..., 0].ravel(), stain.instance_hash)
    assert set(np.unique(labels[..., 1])) <= {0, 1}, "no grey pixels"


@pytest.mark.parametrize("index", [26, 28, 42])
def test_feature_masks_are_the_fields_at_the_points_that_the_rays_hit(scene, tmp_path, index):
    sample = twin_sample(index)
    points = render_socket(scene, sample, tmp_path, object_position)[..., :2].astype(float) * 1e3
    numbers, instance_list = number_features(sample)
    by_rays = np.zeros_like(numbers)
    kind = {"bump": 1, "dent": 1, "scratch": 1, "fingerprint": 0, "sticker": 0}
    for instance in sorted(instance_list, key=lambda instance: kind[instance["class"]]):
        feature = sample.features[instance["feature"]]
        by_rays[feature.field(*feature.to_local(points)).inside] = instance["id"]
    on_plate = np.abs(points).max(axis=-1) > 0  # rays past the plate hit nothing
    assert (numbers != by_rays)[on_plate].sum() <= 3, "float32 may decide otherwise on the very outline"
    assert len(set(np.unique(by_rays))) >= 2


def test_the_renderer_sees_the_slopes_and_the_surface_of_the_features(scene, tmp_path):
    """Textures against the fields, at the hit points: 98 of 100 pixels on features within 3 % of the steepest."""
    sample = twin_sample(28, 20.0)
    features = [sample.features[instance["feature"]] for instance in number_features(sample)[1]]
    sample = dataclasses.replace(sample, features=tuple(f for f in features if not f.gloss))
    points = render_socket(scene, sample, tmp_path, object_position).reshape(-1, 3)[:, :2].astype(float) * 1e3
    slopes = render_socket(scene, sample, tmp_path, feature_output(sample, "Slope")).reshape(-1, 3)[:, :2]
    surface = render_socket(scene, sample, tmp_path, feature_output(sample, "Reflectance", "Roughness")).reshape(-1, 3)
    expected, step = np.zeros_like(slopes), 1e-4
    reflectance, roughness = np.ones(len(points)), np.zeros(len(points))
    for feature in sample.features:
        field = feature.field(*feature.to_local(points))
        if field.height_mm is not None:
            for axis in (0, 1):
                shift = np.eye(2)[axis] * step
                there, back = (feature.field(*feature.to_local(points + sign * shift)).height_mm for sign in (1, -1))
                expected[:, axis] += (there - back) / (2 * step)
        if field.own is not None:
            roughness += (feature.roughness - roughness) * field.own
        if field.loss is not None:
            reflectance *= 1.0 - field.loss
    steep = np.linalg.norm(expected, axis=1)
    on_it = steep > 1e-3
    assert on_it.sum() > 300 and steep.max() > 0.02
    error = np.linalg.norm(slopes - expected, axis=1)
    assert np.quantile(error[on_it], 0.98) < 0.03 * steep.max()
    on_plate = np.abs(points).max(axis=1) > 0
    assert np.quantile(np.abs(surface[:, 0] - reflectance)[on_plate], 0.99) < 0.01
    assert np.quantile(np.abs(surface[:, 1] - roughness)[on_plate], 0.99) < 0.03
    assert reflectance.min() < 0.995 and roughness.max() > 0.1


def test_a_sticker_covers_the_metal_and_its_number_can_be_read(scene, tmp_path):
    sample = twin_sample(26, 20.0)
    stickers = [feature for feature in sample.features if feature.gloss]
    cover = render_socket(scene, sample, tmp_path, feature_output(sample, "Cover", "Albedo"))
    points = render_socket(scene, sample, tmp_path, object_position)[..., :2].astype(float) * 1e3
    inside = np.zeros(cover.shape[:2], bool)
    albedo = np.zeros(cover.shape[:2])
    for sticker in stickers:
        field = sticker.field(*sticker.to_local(points))
        inside |= field.inside
        albedo = np.where(field.inside, field.albedo, albedo)
    assert inside.mean() > 0.05
    assert ((cover[..., 0] > 0.5) != inside).mean() < 2e-3
    assert np.corrcoef(cover[..., 1][inside], albedo[inside])[0, 1] > 0.97
    assert np.ptp(albedo[inside]) > 0.4


STAINS = {
    "smaller than a pixel": {"radius_mm": 0.12, "noise_amplitude_mm": 0.03, "cell_size_mm": 1.5},
    "cut by the plate's edge, all features": {
        "radius_mm": 5.0, "noise_amplitude_mm": 1.5, "cell_size_mm": 26.0, "radius_spread": 0.6, "density": 0.8,
        "rim_gain": 1.5, "ring_count": 2, "deposit_contrast": 0.5, "elongation": 1.6, "roughness_change": 0.1,
    },
    "dried, with small drops": {
        "radius_mm": 3.0, "noise_amplitude_mm": 0.8, "cell_size_mm": 8.0, "radius_spread": 0.8, "radius_skew": 0.6,
        "rim_gain": 1.5, "rim_gaps": 0.4, "edge_width_um": 500.0, "film_scatter": 0.3, "satellites": 0.9,
        "satellite_radius_mm": 0.8,
    },
}


@pytest.mark.parametrize("backend", ["nodes", "osl"])
@pytest.mark.parametrize("stain", STAINS.values(), ids=STAINS)
def test_mask_instances_and_distance_are_the_field_at_the_hit_points(scene, tmp_path, stain, backend):
    """At 20 %, 200,000 pixels, of which two may differ, on the outline; half of the image misses the plate."""
    percent = 20.0
    changed = recipe("synth_ws", percent, plate={"offset_x_mm": 45.0, "yaw_deg": 9.0}, stain=stain)
    changed = changed.with_values("render", "x", stain_distance=True, stain_backend=backend)
    sample = draw_sample(changed, 5)
    position = render_socket(scene, sample, tmp_path, object_position).reshape(-1, 3)
    plate = render_socket(scene, sample, tmp_path, on_the_plate)[..., 0].ravel() > 0
    with session.silence():
        built = build_inspection(scene, sample)
        labels = passes.render_labels(scene, built, sample, tmp_path)
        distance = passes.render_stain_distance(scene, built, sample, tmp_path)
    assert 0.3 < plate.mean() < 0.8
    truth = stain_field(np.where(plate[:, None], position, np.nan), sample.stain)
    differ = (labels[..., 1].ravel() > 0) != truth.inside
    assert differ.sum() <= len(differ) // 100_000 and truth.inside.sum() > 200
    assert (np.abs(truth.distance - truth.boundary)[differ] < 1e-5 * sample.stain.reach_mm / 1000).all()
    assert set(np.unique(labels[..., 1])) == {0.0, 1.0}, "no grey pixels"
    np.testing.assert_array_equal(labels[..., 0].ravel()[~differ], truth.instance_hash[~differ])
    np.testing.assert_allclose(distance.ravel()[~differ], truth.normalised_distance[~differ], atol=1e-5)
    mask, instances, instance_list = compose_labels(labels, np.zeros(labels.shape[:2], int), [])
    areas = [instance["pixels"] for instance in instance_list]
    assert min(areas) >= 1 and sum(areas) == (mask > 0).sum() == (instances > 0).sum()


def test_position_is_where_the_thin_lens_looks(scene, tmp_path):
    sample = draw_sample(recipe("synth", percent=2.0), 0)
    with_labels = dataclasses.replace(sample, stain=None)
    position = render_socket(scene, with_labels, tmp_path, object_position) * 1e3
    rows, columns = position.shape[:2]
    pitch = sample.camera.field_mm[0] / columns
    x = (np.arange(columns) + 0.5 - columns / 2) * pitch
    y = -(np.arange(rows) + 0.5 - rows / 2) * pitch
    world = np.stack(np.meshgrid(x, y), axis=-1)
    np.testing.assert_allclose(position[..., :2], sample.plate.from_world(world), atol=1e-3)


def test_stains_change_nothing_out_of_their_reach(scene, tmp_path):
    pictures = {}
    for name in ("synth", "synth_ws"):
        sample = draw_sample(recipe(name, 8.0, 4, sensor={"blur_sigma_px": 6.0, "shot_noise": True}), 3)
        with session.silence():
            built = build_inspection(scene, sample)
            linear = passes.render_picture(scene, built, sample, tmp_path)
            labels = passes.render_labels(scene, built, sample, tmp_path)
        pictures[name] = expose(linear, sample.sensor, sample.camera, 8.0, sample.seed, 16).astype(int)
    mask, _, instance_list = compose_labels(labels, np.zeros(labels.shape[:2], int), [])
    assert instance_list
    reach = sample.sensor.reach_px(8.0) + denoise.REACH_PX + 2  # blur, regression, filters of guide and pixels
    near = np.zeros(mask.shape, bool)
    padded = np.pad(mask > 0, reach)
    for dy in range(2 * reach + 1):
        for dx in range(2 * reach + 1):
            near |= padded[dy : dy + mask.shape[0], dx : dx + mask.shape[1]]
    near[:reach], near[-reach:], near[:, :reach], near[:, -reach:] = (True,) * 4  # stains beyond the border reach in
    difference = pictures["synth_ws"] - pictures["synth"]
    assert (difference[~near] == 0).all()
    assert 0.1 < near.mean() < 0.97
    assert difference[mask > 0].mean() < -100  # the stains darken


@pytest.mark.parametrize("backend", ["nodes", "osl"])
def test_the_regression_takes_the_grain_out_and_leaves_the_grooves(scene, tmp_path, backend):
    """Against twice 200 raw paths: a third of the error at most, and the true spectrum, where the raw one is noise."""

    def picture(paths, seed, denoised):
        drawn = recipe("synth_ws", 10.0, paths, render={"denoise": denoised, "stain_backend": backend})
        sample = dataclasses.replace(draw_sample(drawn, 3), seed=seed)
        with session.silence():
            return passes.render_picture(scene, build_inspection(scene, sample), sample, tmp_path)

    def finest(image):
        part = image[60:-60, 60:-60]
        power = (np.abs(np.fft.rfft(part - part.mean(axis=0), axis=0)) ** 2).mean(axis=1)
        return power[len(power) // 2 :].mean()

    first, second = picture(200, 1, False), picture(200, 3, False)
    reference, raw, denoised = (first + second) / 2, picture(16, 2, False), picture(16, 2, True)
    # The product of the differences from two independent references has no share of the references' own noise.
    noise, left = (np.mean((image - first) * (image - second)) for image in (raw, denoised))
    assert left < noise / 12  # 19 and 23 times in 4.5, 15 and 17 in 5.0, whose raw pictures have less noise
    assert abs(denoised.mean() / reference.mean() - 1) < 2e-3
    assert 0.6 * finest(reference) < finest(denoised) < 0.2 * finest(raw)


def test_the_result_at_clean_guides_has_no_single_pixels_off_their_neighbours(scene, tmp_path):
    """At 8 paths, against 150: the grooves' slopes are those of many paths, not of the picture's few."""

    def picture(paths, seed, guide_samples, denoised=True):
        values = {"denoise": denoised, "guide_samples": guide_samples, "stain_backend": "nodes"}
        sample = dataclasses.replace(draw_sample(recipe("synth_ws", 5.0, paths, render=values), 3), seed=seed)
        with session.silence():
            return passes.render_picture(scene, build_inspection(scene, sample), sample, tmp_path)

    def off(image):
        padded = np.pad(image, 1, mode="edge")
        rows, columns = image.shape
        around = [padded[y : y + rows, x : x + columns] for y in range(3) for x in range(3) if (y, x) != (1, 1)]
        return (np.abs(image - np.median(around, axis=0)) > 20 / 255).mean()

    reference, few, clean = picture(150, 1, 0, denoised=False), picture(8, 2, 0), picture(8, 2, 32)
    error = [np.sqrt(np.mean((image - reference) ** 2)) for image in (few, clean)]
    assert error[1] < 0.9 * error[0] and off(clean) < 0.3 * off(few) and off(few) > 1e-3


def test_a_film_that_scatters_is_dark_in_the_bright_field_and_bright_in_the_dark(scene, tmp_path):
    film = {"intensity": 0.0, "decay": 0.0, "radius_mm": 5.0, "noise_amplitude_mm": 0.5, "cell_size_mm": 7.0}

    def picture(scatter):
        drawn = recipe("synth_ws", 4.0, 16, stain={**film, "film_scatter": scatter}, light={"power_w": 3.0})
        sample = draw_sample(drawn, 0)
        with session.silence():
            built = build_inspection(scene, sample)
            return (passes.render_picture(scene, built, sample, tmp_path),
                    passes.render_labels(scene, built, sample, tmp_path)[..., 1] > 0.5)

    (clean, _), (filmed, inside) = picture(0.0), picture(0.5)
    bright, dark = inside & (clean > np.quantile(clean, 0.8)), inside & (clean < np.quantile(clean, 0.15))
    assert bright.sum() > 80 and dark.sum() > 80
    assert (filmed / clean)[bright].mean() < 0.85 and (filmed / clean)[dark].mean() > 1.15


def test_the_middle_overexposes_and_the_rest_does_not(scene, tmp_path):
    for name in ("synth", "inspection_demo"):
        sample = draw_sample(recipe(name, 5.0, 32), 0)
        with session.silence():
            linear = passes.render_picture(scene, build_inspection(scene, sample), sample, tmp_path)
        image = expose(linear, sample.sensor, sample.camera, 5.0, sample.seed, 8)
        assert 0.005 < (image == 255).mean() < 0.12
        rows, columns = image.shape
        middle = image[rows // 3 : -rows // 3, columns // 3 : -columns // 3].mean()
        assert middle > 180 and image[:, : columns // 12].mean() < 60 and image[:, -columns // 12 :].mean() < 60
        core = linear[rows // 4 : -rows // 4, columns // 4 : -columns // 4]
        across, along = (np.abs(np.diff(core.mean(axis=axis), n=2)).mean() for axis in (1, 0))
        assert across > 1.25 * along, "grooves run along x; the rest is noise"


def test_the_same_sample_gives_the_same_pixels_whatever_came_before(scene, tmp_path):
    def render(index):
        sample = draw_sample(recipe("inspection_demo", 3.0), index)
        with session.silence():
            built = build_inspection(scene, sample)
            both = (passes.render_picture, passes.render_labels)
            return [render_pass(scene, built, sample, tmp_path) for render_pass in both]

    first = render(1)
    render(2)
    for one, other in zip(first, render(1), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_region_is_where_rays_hit_the_plate_within_its_rim(scene, tmp_path):
    sample = draw_sample(recipe("acquisition", 3.0, acquisition={"border_mm": 0.0}), 9)
    position = render_socket(scene, sample, tmp_path, object_position)
    hit = (position != 0.0).any(axis=-1)
    np.testing.assert_array_equal(hit, inspected_region(sample))
    assert 0.2 < hit.mean() < 0.9


def test_neighbouring_pictures_of_a_plate_show_the_same_surface(scene, tmp_path):
    """The slopes of the overlap of two pictures, seen in the texture of each, half a millimetre of jitter apart."""
    slopes = {}
    for index in (3, 4):
        sample = draw_sample(recipe("acquisition", 10.0, surface={"finest_spacing_um": 300.0}), index)
        build_inspection(scene, sample)
        group = next(group for group in bpy.data.node_groups if "Plate Surface" in group.name)
        image = next(node.image for node in group.nodes if node.type == "TEX_IMAGE")
        pixels = np.empty(image.size[0] * image.size[1] * 4, np.float32)
        image.pixels.foreach_get(pixels)
        slopes[index] = pixels.reshape(image.size[1], image.size[0], 4)[..., 0]
    left, right = slopes[3], slopes[4]
    found = max(
        float(np.corrcoef(left[200:600, -wide:].ravel(), right[200 + dy : 600 + dy, :wide].ravel())[0, 1])
        for wide in range(10, 40)
        for dy in range(-60, 61)
    )
    assert found > 0.999


def test_the_light_is_posed_and_its_segments_shine_as_drawn(scene):
    values = {"shift_x_mm": 5.0, "shift_y_mm": -3.0, "tilt_x_deg": 2.0, "tilt_y_deg": -1.0, "segment_spread": 0.1,
              "dead_segment": 4}
    sample = draw_sample(recipe("synth", light=values), 0)
    ring = build_inspection(scene, sample).light
    assert list(ring.location) == pytest.approx([0.005, -0.003, 0.272])
    assert [np.degrees(angle) for angle in ring.rotation_euler] == pytest.approx([2.0, -1.0, 0.0], abs=1e-5)
    shining = []
    for face in ring.data.polygons:
        nodes = ring.data.materials[face.material_index].node_tree.nodes
        strength = next(node for node in nodes if node.type == "EMISSION").inputs["Strength"].default_value
        middle = np.degrees(np.arctan2(face.center[1], face.center[0])) % 360
        shining.append((round(middle), strength))
    assert [angle for angle, _ in shining] == [30, 90, 150, 210, 270, 330]
    assert [strength for _, strength in shining] == pytest.approx(sample.light.segment_radiances_w_m2_sr)
    assert shining[3][1] == 0.0


@pytest.mark.slow
def test_memory_is_flat_over_many_samples(scene, tmp_path):
    def resident():
        return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")

    drawn = recipe("inspection_demo", 1.0, 1)
    after = []
    for k in range(220):
        render_sample(scene, draw_sample(drawn, k % 20), "CPU", tmp_path)
        after.append(resident())
    assert after[-1] < 1.05 * after[19], [value // 2**20 for value in after[19::50]]


def test_removing_the_inspection_leaves_nothing_of_it(scene):
    build_inspection(scene, draw_sample(recipe("inspection_demo"), 1))
    remove_inspection(scene)
    stores = (bpy.data.objects, bpy.data.meshes, bpy.data.materials, bpy.data.worlds, bpy.data.node_groups,
              bpy.data.cameras, bpy.data.collections, bpy.data.images)
    assert [block.name for store in stores for block in store if block.name.startswith(NAME)] == []


def test_an_error_that_blender_only_prints_is_raised():
    with pytest.raises(RuntimeError, match="Blender reported: Error: out of memory"), session.silence():
        os.write(1, b"Error: out of memory\n")


def test_a_warning_that_quotes_an_error_is_none():
    with session.silence():
        os.write(2, b"00:00.6  cycles | WARNING CUEW initialization failed: Error opening the library\n")
