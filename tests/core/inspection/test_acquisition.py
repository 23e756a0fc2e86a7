# SPDX-License-Identifier: GPL-3.0-or-later
"""The grid of camera positions, the sides of a plate, the region, and the light's perturbations."""

import dataclasses
import pathlib
from collections import Counter

import numpy as np
import pytest

from blender_addon.core.errors import UserError
from blender_addon.core.features.dent import Dent
from blender_addon.core.features.scratch import Scratch
from blender_addon.core.inspection.acquisition import Acquisition, shot_of
from blender_addon.core.labels.region import inspected_region
from blender_addon.core.recipe.sample import draw_sample
from blender_addon.core.recipe.settings import load

RECIPES = pathlib.Path(__file__).parents[3] / "scenes" / "recipes"
GRID, SYNTH, DEMO = (load(RECIPES / f"{name}.toml") for name in ("acquisition", "synth", "inspection_demo"))


def test_positions_are_a_centred_grid():
    grid = Acquisition(columns=3, rows=2, pitch_x_mm=10.0, pitch_y_mm=20.0, sides=2)
    shots = [shot_of(grid, k, 0) for k in range(14)]
    places = [(-10, -10), (0, -10), (10, -10), (-10, 10), (0, 10), (10, 10)]
    assert [(shot.camera_x_mm, shot.camera_y_mm) for shot in shots] == [*places, *places, *places[:2]]
    assert [(shot.plate, shot.side) for shot in shots] == [(0, "front")] * 6 + [(0, "back")] * 6 + [(1, "front")] * 2
    moved = [shot_of(dataclasses.replace(grid, jitter_mm=2.0), k, 0) for k in range(12)]
    errors = np.array([shot[4:6] for shot in moved]) - np.array([shot[4:6] for shot in shots[:12]])
    assert 1.0 < np.abs(errors).max() <= 2.0 and len(np.unique(errors)) == 24


def test_one_position_is_the_middle_of_the_plate():
    assert shot_of(Acquisition(), 7, 0)[:4] == (7, "front", 0, 0)
    assert draw_sample(SYNTH, 3).shot.camera_x_mm == 0.0


def test_the_pictures_of_a_plate_show_one_plate_and_its_two_sides():
    samples = [draw_sample(GRID, k) for k in range(48)]
    assert Counter(sample.group for sample in samples) == {"synth-2025-plate0000": 24, "synth-2025-plate0001": 24}
    for part in (samples[:12], samples[12:24], samples[24:36]):
        assert len({(sample.surface, sample.light, sample.plate.yaw_deg) for sample in part}) == 1
        assert len({sample.seed for sample in part}) == 12, "noise is every picture's own"
    assert len({sample.surface.seed for sample in samples}) == 4
    # The camera moves, the plate stays: offset and position add up to one pose.
    poses = {(round(s.plate.offset_x_mm + s.shot.camera_x_mm, 6), round(s.plate.offset_y_mm + s.shot.camera_y_mm, 6))
             for s in samples[:24]}
    assert len(poses) == 1
    # It is the plate that a recipe with one picture a plate shows.
    assert samples[24].surface.seed == draw_sample(SYNTH, 1).surface.seed


def test_splits_do_not_share_a_plate():
    recipe = dataclasses.replace(GRID, splits=(("train", 2), ("test", 1)))
    splits = {}
    for k in range(24 * 6):
        sample = draw_sample(recipe, k)
        splits.setdefault(sample.group, set()).add(sample.split)
    assert sorted(map(sorted, splits.values())) == [["test"]] * 2 + [["train"]] * 4


def test_defects_of_a_grid_lie_all_over_the_plate_and_on_the_sides_they_belong_to():
    recipe = DEMO.with_values("acquisition", "x", columns=3, rows=4, pitch_x_mm=33.0, pitch_y_mm=30.0, sides=2)
    recipe = recipe.with_values("dent", "x", share=1.0, side="back").with_values("scratch", "x", share=1.0)
    recipe = dataclasses.replace(recipe, splits=(("test", 1),))
    places = []
    for plate in range(20):
        front, back = draw_sample(recipe, 24 * plate), draw_sample(recipe, 24 * plate + 12)
        dents, scratches = ([[f for f in s.features if isinstance(f, kind)] for s in (front, back)]
                            for kind in (Dent, Scratch))
        assert not dents[0] and len(dents[1]) == 1
        assert scratches[0] and scratches[0][0] != scratches[1][0]
        assert draw_sample(recipe, 24 * plate + 5).features == front.features, "in plate space, whatever the camera"
        places += [(defect.centre_x_mm, defect.centre_y_mm) for defect in (*front.defects, *back.defects)]
    assert np.abs(places)[:, 1].max() > 45 and np.abs(places)[:, 0].max() > 30


@pytest.mark.parametrize("index", [0, 7, 11])
def test_the_region_is_the_plate_without_its_rim(index):
    recipe = GRID.with_values("render", "x", scale_percent=2.0).with_values("plate", "x", yaw_deg=8.0)
    sample = draw_sample(recipe, index)
    region = inspected_region(sample)
    columns, rows = sample.size_px
    assert region.shape == (rows, columns)
    pitch = sample.camera.field_mm[0] / columns
    for row in range(0, rows, 3):
        for column in range(columns):
            world = ((column + 0.5 - columns / 2) * pitch, (rows / 2 - row - 0.5) * pitch)
            x, y = sample.plate.from_world(np.array(world))
            assert region[row, column] == (abs(x) <= 47.0 and abs(y) <= 57.0)
    assert region.all() == (index == 7)
    assert inspected_region(draw_sample(SYNTH.with_values("render", "x", scale_percent=2.0), 0)).all()


def test_the_number_of_positions_is_one_number(tmp_path):
    (tmp_path / "a.toml").write_text("count = 1\n[acquisition]\nrows = [2, 4]\n")
    with pytest.raises(UserError, match=r"a\.toml: acquisition\.rows = \[2, 4\]: expected one number"):
        load(tmp_path / "a.toml")


def test_segments_of_the_light_are_drawn_within_their_spread_and_one_may_be_dead():
    recipe = SYNTH.with_values("light", "x", segment_spread=0.2, dead_segment=[0, 6])
    lights = [draw_sample(recipe, k).light for k in range(70)]
    assert {light.dead_segment for light in lights} == set(range(7))
    for light in lights:
        dead = [k for k, value in enumerate(light.segments, start=1) if value == 0.0]
        assert dead == ([light.dead_segment] if light.dead_segment else [])
        lit = [value for value in light.segments if value]
        assert 0.8 <= min(lit) < max(lit) <= 1.2
        assert light.total_power_w == pytest.approx(light.power_w * sum(light.segments) / 6)
    even = draw_sample(SYNTH, 0).light
    assert even.segments == (1.0,) * 6 and even.total_power_w == even.power_w
