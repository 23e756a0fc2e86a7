# SPDX-License-Identifier: GPL-3.0-or-later
"""Switching the add-on on and off: loud where it fails, and without residue."""

import bpy

from .installing import CLEAN
from .tools import FOLDER, MODULE, add_object, module, press, residue, settings


class Nameless(bpy.types.Operator):
    """Blender refuses it."""

    bl_idname, bl_label = "no dot", ""


def check_settings_are_saved_with_the_file():
    settings().film_height_um, settings().sensor.gamma = 3.25, 2.2
    file = str(FOLDER / "saved.blend")
    bpy.ops.wm.save_as_mainfile(filepath=file)
    settings().film_height_um = 0.0
    bpy.ops.wm.open_mainfile(filepath=file)
    assert settings().film_height_um == 3.25 and abs(settings().sensor.gamma - 2.2) < 1e-6


def check_a_failed_registration_unwinds_and_is_loud():
    ui = module("ui")
    bpy.ops.preferences.addon_disable(module=MODULE)
    kept = ui.CLASSES
    ui.CLASSES = (*kept, Nameless)
    try:
        ui.register()
        raise AssertionError("registering a class without a valid name did not fail")
    except (RuntimeError, ValueError):  # what register_class says
        pass
    finally:
        ui.CLASSES = kept
    assert residue()["types"] == CLEAN["types"] and not residue()["property"]
    bpy.ops.preferences.addon_enable(module=MODULE)


def check_no_residue():
    for material in list(bpy.data.materials):
        bpy.data.materials.remove(material)
    tree, _ = add_object("Last")
    press("add_stain")
    bpy.ops.preferences.addon_disable(module=MODULE)
    assert [node for node in tree.nodes if node.type == "GROUP"], "stains in use stay"
    bpy.ops.preferences.addon_enable(module=MODULE)
    press("remove_stain")
    module("scene.stain_nodes").build_stain_group(neighbours=0)
    bpy.ops.preferences.addon_disable(module=MODULE)
    left = residue()
    left["groups"] = [name for name in left["groups"] if not name.startswith(("Inspection ", "Varnish"))]
    assert left == CLEAN, {key: (left[key], CLEAN[key]) for key in left if left[key] != CLEAN[key]}
