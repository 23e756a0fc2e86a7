# SPDX-License-Identifier: GPL-3.0-or-later
"""The sidebar tab in the 3D viewport."""

import textwrap

import bpy

from ..core.stain_parameters import FIELDS
from . import inspection_scene, operators, properties
from .properties import GRID, GRID_FIELD, SINGLE_FIELD


class _Panel:
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "Surface Impurities"


class StainPanel(_Panel, bpy.types.Panel):
    bl_idname = "SURFACE_IMPURITIES_PT_stain"
    bl_label = "Water Stain"

    def draw(self, context):
        layout, settings = self.layout, properties.settings_of(context.scene)
        column = layout.column(align=True)
        for field in FIELDS:
            if field.name not in (GRID_FIELD, SINGLE_FIELD):
                column.prop(settings, field.name)
        column = layout.column()
        column.row().prop(settings, "distribution", expand=True)
        column.prop(settings, GRID_FIELD if settings.distribution == GRID else SINGLE_FIELD)
        column.row().prop(settings, "backend", expand=True)
        _warn(layout, context, operators.why_not_stain(context))
        column = layout.column(align=True)
        column.operator(operators.AddWaterStain.bl_idname, icon="ADD")
        column.operator(operators.RemoveWaterStain.bl_idname, icon="REMOVE")


class InspectionPanel(_Panel, bpy.types.Panel):
    bl_idname = "SURFACE_IMPURITIES_PT_inspection"
    bl_label = "Inspection Scene"

    def draw(self, context):
        layout, settings = self.layout, properties.settings_of(context.scene)
        layout.operator(operators.SetUpInspectionScene.bl_idname, icon="SCENE_DATA")
        column = layout.column()
        column.active = inspection_scene.plate_of(context.scene) is not None
        column.prop(settings, "scale_percent")
        column.prop(settings, "samples")
        column.prop(settings, "folder")
        column.operator(operators.RenderPair.bl_idname, icon="RENDER_STILL")


def _warn(layout, context, text: str) -> None:
    """Write a warning in lines as wide as the sidebar."""
    if not text:
        return
    # A letter is about 7 units wide; 75 go to the tabs, the borders and the icon.
    width = max(16, int((context.region.width / context.preferences.system.ui_scale - 75) / 7))
    column = layout.box().column(align=True)
    for number, line in enumerate(textwrap.wrap(text, width)):
        column.label(text=line, icon="ERROR" if number == 0 else "BLANK1")


CLASSES = (StainPanel, InspectionPanel)
