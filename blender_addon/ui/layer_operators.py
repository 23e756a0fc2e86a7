# SPDX-License-Identifier: GPL-3.0-or-later
"""The buttons of stains that lie on each other on one material: another one, which is shown, and their order."""

import bpy

from ..core.seeding import SEED_LIMIT, digest
from ..materials import mask_preview, stain_on_material
from ..materials.coordinates import coordinates_of
from . import inspection_scene, live, operators, properties
from .button import Button

MOST_LAYERS = 8


class AddLayer(Button, bpy.types.Operator):
    bl_idname = "surface_impurities.add_layer"
    bl_label = "Add Layer"
    bl_description = "Lay another stain over those of this material: like the one that is shown, with another seed"

    @classmethod
    def why_not(cls, context) -> str:
        material = operators.stained_material(context)
        if operators.why_not_edit(context):
            return operators.why_not_edit(context)
        if inspection_scene.is_plate_material(context.scene, material):
            return "The inspection scene's plate has one stain, as its recipes have; layers go on objects of your own"
        if properties.own_stain(material) is None:
            return "An older version made this stain; press Update first"
        if stain_on_material.layers_in(material) >= MOST_LAYERS:
            return f"{MOST_LAYERS} stains are the most that a material can have"
        return operators.why_not_stain(context)

    def run(self, context, settings) -> None:
        material = operators.stained_material(context)
        mask_preview.hide(material)
        values = properties.stain_values(properties.own_stain(material))
        layer = stain_on_material.layers_in(material) + 1
        values["seed"] = digest(values["seed"], layer, "layer") % SEED_LIMIT
        scale = coordinates_of(stain_on_material.stain_nodes(material)[0])
        properties.adopt(material, values, layer)
        group = properties.own_stain(material, layer)
        stain_on_material.apply_stain(material, properties.stain_parameters(group), group.backend, scale,
                                      group.by_object, layer)
        properties.show_layer(material, layer)


class ShowLayer(Button, bpy.types.Operator):
    bl_idname = "surface_impurities.show_layer"
    bl_label = "Show Layer"
    bl_description = "Show the settings of this one of the material's stains; 1 is the lowest"

    number: bpy.props.IntProperty(name="Layer", min=1, default=1)

    @classmethod
    def why_not(cls, context) -> str:
        return operators.why_not_edit(context)

    def run(self, context, settings) -> None:
        material = operators.stained_material(context)
        mask_preview.hide(material)
        properties.show_layer(material, min(self.number, stain_on_material.layers_in(material)))


class RaiseLayer(Button, bpy.types.Operator):
    bl_idname = "surface_impurities.raise_layer"
    bl_label = "Raise"
    bl_description = "Lay the shown stain over the next one: where two lie, the mask has the upper"

    @classmethod
    def why_not(cls, context) -> str:
        material = operators.stained_material(context)
        if operators.why_not_edit(context):
            return operators.why_not_edit(context)
        if properties.shown_layer(material) >= stain_on_material.layers_in(material):
            return "The shown stain is the highest"
        return ""

    def run(self, context, settings) -> None:
        material = operators.stained_material(context)
        mask_preview.hide(material)
        layer = properties.shown_layer(material)
        lower, upper = (properties.stain_values(properties.own_stain(material, k)) for k in (layer, layer + 1))
        with live.paused():
            properties.adopt(material, upper, layer)
            properties.adopt(material, lower, layer + 1)
            properties.show_layer(material, layer + 1)
        live.fire("stain", context, material)


def draw_layers(layout, material) -> None:
    """A row to choose, add and order the stains of a material."""
    row = layout.row(align=True)
    row.label(text="Layer")
    shown = properties.shown_layer(material)
    for number in range(1, stain_on_material.layers_in(material) + 1):
        row.operator(ShowLayer.bl_idname, text=str(number), depress=number == shown).number = number
    row.operator(RaiseLayer.bl_idname, text="", icon="TRIA_UP")
    row.operator(AddLayer.bl_idname, text="", icon="ADD")


CLASSES = (AddLayer, ShowLayer, RaiseLayer)
