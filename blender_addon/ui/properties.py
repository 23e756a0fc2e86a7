# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel's settings: a stain's in its material, all others in the scene; most are declared in `core/`."""

import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    FloatProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)

from ..core.errors import UserError
from ..core.features.classes import FEATURE_CLASSES
from ..core.inspection.camera import Camera
from ..core.inspection.plate import Plate, Surface
from ..core.inspection.ring_light import RingLight
from ..core.inspection.sensor import Sensor
from ..core.parameter import parameters_of
from ..core.recipe.settings import RenderSettings
from ..core.stain.parameters import GRID_ONLY, STAIN_SPECS, StainParameters
from . import live
from .declared import label, parameter_property, plain, stain_property
from .scenes_folder import default_of

SCENE_PROPERTY = "surface_impurities"
UPPER, SHOWN = "surface_impurities_upper", "surface_impurities_shown_layer"
"""Of a material: the settings of its stains above the lowest, and which of all the panel shows, from 1."""

GRID, SINGLE = "GRID", "SINGLE"
CENTRE = "centre_mm"
SECTIONS = {"plate": Plate, "surface": Surface, "light": RingLight, "camera": Camera, "sensor": Sensor}
"""Sections of a recipe that the panel shows whole."""
_PANEL_DEFAULTS = {"scale_percent": 25.0}
"""A first picture in seconds, not minutes."""
_RENDER = {name: parameters_of(RenderSettings)[name] for name in ("samples", "scale_percent")}


def is_used(name: str, settings) -> bool:
    """Whether the stain's parameter belongs to the chosen distribution."""
    return name not in GRID_ONLY if settings.distribution == SINGLE else name != CENTRE


def stain_parameters(settings) -> StainParameters:
    """The panel's values, checked.

    Raises:
        UserError: they contradict each other.
    """
    names = [spec.name for spec in STAIN_SPECS if is_used(spec.name, settings)]
    values = {name: plain(getattr(settings, name)) for name in names}
    return StainParameters(**values)


def problem(settings) -> str:
    """What is wrong with the stain's values, or nothing."""
    try:
        stain_parameters(settings)
    except UserError as error:
        return in_panel_words(str(error))
    return ""


def in_panel_words(text: str) -> str:
    """A message of `core/` with the parameters named as the panel names them."""
    for spec in sorted(STAIN_SPECS, key=lambda spec: -len(spec.name)):
        text = text.replace(spec.name, label(spec.name).split(" (")[0])
    return text.removeprefix("stain: ")


def settings_of(scene):
    return getattr(scene, SCENE_PROPERTY)


def own_stain(material, layer: int | None = None):
    """The settings of a material's stain, of the layer that is shown or of another, or None where they were never made:
    an older version put the stain in."""
    layer, upper = layer or shown_layer(material), getattr(material, UPPER)
    group = getattr(material, SCENE_PROPERTY) if layer == 1 else upper[layer - 2] if layer <= len(upper) + 1 else None
    return group if group is not None and group.has_stain else None


def shown_layer(material) -> int:
    """Which of the material's stains the panel shows, from 1, the lowest."""
    return min(getattr(material, SHOWN), len(getattr(material, UPPER)) + 1)


def show_layer(material, layer: int) -> None:
    setattr(material, SHOWN, layer)


def adopt(material, values: dict, layer: int | None = None) -> None:
    """Let the material have a stain with these settings: the shown one, or another, which may be one more than there
    are."""
    layer, upper = layer or shown_layer(material), getattr(material, UPPER)
    if layer > len(upper) + 1:
        upper.add()
    group = getattr(material, SCENE_PROPERTY) if layer == 1 else upper[layer - 2]
    set_stain_values(group, values)
    group.has_stain = True


def forget_layer(material, layer: int) -> None:
    """Leave the settings of one of several stains out; those above it move down."""
    settings = [stain_values(own_stain(material, k)) for k in range(1, len(getattr(material, UPPER)) + 2) if k != layer]
    getattr(material, UPPER).remove(len(settings) - 1)
    for k, values in enumerate(settings, start=1):
        adopt(material, values, k)
    show_layer(material, min(layer, len(settings)))


def forget_stain(material) -> None:
    """Leave nothing of the settings of a stain that is gone."""
    with live.paused():
        group = getattr(material, SCENE_PROPERTY)
        for name in (*STAIN_NAMES, "has_stain"):
            group.property_unset(name)
    getattr(material, UPPER).clear()
    for name in (SCENE_PROPERTY, UPPER, SHOWN):
        if name in material.keys():  # noqa: SIM118 - `in material` is another question
            del material[name]


