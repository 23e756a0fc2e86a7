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
    if sys.version_info < (3, 11):  # noqa: UP036  Blender brings its own Python, whatever the package asks for
        print("render.py: needs Python 3.11 or later; this is " + sys.version.split()[0], file=sys.stderr)
        return 2
    if importlib.util.find_spec("numpy") is None:
        print("render.py: this Python has no NumPy; on Debian or Ubuntu: apt-get install python3-numpy, and no other "
              "Python before /usr/bin in PATH", file=sys.stderr)  # fmt: skip
        return 2
    package = Path(__file__).resolve().parent
    sys.path.insert(0, str(package.parent))
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
