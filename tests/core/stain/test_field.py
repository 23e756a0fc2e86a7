# SPDX-License-Identifier: GPL-3.0-or-later
import dataclasses

import numpy as np
import pytest

from blender_addon.core.errors import UserError
from blender_addon.core.noise.hashing import white_noise_color, white_noise_value
from blender_addon.core.noise.perlin import perlin_4d
from blender_addon.core.stain.field import stain_field
from blender_addon.core.stain.parameters import EXACT_SEED_LIMIT, STAIN_SPECS, StainParameters

BASE = {
    "radius_mm": 4.0,
    "noise_frequency_per_mm": 0.25,
    "noise_amplitude_mm": 1.5,
    "decay": 2.0,
    "intensity": -0.3,
    "seed": 7,
}
GRID = StainParameters(**BASE, cell_size_mm=20.0)
DENSE = StainParameters(**{**BASE, "radius_mm": 3.0, "noise_amplitude_mm": 3.0, "seed": 3}, cell_size_mm=6.0)
ONE = StainParameters(**{**BASE, "radius_mm": 12.0}, centre_mm=(3.0, -5.0, 0.5))


def algorithm_1(p, s: StainParameters) -> dict:
    """The paper's Algorithm 1 for one point, written from its text, with float32 scalars and plain loops."""
    f32 = np.float32
    p = [f32(c) for c in p]

    def distance(centre):
        return np.sqrt(sum(((a - b) ** 2 for a, b in zip(p, centre, strict=True)), f32(0)))

    cell = (0, 0, 0)
    if s.centre_mm is not None:
        d = distance([f32(c / 1000) for c in s.centre_mm])
    else:
        size = f32(s.cell_size_mm / 1000)
        own = [int(np.floor(c / size)) for c in p]
        d = f32(np.inf)
        for i in range(own[0] - 1, own[0] + 2):
            for j in range(own[1] - 1, own[1] + 2):
                for k in range(own[2] - 1, own[2] + 2):
                    jitter = white_noise_color(np.array([i, j, k], dtype=f32), f32(s.seed))
                    centre = [(f32(index) + jitter[axis]) * size for axis, index in enumerate((i, j, k))]
                    if distance(centre) < d:
                        d, cell = distance(centre), (i, j, k)

    noise = perlin_4d(np.array([p]) * f32(s.noise_frequency_per_mm * 1000), s.seed)[0]
    boundary = f32(s.radius_mm / 1000) + noise * f32(s.noise_amplitude_mm / 1000)
    d_hat = delta = instance = f32(0)
    inside = bool(d <= boundary and boundary > 0)
    if inside:
        d_hat = d / boundary
        delta = np.power(d_hat, f32(s.decay)) * f32(s.intensity)
        instance = white_noise_value(np.array(cell, dtype=f32), f32(s.seed + 1))
    return {
        "inside": inside,
        "distance": d,
        "boundary": boundary,
        "normalised_distance": d_hat,
        "reflectance_delta": delta,
        "instance_hash": instance,
        "cell": cell,
    }


def plane(n: int = 60, extent_m: float = 0.05, slope: float = 0.0) -> np.ndarray:
    """(n², 3) points of a plane around the origin; the middle ones of an odd n lie on cell borders."""
    x, y = np.meshgrid(*[np.linspace(-extent_m, extent_m, n, dtype=np.float32)] * 2)
    return np.stack([x, y, np.float32(slope) * x], axis=-1).reshape(-1, 3)


@pytest.mark.parametrize("parameters", [GRID, DENSE, ONE], ids=["sparse grid", "dense grid", "one centre"])
def test_equals_algorithm_1_point_by_point(parameters):
    points = plane(17, slope=0.3)
    slow = [algorithm_1(p, parameters) for p in points]
    fast = stain_field(points, parameters)
    assert 0 < fast.inside.sum() < len(points)
    for name in slow[0]:
        expected = np.array([one[name] for one in slow])
        np.testing.assert_allclose(getattr(fast, name), expected, rtol=1e-6, atol=1e-12, err_msg=name)
    assert not fast.roughness_delta.any() and not fast.height.any()


def test_result_does_not_depend_on_the_company_of_a_point():
    points = np.concatenate([plane(300), np.random.default_rng(0).uniform(-3, 3, (500, 3)).astype(np.float32)])
    whole = stain_field(points, GRID)
    order = np.random.default_rng(1).permutation(len(points))
    shuffled = stain_field(points[order], GRID)
    for field in dataclasses.fields(whole):
        assert np.array_equal(getattr(whole, field.name)[order], getattr(shuffled, field.name)), field.name


