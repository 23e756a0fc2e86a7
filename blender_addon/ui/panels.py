# SPDX-License-Identifier: GPL-3.0-or-later
"""The sidebar tab in the 3D viewport."""

import bpy

from ..core.inspection.camera import Camera
from ..core.inspection.plate import Plate, Surface
from ..core.inspection.ring_light import RingLight
from ..core.inspection.sensor import Sensor
from . import inspection_scene, operators, panel_recipe, render_operators, render_status
from .panel_parts import draw_progress, draw_section, draw_stain_parameters, property_row, stain_specs, warn
from .preset_menu import draw_presets
from .properties import CENTRE, GRID, RENDER_NAMES, is_used, settings_of
from .stain import mask_preview


class _Panel:
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "Impurities"


class _ClosedPanel(_Panel):
    bl_options = {"DEFAULT_CLOSED"}  # noqa: RUF012 - Blender's way


class ProgressPanel(_Panel, bpy.types.Panel):
    """On top, where it is seen whatever is open below; there only while there is something to say."""

    bl_idname = "SURFACE_IMPURITIES_PT_progress"
    bl_label = "Background Render"

    @classmethod
    def poll(cls, context):
        return bool(render_status.running() or render_status.last_words())

    def draw(self, context):
        render = render_status.running()
        if render is not None:
            draw_progress(self.layout, render, render_operators.StopRender.bl_idname)
            return
        warn(self.layout, context, render_status.last_words(), icon="INFO")
        row = self.layout.row(align=True)
        row.operator(render_operators.OpenFolder.bl_idname, icon="FILEBROWSER")
        row.operator(render_operators.Dismiss.bl_idname, text="", icon="X")


class StainPanel(_Panel, bpy.types.Panel):
    bl_idname = "SURFACE_IMPURITIES_PT_stain"
    bl_label = "Water Stain"

    def draw(self, context):
        layout, settings = self.layout, settings_of(context.scene)
        material = operators.stained_material(context)
        draw_presets(layout, settings)
        row = layout.row(align=True)
        row.operator(operators.AddWaterStain.bl_idname, text="Update" if material else "Add", icon="ADD")
        row.operator(operators.RemoveWaterStain.bl_idname, text="Remove", icon="REMOVE")
        row = layout.row(align=True)
        rendered = context.space_data.shading.type == "RENDERED"
        shading = row.operator("view3d.toggle_shading", text="Preview", icon="SHADING_RENDERED", depress=rendered)
        shading.type = "RENDERED"
        shown = mask_preview.is_shown(material)
        row.operator(operators.ShowMask.bl_idname, text="Mask", icon="IMAGE_ALPHA", depress=shown)
        warn(layout, context, operators.why_not_stain(context) or _osl_note(context, settings))
        draw_stain_parameters(layout, context, settings, stain_specs("stain"))
        row = layout.row(align=True)
        row.label(text="Backend")
        row.prop(settings, "backend", expand=True)
        layout.operator(operators.FitToObject.bl_idname, icon="FULLSCREEN_EXIT")


class DistributionPanel(_Panel, bpy.types.Panel):
    bl_idname = "SURFACE_IMPURITIES_PT_distribution"
    bl_parent_id = StainPanel.bl_idname
    bl_label = "Distribution"

    def draw(self, context):
        layout, settings = self.layout, settings_of(context.scene)
        layout.row(align=True).prop(settings, "distribution", expand=True)
        row = layout.row(align=True)
        row.prop(settings, "seed")
        row.operator(operators.RollSeed.bl_idname, text="", icon="FILE_REFRESH")
        used = [spec for spec in stain_specs("distribution") if is_used(spec.name, settings)]
        draw_stain_parameters(layout, context, settings, [spec for spec in used if spec.name not in ("seed", CENTRE)])
        if settings.distribution != GRID:
            layout.column().prop(settings, CENTRE)


class AppearancePanel(_ClosedPanel, bpy.types.Panel):
    bl_idname = "SURFACE_IMPURITIES_PT_appearance"
    bl_parent_id = StainPanel.bl_idname
    bl_label = "Appearance"

    def draw(self, context):
        draw_stain_parameters(self.layout, context, settings_of(context.scene), stain_specs("appearance"))


