# SPDX-License-Identifier: GPL-3.0-or-later
"""Laws of the surface features: their masks, heights and shapes, each against a reference of its own."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from blender_addon.core.features import texture as texture_module
from blender_addon.core.features.bump import Bump
from blender_addon.core.features.classes import CLASS_OF, FEATURE_CLASSES
from blender_addon.core.features.dent import Dent
from blender_addon.core.features.feature import draws, kinks, noise
from blender_addon.core.features.fingerprint import Fingerprint
from blender_addon.core.features.glyphs import distance_to_strokes, number_strokes
from blender_addon.core.features.ridges import PATTERNS, SAMPLES_PER_PERIOD, ridge_direction, ridges
from blender_addon.core.features.scratch import Scratch
from blender_addon.core.features.sticker import Sticker
from blender_addon.core.features.texture import bake_feature
from blender_addon.core.noise.hashing import white_noise_value
from blender_addon.core.noise.perlin import perlin_4d

CASES = [
    Scratch(1.0, -2.0, 3),
    Scratch(0.0, 0.0, 4, angle_deg=-130.0, length_mm=8.0, bow_mm=-1.5, unevenness=1.0, shoulder=1.0, phase_deg=200.0),
    Scratch(3.0, 3.0, 5, bow_mm=0.0, waver_um=0.0, unevenness=0.0, width_um=400.0, jag_um=300.0, gaps=0.3, chatter=0.8),
    Dent(1.0, -2.0, 6),
    Dent(0.0, 0.0, 7, angle_deg=70.0, aspect=0.5, lean=-0.8, ring_um=5.0, irregularity=0.3, grain_um=3.0, smear=0.7),
    Dent(2.0, 1.0, 8, lip_um=0.0),
    Bump(1.0, -2.0, 9),
    Bump(0.0, 0.0, 10, angle_deg=20.0, aspect=0.4, steepness=4.0, lean=0.5, irregularity=0.4),
    Fingerprint(0.0, 0.0, 11, angle_deg=33.0, width_mm=6.0, length_mm=8.0, smear_mm=1.0),
    Fingerprint(0.0, 0.0, 12, width_mm=6.0, length_mm=8.0, pattern="whorl", partial=0.4),
    Sticker(1.0, 1.0, 13, angle_deg=100.0, lift_um=300.0, rim=True),
    Sticker(1.0, 1.0, 14, width_mm=8.0, height_mm=6.0, writing="handwritten", material="plastic"),
]
IDS = [f"{type(feature).__name__}{k}" for k, feature in enumerate(CASES)]


def over_the_plane(feature, count=60_000, beyond=1.5):
    """Random points of the frame, most within the box, some beyond it."""
    rng = np.random.default_rng(5)
    left, right, low, high = feature.box_mm
    u = rng.uniform(-0.5, 0.5, count) * (right - left) * beyond + (left + right) / 2
    v = rng.uniform(-0.5, 0.5, count) * (high - low) * beyond + (low + high) / 2
    return u, v, (u >= left) & (u <= right) & (v >= low) & (v <= high)


@pytest.mark.parametrize("feature", CASES, ids=IDS)
def test_beyond_its_box_a_feature_does_nothing_to_be_seen(feature):
    u, v, within = over_the_plane(feature)
    field = feature.field(u, v)
    assert field.inside[within].sum() > 20 and not field.inside[~within].any()
    for values in (field.own, field.loss, field.cover):
        if values is not None:
            assert values[within].max() > 0.01
            assert np.abs(values[~within]).max() < 1e-3
    if field.height_mm is not None:
        assert np.abs(field.height_mm[~within]).max() < 2e-3 * np.abs(field.height_mm).max()


@pytest.mark.parametrize("feature", CASES, ids=IDS)
def test_the_footprint_holds_the_mask(feature):
    u, v, _ = over_the_plane(feature, beyond=1.1)
    inside = feature.to_plate(u, v)[feature.field(u, v).inside]
    centres, radius = feature.footprint()
    assert np.linalg.norm(inside[:, None] - centres[None], axis=-1).min(axis=1).max() <= radius


@pytest.mark.parametrize("feature", CASES, ids=IDS)
def test_the_field_is_a_function_of_the_place_alone(feature):
    """Whatever the shape of the arrays: a grid, a row of points, one point; and the frame goes there and back."""
    left, right, low, high = feature.box_mm
    u, v = np.linspace(left, right, 23), np.linspace(low, high, 17)
    grid = feature.field(u[None, :], v[:, None])
    flat = feature.field(np.tile(u, 17), np.repeat(v, 23))
    for one, other in zip(grid, flat, strict=True):
        if one is not None:
            np.testing.assert_array_equal(np.broadcast_to(one, (17, 23)).ravel(), other)
    alone = feature.field(u[5:6], v[4:5])
    assert alone.inside[0] == grid.inside[4, 5]
    moved = replace(feature, centre_x_mm=7.0, centre_y_mm=-3.0, angle_deg=-77.0)
    back = moved.to_local(moved.to_plate(u, v[0] + 0 * u))
    np.testing.assert_allclose(back, [u, v[0] + 0 * u], atol=1e-12)


@pytest.mark.parametrize("feature", CASES, ids=IDS)
def test_the_texture_does_not_show_the_strips_that_it_was_made_in(feature, monkeypatch):
    whole = texture_module._bake(feature, pixel_mm=0.08)
    monkeypatch.setattr(texture_module, "_STRIP_TEXELS", 3000)
    strips = texture_module._bake(feature, pixel_mm=0.08)
    np.testing.assert_array_equal(whole.shape_values, strips.shape_values)
    assert (whole.optical_values is None) == (strips.optical_values is None)
    if whole.optical_values is not None:
        np.testing.assert_array_equal(whole.optical_values, strips.optical_values)


def test_textures_are_kept_as_far_as_they_fit(monkeypatch):
    monkeypatch.setattr(texture_module, "_kept", texture_module.OrderedDict())
    first, second = (replace(CASES[0], seed=seed) for seed in (1, 2))
    baked = bake_feature(first, 0.05)
    assert bake_feature(replace(first), 0.05) is baked, "an equal feature has the same texture"
    assert bake_feature(first, 0.06) is not baked and not baked.shape_values.flags.writeable
    monkeypatch.setattr(texture_module, "_KEPT_BYTES", int(1.5 * baked.nbytes))
    kept = bake_feature(second, 0.05)
    assert bake_feature(second, 0.05) is kept and bake_feature(first, 0.05) is not baked
    monkeypatch.setattr(texture_module, "_KEPT_BYTES", 1)
    assert bake_feature(first, 0.05).shape_values.any() and not texture_module._kept


@pytest.mark.parametrize("feature", CASES, ids=IDS)
def test_the_texture_has_the_slopes_of_the_height(feature):
    """At random texels, against central differences over a hundredth of a micrometre."""
    texture = bake_feature(feature, pixel_mm=0.017)
    rows, columns, _ = texture.shape_values.shape
    rng = np.random.default_rng(2)
    i, j = rng.integers(2, rows - 2, 4000), rng.integers(2, columns - 2, 4000)
    u = texture.corner_mm[0] + (j + 0.5) * texture.size_mm[0] / columns
    v = texture.corner_mm[1] + (i + 0.5) * texture.size_mm[1] / rows
    field = feature.field(u, v)
    if field.height_mm is None:
        assert not texture.shape_values[..., :2].any()
    else:
        step = 1e-5
        along, across = (
            (feature.field(u + a, v + b).height_mm - feature.field(u - a, v - b).height_mm) / (2 * step)
            for a, b in ((step, 0.0), (0.0, step))
        )
        cosine, sine = feature.direction
        expected = np.stack([cosine * along - sine * across, sine * along + cosine * across], axis=-1)
        error = np.linalg.norm(texture.shape_values[i, j, :2] - expected, axis=-1)
        steep = np.linalg.norm(expected, axis=-1)
        assert steep.max() > 1e-3
        # Crests (a dent's lip) and kinks of a path have no derivative: there the two differences differ.
        assert np.quantile(error, 0.9) < 0.02 * steep.max()
    if field.own is not None:
        np.testing.assert_allclose(texture.shape_values[i, j, 2], field.own, atol=1e-6)
    if field.cover is not None:
        np.testing.assert_allclose(texture.optical_values[i, j, 1], field.cover, atol=1e-6)
    assert not texture.shape_values[[0, -1]].any() and not texture.shape_values[:, [0, -1]].any()


def test_full_shoulders_keep_the_material():
    across = np.linspace(-3, 3, 60001)
    straight = Scratch(0.0, 0.0, 1, shoulder=1.0, bow_mm=0.0, waver_um=0.0, unevenness=0.0, width_um=500.0)
    height = straight.field(np.zeros(1), across).height_mm
    assert abs(height.sum()) < 1e-6 * np.abs(height).sum()
    assert height.min() == pytest.approx(-6e-3)


def test_a_scratch_ends_at_its_envelope_and_keeps_its_width_where_its_path_is_steep():
    scratch = Scratch(0.0, 0.0, 1, length_mm=40.0, bow_mm=12.0, waver_um=0.0, unevenness=0.0, shoulder=0.5)
    field = scratch.field(np.linspace(-20, 20, 4001)[None, :], np.linspace(-1, 13, 4001)[:, None])
    for column in (1000, 1500, 2000):
        u = -20 + column * 0.01
        inside = np.flatnonzero(field.inside[:, column]) * (14 / 4000)
        steep = -4 * 12.0 * 2 * u / 40.0**2
        taper = (1 - (u / 20) ** 2) ** 2
        t = np.linspace(0, 6, 600_001)
        reach = t[6e-3 * taper * (1 + 0.5 * t**2) * np.exp(-(t**2) / 2) >= 0.3e-3].max() * 0.06
        assert np.ptp(inside) == pytest.approx(2 * reach * math.hypot(1, steep), abs=0.01)


def test_a_lifted_tool_interrupts_the_mask_and_chatter_does_not():
    base = Scratch(0.0, 0.0, 9, length_mm=40.0, bow_mm=0.0, waver_um=0.0, pressure_period_mm=3.0, unevenness=0.0)
    u = np.linspace(-19, 19, 3801)

    def parts(scratch):
        row = scratch.field(u, np.zeros(1)).inside
        return int(row[0]) + int((np.diff(row.astype(int)) == 1).sum()), row.mean()

    assert parts(base)[0] == 1 and parts(replace(base, chatter=1.0)) == parts(base)
    count, share = parts(replace(base, gaps=0.5))
    assert count >= 3 and 0.2 < share < 0.8


def test_a_dent_is_as_deep_as_it_says():
    flat = Dent(0.0, 0.0, 1, lean=0.0, lip_um=0.0, ring_um=0.0)
    field = flat.field(np.array([0.0, 1.5, 2.0]), np.zeros(3))
    np.testing.assert_allclose(field.height_mm, [-0.06, 0.0, 0.0], atol=1e-12)
    np.testing.assert_array_equal(field.inside, [True, True, False])


@pytest.mark.parametrize("steepness", [1.5, 2.0, 5.0])
def test_a_bump_has_a_tenth_of_its_height_on_its_ellipse_and_ends_at_its_cut(steepness):
    bump = Bump(0.0, 0.0, 1, diameter_mm=4.0, aspect=0.5, height_um=50.0, steepness=steepness, irregularity=0.0)
    field = bump.field(np.array([0.0, 2.0, 0.0]), np.array([0.0, 0.0, 1.0]))
    np.testing.assert_allclose(field.height_mm, [0.05, 0.005, 0.005])
    u = np.linspace(0, 4, 40001)
    across = bump.field(u, np.zeros(1))
    np.testing.assert_array_equal(across.inside, across.height_mm >= bump.cut_um * 1e-3)
    assert u[across.inside].max() == pytest.approx(2.0 * math.log10(50 / 2) ** (1 / steepness), abs=2e-4)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_far_from_the_core_the_direction_closes_and_around_a_core_it_turns_by_half(pattern):
    def winding(x, y, radius):
        angle = np.linspace(0, 2 * np.pi, 2001)
        direction = ridge_direction(pattern, x + radius * np.cos(angle), y + radius * np.sin(angle),
                                    np.random.default_rng(3))
        step = np.diff(direction)
        return (step - np.pi * np.round(step / np.pi)).sum() / np.pi

    # Singular points come in pairs: around all of them together the direction comes back to itself.
    assert winding(0.0, 0.0, 40.0) == pytest.approx(0.0, abs=1e-6)
    if pattern != "arch":
        grid = [(x, y) for x in np.arange(-7, 7.1, 0.25) for y in np.arange(-10, 10.1, 0.25)]
        found = [round(winding(x, y, 0.3)) for x, y in grid]
        assert set(found) == {-1, 0, 1}, "cores turn by +1/2, deltas by -1/2 of a full turn"


@pytest.mark.parametrize("pattern", PATTERNS)
def test_ridges_run_along_their_direction_at_their_period(pattern):
    period = 0.5
    grid = ridges(pattern, 4, period, 6.0, 8.0).astype(float)
    step = period / SAMPLES_PER_PERIOD
    rows, columns = grid.shape
    x = (np.arange(columns) + 0.5 - columns / 2) * step
    y = (np.arange(rows) + 0.5 - rows / 2) * step
    direction = ridge_direction(pattern, *np.meshgrid(x, y), np.random.Generator(np.random.Philox(4)))
    gy, gx = np.gradient(grid)
    # The structure tensor's main axis lies across the ridges.
    along = (gx * np.cos(direction) + gy * np.sin(direction)) ** 2
    across = (gy * np.cos(direction) - gx * np.sin(direction)) ** 2
    assert along.mean() < 0.12 * across.mean()
    crossings = np.abs(np.diff((grid > 0.5).astype(int), axis=0)).sum(axis=0)
    upright = np.abs(np.cos(direction)).mean(axis=0)
    assert np.median(crossings / upright) == pytest.approx(2 * rows / SAMPLES_PER_PERIOD, rel=0.15)


def test_a_partial_print_is_smaller_and_the_valleys_belong_to_the_mask():
    whole = Fingerprint(0.0, 0.0, 12)
    u, v = np.linspace(-9, 9, 400)[None, :], np.linspace(-12, 12, 500)[:, None]
    areas = [replace(whole, partial=part).field(u, v).inside.mean() for part in (0.0, 0.2, 0.4, 0.6)]
    assert areas == sorted(areas, reverse=True) and areas[-1] < 0.6 * areas[0]
    field = whole.field(u, v)
    film = field.own[field.inside] / whole.grease
    assert np.quantile(film, 0.1) < 0.25 and np.quantile(film, 0.9) > 0.6


def test_a_smear_wipes_the_ridges_out_and_keeps_the_film():
    sharp = Fingerprint(0.0, 0.0, 12, dryness=0.0)
    u, v = np.linspace(2, 6, 200)[None, :], np.linspace(2, 7, 200)[:, None]
    smeared = replace(sharp, smear_mm=3.0, smear_deg=45.0)
    one, other = sharp.field(u, v).own, smeared.field(u, v).own
    assert other.std() < 0.6 * one.std() and other.mean() == pytest.approx(one.mean(), rel=0.15)


def test_a_sticker_is_a_rounded_rectangle_as_thick_as_it_says():
    sticker = Sticker(0.0, 0.0, 1, width_mm=10.0, height_mm=6.0, corner_mm=2.0, bubbles=0, thickness_um=100.0)
    u, v = np.linspace(-6, 6, 1201)[None, :], np.linspace(-4, 4, 801)[:, None]
    field = sticker.field(u, v)
    area = field.inside.sum() * 0.01**2
    assert area == pytest.approx(10 * 6 - (4 - np.pi) * 2.0**2, rel=2e-3)
    np.testing.assert_array_equal(field.inside, field.cover >= 0.5)
    inner = (np.abs(u) < 4) & (np.abs(v) < 2)
    assert np.abs(field.height_mm[inner] - 0.1).max() <= 0.005, "but for the waviness of the sheet"
    lifted = replace(sticker, lift_um=400.0).field(u, v).height_mm - field.height_mm
    assert 0.2 < lifted[field.inside].max() < 0.4 and (lifted[inner] < 0.02).mean() > 0.9


def test_numbers_can_be_told_apart_and_a_hand_never_writes_one_twice_alike():
    x, y = np.meshgrid(np.linspace(-0.1, 0.8, 40), np.linspace(-0.1, 1.1, 50))
    printed = [distance_to_strokes(x, y, number_strokes(str(k), 1, 0.0), 0.1) < 0.07 for k in range(10)]
    for i, one in enumerate(printed):
        for other in printed[:i]:
            assert (one ^ other).sum() > 0.2 * one.sum()
    strokes = number_strokes("77", 1, 0.5)
    half = len(strokes) // 2
    first, second = strokes[:half], [stroke - [0.82, 0.0] for stroke in strokes[half:]]
    assert max(np.abs(a - b).max() for a, b in zip(first, second, strict=True)) > 0.03


def test_the_distance_to_strokes_is_that_to_their_nearest_point():
    strokes = number_strokes("38", 5, 0.4)
    dense = np.concatenate([np.linspace(a, b, 400) for s in strokes for a, b in pairwise(s)])
    points = np.random.default_rng(0).uniform(-0.2, 1.7, (300, 2))
    brute = np.linalg.norm(points[:, None] - dense[None], axis=-1).min(axis=1)
    found = distance_to_strokes(points[:, 0], points[:, 1], strokes, 0.3)
    np.testing.assert_allclose(found, np.minimum(brute, 0.3), atol=2e-3)


def test_randomness_is_the_one_hash_and_the_one_noise():
    assert draws(3.0, 17) == float(white_noise_value(np.float32([3, 0, 0]), np.float32(17)))
    u = np.array([0.2, 1.7, -3.4])
    points = np.stack([u, 2 * u, np.full(3, 0.37)], axis=-1).astype(np.float32)
    np.testing.assert_array_equal(noise(u, 2 * u, 9), perlin_4d(points, 9).astype(float))
    np.testing.assert_allclose(kinks(np.array([4.0, 5.0]), 2), [2 * draws(k, 2) - 1 for k in (4.0, 5.0)])
    assert kinks(np.array([4.25]), 2)[0] == pytest.approx(0.75 * kinks(4.0, 2) + 0.25 * kinks(5.0, 2))


def test_every_class_has_its_builder_and_defects_come_first():
    assert [surface_class.kind for surface_class in FEATURE_CLASSES] == ["defect"] * 3 + ["impurity"] * 2
    assert {type(feature) for feature in CASES} == set(CLASS_OF)
