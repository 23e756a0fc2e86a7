# SPDX-License-Identifier: GPL-3.0-or-later
"""Render a data set without a window, by either of

    blender -b -P blender_addon/render.py -- --recipe scenes/recipes/synth_ws.toml --out DIR
    python blender_addon/render.py --recipe scenes/recipes/synth_ws.toml --out DIR      # with the bpy module

`--help` lists the options. The work is done in the package `render/` beside this file.
"""

import importlib
import importlib.util
import os
import sys
import traceback
from pathlib import Path


def main() -> int:
    package = Path(__file__).resolve().parent
    sys.path.insert(0, str(package.parent))
    problem = importlib.import_module(package.name).problem_of_python()
    if problem:
        print(f"render.py: {problem}", file=sys.stderr)
        return 2
    arguments = _arguments()
    command = "pair" if arguments[:1] == ["--pair"] else "command"  # a pair is what the panel asks for
    code = importlib.import_module(f"{package.name}.render.{command}").main(arguments)
    if sys.modules.get("bpy"):
        importlib.import_module(f"{package.name}.render.session").remove_temporary_files()
    return code


def _arguments() -> list[str]:
    """What follows `--`, or, where this file is the program, all."""
    if "--" in sys.argv:
        return sys.argv[sys.argv.index("--") + 1 :]
    return sys.argv[1:] if Path(sys.argv[0]).name == Path(__file__).name else []


try:
    code = main()
except Exception:
    traceback.print_exc()
    code = 1
sys.stdout.flush()
sys.stderr.flush()
# Blender answers a script's failure with exit code 0, and its wheel may hang while it tears itself down.
os._exit(code)
