# SPDX-License-Identifier: GPL-3.0-or-later
"""The buttons that change the scene: check, call, report."""

from types import SimpleNamespace

import bpy

from ..core.errors import UserError
from ..core.seeding import SEED_LIMIT, digest
from ..materials import mask_preview, stain_on_material, stainable
from ..materials.coordinates import OBJECT_SEED, coordinates_of, metres_per_unit
from ..materials.layers import backend_of
from ..scene import compat
from ..scene.stain_osl import osl_available
from . import inspection_scene, live, panel_recipe, properties
from .button import Button
from .declared import rescaled

_STAINS_ACROSS = 5.0
"""How many cells "Fit to Object" lays along the second longest side of an object."""


def stained_material(context) -> bpy.types.Material | None:
    """The active object's material if it has a stain."""
    material = context.object.active_material if context.object else None
    return material if stain_on_material.is_stained(material) else None


def why_not_edit(context) -> str:
    """Why the active object's stain cannot be changed, or nothing."""
    material = stained_material(context)
    return stainable.why_not(context.object) if material else "The active object has no water stain"


def shown_stain(context):
    """The stain's settings that the panel shows: those of the active object's active slot, or of the next stain."""
    material = stained_material(context)
    return (material and properties.own_stain(material)) or properties.settings_of(context.scene)


def why_not_stain(context, group=None) -> str:
    """Why settings, or those that the panel shows, cannot make a stain here, or nothing."""
    group = group or shown_stain(context)
    if group.backend == "osl":
        available, reason = osl_available(inspection_scene.device_of(context.scene))
        if not available:
            return f"OSL is not available: {reason}"
    return properties.problem(group)


def show_stain(context, owner) -> None:
    """Show a material's settings on its stain; values that contradict each other wait."""
    if not isinstance(owner, bpy.types.Material) or not stain_on_material.is_stained(owner):
        return
    for layer in range(1, stain_on_material.layers_in(owner) + 1):
        group = properties.own_stain(owner, layer)
        if group is None or properties.problem(group):
            continue
        try:
            parameters = properties.stain_parameters(group)
            stain_on_material.apply_stain(owner, parameters, group.backend, by_object=group.by_object, layer=layer)
            _switch_osl(context.scene, group.backend)
        except UserError as error:  # this Blender's shaders cannot show the values; the panel says so
            print(f"Surface Impurities: {error}")


def show_scene(context, owner) -> None:
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
        scene = inspection_scene.set_up(context.scene, shown_stain(context))
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

    fit: bpy.props.BoolProperty(name="Fit to Object", description="Scale a new stain's lengths to the object first")

    def run(self, context, settings) -> None:
        item = context.object
        stained = stained_material(context)
        for layer in range(1, stain_on_material.layers_in(stained) + 1) if stained else ():
            if properties.own_stain(stained, layer) is None:
                properties.adopt(stained, inspection_scene.values_in(stained, layer), layer)
        group = shown_stain(context)
        values = properties.stain_values(group)
        if self.fit and stained is None and side_mm(item, context.scene) > 0:
            values = fitted(values, side_mm(item, context.scene))
        parameters = properties.stain_parameters(SimpleNamespace(**values))
        material = stainable.prepare(item)
        scale = metres_per_unit(item, context.scene)
        try:
            stain_on_material.apply_stain(material, parameters, values["backend"], scale, values["by_object"],
                                          properties.shown_layer(material) if stained else 1)
        except UserError:
            stainable.take_back(item, material)
            raise
        properties.adopt(material, values)
        for layer in range(1, stain_on_material.layers_in(material) + 1):  # all are fed with the same millimetres
            other = properties.own_stain(material, layer)
            stain_on_material.apply_stain(material, properties.stain_parameters(other), other.backend, scale,
                                          layer=layer)
        if values["by_object"]:
            give_objects_seeds(material)
        _switch_osl(context.scene, group.backend)


class RemoveWaterStain(Button, bpy.types.Operator):
    bl_idname = "surface_impurities.remove_stain"
    bl_label = "Remove Water Stain"
    bl_description = (
        "Take the stain that is shown out of the active object's material; what was linked before is linked again"
    )

    @classmethod
    def why_not(cls, context) -> str:
        return why_not_edit(context)

    def run(self, context, settings) -> None:
        material = stained_material(context)
        mask_preview.hide(material)
        if stain_on_material.layers_in(material) > 1:
            layer = properties.shown_layer(material)
            stain_on_material.remove_stain(material, layer)
            properties.forget_layer(material, layer)
        else:
            stain_on_material.remove_stain(material)
            properties.forget_stain(material)
            stainable.take_back(context.object, material)
        _switch_osl(context.scene, "")


