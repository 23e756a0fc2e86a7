# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside Blender: install the add-on's zip, press its buttons, take it off. One line of JSON per check.

    python tests/blender/addon_session.py ZIP FOLDER              # with the bpy module
    blender -b -P tests/blender/addon_session.py -- ZIP FOLDER

`test_addon.py` starts it with a user folder of its own and reads the lines.
"""

import contextlib
import importlib
import json
import os
import sys
import traceback
from pathlib import Path

import bpy
import numpy as np

ZIP, FOLDER = (Path(text) for text in sys.argv[-2:])
EXTENSION = bpy.app.version >= (4, 2, 0)
MODULE = "bl_ext.user_default.surface_impurities" if EXTENSION else "surface_impurities"
VALUES = {"radius_mm": 3.5, "noise_frequency_per_mm": 0.4, "noise_amplitude_mm": 0.75, "decay": 3.0,
          "intensity": -0.2, "seed": 77, "cell_size_mm": 18.0}  # fmt: skip
SOCKETS = {"Radius": 3.5e-3, "Noise Frequency": 400.0, "Noise Amplitude": 0.75e-3, "Decay": 3.0, "Intensity": -0.2,
           "Seed": 77.0, "Cell Size": 18e-3}  # fmt: skip


def settings():
    return bpy.context.scene.surface_impurities


def press(name, **options):
    return getattr(bpy.ops.surface_impurities, name)(**options)


def refusal(name) -> str:
    """The message with which a button refuses."""
    try:
        press(name)
    except RuntimeError as error:
        return str(error)
    raise AssertionError(f"{name} did not refuse")


def module(name):
    return importlib.import_module(f"{MODULE}.{name}")


def add_object(name="Thing", colour=(0.2, 0.4, 0.6, 1.0)):
    """An active object with a new material; its Principled BSDF."""
    mesh = bpy.data.meshes.new(name)
    item = bpy.data.objects.new(name, mesh)
    bpy.context.scene.collection.objects.link(item)
    bpy.context.view_layer.objects.active = item
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    mesh.materials.append(material)
    principled = next(node for node in material.node_tree.nodes if node.type == "BSDF_PRINCIPLED")
    principled.inputs["Base Color"].default_value = colour
    return material.node_tree, principled


def picture_of(tree) -> tuple:
    """Everything that must be as before: nodes, links, values."""
    nodes = sorted(node.name for node in tree.nodes)
    links = sorted((link.from_node.name, link.from_socket.identifier, link.to_node.name, link.to_socket.identifier)
                   for link in tree.links)  # fmt: skip
    colours = [tuple(node.inputs["Base Color"].default_value) for node in tree.nodes if "Base Color" in node.inputs]
    return nodes, links, colours


def residue() -> dict:
    """What an add-on might leave."""
    lists = {name: getattr(bpy.app.handlers, name) for name in dir(bpy.app.handlers)}
    handlers = {name: len(value) for name, value in lists.items() if isinstance(value, list)}
    return {
        "types": sorted(name for name in dir(bpy.types) if "impurit" in name.lower() or "stain" in name.lower()),
        "operators": dir(bpy.ops.surface_impurities),
        "property": hasattr(bpy.types.Scene, "surface_impurities"),
        "handlers": handlers,
        "groups": sorted(tree.name for tree in bpy.data.node_groups),
        "texts": sorted(text.name for text in bpy.data.texts),
    }


def check_install():
    if EXTENSION:
        bpy.ops.extensions.package_install_files(filepath=str(ZIP), repo="user_default", enable_on_install=False)
    else:
        bpy.ops.preferences.addon_install(filepath=str(ZIP))
    CLEAN.update(residue())
    bpy.ops.preferences.addon_enable(module=MODULE)
    assert MODULE in bpy.context.preferences.addons
    where = Path(importlib.import_module(MODULE).__file__).resolve()
    assert FOLDER.resolve() in where.parents, f"installed in {where}"


def check_settings_come_from_the_fields():
    for field in module("core.stain_parameters").FIELDS:
        definition = settings().bl_rna.properties[field.name]
        assert field.tooltip in definition.description
        assert np.isclose([definition.soft_min, definition.soft_max], field.soft, rtol=1e-5).all(), field.name
        assert field.default is None or np.isclose(getattr(settings(), field.name), field.default)


def check_add_writes_the_values_into_the_group():
    tree, principled = add_object()
    for name, value in VALUES.items():
        setattr(settings(), name, value)
    before = picture_of(tree)
    assert press("add_stain") == {"FINISHED"}
    (node,) = [node for node in tree.nodes if node.type == "GROUP"]
    for name, value in SOCKETS.items():
        assert node.inputs[name].default_value == np.float32(value), name
    assert node.inputs["Vector"].is_linked and principled.inputs["Base Color"].is_linked
    settings().radius_mm = 2.0
    assert node.inputs["Radius"].default_value == np.float32(0.002), "a slider acts at once"
    settings().radius_mm = 17.5
    assert refusal("add_stain").count("reaches beyond the neighbouring cells") == 1
    assert node.inputs["Radius"].default_value == np.float32(0.002), "values that contradict each other wait"
    settings().radius_mm = 3.5
    settings().distribution = "SINGLE"
    settings().centre_mm = (1.0, 2.0, 3.0)
    (node,) = [node for node in tree.nodes if node.type == "GROUP"]
    assert np.allclose(node.inputs["Centre"].default_value, (0.001, 0.002, 0.003), rtol=1e-6)
    settings().distribution = "GRID"
    assert press("remove_stain") == {"FINISHED"}
    assert picture_of(tree) == before
    assert "no water stain" in refusal("remove_stain")


def check_remove_restores_a_linked_colour_and_mixed_shaders():
    tree, principled = add_object()
    rgb, mix = tree.nodes.new("ShaderNodeRGB"), tree.nodes.new("ShaderNodeMixShader")
    second = tree.nodes.new("ShaderNodeBsdfPrincipled")
    output = next(node for node in tree.nodes if node.type == "OUTPUT_MATERIAL")
    tree.links.new(rgb.outputs[0], principled.inputs["Base Color"])
    tree.links.new(principled.outputs[0], mix.inputs[1])
    tree.links.new(second.outputs[0], mix.inputs[2])
    tree.links.new(mix.outputs[0], output.inputs["Surface"])
    before = picture_of(tree)
    press("add_stain")
    press("add_stain")
    assert sum(node.type == "GROUP" for node in tree.nodes) == 1, "pressed twice is one stain"
    assert all(node.inputs["Base Color"].links[0].from_node.type == "VECT_MATH" for node in (principled, second))
    press("remove_stain")
    assert picture_of(tree) == before
    assert not [tree for tree in bpy.data.node_groups if tree.name.startswith("Water Stain")]


def check_buttons_say_why_not():
    mesh = bpy.data.meshes.new("Bare")
    item = bpy.data.objects.new("Bare", mesh)
    bpy.context.scene.collection.objects.link(item)
    bpy.context.view_layer.objects.active = item
    assert "'Bare' has no material" in refusal("add_stain")
    tree, principled = add_object("Odd")
    tree.nodes.remove(principled)
    assert "No Principled BSDF" in refusal("add_stain")
    bpy.context.view_layer.objects.active = None
    assert "Select an object first" in refusal("add_stain")
    assert "not an inspection scene" in refusal("render_pair")


def check_osl_or_a_note():
    tree, _ = add_object("Glass")
    available, reason = module("scene.stain_osl").osl_available()
    settings().backend = "osl"
    try:
        if available:
            before = picture_of(tree)
            press("add_stain")
            assert any(node.type == "GROUP" and "OSL" in node.node_tree.name for node in tree.nodes)
            settings().backend = "nodes"
            assert all("OSL" not in node.node_tree.name for node in tree.nodes if node.type == "GROUP")
            press("remove_stain")
            assert picture_of(tree) == before and not bpy.data.texts
        else:
            assert reason in refusal("add_stain")
    finally:
        settings().backend = "nodes"


def check_inspection_scene_and_pair():
    own = bpy.context.scene
    objects = [item.name for item in own.objects]
    settings().scale_percent, settings().samples = 4.0, 2
    assert press("set_up_inspection") == {"FINISHED"}
    scene = bpy.data.scenes["Inspection"]
    assert bpy.context.scene == scene and [item.name for item in own.objects] == objects
    assert settings().radius_mm == np.float32(3.5), "the settings come along"
    folder = FOLDER / "pairs"
    assert "Choose a folder" in refusal("render_pair")
    settings().folder = str(folder)
    assert press("render_pair") == {"FINISHED"}
    assert bpy.context.object.name == "Inspection Plate"
    assert press("add_stain") == {"FINISHED"}
    assert press("render_pair") == {"FINISHED"}
    assert sorted(file.name for file in folder.iterdir()) == [
        f"pair_000{k}_{kind}.png" for k in (1, 2) for kind in ("image", "instances", "mask")
    ]
    clean, stained = (classes(folder / f"pair_000{k}_mask.png") for k in (1, 2))
    assert not clean.any() and set(np.unique(stained)) == {0, 6}
    images = [grey(folder / f"pair_000{k}_image.png") for k in (1, 2)]
    assert (images[0] - images[1])[stained > 0].mean() > 0.005, "a negative intensity darkens"
    assert press("set_up_inspection") == {"FINISHED"} and len(bpy.data.scenes) == 2


def grey(file) -> np.ndarray:
    """A picture as Blender reads it, 0 to 1, row 0 on top."""
    image = bpy.data.images.load(str(file))
    width, height = image.size
    values = np.array(image.pixels[:]).reshape(height, width, 4)[::-1, :, 0]
    bpy.data.images.remove(image)
    return values


def classes(file) -> np.ndarray:
    """The class ids of a mask: Blender gives a palette's colours."""
    image = bpy.data.images.load(str(file))
    image.colorspace_settings.name = module("scene.compat").raw_colour_space(image)
    width, height = image.size
    colours = np.rint(np.array(image.pixels[:]).reshape(height, width, 4)[::-1, :, :3] * 255)
    bpy.data.images.remove(image)
    ids = np.full((height, width), -1)
    for number, colour in enumerate(module("core.classes").PALETTE):
        ids[(colours == colour).all(axis=-1)] = number
    return ids


