# SPDX-License-Identifier: Apache-2.0
"""Which Python an environment gets, and whether Blender comes as its module `bpy` or as an executable."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .pythons import NEWEST, OLDEST, Python, numbered

# `bpy` is built for one Python a release: 4.5 for 3.11, 5.2 for 3.13. Nothing is built for 3.12.
BPY_PYTHONS = ((3, 11), (3, 13))
# (system, machine) that Blender builds the module for.
BPY_PLATFORMS = (("Linux", "x86_64"), ("Darwin", "arm64"))
SUDO = "" if os.geteuid() == 0 else "sudo "


class NotHere(Exception):
    """What an environment needs is not on this machine; the message says what helps."""


@dataclass(frozen=True)
class Choice:
    """The Python of an environment; `blender`: the executable that renders in place of `bpy`, or None."""

    python: Python
    blender: str | None = None


def supported() -> tuple[tuple[int, int], ...]:
    return tuple((3, minor) for minor in range(OLDEST[1], NEWEST[1] + 1))


def choose(found: Sequence[Python], versions: Sequence[tuple[int, int]]) -> Python:
    """The first Python of a suitable version, in the order of `found`.

    Raises:
        NotHere: none suits, or the one that does has no `venv`.
    """
    suitable = [python for python in found if python.version in versions]
    for python in suitable:
        if python.has_venv:
            return python
    if suitable:
        name = f"python{numbered(suitable[0].version)}"
        lack = f"{suitable[0].path} comes without its module venv"
        raise NotHere(f"{lack}. The one command: {SUDO}apt-get install {name}-venv")
    names = " or ".join(map(numbered, versions))
    newest = numbered(versions[-1])
    raise NotHere(
        f"Python {names} is needed; found: {_versions(found)}. Install it (Debian, Ubuntu: {SUDO}apt-get install "
        f"python{newest} python{newest}-venv; elsewhere: pyenv install {newest}) or name one: "
        "make PYTHON=/path/to/python"
    )


def choose_renderer(
    found: Sequence[Python],
    platform: tuple[str, str],
    blender: str | None,
    which: Callable[[str], str | None],
) -> Choice:
    """`bpy` where a Python has it, else a Blender executable driven from any Python.

    Args:
        found: the machine's Pythons, the preferred first.
        platform: (system, machine) as `platform` names them.
        blender: path of a Blender executable, or None.
        which: finds a program on the PATH; it decides which command the refusal names.

    Raises:
        NotHere: there is neither.
    """
    if platform in BPY_PLATFORMS:
        suitable = [python for python in found if python.version in BPY_PYTHONS]
        if suitable:
            return Choice(choose(suitable, BPY_PYTHONS))
    if blender:
        return Choice(choose(found, supported()), blender)
    if platform in BPY_PLATFORMS:
        lack = f"Python {' or '.join(map(numbered, BPY_PYTHONS))} (for Blender's module bpy; found: {_versions(found)})"
    else:
        lack = f"Blender's module bpy (which is not built for {' '.join(platform)})"
    raise NotHere(
        f"rendering needs {lack} or a program `blender`. {remedy(which)}\n"
        "Training needs neither: make train, make test-training and .venv/bin/sequential-patchcore work without"
    )


def remedy(which: Callable[[str], str | None]) -> str:
    """The one command that brings a Blender."""
    commands = {
        "apt-get": f"{SUDO}apt-get install blender python3-numpy",
        "dnf": f"{SUDO}dnf install blender",
        "pacman": f"{SUDO}pacman -S blender",
        "brew": "brew install --cask blender",
        "pyenv": "pyenv install 3.13",
    }
    for program, command in commands.items():
        if which(program):
            return f"The one command: {command}"
    return "Get Blender from blender.org, then: make setup BLENDER=/path/to/blender"


def _versions(found: Sequence[Python]) -> str:
    return ", ".join(map(numbered, sorted({python.version for python in found}))) or "none"
