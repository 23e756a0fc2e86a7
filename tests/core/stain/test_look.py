# SPDX-License-Identifier: GPL-3.0-or-later
"""Laws of what makes a stain look dried, and of stains along a surface."""

import dataclasses

import numpy as np
import pytest

from blender_addon.core.errors import UserError
from blender_addon.core.noise.grid import cell_of, centres_of
from blender_addon.core.noise.hashing import white_noise_color
from blender_addon.core.stain.field import stain_field
from blender_addon.core.stain.look import uneven
from blender_addon.core.stain.parameters import LOOK, StainParameters
from blender_addon.core.stain.reach import reach_map

ONE = StainParameters(4.0, 0.25, 0.0, decay=0.0, intensity=1.0, seed=7, centre_mm=(0, 0, 0))
GRID = StainParameters(2.0, 0.25, 0.6, decay=2.0, intensity=-0.3, seed=7, cell_size_mm=9.0)
DROPS = {"satellites": 0.8, "satellite_radius_mm": 0.5, "satellite_distance_mm": 4.0}


def line(low_mm, high_mm, count=2001):
    x = np.linspace(low_mm, high_mm, count, dtype=np.float32) / np.float32(1000)
    return x, np.stack([x, 0 * x, 0 * x], axis=-1)


def plane(n=300, extent_m=0.03):
    x, y = np.meshgrid(*[np.linspace(-extent_m, extent_m, n, dtype=np.float32)] * 2)
    return np.stack([x, y, np.full_like(x, 0.0007)], axis=-1).reshape(-1, 3)


def test_what_only_shapes_the_look_changes_nothing_while_it_is_off():
    shaping = {"satellite_radius_mm": 0.9, "satellite_distance_mm": 9.0, "rim_gap_frequency_per_mm": 2.0}
    assert set(shaping) < set(LOOK)
    plain, shaped = (stain_field(plane(), parameters) for parameters in (GRID, dataclasses.replace(GRID, **shaping)))
    assert GRID.look == "" and plain.inside.any() and not plain.scatter.any()
    for field in dataclasses.fields(plain):
        assert np.array_equal(getattr(plain, field.name), getattr(shaped, field.name)), field.name


def test_a_wide_outline_fades_around_the_edge_of_an_unchanged_mask():
    x, points = line(3.5, 4.5)
    step, soft = stain_field(points, ONE), stain_field(points, dataclasses.replace(ONE, edge_width_um=200.0))
    assert np.array_equal(step.inside, soft.inside)
    t = np.clip((0.004 - x) / 0.0002 + 0.5, 0, 1)
    np.testing.assert_allclose(soft.reflectance_delta, t * t * (3 - 2 * t), atol=2e-3)
    outside = soft.reflectance_delta[~soft.inside]
    assert 0.45 < outside.max() < 0.5 and not soft.normalised_distance[~soft.inside].any()
    assert not soft.instance_hash[~soft.inside].any()


def test_rim_gaps_take_about_their_share_of_the_rim():
    angle = np.linspace(0, 2 * np.pi, 4001)[:-1]
    points = 0.01199 * np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=-1)
    base = dataclasses.replace(ONE, radius_mm=12.0, decay=100.0, intensity=1.0, rim_gain=1.0)
    left = []
    for share in (0.0, 0.3, 0.7, 1.0):
        rims = []
        for seed in range(12):
            parameters = dataclasses.replace(base, seed=seed, rim_gaps=share, rim_gap_frequency_per_mm=1.0)
            fade = stain_field(points, dataclasses.replace(parameters, rim_gain=0.0)).reflectance_delta
            rims.append(stain_field(points, parameters).reflectance_delta - fade)
        left.append(np.mean(rims) / 0.993)
    assert left[0] == pytest.approx(1.0, abs=0.01) and left[3] < 0.05
    assert left[0] > left[1] > left[2] > left[3] and 0.6 < left[1] < 0.97 and 0.03 < left[2] < 0.4


def test_skew_makes_many_stains_small_and_faint():
    parameters = dataclasses.replace(GRID, noise_amplitude_mm=0.0, radius_spread=0.9, intensity_spread=0.9, decay=0.0)
    points = plane(700, 0.09)
    small, faint = {}, {}
    for skew in (0.0, 1.0):
        field = stain_field(points, dataclasses.replace(parameters, radius_skew=skew, intensity_skew=skew))
        stains, first = np.unique(field.instance_hash[field.inside], return_index=True)
        radii, strengths = (values[field.inside][first] for values in (field.boundary, field.reflectance_delta / -0.3))
        small[skew], faint[skew] = (radii < 0.001).mean(), (strengths < 0.4).mean()
        assert len(stains) > 40 and radii.max() > 0.0034 and strengths.max() > 1.6
    # A plane meets large balls more often than small ones, so the small ones' share among those that are seen is less.
    assert small[1.0] > 0.2 > 3 * small[0.0] and faint[1.0] > 0.55 > 2 * faint[0.0]
    draws = uneven(np.linspace(0, 1, 10_001, dtype=np.float32), np.float32(1.0))
    assert np.median(draws) == pytest.approx(1 / 16, rel=1e-3) and draws[0] == 0 and draws[-1] == 1


