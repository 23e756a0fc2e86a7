# SPDX-License-Identifier: Apache-2.0
"""Make a virtual environment of the project: `environments.py KIND FOLDER`, by any Python from 3.6 on.

Two of them, as in real life: Blender brings its own Python, often with an older numpy, so the renderer (`bpy`) and the
training package (torch, timm) do not share one. What goes into each stands in pyproject.toml, the exact versions in
constraints/. A finished environment is left alone until that text changes; one behind a symbolic link is somebody
else's and is used as it is. For the tests over several Blenders, `blender-4.2`, `blender-5.0` and `blender-5.2` make
one with that version's `bpy`; `lowest` has the oldest libraries that the package allows; `peers` holds other
implementations, to be measured beside this one.

Environment: PYTHON=EXECUTABLE is preferred where its version suits; BLENDER=EXECUTABLE renders where there is no `bpy`.
"""

import os
import sys

from installation import pythons

KINDS = ("training", "rendering", "lowest", "peers", "blender-4.2", "blender-5.0", "blender-5.2")


def main(arguments):
    if len(arguments) != 2 or arguments[0] not in KINDS:
        stop("usage: environments.py {} FOLDER".format("|".join(KINDS)))
    if sys.version_info < pythons.OLDEST:  # the rest is written for the Pythons that the project runs under
        newer = [python for python in pythons.pythons(os.environ) if python.version >= pythons.OLDEST]
        if not newer:
            stop(
                f"Python {pythons.numbered(pythons.OLDEST)} or newer is needed, but only {sys.version.split()[0]} was "
                "found; install one (Debian, Ubuntu: apt-get install python3 python3-venv; elsewhere: pyenv install "
                "3.13) or name one: make PYTHON=/path/to/python"
            )
        os.execv(newer[0].path, [newer[0].path, os.path.abspath(__file__), *arguments])
    from installation import environment

    repository = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    try:
        environment.provide(arguments[0], arguments[1], repository, os.environ, say)
    except environment.NotHere as error:
        stop(str(error))


def say(text):
    sys.stderr.write(f"setup: {text}\n")
    sys.stderr.flush()


def stop(text):
    say(text)
    sys.exit(2)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        say("interrupted; the same command does it again")
        sys.exit(130)
