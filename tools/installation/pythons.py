# SPDX-License-Identifier: Apache-2.0
"""The Pythons of a machine. This module and environments.py run under any Python from 3.6 on, to find a newer one."""

import glob
import os
import shutil
import subprocess

OLDEST = (3, 11)  # that the project's own code runs under
NEWEST = (3, 13)
PROBE = """
import sys
try:
    import ensurepip, venv
except ImportError:
    print("bare")
print(*sys.version_info[:2])
"""


class Python:
    """One interpreter: its path, its version as (3, 11), and whether `python -m venv` works (Debian splits it off)."""

    def __init__(self, path, version, has_venv=True):
        self.path = path
        self.version = version
        self.has_venv = has_venv


def numbered(version):
    """(3, 11) -> "3.11"."""
    return ".".join(map(str, version))


def probe(path):
    """The Python at a path, or None where there is none that runs (a shim of pyenv, for one, may lead nowhere)."""
    try:
        text = subprocess.check_output([path, "-c", PROBE], stderr=subprocess.DEVNULL, universal_newlines=True)
        words = text.split()
        return Python(path, (int(words[-2]), int(words[-1])), words[0] != "bare")
    except (OSError, subprocess.CalledProcessError, ValueError, IndexError):
        return None


def candidates(environ):
    """Paths in the order of preference: PYTHON=, `python3`, the numbered ones on the PATH, pyenv's."""
    minors = range(OLDEST[1], NEWEST[1] + 1)
    names = [environ.get("PYTHON") or None, "python3"] + [f"python3.{minor}" for minor in minors]
    found = [shutil.which(name, path=environ.get("PATH")) for name in names if name]
    root = environ.get("PYENV_ROOT") or os.path.join(environ.get("HOME", "/"), ".pyenv")
    for minor in minors:
        found += sorted(glob.glob(os.path.join(root, "versions", f"3.{minor}.*", "bin", "python")), reverse=True)
    return [path for number, path in enumerate(found) if path and path not in found[:number]]


def pythons(environ):
    """All Pythons of a machine that run, the preferred ones first."""
    return [python for python in map(probe, candidates(environ)) if python]


def named(environ):
    """The Python that PYTHON= names.

    Raises:
        LookupError: PYTHON names none that runs.
    """
    if not environ.get("PYTHON"):
        return None
    path = shutil.which(environ["PYTHON"], path=environ.get("PATH"))
    python = path and probe(path)
    if not python:
        raise LookupError("PYTHON={}: no Python that runs is there".format(environ["PYTHON"]))
    return python
