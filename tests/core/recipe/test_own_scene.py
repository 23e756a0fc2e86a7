# SPDX-License-Identifier: GPL-3.0-or-later
"""Recipes of a person's own scene: read, checked, written, and drawn part by part."""

import pathlib

import pytest

from blender_addon.core.errors import UserError
from blender_addon.core.features.classes import CLASS_OF
from blender_addon.core.recipe.own_scene import unvaried_sample
from blender_addon.core.recipe.recipe_file import recipe_toml
from blender_addon.core.recipe.sample import draw_any
from blender_addon.core.recipe.settings import load

RECIPE = """
name = "shaft"
count = 24
seed = 3
splits = { train = 2, test = 1 }
[scene]
file = "shaft.blend"
objects = ["Shaft"]
stain_variation = 0.2
[stain]
share = 0.5
intensity = [-0.5, -0.2]
[pose]
turntable_steps = 3
rotation_x_deg = [-2.0, 2.0]
[view]
count = 2
azimuth_deg = [0.0, 360.0]
[lamps]
strength = [0.8, 1.2]
"""


@pytest.fixture
def file(tmp_path) -> pathlib.Path:
    path = tmp_path / "shaft.toml"
    path.write_text(RECIPE, encoding="utf-8")
    return path


def test_the_pictures_of_a_part_share_what_is_the_parts(file):
    samples = [draw_any(load(file), k) for k in range(24)]
    for start in range(0, 24, 6):
        part = samples[start : start + 6]
        assert [sample.turntable_deg for sample in part] == [0.0, 0.0, 120.0, 120.0, 240.0, 240.0]
        for shared in (lambda s: s.group, lambda s: s.split, lambda s: s.pose, lambda s: s.lamps, lambda s: s.stained,
                       lambda s: tuple(s.stain.items()), lambda s: s.stain_seed("Steel", 1, 0)):
            assert len({shared(sample) for sample in part}) == 1
        assert len({sample.view.azimuth_deg for sample in part}) == 6, "each picture has a view of its own"
    assert len({sample.pose.rotation_x_deg for sample in samples}) == 4
    assert {sample.split for sample in samples} == {"train", "test"}
    assert {sample.stained for sample in samples} == {True, False}
    assert len({sample.id for sample in samples}) == len({sample.seed for sample in samples}) == 24


def test_a_sample_is_a_function_of_recipe_and_index_alone(file):
    assert draw_any(load(file), 7) == draw_any(load(file), 7)
    assert draw_any(load(file).with_seed(4), 7) != draw_any(load(file), 7)


def test_only_what_the_recipe_gives_replaces_the_materials_values(file):
    sample = draw_any(load(file), 0)
    assert set(sample.stain) == {"intensity"} and -0.5 <= sample.stain["intensity"] <= -0.2
    values = {sample.varied("Steel", 1, "radius_mm", 4.0), sample.varied("Brass", 1, "radius_mm", 4.0)}
    assert len(values) == 2 and all(3.2 <= value <= 4.8 for value in values)


def test_a_pair_draws_nothing():
    pair = unvaried_sample("pair")
    assert pair.stain_seed("Steel", 1, 77) == 77 and pair.varied("Steel", 1, "radius_mm", 4.0) == 4.0


def test_written_and_read_again_it_is_the_same(file, tmp_path):
    recipe = load(file)
    again = tmp_path / "again.toml"
    again.write_text(recipe_toml(recipe), encoding="utf-8")
    assert load(again).as_dict() == recipe.as_dict()
    assert [draw_any(load(again), k) for k in range(12)] == [draw_any(recipe, k) for k in range(12)]


def test_the_description_does_not_say_where_the_file_lies(file, tmp_path):
    assert load(file).as_dict()["scene"]["file"] == "shaft.blend"
    assert load(file).section("scene")["file"] == str(tmp_path / "shaft.blend")


FEATURES = """
[scratch]
share = 0.5
count = 2
length_mm = [5.0, 10.0]
[fingerprint]
plates = "defective"
on_defects = 1.0
splits = ["test"]
"""


