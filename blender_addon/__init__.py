# SPDX-License-Identifier: GPL-3.0-or-later
"""Surface Impurities: procedural water stains on inspected surfaces, with exact masks.

`core/` runs without Blender, so nothing here may import `bpy` before Blender asks to register.
"""

import sys

# Blender before 4.2 reads this table; later ones read blender_manifest.toml, which says the same.
bl_info = {
    "name": "Surface Impurities",
    "author": "The contributors of Surface Impurities",
    "version": (0, 1, 0),
    "blender": (3, 4, 0),
    "location": "3D Viewport > Sidebar > Impurities",
    "description": "Procedural water stains with exact masks, on any material",
    "category": "Material",
}


def register() -> None:
    if sys.version_info < (3, 11):  # noqa: UP036 - Blender 3.4 to 4.0 from blender.org bring Python 3.10
        raise RuntimeError(f"Surface Impurities needs Python 3.11 or later, this Blender has {sys.version.split()[0]}")
    from . import ui

    ui.register()


def unregister() -> None:
    from . import ui

    ui.unregister()
