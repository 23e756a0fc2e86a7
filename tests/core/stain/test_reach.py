# SPDX-License-Identifier: GPL-3.0-or-later
"""The coarse map says no only where there is no stain, and does say no."""

import numpy as np
import pytest

from blender_addon.core.stain.field import stain_field
from blender_addon.core.stain.parameters import StainParameters
from blender_addon.core.stain.reach import reach_map

LOW, HIGH = (-50.0, -60.0, -1.5), (50.0, 60.0, 0.0)


def stain(radius=3.0, amplitude=1.0, seed=0, cell=20.0, **more) -> StainParameters:
    return StainParameters(radius, 0.4, amplitude, 2.0, -0.3, seed, cell_size_mm=cell, **more)


CASES = {
    "usual": stain(),
    "touching cells": stain(radius=4.0, amplitude=2.0, cell=6.0),
    "spread and sparse": stain(cell=12.0, radius_spread=0.9, density=0.3),
    "ran": stain(elongation=2.5, elongation_direction_deg=77.0, seed=5),
    "small": stain(radius=0.2, amplitude=0.1, cell=3.0),
    "one": stain(cell=None, centre_mm=(-49.0, 12.0, 0.4), radius=6.0, elongation=1.5),
}


@pytest.mark.parametrize("parameters", CASES.values(), ids=CASES)
def test_no_point_inside_a_stain_lies_in_a_tile_without(parameters):
    tiles = reach_map(parameters, LOW, HIGH)
    generator = np.random.default_rng(1)
    points = generator.uniform(LOW, HIGH, (400_000, 3))
    inside = stain_field(points / 1000, parameters).inside
    share = (points[:, :2] - LOW[:2]) / (np.array(HIGH[:2]) - LOW[:2])
    column, row = (np.minimum((share[:, axis] * tiles.shape[1 - axis]).astype(int), tiles.shape[1 - axis] - 1)
                   for axis in (0, 1))
    assert inside.sum() > 100
    assert tiles[row, column][inside].all()


def test_the_map_follows_the_stains():
    tiles = reach_map(stain(), LOW, HIGH)
    assert tiles.shape == (320, 267)
    assert 0.05 < tiles.mean() < 0.5


def test_where_every_tile_has_several_stains_the_map_says_so_at_once():
    assert reach_map(stain(radius=0.05, amplitude=0.0, cell=0.2), LOW, HIGH).all()