def test_satellites_are_the_discs_that_the_formula_says_whole_and_outside_of_mean_outlines():
    parameters = dataclasses.replace(GRID, noise_amplitude_mm=0.0, density=0.7, radius_spread=0.4, **DROPS)
    points, v = plane(350), parameters.in_metres()
    field = stain_field(points, parameters)
    large = stain_field(points, dataclasses.replace(parameters, satellites=0.0))
    small = field.inside & ~large.inside
    assert small.sum() > 60 and np.array_equal(field.inside & large.inside, large.inside)

    size = np.float32(0.0005) * np.float32(3.2)
    cells = np.unique(cell_of(points, size).astype(int), axis=0)
    cells = np.unique((cells[:, None] + np.array(list(np.ndindex(3, 3, 3))) - 1).reshape(-1, 3), axis=0)
    cells = cells.astype(np.float32) + np.float32(0.0)
    centres, draws = centres_of(cells, size, v.seed + 4), white_noise_color(cells, v.seed + 5)
    main = cell_of(centres, v.cell_size)
    main_draws = white_noise_color(main, v.seed + 2)
    away = np.linalg.norm(centres - centres_of(main, v.cell_size, v.seed), axis=1)
    away -= 0.002 * (1 + 0.4 * (2 * main_draws[:, 0] - 1))
    there = (away >= 0) & (main_draws[:, 2] <= 0.7) & (draws[:, 2] <= 0.8 * (1 - away / 0.004))
    radii = 0.0005 * (0.15 + 0.85 * draws[:, 0].astype(float) ** 4)
    union = np.zeros(len(points), bool)
    for centre, radius in zip(centres[there], radii[there], strict=True):
        union |= np.linalg.norm(points - centre, axis=1) <= radius
    assert ((union & ~large.inside) != small).sum() <= 1


@pytest.mark.parametrize("look", [{"edge_width_um": 400.0}, {**DROPS, "edge_width_um": 300.0}, {"normal_reach": 2.0}])
def test_the_map_of_where_stains_can_be_is_never_wrong_in_saying_no(look):
    parameters = dataclasses.replace(GRID, cell_size_mm=12.0, radius_spread=0.5, density=0.5, **look)
    tiles = reach_map(parameters, (-20.0, -20.0, -0.01), (20.0, 20.0, 0.01))
    points = plane(500, 0.0199)
    points[:, 2] = 0.0
    up = np.broadcast_to(np.float32([0, 0, 1]), points.shape)
    field = stain_field(points, parameters, normals=up)
    rows, columns = (np.floor((points[:, axis] + 0.02) / 0.04 * tiles.shape[0]).astype(int) for axis in (1, 0))
    touched = (field.reflectance_delta != 0) | field.inside
    assert tiles[rows, columns][touched].all() and touched.any() and not tiles.all()


def test_along_the_surface_a_stain_keeps_its_size_where_the_surface_passes_its_centre_by():
    """A sphere's surface, the centre 3 mm under it: the solid stain's disc is smaller."""
    radius, depth = 0.05, 0.003
    angle = np.linspace(0, 0.12, 4001)
    points = radius * np.stack([np.sin(angle), 0 * angle, np.cos(angle)], axis=-1)
    normals = points / radius
    stain = dataclasses.replace(ONE, centre_mm=(0.0, 0.0, (radius - depth) * 1000))
    reach = {}
    for along in (1.0, 4.0):
        field = stain_field(points, dataclasses.replace(stain, normal_reach=along), normals=normals)
        reach[along] = radius * angle[field.inside].max()
    assert reach[1.0] < 0.0028 and reach[4.0] == pytest.approx(0.004 * radius / (radius - depth), rel=0.02)


def test_along_the_surface_27_cells_find_what_125_find():
    parameters = dataclasses.replace(GRID, normal_reach=3.0, cell_size_mm=9.0, noise_amplitude_mm=0.0)
    parameters = dataclasses.replace(parameters, radius_mm=9.0 / (1 + 3.0**4) ** 0.25 - 1e-6)
    normal = np.array([0.36, 0.48, 0.8])
    points = plane(120)
    v, normals = parameters.in_metres(), np.broadcast_to(normal.astype(np.float32), points.shape)
    field = stain_field(points, parameters, normals=normals)
    least = np.full(len(points), np.inf)
    for offset in np.ndindex(5, 5, 5):
        cells = cell_of(points, v.cell_size) + np.float32(offset) - np.float32(2)
        vectors = (points - centres_of(cells + np.float32(0), v.cell_size, v.seed)).astype(float)
        deep = vectors @ normal
        over = np.linalg.norm(vectors - deep[:, None] * normal, axis=1)
        least = np.minimum(least, (over**4 + (deep / 3.0) ** 4) ** 0.25)
    assert np.array_equal(field.inside, least <= float(v.radius)) and 0.05 < field.inside.mean() < 0.99


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"normal_reach": 4.0}, "normal_reach"),
        ({"edge_width_um": 14000.0}, "edge_width_um"),
        ({"satellites": 1.5}, "satellites"),
        ({"rim_gaps": -0.1}, "rim_gaps"),
        ({"cell_size_mm": None, "centre_mm": (0, 0, 0), "radius_skew": 0.5}, "radius_skew tells the stains"),
    ],
)
def test_refuses(change, words):
    with pytest.raises(UserError, match=words):
        dataclasses.replace(GRID, **change)


def test_along_the_surface_normals_are_needed():
    along = dataclasses.replace(GRID, normal_reach=2.0)
    with pytest.raises(UserError, match="normals"):
        stain_field(plane(3), along)