def stain_values(group) -> dict:
    """The settings of a stain, from the scene or from a material."""
    values = {name: getattr(group, name) for name in STAIN_NAMES}
    return {name: tuple(value) if name == CENTRE else value for name, value in values.items()}


def set_stain_values(group, values: dict) -> None:
    """Set the settings of a stain, of a scene or a material, without acting on them."""
    with live.paused():
        for name, value in values.items():
            setattr(group, name, value)


def values_of(parameters: StainParameters, backend: str, by_object: bool) -> dict:
    """The settings that show these parameters."""
    given = {spec.name: getattr(parameters, spec.name) for spec in STAIN_SPECS}
    values = {name: value for name, value in given.items() if value is not None}
    return {**values, "distribution": GRID if parameters.centre_mm is None else SINGLE, "backend": backend,
            "by_object": by_object}


def copy_settings(source, target) -> None:
    """Copy the panel's values from scene to scene."""
    with live.paused():
        _copy(settings_of(source), settings_of(target))


def _copy(source, target) -> None:
    for name in set(source.bl_rna.properties.keys()) - {"rna_type", "name"}:
        if isinstance(getattr(source, name), bpy.types.PropertyGroup):
            _copy(getattr(source, name), getattr(target, name))
        elif source.is_property_set(name):
            setattr(target, name, getattr(source, name))


def attach() -> None:
    setattr(bpy.types.Scene, SCENE_PROPERTY, PointerProperty(type=SurfaceImpuritiesSettings))
    setattr(bpy.types.Material, SCENE_PROPERTY, PointerProperty(type=SurfaceImpuritiesStain))
    setattr(bpy.types.Material, UPPER, CollectionProperty(type=SurfaceImpuritiesStain))
    setattr(bpy.types.Material, SHOWN, IntProperty(default=1, min=1))


def detach() -> None:
    for name in (SHOWN, UPPER, SCENE_PROPERTY):
        delattr(bpy.types.Material, name)
    delattr(bpy.types.Scene, SCENE_PROPERTY)


def _section_group(name: str, section: type) -> type:
    properties = {
        key: parameter_property(key, field, default_of(name, key, field.default), live.changed("scene"))
        for key, field in parameters_of(section).items()
    }
    return type(f"SurfaceImpurities{section.__name__}", (bpy.types.PropertyGroup,), {"__annotations__": properties})


def _weight(name: str, default: int):
    text = f"Weight of the split '{name.lower()}': its share of the images"
    return IntProperty(name=f"{name} Weight", description=text, default=default, min=0, max=1000)


FEATURE_NAMES = tuple(surface_class.name for surface_class in FEATURE_CLASSES)


def _number_on_part(name: str):
    many = {"scratch": "Scratches"}.get(name, f"{name.capitalize()}s")
    text = (f"How many {many.lower()} are laid on each part of your own scene, evenly over its inspected surface; one "
            "that fits nowhere is left out, and the record says why")
    return IntProperty(name=many, description=text, default=0, min=0, max=100)


SECTION_GROUPS = {name: _section_group(name, section) for name, section in SECTIONS.items()}


