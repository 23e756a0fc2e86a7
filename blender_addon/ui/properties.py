# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel's settings, kept in the scene: the stain's parameters are made from `core.stain_parameters.FIELDS`."""

import bpy
from bpy.props import (
    EnumProperty,
    FloatProperty,
    FloatVectorProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)

from ..core.errors import UserError
from ..core.parameter import parameters_of
from ..core.settings import RenderSettings
from ..core.stain_parameters import FIELDS, Field, StainParameters, is_whole
from . import stain_on_material

SCENE_PROPERTY = "surface_impurities"

GRID, SINGLE = "GRID", "SINGLE"
GRID_FIELD, SINGLE_FIELD = "cell_size_mm", "centre_mm"


def stain_parameters(settings) -> StainParameters:
    """The panel's values, checked.

    Raises:
        UserError: they contradict each other.
    """
    unused = SINGLE_FIELD if settings.distribution == GRID else GRID_FIELD
    values = {field.name: plain(getattr(settings, field.name)) for field in FIELDS if field.name != unused}
    return StainParameters(**values)


def problem(settings) -> str:
    """What is wrong with the panel's values, or nothing."""
    try:
        stain_parameters(settings)
    except UserError as error:
        return str(error)
    return ""


def settings_of(scene):
    return getattr(scene, SCENE_PROPERTY)


def copy_settings(source, target) -> None:
    """Copy the panel's values from scene to scene."""
    for name in SurfaceImpuritiesSettings.__annotations__:
        if settings_of(source).is_property_set(name):
            setattr(settings_of(target), name, getattr(settings_of(source), name))


def attach() -> None:
    setattr(bpy.types.Scene, SCENE_PROPERTY, PointerProperty(type=SurfaceImpuritiesSettings))


def detach() -> None:
    delattr(bpy.types.Scene, SCENE_PROPERTY)


def _update_stain(settings, context) -> None:
    """Show a moved slider on the active object's stain at once; values that contradict each other wait."""
    material = stain_on_material.material_of(context.object)
    if material is None or stain_on_material.stain_node(material) is None or problem(settings):
        return
    try:
        stain_on_material.apply_stain(material, stain_parameters(settings), settings.backend)
    except UserError as error:  # this Blender's shaders cannot show the values; the buttons say so when pressed
        print(f"Surface Impurities: {error}")


def _label(field: Field) -> str:
    """ "radius_mm" -> "Radius (mm)"; "noise_" goes, or the sidebar at its usual width would cut the unit off."""
    words = field.name.removeprefix("noise_").removesuffix("_mm").removesuffix("_per").replace("_", " ").title()
    return f"{words} ({field.unit})" if field.unit else words


def _property(field: Field):
    (low, high), (soft_low, soft_high) = field.hard, field.soft
    common = {
        "name": _label(field),
        "description": f"{field.tooltip} ({field.symbol})",
        "min": low,
        "max": high,
        "soft_min": soft_low,
        "soft_max": soft_high,
        "update": _update_stain,
    }
    if is_whole(field):
        return IntProperty(default=field.default, **common)
    if field.default is None:
        return FloatVectorProperty(size=3, precision=2, step=100, **common)
    return FloatProperty(default=field.default, precision=3, step=10, **common)


def _render_property(name: str, default: float | None = None):
    field = parameters_of(RenderSettings)[name]
    kind = IntProperty if isinstance(field.default, int) else FloatProperty
    return kind(
        name={"samples": "Light Paths per Pixel", "scale_percent": "Image Size (%)"}[name],
        description=field.metadata["text"].capitalize(),
        default=field.default if default is None else default,
        min=field.metadata["low"],
        max=field.metadata["high"],
    )


def plain(value):
    """What a person typed: Blender stores numbers as float32, which hold seven digits of them."""
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return float(f"{value:.7g}")
    return tuple(plain(float(part)) for part in value)


class SurfaceImpuritiesSettings(bpy.types.PropertyGroup):
    """What the panel edits."""

    __annotations__ = {
        **{field.name: _property(field) for field in FIELDS},
        "distribution": EnumProperty(
            name="Distribution",
            items=(
                (GRID, "Grid", "Many stains: one centre in each cell of a jittered grid"),
                (SINGLE, "Single", "One stain around a given centre"),
            ),
            update=_update_stain,
        ),
        "backend": EnumProperty(
            name="Backend",
            description="What computes the stain; the results agree",
            items=(
                ("nodes", "Nodes", "Shader nodes: every device, Cycles and Eevee"),
                ("osl", "OSL", "Open Shading Language: Cycles on the processor or OptiX"),
            ),
            update=_update_stain,
        ),
        "scale_percent": _render_property("scale_percent", default=25.0),
        "samples": _render_property("samples"),
        "folder": StringProperty(
            name="Folder", description="Where rendered pairs are written", subtype="DIR_PATH"
        ),
    }


CLASSES = (SurfaceImpuritiesSettings,)