def check_a_failed_registration_unwinds_and_is_loud():
    ui = module("ui")
    bpy.ops.preferences.addon_disable(module=MODULE)
    kept = ui.CLASSES
    ui.CLASSES = (*kept, int)
    try:
        ui.register()
        raise AssertionError("registering a class that is none did not fail")
    except (RuntimeError, ValueError):  # what register_class says
        pass
    finally:
        ui.CLASSES = kept
    assert residue()["types"] == CLEAN["types"] and not residue()["property"]
    bpy.ops.preferences.addon_enable(module=MODULE)


def check_no_residue():
    tree, _ = add_object("Last")
    press("add_stain")
    bpy.ops.preferences.addon_disable(module=MODULE)
    assert [node for node in tree.nodes if node.type == "GROUP"], "stains in use stay"
    bpy.ops.preferences.addon_enable(module=MODULE)
    press("remove_stain")
    module("scene.stain_nodes").build_stain_group(neighbours=0)
    bpy.ops.preferences.addon_disable(module=MODULE)
    left = residue()
    left["groups"] = [name for name in left["groups"] if not name.startswith("Inspection ")]
    assert left == CLEAN, {key: (left[key], CLEAN[key]) for key in left if left[key] != CLEAN[key]}


CLEAN: dict = {}
CHECKS = [value for name, value in list(globals().items()) if name.startswith("check_")]

if __name__ == "__main__":
    for check in CHECKS:
        try:
            with contextlib.redirect_stdout(sys.stderr):
                check()
            problem = ""
        except Exception:
            problem = traceback.format_exc()
        print("ADDON " + json.dumps({"check": check.__name__, "problem": problem}), flush=True)
    os._exit(0)