def test_eight_cells_are_enough_where_the_parameters_say_so():
    points = plane(400, slope=0.2)
    small = dataclasses.replace(GRID, radius_mm=7.0)
    assert small.neighbours == 8
    all_27, only_8 = stain_field(points, small), stain_field(points, small, neighbours=8)
    assert np.array_equal(all_27.inside, only_8.inside) and all_27.inside.any()
    for name in ("normalised_distance", "reflectance_delta", "instance_hash"):
        assert np.array_equal(getattr(all_27, name), getattr(only_8, name)), name
    assert np.array_equal(all_27.distance[all_27.inside], only_8.distance[all_27.inside])


def test_eight_cells_are_not_enough_for_large_stains():
    assert DENSE.neighbours == 27
    points = plane(200)
    assert (stain_field(points, DENSE).inside != stain_field(points, DENSE, neighbours=8).inside).any()


def test_27_cells_find_what_125_find_inside():
    """Brute force over a wider neighbourhood: no nearer centre is missed while r' <= G."""
    points, size, seed = plane(40, slope=0.4), np.float32(0.006), np.float32(DENSE.seed)
    field = stain_field(points, DENSE)
    base = np.floor(points / size)
    least = np.full(len(points), np.inf, dtype=np.float32)
    for offset in np.ndindex(5, 5, 5):
        cells = base + np.array(offset, dtype=np.float32) - 2 + 0.0
        centres = (cells + white_noise_color(cells.astype(np.float32), seed)) * size
        least = np.minimum(least, np.linalg.norm(points - centres, axis=1))
    assert field.boundary.max() <= size
    np.testing.assert_allclose(field.distance[field.inside], least[field.inside], rtol=1e-6)
    assert not (~field.inside & (least < field.boundary * 0.99999)).any()


def test_reflectance_follows_the_power_law_from_centre_to_rim():
    plain = StainParameters(**{**BASE, "noise_amplitude_mm": 0.0}, centre_mm=(0, 0, 0))
    x = np.linspace(0, 0.006, 61, dtype=np.float32)
    field = stain_field(np.stack([x, 0 * x, 0 * x], axis=-1), plain)
    t = x / 0.004
    assert np.array_equal(field.inside, t <= 1)
    np.testing.assert_allclose(field.reflectance_delta, np.where(t <= 1, -0.3 * t**2, 0), atol=1e-6)


def test_no_stain_where_the_outline_vanishes():
    vanishing = dataclasses.replace(GRID, radius_mm=0.1, noise_amplitude_mm=5.0, noise_frequency_per_mm=0.5)
    field = stain_field(plane(200), vanishing)
    assert (field.boundary <= 0).any()
    assert not field.inside[field.boundary <= 0].any()
    assert np.isfinite(field.reflectance_delta).all() and np.isfinite(field.normalised_distance).all()


def test_instance_is_one_value_per_cell_and_zero_outside():
    field = stain_field(plane(300), GRID)
    cells = np.unique(field.cell[field.inside], axis=0)
    assert len(np.unique(field.instance_hash[field.inside])) == len(cells) > 3
    assert not field.instance_hash[~field.inside].any()


def test_negative_zero_is_zero():
    points = plane(101)
    mirrored = points.copy()
    mirrored[:, 2] = -0.0
    assert np.array_equal(stain_field(points, GRID).distance, stain_field(mirrored, GRID).distance)


def test_points_that_hit_nothing_are_outside():
    points = plane(5)
    points[3] = np.nan
    points[7, 1] = np.inf
    field = stain_field(points, GRID)
    assert not field.inside[[3, 7]].any() and np.isinf(field.distance[[3, 7]]).all()
    assert np.isfinite(field.distance[[0, 1, 2, 4]]).all()
    assert len(stain_field(np.empty((0, 3)), GRID).inside) == 0


