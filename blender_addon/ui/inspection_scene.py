# SPDX-License-Identifier: GPL-3.0-or-later
"""The inspection as a scene of its own, beside the person's scenes."""

from dataclasses import replace
from types import SimpleNamespace

import bpy

from ..core.errors import UserError
from ..core.recipe.sample import Sample
from ..materials import mask_preview, stain_on_material
from ..materials.layers import layers_of
from ..render import session
from ..scene import compat
from ..scene.inspection import NAME, build_inspection
from . import properties
from .declared import rescaled
from .panel_recipe import sample_of

_BUILT = "surface_impurities_built_at"
"""Custom property of the inspection's objects: where they were built."""


def set_up(scene: bpy.types.Scene, stain) -> bpy.types.Scene:
    """Build the inspection scene with the settings of `scene`, stained; the one that is there already is built anew.

    Args:
        stain: the settings of the plate's stain, of a scene or a material.

    Raises:
        UserError: the settings contradict each other; nothing is built.
    """
    values = properties.stain_values(stain)
    if values["fitted"] != 1.0:  # to some object: the plate has the size that presets are made for
        values = {**rescaled(values, 1.0 / values["fitted"]), "fitted": 1.0}
    sample = sample_of(properties.settings_of(scene), SimpleNamespace(**values))
    target = bpy.data.scenes.get(NAME)
    if target is None:
        target = bpy.data.scenes.new(NAME)
    if target != scene:
        properties.copy_settings(scene, target)
        target.cycles.device = scene.cycles.device
    properties.set_stain_values(properties.settings_of(target), values)
    _build(target, sample, values, shows_mask=False)
    return target


def rebuild(scene: bpy.types.Scene) -> None:
    """Build the scene anew from its settings; stain and mask preview stay as they are.

    Raises:
        UserError: the settings contradict each other; the scene is as before.
    """
    material = plate_of(scene).active_material
    stain = plate_stain(scene)
    values = None if stain is None else properties.stain_values(stain)
    sample = sample_of(properties.settings_of(scene), stain)
    _build(scene, sample, values, shows_mask=mask_preview.is_shown(material))


def plate_stain(scene: bpy.types.Scene):
    """The settings of the plate's stain; None where it is clean."""
    material = plate_of(scene).active_material
    if not stain_on_material.is_stained(material):
        return None
    return properties.own_stain(material) or properties.settings_of(scene)


def is_plate_material(scene: bpy.types.Scene, material: bpy.types.Material) -> bool:
    """Whether this is what the inspection scene's plate is made of, which is built anew."""
    plate = plate_of(scene)
    return plate is not None and plate.active_material == material


def values_in(material: bpy.types.Material, number: int = 1) -> dict:
    """The settings of a stain that an older version put in, or a script, from its node."""
    layer = layers_of(material)[number - 1]
    return properties.values_of(layer.parameters, layer.backend, layer.by_object)


def moved(scene: bpy.types.Scene) -> str:
    """What of the inspection scene has been moved by hand since it was built, so that a render would not show it."""
    for item in scene.collection.children[NAME].objects:
        built = item.get(_BUILT)
        if built is not None and any(abs(a - b) > 1e-6 for a, b in zip(built, _place(item), strict=True)):
            return (f"'{item.name}' has been moved by hand, and the renderer builds the inspection anew from the "
                    "sliders; use those, press Set Up Inspection Scene, or render the objects in a scene of your own")
    return ""


def _place(item: bpy.types.Object) -> list[float]:
    return [value for row in item.matrix_basis for value in row]


def plate_of(scene: bpy.types.Scene) -> bpy.types.Object | None:
    """The plate of an inspection scene; None in any other scene."""
    collection = scene.collection.children.get(NAME)
    objects = collection.objects if collection else ()
    return next((item for item in objects if item.name.startswith(f"{NAME} Plate")), None)


def device_of(scene: bpy.types.Scene) -> str:
    """What Cycles renders this scene on: CPU, or the kind of GPU that the preferences name."""
    addon = bpy.context.preferences.addons.get("cycles")
    if scene.cycles.device == "CPU" or addon is None or addon.preferences.compute_device_type == "NONE":
        return "CPU"
    return addon.preferences.compute_device_type


def _build(scene: bpy.types.Scene, sample: Sample, values: dict | None, shows_mask: bool) -> None:
    """The scene of `sample`, with the settings under which F12 shows what the camera sees.

    The stain is put in as into any material, so that it can be moved and taken out by the panel's buttons.
    """
    built = build_inspection(scene, replace(sample, stain=None), to_keep=True)
    session.configure(scene, layers=False)
    scene.render.resolution_x, scene.render.resolution_y = sample.size_px
    scene.cycles.samples = sample.render.samples
    scene.cycles.preview_samples = sample.render.samples
    scene.cycles.film_exposure = sample.camera.full_wells_per_radiance
    if not compat.show_raw(scene):
        print("Surface Impurities: the colour configuration (OCIO) has no view 'Raw', so the window shows other grey "
              "values than the rendered files hold")
    compat.use_osl(scene, sample.render.stain_backend == "osl")
    scene.view_layers[0].objects.active = built.plate
    built.plate.select_set(True, view_layer=scene.view_layers[0])
    for item in (built.plate, built.light, built.camera):
        item[_BUILT] = _place(item)
    if sample.stain is not None:
        try:
            stain_on_material.apply_stain(built.beauty, sample.stain, sample.render.stain_backend,
                                          by_object=values["by_object"])
            properties.adopt(built.beauty, values)
        except UserError as error:  # no OSL here; the panel says so
            print(f"Surface Impurities: {error}")
        if shows_mask and stain_on_material.is_stained(built.beauty):
            exposure = sample.camera.full_wells_per_radiance
            mask_preview.show(built.beauty, sample.stain, sample.render.stain_backend, exposure)
