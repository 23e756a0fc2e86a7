# SPDX-License-Identifier: GPL-3.0-or-later
"""Presets: those that come with the add-on, and a person's own."""

import bpy
import numpy as np

from .tools import add_object, defaults, module, press, refusal, settings, stain, stain_of

WANTED = {"Light Drops", "Hard Water Spots", "Dried Rim", "Dense Spray"}


def check_every_preset_is_a_possible_stain_and_acts_at_once():
    tree, _ = add_object()
    press("add_stain")
    presets = module("ui.presets").presets()
    assert {preset.name for preset in presets} >= WANTED
    stain().seed = 9
    for preset in presets:
        assert press("use_preset", preset=preset.name) == {"FINISHED"}
        assert module("ui.properties").problem(stain()) == ""
        assert module("ui.presets").current(stain()).name == preset.name
        radius = np.float32(preset.values["radius_mm"] / 1000)
        assert stain_of(tree).inputs["Radius"].default_value == radius and stain().seed == 9
    press("remove_stain")


def check_own_presets_are_saved_used_and_removed():
    settings().radius_mm, settings().ring_count = 1.25, 3
    assert press("save_preset", preset="My Drops") == {"FINISHED"}
    file = module("ui.presets").own_folder() / "my_drops.toml"
    assert module("core.recipe.settings").load(file).section("stain")["radius_mm"] == 1.25
    press("use_preset", preset="Dried Rim")
    press("use_preset", preset="My Drops")
    assert settings().radius_mm == 1.25 and settings().ring_count == 3
    assert press("remove_preset") == {"FINISHED"}
    assert not file.exists()


def check_refusals_say_why():
    press("use_preset", preset="Dried Rim")
    assert "comes with the add-on" in refusal("remove_preset")
    assert "comes with the add-on" in refusal("save_preset", preset="Dried rim")
    assert "letters, digits" in refusal("save_preset", preset="../x")
    assert "no preset 'Nothing'" in refusal("use_preset", preset="Nothing")
    damaged = module("ui.presets").own_folder() / "damaged.toml"
    damaged.write_text("count = 1\n[stain]\nradius_mm = -3\n", encoding="utf-8")
    module("ui.presets").forget()
    assert "radius_mm" in refusal("use_preset", preset="Damaged")
    damaged.unlink()
    module("ui.presets").forget()
    defaults()


def check_presets_are_recipes_that_render():
    for preset in module("ui.presets").presets():
        sample = module("core.recipe.sample").draw_sample(module("core.recipe.settings").load(preset.path), 0)
        assert sample.stain is not None and bpy.app.version
