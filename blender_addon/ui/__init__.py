# SPDX-License-Identifier: GPL-3.0-or-later
"""The sidebar tab: settings, buttons, panels. Made from the parameters of `core/`, no maths."""

import atexit

import bpy

from ..materials import stain_on_material
from . import (
    inspected_operators,
    layer_operators,
    live,
    operators,
    panels,
    preset_menu,
    presets,
    properties,
    render_operators,
    render_status,
)

CLASSES = (
    *properties.CLASSES, *operators.CLASSES, *layer_operators.CLASSES, *preset_menu.CLASSES,
    *inspected_operators.CLASSES, *render_operators.CLASSES, *panels.CLASSES,
)
_registered: list[type] = []


def register() -> None:
    """Register all or nothing: where one class is refused, those before it are taken back and the error goes on."""
    try:
        for blender_class in CLASSES:
            bpy.utils.register_class(blender_class)
            _registered.append(blender_class)
        properties.attach()
    except Exception:
        _unregister_classes()
        raise
    live.act("stain", operators.show_stain)
    live.act("scene", operators.show_scene)
    atexit.register(render_status.stop_all)  # a render must not outlive the window that shows it


def unregister() -> None:
    """Take everything back, node groups and shader texts that nothing uses included. Stains in use stay."""
    atexit.unregister(render_status.stop_all)
    render_status.stop_all()
    live.act("stain", None)
    live.act("scene", None)
    presets.forget()
    properties.detach()
    _unregister_classes()
    stain_on_material.remove_unused_groups()


def _unregister_classes() -> None:
    while _registered:
        bpy.utils.unregister_class(_registered.pop())
