# SPDX-License-Identifier: GPL-3.0-or-later
"""The add-on as a person gets it: the zip is built, validated, installed, used and taken off, in each Blender here."""

import hashlib
import importlib.util
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile

import pytest

ROOT = pathlib.Path(__file__).parents[2]
SESSION = pathlib.Path(__file__).with_name("addon_session.py")
CHECKS = [
    f"{file.stem}.{name}"
    for file in sorted(SESSION.with_name("addon_checks").glob("*.py"))
    for name in re.findall(r"^def (check_\w+)", file.read_text(encoding="utf-8"), flags=re.M)
]
needs_bpy = pytest.mark.skipif(importlib.util.find_spec("bpy") is None, reason="needs the bpy module")


def build(out) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "tools" / "build_addon.py"), "--out", str(out)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.fixture(scope="module")
def addon_zip(tmp_path_factory) -> pathlib.Path:
    out = tmp_path_factory.mktemp("zip")
    result = build(out)
    assert result.returncode == 0, result.stderr
    (target,) = out.iterdir()
    return target


def blender_command(kind: str) -> list[str]:
    if kind == "bpy module":
        if importlib.util.find_spec("bpy") is None:
            pytest.skip("needs the bpy module")
        return [sys.executable, str(SESSION)]
    blender = os.environ.get("BLENDER") or shutil.which("blender")
    if not blender:
        pytest.skip("no Blender executable: none in BLENDER, none on PATH")
    return [blender, "-b", "--factory-startup", "--python-exit-code", "1", "-P", str(SESSION), "--"]


@pytest.fixture(scope="module", params=["bpy module", "Blender executable"])
def session(request, addon_zip, tmp_path_factory) -> dict[str, str]:
    """Check -> what went wrong (nothing if all is well), from one run with a user folder of its own."""
    command = blender_command(request.param)
    user = tmp_path_factory.mktemp("user")
    folders = {f"BLENDER_USER_{name}": str(user / name.lower()) for name in ("CONFIG", "SCRIPTS", "EXTENSIONS")}
    # A Python environment on PATH would lend the executable its own Python's library.
    path = os.pathsep.join([str(pathlib.Path(command[0]).parent), "/usr/bin", "/bin"])
    environment = {**os.environ, **folders, "BLENDER_USER_RESOURCES": str(user), "HOME": str(user), "PATH": path}
    result = subprocess.run([*command, str(addon_zip), str(user)], capture_output=True, text=True, timeout=540,
                            env=environment)
    lines = [json.loads(line[6:]) for line in result.stdout.splitlines() if line.startswith("ADDON ")]
    assert len(lines) == len(CHECKS), f"exit code {result.returncode}:\n{result.stdout}\n{result.stderr}"
    return {line["check"]: line["problem"] for line in lines}


@pytest.mark.parametrize("check", CHECKS)
def test_installed_from_the_zip(session, check):
    assert session[check] == "", session[check]


def test_the_zip_has_the_same_bytes_each_time(addon_zip, tmp_path):
    assert build(tmp_path).returncode == 0
    digests = {hashlib.sha256(file.read_bytes()).hexdigest() for file in (addon_zip, tmp_path / addon_zip.name)}
    assert len(digests) == 1


@needs_bpy
def test_blenders_own_tool_finds_the_zip_valid(addon_zip, tmp_path):
    assert "validated by blender_ext.py" in build(tmp_path).stderr


def test_the_zip_holds_shaders_scenes_and_licence_and_nothing_built(addon_zip):
    names = zipfile.ZipFile(addon_zip).namelist()
    wanted = ("shaders/water_stain.osl", "scenes/inspection.toml", "scenes/stains/dried_rim.toml", "LICENSE",
              "render.py")
    assert {f"surface_impurities/{name}" for name in wanted} <= set(names)
    assert not [name for name in names if "__pycache__" in name or name.endswith((".pyc", ".oso"))]


def test_a_validator_that_is_not_there_is_wrong_usage(tmp_path):
    command = [sys.executable, str(ROOT / "tools" / "build_addon.py"), "--out", str(tmp_path), "--validator", "no.py"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 2 and "no.py: no such file" in result.stderr


def test_manifest_and_bl_info_say_the_same():
    import blender_addon

    about = tomllib.loads((ROOT / "blender_addon" / "blender_manifest.toml").read_text(encoding="utf-8"))
    info = blender_addon.bl_info
    assert (about["name"], about["tagline"], about["maintainer"]) == (info["name"], info["description"], info["author"])
    assert about["version"] == ".".join(map(str, info["version"]))
    from blender_addon.render.job import GENERATOR

    assert (about["id"], about["version"]) == (GENERATOR["name"], GENERATOR["version"])


def test_core_is_importable_without_blender():
    code = "import sys; sys.modules['bpy'] = None; import blender_addon.core.stain.field; print('fine')"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert result.stdout == "fine\n", result.stderr
