# SPDX-License-Identifier: GPL-3.0-or-later
"""The buttons that say which objects of a person's own scene are inspected, and which of their material slots."""

import bpy

from ..scene.inspected import is_marked, leave_slot_out, left_out_slots, mark, why_not_inspected
from .button import Button


class ToggleInspected(Button, bpy.types.Operator):
    bl_idname = "surface_impurities.toggle_inspected"
    bl_label = "Inspected"
    bl_description = (
        "Mark the active object as inspected: renders label it, and all other objects are black. While none is marked, "
        "the objects with a stain are inspected"
    )

    @classmethod
    def why_not(cls, context) -> str:
        return why_not_inspected(context.object)

    def run(self, context, settings) -> None:
        mark(context.object, not is_marked(context.object))


class ToggleSlot(Button, bpy.types.Operator):
    bl_idname = "surface_impurities.toggle_slot"
    bl_label = "Inspect This Slot"
    bl_description = "Whether the active object's active material slot is inspected, or left out like other objects"

    @classmethod
    def why_not(cls, context) -> str:
        if context.object is None or not context.object.material_slots:
            return "The active object has no material slots"
        return why_not_inspected(context.object)

    def run(self, context, settings) -> None:
        item = context.object
        slot = item.active_material_index
        leave_slot_out(item, slot, slot not in left_out_slots(item))


CLASSES = (ToggleInspected, ToggleSlot)
