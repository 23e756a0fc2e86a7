# SPDX-License-Identifier: GPL-3.0-or-later
"""Surface Impurities: procedural water stains on inspected surfaces, with exact masks.

`core/` runs without Blender, so nothing here may import `bpy` before Blender asks to register.
"""

import importlib.util
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


def problem_of_python() -> str | None:
    """What this Python lacks, and what helps, in one line; None where it has all."""
    if sys.version_info < (3, 11):  # noqa: UP036 - Blender 3.4 to 4.0 from blender.org bring Python 3.10
        return f"needs Python 3.11 or later; this is {sys.version.split()[0]}"
    if importlib.util.find_spec("numpy") is None:
        return ("this Python has no NumPy; on Debian or Ubuntu: apt-get install python3-numpy, and no other Python "
                "before /usr/bin in PATH")
    try:
        import numpy  # noqa: F401
    except Exception as error:  # one that was built for another Python fails in ways of its own
        place = importlib.util.find_spec("numpy").origin
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        return (f"the NumPy at {place} cannot be imported by Python {sys.version.split()[0]} ({reason}); take its "
                "folder out of PYTHONPATH, or install one that fits")
    return None


def register() -> None:
    problem = problem_of_python()
    if problem:
        raise RuntimeError(f"Surface Impurities: {problem}")
    from . import ui

    ui.register()


def unregister() -> None:
    from . import ui

    ui.unregister()