def test_defects_and_impurities_are_those_of_the_part(file, tmp_path):
    file.write_text(RECIPE + FEATURES, encoding="utf-8")
    recipe = load(file)
    parts = [draw_any(recipe, k) for k in range(0, 72, 6)]
    for sample in parts:
        assert draw_any(recipe, sample.index + 5).features == sample.features
        names = [CLASS_OF[type(each.feature)].name for each in sample.features]
        has_print = bool(names) and sample.split == "test"
        assert names == (["scratch", "scratch"] if names else []) + ["fingerprint"] * has_print
        assert all(each.on_defect for each in sample.features[2:]) and not any(
            each.on_defect for each in sample.features[:2])
    assert len({each.feature for sample in parts for each in sample.features}) == sum(
        len(sample.features) for sample in parts)
    assert 4 <= sum(bool(sample.features) for sample in parts) <= 8
    again = tmp_path / "again.toml"
    again.write_text(recipe_toml(recipe), encoding="utf-8")
    assert load(again).as_dict() == recipe.as_dict() and "side" not in recipe.as_dict()["scratch"]


def test_stains_can_be_kept_to_parts_with_defects(file):
    stain = RECIPE.replace("share = 0.5", 'share = 1.0\nplates = "defective"')
    file.write_text(stain + "[dent]\nshare = 0.5\n", encoding="utf-8")
    samples = [draw_any(load(file), k) for k in range(0, 72, 6)]
    assert {sample.stained for sample in samples} == {True, False}
    assert all(sample.stained == bool(sample.features) for sample in samples)


BAD = {
    "a plate too": ("[plate]\nwidth_mm = 50.0\n", r"\[plate\] describes the plate"),
    "a side": ("[scratch]\nside = \"front\"\n", "scratch.side: a plate has sides"),
    "a border outside": ("[dent]\nborder_mm = [-1.0, 2.0]\n", r"dent.border_mm = \[-1.0, 2.0\]: expected at least 0"),
    "no such key": ("[lamps2]\n", "unknown key 'lamps2'"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_does_not_belong_is_refused(case, file):
    more, words = BAD[case]
    file.write_text(RECIPE + more, encoding="utf-8")
    with pytest.raises(UserError, match=words):
        load(file)


VALUES = {
    'objects = ["Shaft"]': ("objects = []", "a list of names"),
    'file = "shaft.blend"': ("file = 3", "some text in quotes"),
    "turntable_steps = 3": ("turntable_steps = [1, 3]", "one number, the same for all parts"),
    "count = 2\n": ("positions_mm = [[1.0, 2.0]]\n", r"positions \[x, y, z\]"),
    "strength = [0.8, 1.2]": ("strength = -1.0", "a number from 0"),
}


@pytest.mark.parametrize("old", VALUES)
def test_a_wrong_value_is_named(old, file):
    new, words = VALUES[old]
    file.write_text(RECIPE.replace(old, new), encoding="utf-8")
    with pytest.raises(UserError, match=words):
        load(file)


def test_sections_of_a_scene_need_one(file):
    head, rest = RECIPE.split("[scene]")
    file.write_text(head + rest[rest.index("[stain]"):], encoding="utf-8")
    with pytest.raises(UserError, match=r"expected a \[scene\] too, or --scene"):
        load(file)
    assert load(file, {"file": "other.blend"}).is_own_scene


def test_positions_take_turns(file):
    file.write_text(RECIPE.replace("count = 2\n", "positions_mm = [[0, 0, 300], [100.0, 0, 300], [0, 100, 300]]\n"),
                    encoding="utf-8")
    samples = [draw_any(load(file), k) for k in range(9)]
    assert [sample.position_mm for sample in samples[:3]] == [(0, 0, 300), (100, 0, 300), (0, 100, 300)]
    assert [sample.turntable_deg for sample in samples] == [0.0] * 3 + [120.0] * 3 + [240.0] * 3
