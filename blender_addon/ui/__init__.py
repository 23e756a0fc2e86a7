# SPDX-License-Identifier: GPL-3.0-or-later
"""The sidebar tab: settings kept in the scene, buttons, panels. Made from the parameters of `core/`, no maths."""

import bpy

from . import operators, panels, properties, stain_on_material

CLASSES = (*properties.CLASSES, *operators.CLASSES, *panels.CLASSES)
_registered: list[type] = []


def register() -> None:
    """Register all or nothing: where one class is refused, those before it are taken back and the error goes on."""
    try:
        for each in CLASSES:
            bpy.utils.register_class(each)
            _registered.append(each)
        properties.attach()
    except Exception:
        _unregister_classes()
        raise


def unregister() -> None:
    """Take everything back, node groups and shader texts that nothing uses included. Stains in use stay."""
    properties.detach()
    _unregister_classes()
    stain_on_material.remove_unused_groups()


def _unregister_classes() -> None:
    while _registered:
        bpy.utils.unregister_class(_registered.pop())
