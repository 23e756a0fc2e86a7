# SPDX-License-Identifier: GPL-3.0-or-later
import dataclasses
import pathlib
from collections import Counter

import numpy as np
import pytest

from blender_addon.core.errors import UserError
from blender_addon.core.features.dent import Dent
from blender_addon.core.features.fingerprint import Fingerprint
from blender_addon.core.features.scratch import Scratch
from blender_addon.core.inspection.plate import Surface
from blender_addon.core.parameter import Range, parameters_of
from blender_addon.core.recipe.sample import draw_sample, split_of
from blender_addon.core.recipe.settings import load

RECIPES = pathlib.Path(__file__).parents[3] / "scenes" / "recipes"
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


def kinds(sample):
    return {type(feature) for feature in sample.features}


def test_the_inspection_day():
    samples = [draw_sample(DEMO, k) for k in range(20)]
    train = [sample for sample in samples if sample.split == "train"]
    rest = [sample for sample in samples if sample.split != "train"]
    assert all(sample.stain is None and not sample.defects for sample in train)
    assert any(sample.stain for sample in rest) and any(not sample.stain for sample in rest)
    clean = [sample for sample in rest if not sample.defects]
    assert clean, "some test plates have no defects"
    assert all(kinds(sample) == {Dent, Scratch} for sample in rest if sample.defects)
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


def test_a_cell_that_is_too_small_for_the_stain_drawn_beside_it_grows_within_its_range():
    recipe = load(RECIPES / "impurities.toml")
    cells = recipe.section("stain")["cell_size_mm"]
    roomy = recipe.with_values("stain", "x", cell_size_mm=60.0)
    grown = 0
    for index in range(60):
        stain, reach = draw_sample(recipe, index).stain, draw_sample(roomy, index).stain.reach_mm
        assert cells.low <= stain.cell_size_mm <= cells.high and reach <= stain.cell_size_mm
        assert dataclasses.replace(stain, cell_size_mm=60.0) == draw_sample(roomy, index).stain
        grown += stain.cell_size_mm - reach < 1e-3
    assert 1 <= grown <= 6, "one of them at least is the recipe's plate 25; the others keep the cell that was drawn"
    with pytest.raises(UserError, match=r"plate 25: stain: .* reaches beyond"):
        draw_sample(recipe.with_values("stain", "x", cell_size_mm=11.2), 25)


TWIN = load(RECIPES / "inspection_twin.toml")


@pytest.mark.parametrize(("name", "per_side"), [("inspection_twin", 12), ("inspection_twin_small", 4)])
def test_the_twin_has_the_plates_of_the_paper_and_no_plate_in_two_splits(name, per_side):
    twin = load(RECIPES / f"{name}.toml")
    plates = twin.count // (2 * per_side)
    assert plates * 2 * per_side == twin.count
    splits, clean = {}, {}
    for k in range(twin.count):
        sample = draw_sample(twin, k)
        splits.setdefault(sample.group, set()).add(sample.split)
        clean.setdefault(sample.group, []).append(not sample.defects)
        if sample.split == "train" or sample.shot.side == "back":
            assert sample.stain is None
            assert all(feature in sample.defects for feature in sample.features)
        if sample.split == "train":
            assert not sample.features
    assert all(len(of_plate) == 1 for of_plate in splits.values()) and len(splits) == plates
    counts = Counter(split for of_plate in splits.values() for split in of_plate)
    assert counts == {"train": counts["train"], "val": 1, "test": 7}
    assert counts["train"] == (10 if per_side == 12 else 5)
    tested = [group for group, of_plate in splits.items() if "test" in of_plate]
    assert sum(all(clean[group]) for group in tested) == 1
    assert all(not any(clean[group]) or all(clean[group]) for group in tested), "both sides or none"


def test_every_defective_plate_of_the_twin_has_every_class():
    classes = {"bump", "dent", "fingerprint", "scratch", "sticker"}
    for plate in range(18):
        sample = draw_sample(TWIN, 24 * plate)
        if sample.defects:
            assert {entry["class"] for entry in sample.parameters()["features"]} == classes
            assert sample.stain is not None
        else:
            assert not sample.features and sample.stain is None


def overlaps(one, other):
    points, radius = one.footprint()
    others, other_radius = other.footprint()
    return np.linalg.norm(points[:, None] - others[None], axis=-1).min() < radius + other_radius


def test_impurities_lie_on_defects_as_often_as_asked_and_else_apart():
    recipe = dataclasses.replace(TWIN, splits=(("test", 1),)).with_values("dent", "x", share=1.0)
    for share in (0.0, 0.5, 1.0):
        changed = recipe.with_values("fingerprint", "x", on_defects=share, count=1, distance_mm=0.0)
        changed = changed.with_values("fingerprint", "x", width_mm=6.0, length_mm=6.0, partial=0.0)
        hits = []
        for plate in range(40):
            sample = draw_sample(changed, 24 * plate)
            prints = [feature for feature in sample.features if isinstance(feature, Fingerprint)]
            hits += [any(overlaps(one, defect) for defect in sample.defects) for one in prints]
        assert len(hits) == 40
        assert np.mean(hits) == {0.0: 0.0, 1.0: 1.0}.get(share, pytest.approx(0.5, abs=0.2))


def test_a_list_of_words_is_drawn_from(tmp_path):
    drawn = Counter()
    for plate in range(60):
        features = draw_sample(dataclasses.replace(TWIN, splits=(("test", 1),)), 24 * plate).features
        drawn += Counter(feature.pattern for feature in features if isinstance(feature, Fingerprint))
    assert set(drawn) == {"whorl", "loop", "arch"} and min(drawn.values()) > 0.15 * drawn.total()
    for text, message in (
        ('[fingerprint]\npattern = ["whorl", "spiral"]', "expected one of whorl, loop, arch, or a list"),
        ('[sticker]\nside = ["front", "back"]', "expected one word, the same for all plates"),
        ("[fingerprint]\npattern = []", "expected one of whorl, loop, arch, or a list"),
    ):
        (tmp_path / "bad.toml").write_text(f"count = 1\n{text}\n")
        with pytest.raises(UserError, match=message):
            load(tmp_path / "bad.toml")


def test_the_exposure_drifts_slowly_and_within_its_range():
    factors = np.array([draw_sample(TWIN, k).shot.exposure_factor for k in range(432)])
    assert np.abs(factors - 1).max() <= 0.06 and np.ptp(factors) > 0.05
    assert np.abs(np.diff(factors)).max() <= 2 * 0.06 / 40 + 1e-8
    sample = draw_sample(TWIN, 100)
    nominal = [draw_sample(TWIN, k).camera.exposure_ms / factors[k] for k in range(96, 120)]
    assert np.ptp(nominal) < 1e-6, "the drift is all that differs between the pictures of a plate"
    assert sample.parameters()["acquisition"]["exposure_factor"] == factors[100]
