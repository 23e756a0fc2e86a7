# SPDX-License-Identifier: GPL-3.0-or-later
"""The menu of presets with its two buttons, save and remove."""

import bpy

from ..core.errors import UserError
from . import live, presets
from .button import Button
from .operators import shown_stain


class UsePreset(Button, bpy.types.Operator):
    bl_idname = "surface_impurities.use_preset"
    bl_label = "Use Preset"
    bl_description = "Set the stain's values to this preset; the seed stays"

    preset: bpy.props.StringProperty(name="Preset")

    @classmethod
    def description(cls, context, properties):
        found = next((preset for preset in presets.presets() if preset.name == properties.preset), None)
        return (found.problem or found.description) if found else cls.bl_description

    def run(self, context, settings) -> None:
        stain = shown_stain(context)
        presets.use(stain, presets.find(self.preset))
        live.fire("stain", context, stain.id_data)


class SavePreset(Button, bpy.types.Operator):
    bl_idname = "surface_impurities.save_preset"
    bl_label = "Save Preset"
    bl_description = "Keep the stain's values as a preset of your own"

    preset: bpy.props.StringProperty(name="Name", default="My Stain")

    def invoke(self, context, event):
        return context.window_manager.invoke_props_dialog(self)

    def run(self, context, settings) -> None:
        self.report({"INFO"}, f"Saved {presets.save(shown_stain(context), self.preset)}")


class RemovePreset(Button, bpy.types.Operator):
    bl_idname = "surface_impurities.remove_preset"
    bl_label = "Remove Preset"
    bl_description = "Delete the preset of your own that the panel shows"

    @classmethod
    def why_not(cls, context) -> str:
        shown = presets.current(shown_stain(context))
        if shown is None:
            return "The values are not those of a preset; choose one first"
        return "" if shown.own else f"{shown.name} comes with the add-on and stays"

    def invoke(self, context, event):
        return context.window_manager.invoke_confirm(self, event)

    def run(self, context, settings) -> None:
        shown = presets.current(shown_stain(context))
        if shown is None or not shown.own:
            raise UserError("choose a preset of your own first")
        presets.remove(shown)


class PresetMenu(bpy.types.Menu):
    bl_idname = "SURFACE_IMPURITIES_MT_presets"
    bl_label = "Presets"

    def draw(self, context):
        own = False
        for preset in presets.presets():
            if preset.own and not own:
                self.layout.separator()
            own = preset.own
            icon = "ERROR" if preset.problem else "NONE"
            self.layout.operator(UsePreset.bl_idname, text=preset.name, icon=icon).preset = preset.name


def draw_presets(layout, settings) -> None:
    """The row that shows the preset in use."""
    shown = presets.current(settings)
    row = layout.row(align=True)
    row.menu(PresetMenu.bl_idname, text=shown.name if shown else "Choose a Preset")
    row.operator(SavePreset.bl_idname, text="", icon="ADD")
    row.operator(RemovePreset.bl_idname, text="", icon="REMOVE")


CLASSES = (UsePreset, SavePreset, RemovePreset, PresetMenu)