def test_lengths_reach_the_shaders_as_metres_rounded_once():
    values = StainParameters(**{**BASE, "radius_mm": 0.1, "noise_frequency_per_mm": 0.3}, cell_size_mm=7.7).in_metres()
    assert values.radius == np.float32(0.1 / 1000) and values.cell_size == np.float32(7.7 / 1000)
    assert values.noise_frequency == np.float32(300.0)
    assert all(value.dtype == np.float32 for value in values if value is not None)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"radius_mm": 0.0}, "radius_mm"),
        ({"radius_mm": -1}, "radius_mm"),
        ({"radius_mm": float("nan")}, "radius_mm"),
        ({"radius_mm": "4"}, "radius_mm"),
        ({"radius_mm": None}, "radius_mm"),
        ({"radius_mm": True}, "radius_mm"),
        ({"noise_amplitude_mm": -0.1}, "noise_amplitude_mm"),
        ({"noise_frequency_per_mm": float("inf")}, "noise_frequency_per_mm"),
        ({"decay": -1.0}, "decay"),
        ({"intensity": float("nan")}, "intensity"),
        ({"seed": -1}, "seed"),
        ({"seed": EXACT_SEED_LIMIT}, "seed"),
        ({"seed": 1.5}, "seed"),
        ({"cell_size_mm": 5.4}, "beyond the neighbouring cells"),
        ({"cell_size_mm": 0.0}, "cell_size_mm"),
        ({"cell_size_mm": None}, "either cell_size_mm"),
        ({"centre_mm": (0, 0, 0)}, "either cell_size_mm"),
        ({"cell_size_mm": None, "centre_mm": (0, 0)}, "centre_mm"),
        ({"cell_size_mm": None, "centre_mm": (0, 0, float("nan"))}, "centre_mm"),
    ],
)
def test_refuses(change, words):
    with pytest.raises(UserError, match=words):
        StainParameters(**{**BASE, "cell_size_mm": 20.0, **change})


def test_a_stain_that_just_reaches_its_neighbours_is_accepted():
    assert StainParameters(**{**BASE, "radius_mm": 0.1, "noise_amplitude_mm": 0.2}, cell_size_mm=0.3).neighbours == 27


def test_where_no_cell_near_has_a_stain_there_is_no_radius_to_vary():
    few = dataclasses.replace(GRID, cell_size_mm=12.0, radius_mm=2.0, noise_amplitude_mm=0.5, density=0.06,
                              radius_spread=0.9)
    field, even = (stain_field(plane(120), dataclasses.replace(few, radius_spread=s)) for s in (few.radius_spread, 0.0))
    nowhere = field.distance > 1e8
    assert 0.1 < nowhere.mean() < 0.9 and not field.cell[nowhere].any()
    assert np.array_equal(field.boundary[nowhere], even.boundary[nowhere])


def test_a_search_of_another_number_of_cells_is_refused():
    with pytest.raises(UserError, match="8 or 27"):
        stain_field(plane(2), GRID, neighbours=9)


@pytest.mark.parametrize("points", [np.zeros((4, 2)), np.zeros(3), np.full((1, 3), 1e6), [["a", "b", "c"]]])
def test_refuses_points_of_the_wrong_shape_or_out_of_float32_reach(points):
    with pytest.raises(UserError, match="stain"):
        stain_field(points, GRID)


def test_table_of_parameters_is_complete_and_consistent():
    assert [spec.name for spec in STAIN_SPECS] == [field.name for field in dataclasses.fields(StainParameters)]
    for spec in STAIN_SPECS:
        assert spec.hard[0] <= spec.soft[0] < spec.soft[1] <= spec.hard[1] and spec.tooltip
        assert spec.default is None or spec.soft[0] <= spec.default <= spec.soft[1]
    defaults = {spec.name: spec.default for spec in STAIN_SPECS}
    assert StainParameters(**defaults).neighbours == 8


BEYOND = {
    "density": 0.6,
    "radius_spread": 0.7,
    "intensity_spread": 0.5,
    "decay_spread": 0.8,
    "rim_gain": 1.7,
    "rim_width": 0.06,
    "ring_count": 3,
    "ring_gain": 0.6,
    "deposit_contrast": 0.8,
    "deposit_frequency_per_mm": 0.9,
    "elongation": 1.7,
    "elongation_direction_deg": 215.0,
    "roughness_change": 0.2,
    "film_height_um": 12.0,
}
"""Everything beyond Algorithm 1, switched on."""


