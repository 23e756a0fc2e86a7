# SPDX-License-Identifier: Apache-2.0
"""Make a virtual environment of the project, by any Python from 3.6 on: `environments.py training|rendering FOLDER`.

Two of them, as in real life: Blender brings its own Python with an older numpy, so the renderer (`bpy`) and the
training package (torch, timm) do not share one. What goes into each stands in pyproject.toml. For the tests over
several Blenders, `blender-4.2`, `blender-5.0` and `blender-5.2` make one with that version's `bpy`.
"""

import glob
import os
import shutil
import subprocess
import sys

REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# Kind of environment -> its dependency group in pyproject.toml, and the Python that `bpy` was built for.
KINDS = {
    "training": ("test", (3, 11)),
    "rendering": ("render", (3, 11)),
    "peers": ("peers", (3, 11)),
    "blender-4.2": ("blender-4-2", (3, 11)),
    "blender-5.0": ("blender-5-0", (3, 11)),
    "blender-5.2": ("blender-5-2", (3, 13)),
}
# What `import bpy` wants of the system, by Debian's and Ubuntu's names.
LIBRARY_PACKAGES = {
    "libX11.so.6": "libx11-6", "libXrender.so.1": "libxrender1", "libXfixes.so.3": "libxfixes3", "libXi.so.6": "libxi6",
    "libxkbcommon.so.0": "libxkbcommon0", "libSM.so.6": "libsm6", "libICE.so.6": "libice6", "libXext.so.6": "libxext6",
    "libGL.so.1": "libgl1", "libXxf86vm.so.1": "libxxf86vm1", "libgomp.so.1": "libgomp1",
}


def main(arguments):
    if len(arguments) != 2 or arguments[0] not in KINDS:
        stop(f"usage: environments.py {'|'.join(KINDS)} FOLDER")
    kind, folder = arguments
    group, version = KINDS[kind]
    python = find_python(version)
    say(f"making {folder} for {kind} with {python}")
    if subprocess.call([python, "-m", "venv", "--clear", folder]) != 0:
        stop("the module venv failed; on Debian or Ubuntu: apt-get install python3.11-venv")
    own = os.path.join(folder, "bin", "python")
    requirements = [*(["--editable", REPOSITORY] if kind == "training" else []), *groups(own, group)]
    if subprocess.call([own, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements]) != 0:
        stop(f"pip could not install what {folder} needs (its messages are above); mend that and run make again")
    if kind not in ("training", "peers"):
        provide_libraries(own)


def find_python(needed):
    """A Python of version `needed`: the environment variable PYTHON, the one on the PATH, pyenv's, or this one."""
    name = ".".join(map(str, needed))
    ours = sorted(glob.glob(os.path.expanduser(f"~/.pyenv/versions/{name}.*/bin/python")))
    candidates = [os.environ.get("PYTHON"), f"python{name}", *ours, sys.executable, "python3"]
    for candidate in candidates:
        path = candidate and shutil.which(candidate)
        if path and version_of(path) == needed:
            return path
    stop(
        f"Python {name} is needed (Blender's module bpy is built for it), but only {sys.version.split()[0]} was found; "
        f"install it (where Debian has it: apt-get install python{name} python{name}-venv; elsewhere: pyenv install "
        f"{name}) or name one: make PYTHON=/path/to/python{name}"
    )


def version_of(python):
    try:
        text = subprocess.check_output([python, "-c", "import sys; print('%d %d' % sys.version_info[:2])"],
                                       stderr=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError):
        return None
    return tuple(int(part) for part in text.split())


def groups(python, name):
    """The requirements of a dependency group in pyproject.toml, read by the new Python (tomllib is new in 3.11)."""
    code = (
        "import sys, tomllib\n"
        "for line in tomllib.load(open(sys.argv[1], 'rb'))['dependency-groups'][sys.argv[2]]: print(line)"
    )
    text = subprocess.check_output([python, "-c", code, os.path.join(REPOSITORY, "pyproject.toml"), name])
    return text.decode().splitlines()


def provide_libraries(python):
    """Import bpy; install each system library that it misses, or say how."""
    for _ in range(len(LIBRARY_PACKAGES) + 1):
        attempt = subprocess.Popen([python, "-c", "import bpy"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        error = attempt.communicate()[1].decode()
        if attempt.returncode == 0:
            return
        missing = [package for library, package in LIBRARY_PACKAGES.items() if library in error]
        if not missing:
            stop("`import bpy` fails:\n" + error)
        packages = sorted(LIBRARY_PACKAGES.values())  # all of them: the loader names only the first
        install(packages)
    stop("`import bpy` still fails after the system libraries were installed")


def install(packages):
    command = ["apt-get", "install", "-y", "--no-install-recommends", *packages]
    by_hand = "sudo " + " ".join(command)
    if not shutil.which("apt-get"):
        stop(f"Blender's module needs system libraries; on Debian or Ubuntu: {by_hand}")
    if os.geteuid() != 0:
        if not shutil.which("sudo") or subprocess.call(["sudo", "-n", "true"], stderr=subprocess.DEVNULL) != 0:
            stop(f"Blender's module needs system libraries; type: {by_hand}\nthen run make again")
        command = ["sudo", "-n", *command]
    say("installing system libraries: " + " ".join(packages))
    update = [*command[: command.index("apt-get") + 1], "update"]
    if subprocess.call(update, stdout=subprocess.DEVNULL) != 0 or subprocess.call(command) != 0:
        stop(f"could not install them; type: {by_hand}\nthen run make again")


def say(text):
    sys.stderr.write(f"setup: {text}\n")


def stop(text):
    sys.stderr.write(f"setup: {text}\n")
    sys.exit(2)


if __name__ == "__main__":
    main(sys.argv[1:])
