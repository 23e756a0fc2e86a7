# SPDX-License-Identifier: GPL-3.0-or-later
"""The buttons that change the scene: check, call, report."""

import bpy

from ..core.errors import UserError
from ..core.seeding import SEED_LIMIT, digest
from ..core.stain.parameters import STAIN_SPECS
from ..scene import compat
from ..scene.stain_osl import osl_available
from . import inspection_scene, live, panel_recipe, properties
from .button import Button
from .declared import plain
from .stain import mask_preview, stain_on_material, stainable

_STAINS_ACROSS = 5.0
"""How many cells "Fit to Object" lays along the second longest side of an object."""


def why_not_stain(context) -> str:
    """Why the panel's settings cannot make a stain here, or nothing."""
    settings = properties.settings_of(context.scene)
    if settings.backend == "osl":
        available, reason = osl_available(inspection_scene.device_of(context.scene))
        if not available:
            return f"OSL is not available: {reason}"
    return properties.problem(settings)


def stained_material(context) -> bpy.types.Material | None:
    """The active object's material if it has a stain."""
    material = context.object.active_material if context.object else None
    return material if stain_on_material.is_stained(material) else None


def show_stain(context) -> None:
    """Show the settings on the active object's stain; values that contradict each other wait."""
    material, settings = stained_material(context), properties.settings_of(context.scene)
    if material is None or properties.problem(settings):
        return
    try:
        stain_on_material.apply_stain(material, properties.stain_parameters(settings), settings.backend)
        _switch_osl(context.scene, settings)
    except UserError as error:  # this Blender's shaders cannot show the values; the panel says so
        print(f"Surface Impurities: {error}")


def show_scene(context) -> None:
    """Build the inspection scene anew, if this is one and the settings allow it."""
    scene = context.scene
    if inspection_scene.plate_of(scene) is None or panel_recipe.scene_problem(properties.settings_of(scene)):
        return
    through_camera = _camera_views(context)
    try:
        inspection_scene.rebuild(scene)
    except UserError as error:  # the stain's values; the panel says what is wrong with them
        print(f"Surface Impurities: {error}")
    for view in through_camera:  # a view falls back to its own perspective when its camera is built anew
        view.view_perspective = "CAMERA"


class SetUpInspectionScene(Button, bpy.types.Operator):
    bl_idname = "surface_impurities.set_up_inspection"
    bl_label = "Set Up Inspection Scene"
    bl_description = (
        "Build a stained plate of brushed aluminium under a ring light, with the camera, in a scene named Inspection. "
        "Your scenes stay as they are; an Inspection scene that is there is built anew"
    )

    @classmethod
    def why_not(cls, context) -> str:
        settings = properties.settings_of(context.scene)
        return panel_recipe.scene_problem(settings) or why_not_stain(context)

    def run(self, context, settings) -> None:
        scene = inspection_scene.set_up(context.scene)
        if context.window is None:
            return
        context.window.scene = scene
        for view in _views(context):
            view.region_3d.view_perspective = "CAMERA"
            view.region_3d.view_camera_zoom, view.region_3d.view_camera_offset = 0.0, (0.0, 0.0)
            view.shading.type = "RENDERED"


class AddWaterStain(Button, bpy.types.Operator):
    bl_idname = "surface_impurities.add_stain"
    bl_label = "Add Water Stain"
    bl_description = (
        "Put the stain into the active object's material: it acts on the Principled BSDF that is there. "
        "An object without a material gets one"
    )

    @classmethod
    def why_not(cls, context) -> str:
        return stainable.why_not(context.object) or why_not_stain(context)

    def run(self, context, settings) -> None:
        item = context.object
        parameters = properties.stain_parameters(settings)
        material = stainable.prepare(item)
        try:
            stain_on_material.apply_stain(material, parameters, settings.backend)
        except UserError:
            stainable.take_back(item, material)
            raise
        _switch_osl(context.scene, settings)