def full_model(p, s: StainParameters) -> dict:
    """The model of the module's docstring for one point, in float64 but for the draws, with plain loops."""
    nothing = {"inside": False, "reflectance_delta": 0.0, "roughness_delta": 0.0, "height": 0.0}
    size, f32 = s.cell_size_mm / 1000, np.float32
    angle = np.radians(s.elongation_direction_deg)
    towards = np.array([np.cos(angle), np.sin(angle), 0.0])
    own = np.floor(p / size)
    cells = (own + np.array(list(np.ndindex(3, 3, 3))) - 1 + 0.0).astype(f32)
    cells = cells[white_noise_color(cells, f32(s.seed + 2))[:, 2] <= s.density]
    if len(cells) == 0:
        return nothing
    draws = 2.0 * white_noise_color(cells, f32(s.seed + 2)).astype(float) - 1
    draws[:, 2] = 2.0 * white_noise_value(cells, f32(s.seed + 3)).astype(float) - 1
    v = p - (cells + white_noise_color(cells, f32(s.seed)).astype(float)) * size
    squeezed = v + np.outer(np.maximum(v @ towards, 0) * (1 / s.elongation - 1), towards)
    distances, radii = np.linalg.norm(squeezed, axis=1), s.radius_mm / 1000 * (1 + s.radius_spread * draws[:, 0])
    best = np.argmin(distances - radii)
    d, draws = distances[best], draws[best]
    noise = perlin_4d(f32([p]) * f32(s.noise_frequency_per_mm * 1e3), s.seed)[0]
    boundary = radii[best] + s.noise_amplitude_mm / 1000 * noise
    if not (d <= boundary and boundary > 0):
        return nothing
    d_hat = d / boundary
    edges = [k / (s.ring_count + 1) for k in range(1, s.ring_count + 2)]
    edge = next(e for e in edges if d_hat < e or e == 1)
    gain = s.rim_gain if edge == 1 else s.ring_gain
    rings = gain * (1 + (edge - d_hat) / s.rim_width * (2 ** (1 / 7) - 1)) ** -7.0
    patches = perlin_4d(f32([p]) * f32(s.deposit_frequency_per_mm * 1e3) + f32([113, 47, 71]), s.seed)[0]
    strength = d_hat ** (s.decay * (1 + s.decay_spread * draws[2])) + rings
    strength *= (1 + s.deposit_contrast * patches) * (1 + s.intensity_spread * draws[1])
    return {
        "inside": True,
        "reflectance_delta": strength * s.intensity,
        "roughness_delta": strength * s.roughness_change,
        "height": strength * s.film_height_um * 1e-6 * (1 - d_hat**8),
    }


@pytest.mark.parametrize("cell_size_mm", [7.0, 10.0, 16.0])
def test_equals_the_full_model_point_by_point(cell_size_mm):
    parameters = StainParameters(**{**BASE, "radius_mm": 2.0, "noise_amplitude_mm": 0.7}, cell_size_mm=cell_size_mm,
                                 **BEYOND)
    points = plane(41, slope=0.3)
    fast = stain_field(points, parameters)
    slow = [full_model(p.astype(float), parameters) for p in points]
    assert 10 < fast.inside.sum() < len(points)
    for name in slow[0]:
        expected = np.array([one[name] for one in slow])
        tolerance = 2e-5 * np.abs(expected).max()
        np.testing.assert_allclose(getattr(fast, name), expected, rtol=0, atol=tolerance, err_msg=name)


def test_the_neutral_value_of_each_further_parameter_is_algorithm_1():
    """Each is off by default, alone and whatever the parameters that only shape it are."""
    points = plane(200, slope=0.2)
    shaping = {"rim_width": 0.5, "ring_gain": 2.0, "deposit_frequency_per_mm": 3.0, "elongation_direction_deg": 30.0}
    plain, shaped = stain_field(points, GRID), stain_field(points, dataclasses.replace(GRID, **shaping))
    for field in dataclasses.fields(plain):
        assert np.array_equal(getattr(plain, field.name), getattr(shaped, field.name)), field.name


def test_density_keeps_its_share_of_the_stains_where_they_were():
    points = plane(700, extent_m=0.2)
    all_stains = stain_field(points, GRID)
    some = stain_field(points, dataclasses.replace(GRID, density=0.4))
    kept, there = np.unique(some.instance_hash[some.inside]), np.unique(all_stains.instance_hash[all_stains.inside])
    assert 0.25 < len(kept) / len(there) < 0.55
    assert not stain_field(points, dataclasses.replace(GRID, density=0.0)).inside.any()
    assert not (some.inside & ~all_stains.inside).any()
    unmoved = all_stains.inside & np.isin(all_stains.instance_hash, kept)
    assert np.array_equal(some.instance_hash[unmoved], all_stains.instance_hash[unmoved])