class ShowMask(Button, bpy.types.Operator):
    bl_idname = "surface_impurities.show_mask"
    bl_label = "Mask"
    bl_description = "Show the exact mask on the active object instead of its looks; press again to go back"

    @classmethod
    def why_not(cls, context) -> str:
        material = stained_material(context)
        if material is None:
            return "The active object has no water stain; add one first"
        return "" if mask_preview.is_shown(material) else why_not_stain(context)

    def run(self, context, settings) -> None:
        material, group = stained_material(context), shown_stain(context)
        if mask_preview.is_shown(material):
            mask_preview.hide(material)
            return
        exposure = context.scene.cycles.film_exposure if context.scene.render.engine == "CYCLES" else 1.0
        mask_preview.show(material, properties.stain_parameters(group), group.backend, exposure or 1.0,
                          properties.shown_layer(material))
        for view in _views(context):
            if view.shading.type not in ("RENDERED", "MATERIAL"):
                view.shading.type = "RENDERED"


class RollSeed(Button, bpy.types.Operator):
    bl_idname = "surface_impurities.roll_seed"
    bl_label = "Roll Seed"
    bl_description = "Draw other stains: another seed, always the same one after the present"

    def run(self, context, settings) -> None:
        group = shown_stain(context)
        group.seed = digest(group.seed, 0, "roll") % SEED_LIMIT


class FitToObject(Button, bpy.types.Operator):
    bl_idname = "surface_impurities.fit_to_object"
    bl_label = "Fit to Object"
    bl_description = (
        "Scale all lengths of the stain so that about five cells fit along the active object. "
        "The values are millimetres on the object, and a new cube is 2000 mm wide"
    )

    @classmethod
    def why_not(cls, context) -> str:
        if context.object is None:
            return "Select an object first"
        return "" if side_mm(context.object, context.scene) > 0 else f"'{context.object.name}' has no extent"

    def run(self, context, settings) -> None:
        group = shown_stain(context)
        values = fitted(properties.stain_values(group), side_mm(context.object, context.scene))
        with live.paused():
            for name, value in values.items():
                setattr(group, name, value)
        live.fire("stain", context, group.id_data)


class SeedsOfObjects(Button, bpy.types.Operator):
    bl_idname = "surface_impurities.seeds_of_objects"
    bl_label = "Seed for Each Object"
    bl_description = "Give each object that shows this material a seed of its own, by its name, so that copies differ"

    @classmethod
    def why_not(cls, context) -> str:
        return "" if stained_material(context) else "The active object has no water stain"

    def run(self, context, settings) -> None:
        material = stained_material(context)
        give_objects_seeds(material)
        group = properties.own_stain(material)
        if group is not None:
            group.by_object = True


def give_objects_seeds(material) -> None:
    """Give each object that shows the material a seed of its own."""
    for item in bpy.data.objects:
        if item.library is None and any(slot.material == material for slot in item.material_slots):
            item[OBJECT_SEED] = digest(0, 0, f"object.{item.name}") % SEED_LIMIT


def fitted(values: dict, side: float) -> dict:
    """A stain's settings with all lengths scaled so that about five cells fit along a side of this many mm."""
    factor = side / _STAINS_ACROSS / values["cell_size_mm"]
    return {**rescaled(values, factor), "fitted": values["fitted"] * factor}


def side_mm(item, scene) -> float:
    """The second longest side of an object's box, in mm on the object: that of the face that one looks at."""
    corners = list(zip(*item.bound_box, strict=True))
    scale = metres_per_unit(item, scene)
    return sorted((max(axis) - min(axis)) * factor for axis, factor in zip(corners, scale, strict=True))[1] * 1000.0


def scale_problem(context) -> str:
    """Why millimetres are no millimetres on the active object, or nothing."""
    material = stained_material(context)
    if material is None:
        return ""
    here = metres_per_unit(context.object, context.scene)
    there = coordinates_of(stain_on_material.stain_nodes(material)[0])
    if all(abs(one - other) <= 1e-5 * max(one, 1e-9) for one, other in zip(here, there, strict=True)):
        return ""
    return ("The object's scale or the scene's units differ from those that the stain was made for; Update takes "
            "these, for all objects with this material")


def _switch_osl(scene, backend: str) -> None:
    """OSL on while a stain needs it; off again if it was off before and no stain does. backend: empty for none."""
    settings = properties.settings_of(scene)
    if inspection_scene.plate_of(scene) is not None:
        compat.use_osl(scene, backend == "osl")
    elif backend == "osl":
        if hasattr(scene.cycles, "shading_system") and not scene.cycles.shading_system:
            compat.use_osl(scene, True)
            settings.osl_was_off = True
    elif settings.osl_was_off and not any(_runs_osl(material) for material in bpy.data.materials):
        compat.use_osl(scene, False)
        settings.osl_was_off = False


def _runs_osl(material) -> bool:
    return stain_on_material.is_stained(material) and any(
        backend_of(node) == "osl" for node in stain_on_material.stain_nodes(material))


def _views(context) -> list:
    """The 3D views of the window."""
    areas = context.window.screen.areas if context.window else ()
    return [area.spaces.active for area in areas if area.type == "VIEW_3D"]


def _camera_views(context) -> list:
    return [view.region_3d for view in _views(context) if view.region_3d.view_perspective == "CAMERA"]


CLASSES = (SetUpInspectionScene, AddWaterStain, RemoveWaterStain, ShowMask, RollSeed, FitToObject, SeedsOfObjects)