class RemoveWaterStain(Button, bpy.types.Operator):
    bl_idname = "surface_impurities.remove_stain"
    bl_label = "Remove Water Stain"
    bl_description = "Take the stain out of the active object's material; what was linked before is linked again"

    @classmethod
    def why_not(cls, context) -> str:
        return "" if stained_material(context) else "The active object has no water stain"

    def run(self, context, settings) -> None:
        material = stained_material(context)
        mask_preview.hide(material)
        stain_on_material.remove_stain(material)
        stainable.take_back(context.object, material)
        _switch_osl(context.scene, settings, wanted=False)


class ShowMask(Button, bpy.types.Operator):
    bl_idname = "surface_impurities.show_mask"
    bl_label = "Mask"
    bl_description = "Show the exact mask on the active object instead of its looks; press again to go back"

    @classmethod
    def why_not(cls, context) -> str:
        material = stained_material(context)
        if material is None:
            return "The active object has no water stain; add one first"
        return "" if mask_preview.is_shown(material) else properties.problem(properties.settings_of(context.scene))

    def run(self, context, settings) -> None:
        material = stained_material(context)
        if mask_preview.is_shown(material):
            mask_preview.hide(material)
            return
        exposure = context.scene.cycles.film_exposure if context.scene.render.engine == "CYCLES" else 1.0
        mask_preview.show(material, properties.stain_parameters(settings), settings.backend, exposure or 1.0)
        for view in _views(context):
            if view.shading.type not in ("RENDERED", "MATERIAL"):
                view.shading.type = "RENDERED"


class RollSeed(Button, bpy.types.Operator):
    bl_idname = "surface_impurities.roll_seed"
    bl_label = "Roll Seed"
    bl_description = "Draw other stains: another seed, always the same one after the present"

    def run(self, context, settings) -> None:
        settings.seed = digest(settings.seed, 0, "roll") % SEED_LIMIT


class FitToObject(Button, bpy.types.Operator):
    bl_idname = "surface_impurities.fit_to_object"
    bl_label = "Fit to Object"
    bl_description = (
        "Scale all lengths of the stain so that about five cells fit along the active object. "
        "The values are millimetres of the object's own space, and a new cube is 2000 mm wide"
    )

    @classmethod
    def why_not(cls, context) -> str:
        if context.object is None:
            return "Select an object first"
        return "" if _side_mm(context.object) > 0 else f"'{context.object.name}' has no extent"

    def run(self, context, settings) -> None:
        factor = _side_mm(context.object) / _STAINS_ACROSS / settings.cell_size_mm
        powers = {"mm": 1, "µm": 1, "1/mm": -1}
        with live.paused():
            for spec in STAIN_SPECS:
                if spec.unit in powers and spec.default is not None:
                    value = plain(getattr(settings, spec.name)) * factor ** powers[spec.unit]
                    setattr(settings, spec.name, float(f"{value:.3g}"))
        live.fire("stain", context)


def _side_mm(item) -> float:
    """The second longest side of an object's box, in its own space: that of the face that one looks at."""
    corners = list(zip(*item.bound_box, strict=True))
    return sorted(max(axis) - min(axis) for axis in corners)[1] * 1000.0


def _switch_osl(scene, settings, wanted: bool = True) -> None:
    """OSL on while a stain needs it; off again if it was off before."""
    if inspection_scene.plate_of(scene) is not None:
        compat.use_osl(scene, settings.backend == "osl")
    elif wanted and settings.backend == "osl":
        if hasattr(scene.cycles, "shading_system") and not scene.cycles.shading_system:
            compat.use_osl(scene, True)
            settings.osl_was_off = True
    elif settings.osl_was_off:
        compat.use_osl(scene, False)
        settings.osl_was_off = False


def _views(context) -> list:
    """The 3D views of the window."""
    areas = context.window.screen.areas if context.window else ()
    return [area.spaces.active for area in areas if area.type == "VIEW_3D"]


def _camera_views(context) -> list:
    return [view.region_3d for view in _views(context) if view.region_3d.view_perspective == "CAMERA"]


CLASSES = (SetUpInspectionScene, AddWaterStain, RemoveWaterStain, ShowMask, RollSeed, FitToObject)
