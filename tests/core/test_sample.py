# SPDX-License-Identifier: GPL-3.0-or-later
import dataclasses
import pathlib
from collections import Counter

import numpy as np
import pytest

from blender_addon.core.errors import UserError
from blender_addon.core.parameter import Range, parameters_of
from blender_addon.core.plate import Surface
from blender_addon.core.sample import draw_sample, split_of
from blender_addon.core.settings import load

RECIPES = pathlib.Path(__file__).parents[2] / "scenes" / "recipes"
SYNTH, SYNTH_WS, DEMO = (load(RECIPES / f"{name}.toml") for name in ("synth", "synth_ws", "inspection_demo"))


def test_a_pair_shares_everything_but_the_stain():
    for k in range(10):
        clean, stained = draw_sample(SYNTH, k), draw_sample(SYNTH_WS, k)
        assert stained.stain is not None
        assert dataclasses.replace(stained, stain=None, id=clean.id) == clean


def test_samples_do_not_depend_on_the_count():
    longer = dataclasses.replace(DEMO, count=1000)
    assert [draw_sample(DEMO, k) for k in range(20)] == [draw_sample(longer, k) for k in range(20)]


def test_samples_differ_and_lie_in_the_ranges():
    samples = [draw_sample(SYNTH, k) for k in range(40)]
    assert len({sample.surface for sample in samples}) == 40
    assert len({sample.group for sample in samples}) == 40
    for name in parameters_of(Surface):
        value = SYNTH.section("surface").get(name)
        if isinstance(value, Range):
            drawn = [getattr(sample.surface, name) for sample in samples]
            assert value.low <= min(drawn) < max(drawn) <= value.high


@pytest.mark.parametrize(
    "splits", [(("train", 8), ("val", 4), ("test", 8)), (("train", 1),), (("val", 3), ("test", 1))]
)
def test_every_prefix_is_divided_as_well_as_it_can_be(splits):
    recipe = dataclasses.replace(DEMO, splits=splits)
    total = sum(weight for _, weight in splits)
    seen: Counter = Counter()
    for k in range(3 * total):
        split, before = split_of(recipe, k)
        assert before == seen[split]
        seen[split] += 1
        for name, weight in splits:
            assert abs(seen[name] - weight * (k + 1) / total) < 1.0
    assert {split_of(recipe, k)[0] for k in range(len(splits) + 1)} == {name for name, _ in splits}


def test_the_inspection_day():
    samples = [draw_sample(DEMO, k) for k in range(20)]
    train = [sample for sample in samples if sample.split == "train"]
    rest = [sample for sample in samples if sample.split != "train"]
    assert all(sample.stain is None and not sample.defects for sample in train)
    assert any(sample.stain for sample in rest) and any(not sample.stain for sample in rest)
    clean = [sample for sample in rest if not sample.defects]
    assert clean, "some test plates have no defects"
    assert all(sample.dents and sample.scratches for sample in rest if sample.defects)
    for split in ("val", "test"):
        assert next(sample for sample in rest if sample.split == split).defects


def test_defects_lie_whole_in_the_image_and_apart():
    # Wider images than plates would hide a wrong sign, so the pose is made large here.
    recipe = DEMO.with_values("plate", "x", yaw_deg=2.0, offset_x_mm=3.0).with_values("dent", "x", count=3)
    for k in range(1, 60):
        sample = draw_sample(recipe, k)
        width, height = sample.camera.field_mm
        footprints = [defect.footprint() for defect in sample.defects]
        for points, radius in footprints:
            angle = np.radians(sample.plate.yaw_deg)
            turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
            world = points @ turn.T + [sample.plate.offset_x_mm, sample.plate.offset_y_mm]
            assert (np.abs(world) + radius <= np.array([width, height]) / 2 + 1e-9).all()
        for i, (points, radius) in enumerate(footprints):
            for others, other_radius in footprints[:i]:
                gap = np.linalg.norm(points[:, None] - others[None], axis=-1).min() - radius - other_radius
                assert gap >= 4.0


def test_the_record_names_all_that_a_mask_needs():
    parameters = draw_sample(SYNTH_WS, 0).parameters()
    stain = {"cell_size_mm", "radius_mm", "noise_frequency_per_mm", "noise_amplitude_mm", "decay", "intensity", "seed"}
    assert stain <= set(parameters["stain"])
    assert {"offset_x_mm", "offset_y_mm", "yaw_deg"} <= set(parameters["plate"])
    assert {"position_mm", "field_width_mm", "field_height_mm"} <= set(parameters["camera"])
    assert draw_sample(SYNTH, 0).parameters()["stain"] is None


def test_an_impossible_stain_names_the_recipe_and_the_plate():
    with pytest.raises(UserError, match="recipe synth_ws, plate 0: stain: radius_mm"):
        draw_sample(SYNTH_WS.with_values("stain", "x", radius_mm=30.0), 0)