class SurfaceImpuritiesDataset(bpy.types.PropertyGroup):
    """What a data set has beside the inspection scene and the stain: how many, and how samples differ."""

    __annotations__ = {
        "title": StringProperty(name="Name", description="Names the data set's folder, its recipe and its samples",
                                default="stained_plates"),
        "count": IntProperty(name="Images", description="How many", default=20, min=1, max=10**6),
        "seed": IntProperty(name="Master Seed", description="Another seed, other plates and stains; "
                            "also that of the inspection scene's plate", default=1, min=0,
                            update=live.changed("scene")),
        "train": _weight("Train", 8),
        "val": _weight("Val", 1),
        "test": _weight("Test", 1),
        "share": FloatProperty(name="Stained", description="Share of the samples that have stains", default=1.0,
                               min=0.0, max=1.0, precision=2, step=5),
        "variation": FloatProperty(name="Vary Stains ±", description="Each sample draws the stain's radius, outline, "
                                   "decay and intensity evenly from the values above, more or less this share of them",
                                   default=0.2, min=0.0, max=0.9, precision=2, step=5),
        "offset_mm": FloatProperty(name="Shift ± (mm)", description="How far each plate lies off its place",
                                   default=1.5, min=0.0, max=50.0, precision=2, step=10),
        "yaw_deg": FloatProperty(name="Turn ± (°)", description="How far each plate is turned",
                                 default=0.8, min=0.0, max=45.0, precision=2, step=10),
        "turn_deg": FloatProperty(name="Turn Part ± (°)", description="How far the inspected objects of your own scene "
                                  "are turned about the vertical", default=0.0, min=0.0, max=180.0, precision=2,
                                  step=10),
        "move_mm": FloatProperty(name="Shift Part ± (mm)", description="How far the inspected objects of your own "
                                 "scene lie off their place, along x and y", default=0.0, min=0.0, max=1e4, precision=2,
                                 step=10),
        "turntable": IntProperty(name="Turntable Steps", description="Pictures of each part of your own scene, turned "
                                 "on by equal angles", default=1, min=1, max=360),
        "every_camera": BoolProperty(name="Every Camera", description="All cameras of your own scene take a picture "
                                     "each, instead of the active one alone"),
        "defective": FloatProperty(name="Parts with Defects", description="Share of the parts of your own scene that "
                                   "have the scratches, dents and bumps; all others are sound", default=0.5, min=0.0,
                                   max=1.0, precision=2, step=5),
        **{name: _number_on_part(name) for name in FEATURE_NAMES},
        "overwrite": BoolProperty(name="Render Anew", description="Remove a data set of that name first. Without it, a "
                                  "data set of the same settings goes on where it was stopped"),
    }


_STAIN = {
    **{spec.name: stain_property(spec, live.changed("stain")) for spec in STAIN_SPECS},
    "distribution": EnumProperty(
        name="Distribution",
        items=(
            (GRID, "Grid", "Many stains: one centre in each cell of a jittered grid"),
            (SINGLE, "Single", "One stain around a given centre"),
        ),
        update=live.changed("stain"),
    ),
    "backend": EnumProperty(
        name="Backend",
        description="What computes the stain; the results agree",
        items=(
            ("nodes", "Nodes", "Shader nodes: every device, Cycles and Eevee"),
            ("osl", "OSL", "Open Shading Language: Cycles on the processor or OptiX"),
        ),
        update=live.changed("stain"),
    ),
    "by_object": BoolProperty(
        name="Differs by Object",
        description="Add each object's own seed to that of the stain, so that copies of an object show other stains",
        update=live.changed("stain"),
    ),
    "fitted": FloatProperty(
        name="Fitted", description="By what all lengths of a preset are multiplied, from Fit to Object", default=1.0,
        min=1e-6, max=1e6, options={"HIDDEN"},
    ),
}
"""The settings of a stain: in a material those of its own stain, in a scene those of the next one that Add makes."""
STAIN_NAMES = tuple(_STAIN)


class SurfaceImpuritiesStain(bpy.types.PropertyGroup):
    """What a material's stain is like."""

    __annotations__ = {
        **_STAIN,
        "has_stain": BoolProperty(options={"HIDDEN"}, description="These are the settings of a stain that is there"),
    }


class SurfaceImpuritiesSettings(bpy.types.PropertyGroup):
    """What the panel edits."""

    __annotations__ = {
        **_STAIN,
        **{name: PointerProperty(type=group) for name, group in SECTION_GROUPS.items()},
        **{
            name: parameter_property(name, field, _PANEL_DEFAULTS.get(name, default_of("render", name, field.default)),
                                     live.changed("scene"))
            for name, field in _RENDER.items()
        },
        "depth": EnumProperty(
            name="Bits per Pixel",
            items=(
                ("8", "8 Bit", "Grey values 0 to 255, as most inspection cameras give"),
                ("16", "16 Bit", "Grey values 0 to 65535"),
            ),
        ),
        "dataset": PointerProperty(type=SurfaceImpuritiesDataset),
        "folder": StringProperty(
            name="Folder", description="Where rendered pairs and data sets are written", subtype="DIR_PATH"
        ),
        "fit_on_add": BoolProperty(
            name="Fit to Object", description="Scale the lengths of a new stain to the object, so that about five "
            "cells fit along it", default=True,
        ),
        "osl_was_off": BoolProperty(options={"HIDDEN"}, description="The add-on switched the scene's OSL on"),
    }


RENDER_NAMES = tuple(_RENDER)
CLASSES = (*SECTION_GROUPS.values(), SurfaceImpuritiesDataset, SurfaceImpuritiesStain, SurfaceImpuritiesSettings)