def test_stains_of_several_sizes_are_the_union_of_discs():
    """Without noise, the mask is where any centre is within its own radius, large ones over small ones too."""
    several = dataclasses.replace(DENSE, radius_mm=3.0, noise_amplitude_mm=0.0, radius_spread=0.9)
    points, size = plane(150), np.float32(0.006)
    field = stain_field(points, several)
    base, union = np.floor(points / size), np.zeros(len(points), dtype=bool)
    for offset in np.ndindex(5, 5, 5):
        cells = (base + np.array(offset, dtype=np.float32) - 2 + 0.0).astype(np.float32)
        centres = (cells + white_noise_color(cells, np.float32(several.seed))) * size
        draw = 2 * white_noise_color(cells, np.float32(several.seed + 2))[:, 0] - 1
        union |= np.linalg.norm(points - centres, axis=1) <= 0.003 * (1 + 0.9 * draw)
    assert 0.1 < union.mean() < 0.9
    assert (union != field.inside).sum() <= 1


def test_rim_halves_at_its_width_and_rings_repeat_it():
    base = {**BASE, "noise_amplitude_mm": 0.0, "decay": 100.0, "intensity": 1.0}
    ring = StainParameters(**base, centre_mm=(0, 0, 0), rim_gain=2.0, rim_width=0.1)
    x = np.array([0.9, 0.9999999, 0.5], dtype=np.float32) * np.float32(0.004)
    at_width, at_rim, middle = stain_field(np.stack([x, 0 * x, 0 * x], axis=-1), ring).reflectance_delta
    assert at_width == pytest.approx(1.0, rel=1e-3) and at_rim == pytest.approx(3.0, rel=1e-3)
    assert middle == pytest.approx(2.0 * (1 + 5 * (2 ** (1 / 7) - 1)) ** -7, rel=1e-3)
    two = dataclasses.replace(ring, ring_count=1, ring_gain=1.0)
    x = np.array([0.4999, 0.4, 0.5001], dtype=np.float32) * np.float32(0.004)
    inner, inner_at_width, between = stain_field(np.stack([x, 0 * x, 0 * x], axis=-1), two).reflectance_delta
    assert inner == pytest.approx(1.0, rel=2e-3) and inner_at_width == pytest.approx(0.5, rel=1e-3)
    assert between < 0.2


def test_a_drop_that_ran_reaches_farther_to_one_side():
    ran = StainParameters(**{**BASE, "noise_amplitude_mm": 0.0}, centre_mm=(0, 0, 0), elongation=3.0,
                          elongation_direction_deg=90.0)
    y = np.linspace(-0.015, 0.015, 301, dtype=np.float32)
    inside = stain_field(np.stack([0 * y, y, 0 * y], axis=-1), ran).inside
    assert y[inside].min() == pytest.approx(-0.004, abs=1e-4) and y[inside].max() == pytest.approx(0.012, abs=1e-4)
    across = stain_field(np.stack([y, 0 * y, 0 * y], axis=-1), ran).inside
    assert abs(y[across]).max() == pytest.approx(0.004, abs=1e-4)


def test_film_ends_at_the_outline():
    film = dataclasses.replace(ONE, film_height_um=5.0)
    field = stain_field(plane(400), film)
    edge = field.inside & (field.normalised_distance > 0.999)
    assert edge.any() and (field.height[edge] < 5e-6 * 0.01).all()
    assert 1e-6 < field.height.max() <= 5e-6 and not field.height[~field.inside].any()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"radius_spread": 0.9, "cell_size_mm": 9.0}, r"1 \+ radius_spread"),
        ({"elongation": 4.0}, r"elongation \* \("),
        ({"density": 1.1}, "density"),
        ({"elongation": 0.5}, "elongation"),
        ({"cell_size_mm": None, "centre_mm": (0, 0, 0), "density": 0.5}, "density tells the stains of a grid apart"),
        ({"radius_mm": 10**400}, "radius_mm must be a number .*\\.\\.\\."),
        ({"cell_size_mm": None, "centre_mm": np.array(5.0)}, "three numbers"),
        ({"cell_size_mm": None, "centre_mm": np.zeros((3, 2))}, "centre_mm"),
        ({"ring_count": 2.0}, "ring_count"),
        ({"rim_width": 0.0}, "rim_width"),
    ],
)
def test_refuses_what_would_reach_too_far_and_what_is_out_of_range(change, words):
    with pytest.raises(UserError, match=words):
        StainParameters(**{**BASE, "cell_size_mm": 20.0, **change})


def test_the_dataclass_has_the_defaults_of_the_table():
    defaults = {field.name: field.default for field in dataclasses.fields(StainParameters)}
    for spec in STAIN_SPECS:
        if spec.name in BEYOND:
            assert defaults[spec.name] == spec.default
