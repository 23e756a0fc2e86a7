# SPDX-License-Identifier: GPL-3.0-or-later
import pathlib

import pytest

from blender_addon.core.errors import UserError
from blender_addon.core.parameter import Range
from blender_addon.core.recipe.settings import load

RECIPES = pathlib.Path(__file__).parents[3] / "scenes" / "recipes"
GOOD = 'name = "a"\ncount = 4\n'


def read(tmp_path, text):
    (tmp_path / "a.toml").write_text(text, encoding="utf-8")
    return load(tmp_path / "a.toml")


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.toml")), ids=lambda path: path.stem)
def test_every_shipped_recipe_is_good(path):
    assert load(path).name == path.stem


def test_the_paper_renders_80_samples_of_each():
    assert all(load(path).count == 80 for path in RECIPES.glob("synth*.toml"))


DAMAGE = {
    'nam = "a"': "unknown key 'nam'; did you mean 'name'?",
    "[plate]\nwidth_cm = 10": "unknown key 'plate.width_cm'; did you mean 'width_mm'?",
    "[stain]\nradius = 3": "unknown key 'stain.radius'; did you mean 'radius_mm'?",
    "[stian]\nradius_mm = 3": "unknown key 'stian'; did you mean 'stain'?",
    "zzz = 1": "unknown key 'zzz'; allowed:",
    "[plate]\nwidth_mm = -1": "plate.width_mm = -1: expected a number from 1 to 2000",
    '[plate]\nwidth_mm = "wide"': "plate.width_mm = 'wide': expected a number",
    "[plate]\nwidth_mm = true": "plate.width_mm = True: expected a number",
    "[plate]\nwidth_mm = nan": "plate.width_mm = nan",
    "[plate]\nwidth_mm = [10, 5]": "plate.width_mm = [10, 5]: the lower end of a range comes first; expected [5, 10]?",
    "[plate]\nwidth_mm = [10, 20, 30]": "plate.width_mm = [10, 20, 30]",
    "[camera]\nwidth_px = 100.5": "camera.width_px = 100.5: expected a whole number",
    '[light]\nvariant = "rot45"': "light.variant = 'rot45': expected one of as_built, rot90, x2",
    "[sensor]\nshot_noise = 1": "sensor.shot_noise = 1: expected true or false",
    '[stain]\nsplits = ["tset"]': "stain.splits = ['tset']: expected a list out of train, val, test",
    "[stain]\nradius_mm = [2, 1e9]": "stain.radius_mm",
    "[render]\nbits = 12": "render.bits = 12: expected 8 or 16",
    "plate = 3": "expected a table [plate]",
    "splits = {train = -1}": "splits = {'train': -1}",
    "seed = 1.5": "seed = 1.5: expected a whole number",
    'extends = "nowhere.toml"': "nowhere.toml: no such recipe, named by",
    'extends = "a.toml"': "'extends' goes in a circle",
    "plate.width_mm = ": "not a TOML file",
}


@pytest.mark.parametrize("line", DAMAGE, ids=lambda line: line.replace("\n", " "))
def test_damage_is_named_with_file_key_value_and_cure(tmp_path, line):
    top, section = (GOOD, "\n" + line) if line.startswith("[") else (line + "\n" + GOOD, "")
    with pytest.raises(UserError) as caught:
        read(tmp_path, top + section)
    assert DAMAGE[line] in str(caught.value)
    assert "a.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_mark_at_the_beginning_as_windows_editors_write_it_is_read_over(tmp_path):
    (tmp_path / "marked.toml").write_text(GOOD, encoding="utf-8-sig")
    assert load(tmp_path / "marked.toml").as_dict() == read(tmp_path, GOOD).as_dict()


@pytest.mark.parametrize("count", ["", "count = 0", "count = true", "count = 2.0"])
def test_a_recipe_needs_a_count(tmp_path, count):
    with pytest.raises(UserError, match="count"):
        read(tmp_path, f'name = "a"\n{count}')


def test_extends_lays_key_over_key(tmp_path):
    (tmp_path / "base.toml").write_text(GOOD + "[plate]\nwidth_mm = 50\nlength_mm = [60, 70]\n", encoding="utf-8")
    recipe = read(tmp_path, 'extends = "base.toml"\nname = "b"\n[plate]\nwidth_mm = 55\n')
    assert recipe.name == "b"
    assert recipe.section("plate") == {"width_mm": 55.0, "length_mm": Range(60, 70)}


def test_every_value_is_in_the_description(tmp_path):
    described = read(tmp_path, GOOD).as_dict()
    assert described["camera"]["f_number"] == 8.0
    assert "stain" not in described
    assert read(tmp_path, GOOD + "[stain]\n").as_dict()["stain"]["splits"] == ["train", "val", "test"]


def test_pairs_differ_in_the_stain_alone():
    for base in ("synth", "synth_rot90", "synth_x2", "synth_perturbed"):
        clean, stained = (load(RECIPES / f"{base}{end}.toml") for end in ("", "_ws"))
        assert (clean.seed, clean.plates) == (stained.seed, stained.plates)
        assert {**stained.sections, "stain": None} == {**clean.sections, "stain": None}
    assert len({load(RECIPES / f"{name}.toml").seed for name in ("synth", "synth_rot90", "synth_x2")}) == 3
