# SPDX-License-Identifier: Apache-2.0
"""The renderer that is at hand: `renderer.py [OPTIONS OF blender_addon/render.py]` runs it.

BLENDER=EXECUTABLE comes first, then the module `bpy` in .venv-blender, then a `blender` on the PATH.
"""

import os
import shutil
import sys

REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class NoRenderer(Exception):
    """There is nothing that renders; the message says what helps."""


def command(repository=REPOSITORY, environ=os.environ):
    """The command line of the headless renderer, without its options.

    Raises:
        NoRenderer: there is neither an executable nor the module.
    """
    script = os.path.join(str(repository), "blender_addon", "render.py")
    environment = os.path.join(str(repository), ".venv-blender")
    named = environ.get("BLENDER")
    if not named and has_module(environment):
        return [os.path.join(environment, "bin", "python"), script]
    blender = shutil.which(named or "blender", path=environ.get("PATH"))
    if not blender:
        if named:
            raise NoRenderer(f"BLENDER={named}: no such program")
        raise NoRenderer("nothing here renders: `make setup` mends that or says how; BLENDER=EXECUTABLE names one")
    # A Python environment on the PATH would lend the executable its own Python's library.
    path = os.pathsep.join([os.path.dirname(os.path.abspath(blender)), "/usr/bin", "/bin"])
    return ["env", "PATH=" + path, blender, "-b", "-P", script, "--"]


def has_module(environment):
    """Whether `bpy` is installed in a virtual environment."""
    library = os.path.join(environment, "lib")
    versions = os.listdir(library) if os.path.isdir(library) else []
    return any(os.path.isdir(os.path.join(library, version, "site-packages", "bpy")) for version in versions)


if __name__ == "__main__":
    try:
        line = command() + sys.argv[1:]
    except NoRenderer as error:
        sys.stderr.write(f"render: {error}\n")
        sys.exit(2)
    os.execvp(line[0], line)