class InspectionPanel(_Panel, bpy.types.Panel):
    bl_idname = "SURFACE_IMPURITIES_PT_inspection"
    bl_label = "Inspection Scene"

    def draw(self, context):
        settings = settings_of(context.scene)
        self.layout.operator(operators.SetUpInspectionScene.bl_idname, icon="SCENE_DATA")
        warn(self.layout, context, panel_recipe.scene_problem(settings))


class _SectionPanel(_ClosedPanel):
    """One section of a recipe, whole."""

    bl_parent_id = InspectionPanel.bl_idname

    def draw(self, context):
        draw_section(self.layout, context, getattr(settings_of(context.scene), self.section_name), self.section)


class PlatePanel(_SectionPanel, bpy.types.Panel):
    bl_idname, bl_label = "SURFACE_IMPURITIES_PT_plate", "Plate"
    section_name, section = "plate", Plate


class SurfacePanel(_SectionPanel, bpy.types.Panel):
    bl_idname, bl_label = "SURFACE_IMPURITIES_PT_surface", "Brushed Surface"
    bl_parent_id = PlatePanel.bl_idname
    section_name, section = "surface", Surface


class LightPanel(_SectionPanel, bpy.types.Panel):
    bl_idname, bl_label = "SURFACE_IMPURITIES_PT_light", "Light"
    section_name, section = "light", RingLight


class CameraPanel(_SectionPanel, bpy.types.Panel):
    bl_idname, bl_label = "SURFACE_IMPURITIES_PT_camera", "Camera"
    section_name, section = "camera", Camera


class SensorPanel(_SectionPanel, bpy.types.Panel):
    bl_idname, bl_label = "SURFACE_IMPURITIES_PT_sensor", "Sensor"
    bl_parent_id = CameraPanel.bl_idname
    section_name, section = "sensor", Sensor


class RenderPanel(_Panel, bpy.types.Panel):
    bl_idname = "SURFACE_IMPURITIES_PT_render"
    bl_label = "Render"

    def draw(self, context):
        layout, settings = self.layout, settings_of(context.scene)
        column = layout.column(align=True)
        for name in RENDER_NAMES:
            property_row(column, context, settings, name)
        column.row(align=True).prop(settings, "depth", expand=True)
        layout.label(text=f"Device: {inspection_scene.device_of(context.scene)}", icon="PREFERENCES")
        column = layout.column(align=True)
        column.label(text="Output Folder")
        row = column.row(align=True)
        row.prop(settings, "folder", text="")
        row.operator(render_operators.OpenFolder.bl_idname, text="", icon="FILEBROWSER")
        layout.operator(render_operators.RenderPair.bl_idname, icon="RENDER_STILL")


class DatasetPanel(_ClosedPanel, bpy.types.Panel):
    bl_idname = "SURFACE_IMPURITIES_PT_dataset"
    bl_parent_id = RenderPanel.bl_idname
    bl_label = "Data Set"

    def draw(self, context):
        layout, dataset = self.layout, settings_of(context.scene).dataset
        column = layout.column(align=True)
        column.prop(dataset, "title", text="")
        column.prop(dataset, "count")
        column.prop(dataset, "seed")
        column = layout.column(align=True)
        for split in ("train", "val", "test"):
            column.prop(dataset, split)
        column = layout.column(align=True)
        column.prop(dataset, "share", slider=True)
        column.prop(dataset, "variation", slider=True)
        property_row(column, context, dataset, "offset_mm")
        property_row(column, context, dataset, "yaw_deg")
        layout.prop(dataset, "overwrite")
        warn(layout, context, panel_recipe.dataset_problem(settings_of(context.scene)))
        layout.operator(render_operators.RenderDataset.bl_idname, icon="RENDER_ANIMATION")
        layout.operator(render_operators.ExportRecipe.bl_idname, icon="EXPORT")


def _osl_note(context, settings) -> str:
    if settings.backend == "osl" and context.scene.render.engine != "CYCLES":
        return "OSL shows in Cycles alone; this scene's render engine is another"
    return ""


CLASSES = (
    ProgressPanel, StainPanel, DistributionPanel, AppearancePanel, InspectionPanel, PlatePanel, SurfacePanel,
    LightPanel, CameraPanel, SensorPanel, RenderPanel, DatasetPanel,
)
