# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel's settings: made from the declarations, at once on the stain, refused where they contradict each other."""

import bpy
import numpy as np

from .tools import FOLDER, add_object, behind, defaults, module, picture_of, press, refusal, settings, stain, stain_of

VALUES = {"radius_mm": 3.5, "noise_frequency_per_mm": 0.4, "noise_amplitude_mm": 0.75, "decay": 3.0,
          "intensity": -0.2, "seed": 77, "cell_size_mm": 18.0}
SOCKETS = {"Radius": 3.5e-3, "Noise Frequency": 400.0, "Noise Amplitude": 0.75e-3, "Decay": 3.0, "Intensity": -0.2,
           "Seed": 77.0, "Cell Size": 18e-3}


def check_settings_come_from_the_declarations():
    for spec in module("core.stain.parameters").STAIN_SPECS:
        definition = settings().bl_rna.properties[spec.name]
        assert spec.tooltip in definition.description
        assert np.isclose([definition.soft_min, definition.soft_max], spec.soft, rtol=1e-5).all(), spec.name
        assert spec.default is None or np.isclose(getattr(settings(), spec.name), spec.default)
    properties = module("ui.properties")
    for section, kind in properties.SECTIONS.items():
        for name in module("core.parameter").parameters_of(kind):
            assert hasattr(getattr(settings(), section), name), f"{section}.{name}"


def check_a_recipe_of_the_settings_reads_back_as_the_same():
    recipe = module("ui.panel_recipe").dataset_recipe(settings(), settings())
    path = FOLDER / "round_trip.toml"
    module("core.recipe.recipe_file").write_recipe(recipe, path, "A heading\nof two lines")
    again = module("core.recipe.settings").load(path)
    assert again.as_dict() == recipe.as_dict() and again.count == recipe.count


def check_a_slider_acts_at_once():
    tree, principled = add_object()
    for name, value in VALUES.items():
        setattr(settings(), name, value)
    before = picture_of(tree)
    assert press("add_stain") == {"FINISHED"}
    node = stain_of(tree)
    for name, value in SOCKETS.items():
        assert node.inputs[name].default_value == np.float32(value), name
    assert node.inputs["Vector"].is_linked and principled.inputs["Base Color"].is_linked
    stain().radius_mm = 2.0
    assert node.inputs["Radius"].default_value == np.float32(0.002)
    stain().roughness_change, stain().film_height_um = 0.1, 2.0
    assert behind(tree, principled.inputs["Roughness"]) == "MATH"
    assert behind(tree, principled.inputs["Normal"]) == "BUMP"
    stain().roughness_change = stain().film_height_um = 0.0
    assert not principled.inputs["Roughness"].is_linked and not principled.inputs["Normal"].is_linked
    stain().distribution, stain().centre_mm = "SINGLE", (1.0, 2.0, 3.0)
    assert np.allclose(stain_of(tree).inputs["Centre"].default_value, (0.001, 0.002, 0.003), rtol=1e-6)
    stain().distribution = "GRID"
    assert press("remove_stain") == {"FINISHED"}
    assert picture_of(tree) == before
    assert "no water stain" in refusal("remove_stain")


def check_values_that_contradict_each_other_wait():
    tree, _ = add_object()
    press("add_stain")
    stain().radius_mm = 2.0
    stain().radius_mm = 17.5
    assert "Radius + Noise Amplitude = 18.25 mm reaches beyond the neighbouring cells" in refusal("add_stain")
    assert stain_of(tree).inputs["Radius"].default_value == np.float32(0.002)
    stain().radius_mm = 2.0
    press("remove_stain")


def check_the_seed_is_rolled_as_if_by_a_die_but_always_alike():
    settings().seed = 5
    press("roll_seed")
    first = settings().seed
    settings().seed = 5
    press("roll_seed")
    assert settings().seed == first != 5
    seeds = {first}
    for _ in range(20):
        press("roll_seed")
        seeds.add(settings().seed)
    assert len(seeds) == 21 and max(seeds) < 100_000


def check_the_stain_is_fitted_to_an_object_of_another_size():
    defaults()
    add_object("One by half a metre")
    press("fit_to_object")
    assert settings().cell_size_mm == 100.0, "five along half a metre"
    assert settings().radius_mm == 20.0 and np.isclose(settings().noise_frequency_per_mm, 0.05)
    assert module("ui.properties").problem(settings()) == ""
    bpy.context.view_layer.objects.active = None
    assert "Select an object" in refusal("fit_to_object")
    defaults()


def check_osl_or_a_note():
    tree, _ = add_object("Glass")
    available, reason = module("scene.stain_osl").osl_available()
    settings().backend = "osl"
    try:
        if available:
            before, was_on = picture_of(tree), bpy.context.scene.cycles.shading_system
            press("add_stain")
            assert "OSL" in stain_of(tree).node_tree.name and bpy.context.scene.cycles.shading_system
            stain().backend = "nodes"
            assert "OSL" not in stain_of(tree).node_tree.name
            press("remove_stain")
            assert picture_of(tree) == before and not bpy.data.texts
            assert bpy.context.scene.cycles.shading_system == was_on
        else:
            assert reason in refusal("add_stain")
    finally:
        settings().backend = "nodes"
