# SPDX-License-Identifier: GPL-3.0-or-later
"""Render a data set without a window, by either of

    blender -b -P blender_addon/render.py -- --recipe scenes/recipes/synth_ws.toml --out DIR
    python blender_addon/render.py --recipe scenes/recipes/synth_ws.toml --out DIR      # with the bpy module

`--help` lists the options. The work is done in the package `render/` beside this file.
"""

import importlib
import os
import sys
from pathlib import Path


def main() -> None:
    if sys.version_info < (3, 11):
        sys.exit("render.py: needs Python 3.11 or later (Blender 3.4 with Debian's Python, or Blender 4.1 and later)")
    package = Path(__file__).resolve().parent
    sys.path.insert(0, str(package.parent))
    command = importlib.import_module(f"{package.name}.render.command")
    code = command.main(_arguments())
    sys.stdout.flush()
    sys.stderr.flush()
    if "bpy" in sys.modules:
        # Blender answers a script's failure with exit code 0, and its wheel may hang while it tears itself down.
        importlib.import_module(f"{package.name}.render.session").remove_temporary_files()
        os._exit(code)
    sys.exit(code)


def _arguments() -> list[str]:
    """What follows `--`, or, where this file is the program, all."""
    if "--" in sys.argv:
        return sys.argv[sys.argv.index("--") + 1 :]
    return sys.argv[1:] if Path(sys.argv[0]).name == Path(__file__).name else []


main()
