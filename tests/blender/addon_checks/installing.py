# SPDX-License-Identifier: GPL-3.0-or-later
"""The zip is installed as a person would install it."""

import importlib
from pathlib import Path

import bpy

from .tools import EXTENSION, FOLDER, MODULE, ZIP, residue

CLEAN: dict = {}
"""What was there before the add-on."""


def check_install():
    if EXTENSION:
        bpy.ops.extensions.package_install_files(filepath=str(ZIP), repo="user_default", enable_on_install=False)
    else:
        bpy.ops.preferences.addon_install(filepath=str(ZIP))
    CLEAN.update(residue())
    bpy.ops.preferences.addon_enable(module=MODULE)
    assert MODULE in bpy.context.preferences.addons
    where = Path(importlib.import_module(MODULE).__file__).resolve()
    assert FOLDER.resolve() in where.parents, f"installed in {where}"
