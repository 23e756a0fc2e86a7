# SPDX-License-Identifier: GPL-3.0-or-later
"""The sidebar tab in the 3D viewport."""

import bpy

from ..core.features.classes import FEATURE_CLASSES
from ..core.inspection.camera import Camera
from ..core.inspection.plate import Plate, Surface
from ..core.inspection.ring_light import RingLight
from ..core.inspection.sensor import Sensor
from ..materials import mask_preview
from ..materials.coordinates import OBJECT_SEED
from ..scene import inspected
from . import (
    inspected_operators,
    inspection_scene,
    layer_operators,
    operators,
    panel_recipe,
    render_operators,
    render_sources,
    render_status,
)
from .panel_parts import draw_progress, draw_section, draw_stain_parameters, property_row, stain_specs, warn
from .preset_menu import draw_presets
from .properties import CENTRE, FEATURE_NAMES, GRID, RENDER_NAMES, is_used, own_stain, settings_of


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
        layout, settings, stain = self.layout, settings_of(context.scene), operators.shown_stain(context)
        material = operators.stained_material(context)
        if material is not None:
            layout.label(text=f"{material.name} on {context.object.name}", icon="MATERIAL")
        draw_presets(layout, stain)
        if material is not None and own_stain(material) is not None:
            layer_operators.draw_layers(layout, material)
        row = layout.row(align=True)
        add = row.operator(operators.AddWaterStain.bl_idname, text="Update" if material else "Add", icon="ADD")
        add.fit = settings.fit_on_add and material is None
        row.operator(operators.RemoveWaterStain.bl_idname, text="Remove", icon="REMOVE")
        if material is None:
            layout.prop(settings, "fit_on_add")
        row = layout.row(align=True)
        rendered = context.space_data.shading.type == "RENDERED"
        shading = row.operator("view3d.toggle_shading", text="Preview", icon="SHADING_RENDERED", depress=rendered)
        shading.type = "RENDERED"
        shown = mask_preview.is_shown(material)
        row.operator(operators.ShowMask.bl_idname, text="Mask", icon="IMAGE_ALPHA", depress=shown)
        if material is not None and own_stain(material) is None:
            warn(layout, context, "An older version made this stain; Update takes its settings into the panel", "INFO")
            return
        warn(layout, context, operators.why_not_stain(context) or _osl_note(context, stain)
             or operators.scale_problem(context))
        draw_stain_parameters(layout, context, stain, stain_specs("stain"))
        row = layout.row(align=True)
        row.label(text="Backend")
        row.prop(stain, "backend", expand=True)
        layout.operator(operators.FitToObject.bl_idname, icon="FULLSCREEN_EXIT")


class DistributionPanel(_Panel, bpy.types.Panel):
    bl_idname = "SURFACE_IMPURITIES_PT_distribution"
    bl_parent_id = StainPanel.bl_idname
    bl_label = "Distribution"

    def draw(self, context):
        layout, stain = self.layout, operators.shown_stain(context)
        layout.row(align=True).prop(stain, "distribution", expand=True)
        row = layout.row(align=True)
        row.prop(stain, "seed")
        row.operator(operators.RollSeed.bl_idname, text="", icon="FILE_REFRESH")
        row = layout.row(align=True)
        row.prop(stain, "by_object")
        row.operator(operators.SeedsOfObjects.bl_idname, text="", icon="FILE_REFRESH")
        if stain.by_object and context.object is not None and OBJECT_SEED in context.object:
            layout.prop(context.object, f'["{OBJECT_SEED}"]', text="Seed of This Object")
        used = [spec for spec in stain_specs("distribution") if is_used(spec.name, stain)]
        draw_stain_parameters(layout, context, stain, [spec for spec in used if spec.name not in ("seed", CENTRE)])
        if stain.distribution != GRID:
            layout.column().prop(stain, CENTRE)


class AppearancePanel(_ClosedPanel, bpy.types.Panel):
    bl_idname = "SURFACE_IMPURITIES_PT_appearance"
    bl_parent_id = StainPanel.bl_idname
    bl_label = "Appearance"

    def draw(self, context):
        draw_stain_parameters(self.layout, context, operators.shown_stain(context), stain_specs("appearance"))


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
        layout, scene, settings = self.layout, context.scene, settings_of(context.scene)
        column = layout.column(align=True)
        if inspection_scene.plate_of(scene) is not None:
            for name in RENDER_NAMES:
                property_row(column, context, settings, name)
        else:
            self._draw_own_scene(context, column)
        column.row(align=True).prop(settings, "depth", expand=True)
        layout.label(text=f"Device: {inspection_scene.device_of(scene)}", icon="PREFERENCES")
        column = layout.column(align=True)
        column.label(text="Output Folder")
        row = column.row(align=True)
        row.prop(settings, "folder", text="")
        row.operator(render_operators.OpenFolder.bl_idname, text="", icon="FILEBROWSER")
        layout.operator(render_operators.RenderPair.bl_idname, icon="RENDER_STILL")

    def _draw_own_scene(self, context, column) -> None:
        """A person's own scene: which objects are inspected, and how it renders by its own settings."""
        scene, item = context.scene, context.object
        warn(column, context, render_sources.own_scene_problem(scene))
        row = column.row(align=True)
        marked = item is not None and inspected.is_marked(item)
        row.operator(inspected_operators.ToggleInspected.bl_idname, icon="VIEWZOOM", depress=marked)
        if item is not None and len(item.material_slots) > 1:
            taken = item.active_material_index not in inspected.left_out_slots(item)
            row.operator(inspected_operators.ToggleSlot.bl_idname, text=f"Slot {item.active_material_index + 1}",
                         depress=taken)
        render, share = scene.render, scene.render.resolution_percentage / 100.0
        if render.engine == "CYCLES":
            width, height = (int(size * share) for size in (render.resolution_x, render.resolution_y))
            column.label(text=f"As this scene: {width} x {height} px, {scene.cycles.samples} paths")


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
        own = inspection_scene.plate_of(context.scene) is None
        for name in ("move_mm", "turn_deg", "turntable", "every_camera") if own else ("offset_mm", "yaw_deg"):
            property_row(column, context, dataset, name)
        if own:
            column = layout.column(align=True)
            column.label(text="On Each Part")
            for name in FEATURE_NAMES:
                column.prop(dataset, name)
            if any(getattr(dataset, each.name) for each in FEATURE_CLASSES if each.kind == "defect"):
                column.prop(dataset, "defective", slider=True)
        layout.prop(dataset, "overwrite")
        warn(layout, context, render_sources.why_not_dataset(context))
        layout.operator(render_operators.RenderDataset.bl_idname, icon="RENDER_ANIMATION")
        layout.operator(render_operators.ExportRecipe.bl_idname, icon="EXPORT")


def _osl_note(context, stain) -> str:
    if stain.backend == "osl" and context.scene.render.engine != "CYCLES":
        return "OSL shows in Cycles alone; this scene's render engine is another"
    return ""


CLASSES = (
    ProgressPanel, StainPanel, DistributionPanel, AppearancePanel, InspectionPanel, PlatePanel, SurfacePanel,
    LightPanel, CameraPanel, SensorPanel, RenderPanel, DatasetPanel,
)
