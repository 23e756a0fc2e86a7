# SPDX-License-Identifier: GPL-3.0-or-later
"""The node group and the OSL shader agree with NumPy, in whatever Blender is at hand.

PARITY_PIXELS sets the points per side (default 201; 1001 gives a million), BLENDER a Blender executable to try.
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("parity.py")
PIXELS = os.environ.get("PARITY_PIXELS", "201")
BACKENDS = ("nodes", "osl")


def run_parity(*command: str) -> list[dict]:
    """Run the script in a process of its own: a Blender that fails at exit must not take the tests along.

    The environment is the one that Python began with: the bpy module, which other tests import, puts its own colour
    configuration (OCIO) into the process's, and another release cannot read it.
    """
    done = subprocess.run(command, capture_output=True, text=True, timeout=540, check=False, env=dict(os.environ))
    lines = done.stdout.splitlines()
    results = [json.loads(line.removeprefix("PARITY ")) for line in lines if line.startswith("PARITY ")]
    assert results, f"no results; exit code {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    assert done.returncode == (0 if all(result["ok"] for result in results) else 1)
    return results


def assert_agreement(results: list[dict]) -> None:
    for result in results:
        assert result["ok"], result
    assert {result["case"] for result in results} >= {"one centre", "27 cells, flat, -p"}


@pytest.fixture(scope="module")
def bpy_results():
    if importlib.util.find_spec("bpy") is None:
        pytest.skip("the bpy module is not installed here")
    return run_parity(sys.executable, str(SCRIPT), "--pixels", PIXELS)


@pytest.mark.parametrize("backend", BACKENDS)
def test_bpy_module_agrees_with_numpy(bpy_results, backend):
    assert_agreement([result for result in bpy_results if result["backend"] == backend])


def test_blender_executable_agrees_with_numpy():
    blender = os.environ.get("BLENDER") or shutil.which("blender")
    if not blender:
        pytest.skip("no Blender executable here")
    assert_agreement(run_parity(blender, "-b", "--python-exit-code", "3", "-P", str(SCRIPT), "--", "--pixels", PIXELS))
