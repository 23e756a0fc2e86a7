# SPDX-License-Identifier: Apache-2.0
"""The options: help without the libraries that take seconds to load."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sequential_patchcore import runtime

HEAVY = {"torch", "torchvision", "timm", "numba", "numpy", "cv2", "h5py", "PIL", "matplotlib", "jinja2", "ray"}


def loaded_by(code: str) -> set[str]:
    """Which of the heavy libraries a fresh process has loaded after the code."""
    told = f"{code}\nimport sys; print('loaded:', *({HEAVY!r} & sys.modules.keys()))"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", told], env=environment, capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split()[1:])


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["--version"], ["fly"], ["train"]])
def test_help_and_wrong_usage_load_nothing_heavy(arguments):
    code = (
        "from sequential_patchcore.cli.parser import main\n"
        f"try: main({arguments!r})\n"
        "except SystemExit: pass"
    )
    assert loaded_by(code) == set()


def test_the_heavy_ones_are_known_by_these_names():
    """Else the test above could not fail."""
    assert loaded_by("import sequential_patchcore; sequential_patchcore.train") >= {"torch", "numpy", "cv2", "h5py"}


def test_what_every_job_needs_loads_no_torch():
    modules = [file.stem for file in Path(runtime.__file__).parent.glob("*.py")]
    assert "memory" in modules
    assert loaded_by("\n".join(f"import sequential_patchcore.runtime.{name}" for name in modules)) == set()


def test_reading_a_model_loads_no_torch():
    assert loaded_by("import sequential_patchcore; sequential_patchcore.load_model") == {"numpy", "h5py"}
