# SPDX-License-Identifier: Apache-2.0
"""The system libraries that `import bpy` wants: found missing by importing it, installed where that is allowed."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from .choice import NotHere

# By Debian's and Ubuntu's names.
PACKAGES = {
    "libX11.so.6": "libx11-6", "libXrender.so.1": "libxrender1", "libXfixes.so.3": "libxfixes3", "libXi.so.6": "libxi6",
    "libxkbcommon.so.0": "libxkbcommon0", "libSM.so.6": "libsm6", "libICE.so.6": "libice6", "libXext.so.6": "libxext6",
    "libGL.so.1": "libgl1", "libXxf86vm.so.1": "libxxf86vm1", "libgomp.so.1": "libgomp1",
}


def provide(python: Path, say: Callable[[str], None]) -> None:
    """Import bpy; install the system libraries that it misses.

    Raises:
        NotHere: they cannot be installed from here, or the import fails for another reason.
    """
    for _ in range(len(PACKAGES) + 1):
        attempt = subprocess.run([python, "-c", "import bpy"], capture_output=True, text=True, check=False)
        if attempt.returncode == 0:
            return
        if not any(library in attempt.stderr for library in PACKAGES):
            raise NotHere("`import bpy` fails:\n" + attempt.stderr)
        _install(sorted(PACKAGES.values()), say)  # all of them: the loader names only the first
    raise NotHere("`import bpy` still fails after the system libraries were installed:\n" + attempt.stderr)


def _install(packages: list[str], say: Callable[[str], None]) -> None:
    command = ["apt-get", "install", "-y", "--no-install-recommends", *packages]
    by_hand = "sudo " + " ".join(command)
    if not shutil.which("apt-get"):
        raise NotHere(f"Blender's module needs system libraries; on Debian or Ubuntu: {by_hand}")
    prefix = []
    if os.geteuid() != 0:
        if not shutil.which("sudo") or subprocess.call(["sudo", "-n", "true"], stderr=subprocess.DEVNULL) != 0:
            raise NotHere(f"Blender's module needs system libraries; type: {by_hand}\nthen run make again")
        prefix = ["sudo", "-n"]
    say("installing system libraries: " + " ".join(packages))
    updated = subprocess.call([*prefix, "apt-get", "update"], stdout=subprocess.DEVNULL) == 0
    if not updated or subprocess.call([*prefix, *command]) != 0:
        raise NotHere(f"could not install them; type: {by_hand}\nthen run make again")
