# SPDX-License-Identifier: Apache-2.0
"""Every command that the README shows, run as it stands: small photographs made here, the demo in its tiny size."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import cv2
import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "tools"))

import renderer  # noqa: E402

SHARED_BY_THE_CLONE = (
    "blender_addon", "shaders", "scenes", "tools", "training", "constraints", "Makefile", "pyproject.toml", "setup.py",
    "MANIFEST.in", "README.md", "LICENSE", ".venv", ".venv-blender",
)


def blocks(language: str) -> list[str]:
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def readme_commands() -> list[str]:
    return [line for block in blocks("sh") for line in block.splitlines() if line]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository by links, so that `out/` is this test's own; and photographs with labels in PHOTOS."""
    folder = tmp_path_factory.mktemp("readme")
    for name in SHARED_BY_THE_CLONE:
        if (REPOSITORY / name).exists():  # .venv-blender is not where nothing renders
            (folder / name).symlink_to(REPOSITORY / name)
    _make_photographs(folder / "PHOTOS")
    return folder


def _make_photographs(folder: Path) -> None:
    rng = np.random.default_rng(0)
    (folder / "new").mkdir(parents=True)
    rows = ["split,image,label"]
    for number in range(8):
        split = "train" if number < 4 else "val" if number < 6 else "test"
        image = np.clip(150 + 12 * rng.standard_normal((96, 128)), 0, 255).astype(np.uint8)
        label = ""
        if split != "train":
            x, y = int(rng.integers(30, 90)), int(rng.integers(30, 60))
            cv2.circle(image, (x, y), 8, 20, -1)
            label = f"{number}.json"
            shape = {"label": "pit", "shape_type": "circle", "points": [[x, y], [x + 8, y]], "group_id": None}
            content = {"version": "4.5.6", "flags": {}, "shapes": [shape], "imagePath": f"{number}.png",
                       "imageData": None, "imageHeight": 96, "imageWidth": 128}
            (folder / label).write_text(json.dumps(content))
        cv2.imwrite(str(folder / f"{number}.png"), image)
        rows.append(f"{split},{number}.png,{label}")
    shutil.copy(folder / "7.png", folder / "new" / "today.png")
    (folder / "splits.csv").write_text("\n".join(rows) + "\n")


def run(command: str, folder: Path, seconds: int, **environment: str) -> subprocess.CompletedProcess:
    """A command as a reader types it: what `make test` was given (ARGS) is not meant for it."""
    own = {name: value for name, value in os.environ.items() if name not in ("ARGS", "MAKEFLAGS", "MAKEOVERRIDES")}
    return subprocess.run(
        ["bash", "-c", command], cwd=folder, capture_output=True, text=True, timeout=seconds, check=False,
        env=own | environment,
    )


@pytest.fixture(scope="module")
def empty_environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables under which `pip` belongs to an environment with nothing in it, and installs nothing else besides."""
    folder = tmp_path_factory.mktemp("empty") / "venv"
    run(f'"{sys.executable}" -m venv --without-pip "{folder}"', folder.parent, 120)
    pip = folder / "bin" / "pip"
    # What the package asks for is not fetched again, and what builds it is lent by the environment of the tests.
    frugal = "--no-deps --no-index --no-build-isolation"
    pip.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m pip --python "{folder}/bin/python" "$@" {frugal}\n')
    (library,) = folder.glob("lib/python*/site-packages")
    for part in Path(sysconfig.get_path("purelib")).glob("*"):
        if part.name.startswith(("setuptools", "_distutils_hack")):
            (library / part.name).symlink_to(part)
    pip.chmod(0o755)
    return {"PATH": os.pathsep.join([str(pip.parent), os.environ["PATH"]])}


def renders() -> bool:
    try:
        return bool(renderer.command(REPOSITORY))
    except renderer.NoRenderer:
        return False


@pytest.mark.slow  # part of `make test`
@pytest.mark.timeout(900)
def test_every_command_of_the_readme_runs(workplace: Path, empty_environment: dict[str, str]) -> None:
    commands = readme_commands()
    assert commands[:2] == ["make demo", "make test"]
    left_out = ["make test"]  # this is it
    if not renders():
        left_out += [command for command in commands if command.startswith(("make demo", "make render"))]
    for command in commands:
        if command in left_out:
            continue
        more = empty_environment if command.startswith("pip ") else {}
        done = run(command, workplace, 600, DEMO_SIZE="tiny", **more)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    for code in blocks("python"):
        done = run(f'"{sys.executable}" - <<"END"\n{code}END', workplace, 300)
        assert done.returncode == 0, f"{code}\n{done.stdout}\n{done.stderr}"
    assert (Path(empty_environment["PATH"].split(os.pathsep)[0]) / "sequential-patchcore").exists()
    verdicts = json.loads((workplace / "out" / "today" / "predictions.json").read_text())
    assert [each["verdict"] for each in verdicts] == ["anomalous"]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_demo_ends_with_its_report_and_keeps_what_is_done(workplace: Path) -> None:
    if not renders():
        pytest.skip("nothing here renders: `make setup` mends that or says how")
    first = run("make demo", workplace, 900, DEMO_SIZE="tiny")
    assert first.returncode == 0, first.stderr
    report = (workplace / "out" / "demo" / "report.html").read_text(encoding="utf-8")
    assert all(name in report for name in ("clean", "stains", "stains_finetuned", "melded"))
    again = run("make demo", workplace, 120, DEMO_SIZE="tiny")
    assert again.returncode == 0
    assert again.stdout.count("kept") + again.stdout.count("already") >= 8, again.stdout
