# SPDX-License-Identifier: GPL-3.0-or-later
"""The inspection scene: built beside the person's scenes, and following the panel."""

import bpy
import numpy as np

from .tools import add_object, defaults, module, picture_of, press, refusal, settings


def check_it_is_built_beside_the_scenes_that_are_there():
    own = bpy.context.scene
    defaults()
    tree, _ = add_object("Own")
    before, objects = picture_of(tree), [item.name for item in own.objects]
    settings().radius_mm, settings().light.power_w, settings().scale_percent = 3.5, 10.0, 4.0
    settings().samples = 2
    assert press("set_up_inspection") == {"FINISHED"}
    scene = bpy.data.scenes["Inspection"]
    assert bpy.context.scene == scene and [item.name for item in own.objects] == objects
    assert picture_of(tree) == before
    assert settings().radius_mm == np.float32(3.5) and settings().light.power_w == 10.0, "the settings come along"
    assert bpy.context.object.name == "Inspection Plate"
    assert module("materials.stain_on_material").is_stained(bpy.context.object.active_material)
    assert press("set_up_inspection") == {"FINISHED"}
    assert sum(scene.name.startswith("Inspection") for scene in bpy.data.scenes) == 1


def check_sliders_move_plate_and_camera_at_once():
    settings().plate.width_mm = 60.0
    plate = bpy.context.object
    assert np.isclose(plate.dimensions.x, 0.06) or np.isclose(_width(plate), 0.06)
    assert module("materials.stain_on_material").is_stained(plate.active_material), "the stain stays"
    press("show_mask")
    settings().camera.width_px = 1000
    assert bpy.context.scene.render.resolution_x == 40
    assert module("materials.mask_preview").is_shown(bpy.context.object.active_material), "the preview stays"
    press("show_mask")
    press("remove_stain")
    settings().plate.width_mm = 100.0
    assert not module("materials.stain_on_material").is_stained(bpy.context.object.active_material), "clean stays clean"
    press("add_stain")
    settings().property_unset("camera")


def _width(item) -> float:
    xs = [vertex.co.x for vertex in item.data.vertices]
    return max(xs) - min(xs)


def check_impossible_scenes_are_refused_in_words():
    settings().camera.focal_length_mm = settings().camera.distance_mm
    assert "focal length" in refusal("set_up_inspection")
    settings().camera.focal_length_mm = 25.0
    settings().light.inner_radius_mm = 80.0
    assert "inner radius" in refusal("set_up_inspection")
    settings().light.inner_radius_mm = 14.0
    assert press("set_up_inspection") == {"FINISHED"}
