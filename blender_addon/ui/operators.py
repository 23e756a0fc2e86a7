# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel's buttons: check, call, report."""

from pathlib import Path

import bpy

from ..core.errors import UserError
from ..scene import compat
from ..scene.stain_osl import osl_available
from . import inspection_scene, properties, stain_on_material


class _Operator(bpy.types.Operator):
    """`poll` asks `why_not`, and shows its answer; what is the user's to mend is reported in one line."""

    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012 - Blender's way

    @classmethod
    def why_not(cls, context) -> str:
        return ""

    @classmethod
    def poll(cls, context):
        reason = cls.why_not(context)
        if reason:
            cls.poll_message_set(reason)
        return not reason

    def execute(self, context):
        try:
            self.run(context, properties.settings_of(context.scene))
        except UserError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        return {"FINISHED"}


def why_not_stain(context) -> str:
    """Why the panel's settings cannot make a stain here, or nothing."""
    settings = properties.settings_of(context.scene)
    if settings.backend == "osl":
        available, reason = osl_available(inspection_scene.device_of(context.scene))
        if not available:
            return f"OSL is not available: {reason}"
    return properties.problem(settings)


class SetUpInspectionScene(_Operator):
    bl_idname = "surface_impurities.set_up_inspection"
    bl_label = "Set Up Inspection Scene"
    bl_description = (
        "Build a brushed aluminium plate under a ring light, with the camera, in a scene named Inspection. "
        "Your scenes stay as they are; an Inspection scene that is there is built anew"
    )

    def run(self, context, settings) -> None:
        scene, _ = inspection_scene.set_up(context.scene)
        if context.window is None:
            return
        context.window.scene = scene
        for view in _views(context):
            view.view_perspective = "CAMERA"


class AddWaterStain(_Operator):
    bl_idname = "surface_impurities.add_stain"
    bl_label = "Add Water Stain"
    bl_description = "Put the stain into the active object's material, or set the one there to the values above"

    @classmethod
    def why_not(cls, context) -> str:
        return stain_on_material.why_not(context.object) or why_not_stain(context)

    def run(self, context, settings) -> None:
        material = stain_on_material.material_of(context.object)
        stain_on_material.apply_stain(material, properties.stain_parameters(settings), settings.backend)
        if settings.backend == "osl":
            compat.use_osl(context.scene, True)


class RemoveWaterStain(_Operator):
    bl_idname = "surface_impurities.remove_stain"
    bl_label = "Remove Water Stain"
    bl_description = "Take the stain out of the active object's material; what was linked before is linked again"

    @classmethod
    def why_not(cls, context) -> str:
        material = stain_on_material.material_of(context.object)
        if material is None or stain_on_material.stain_node(material) is None:
            return "The active object has no water stain"
        return ""

    def run(self, context, settings) -> None:
        stain_on_material.remove_stain(stain_on_material.material_of(context.object))


class RenderPair(_Operator):
    bl_idname = "surface_impurities.render_pair"
    bl_label = "Render Pair"
    bl_description = (
        "Render the inspection scene's image, class mask and instances into the folder, as the headless renderer does; "
        "the scene is built anew from the settings first. Blender waits until the pair is done"
    )

    @classmethod
    def why_not(cls, context) -> str:
        plate = inspection_scene.plate_of(context.scene)
        if plate is None:
            return "This is not an inspection scene; press Set Up Inspection Scene"
        folder = properties.settings_of(context.scene).folder
        if not folder:
            return "Choose a folder"
        if folder.startswith("//") and not bpy.data.filepath:
            return "Save the file first, or choose a folder that does not begin with //"
        return why_not_stain(context) if inspection_scene.is_stained(plate) else ""

    def run(self, context, settings) -> None:
        folder = Path(bpy.path.abspath(settings.folder))
        through_camera = [view for view in _views(context) if view.view_perspective == "CAMERA"]
        context.window_manager.progress_begin(0, 1)
        try:
            written = inspection_scene.render_pair(context.scene, folder)
        finally:
            context.window_manager.progress_end()
            for view in through_camera:  # a view falls back to its own perspective when its camera is built anew
                view.view_perspective = "CAMERA"
        self.report({"INFO"}, f"Wrote {', '.join(file.name for file in written)} to {folder}")


def _views(context) -> list:
    """The 3D views of the window."""
    areas = context.window.screen.areas if context.window else ()
    return [area.spaces.active.region_3d for area in areas if area.type == "VIEW_3D"]


CLASSES = (SetUpInspectionScene, AddWaterStain, RemoveWaterStain, RenderPair)
