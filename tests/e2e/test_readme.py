# SPDX-License-Identifier: Apache-2.0
"""Every command that the README shows, run as it stands: small photographs made here, the demo in its tiny size."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
SHARED_BY_THE_CLONE = (
    "blender_addon", "shaders", "scenes", "tools", "training", "constraints", "Makefile", "pyproject.toml",
    ".venv", ".venv-blender",
)  # fmt: skip


def readme_commands() -> list[str]:
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    return [line for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) for line in block.splitlines() if line]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository by links, so that `out/` is this test's own; and photographs with labels in PHOTOS."""
    folder = tmp_path_factory.mktemp("readme")
    for name in SHARED_BY_THE_CLONE:
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
                       "imageData": None, "imageHeight": 96, "imageWidth": 128}  # fmt: skip
            (folder / label).write_text(json.dumps(content))
        cv2.imwrite(str(folder / f"{number}.png"), image)
        rows.append(f"{split},{number}.png,{label}")
    shutil.copy(folder / "7.png", folder / "new" / "today.png")
    (folder / "splits.csv").write_text("\n".join(rows) + "\n")


def run(command: str, folder: Path, seconds: int, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        ["bash", "-c", command], cwd=folder, capture_output=True, text=True, timeout=seconds, check=False,
        env=os.environ | environment,
    )


@pytest.mark.slow  # part of `make test`
@pytest.mark.timeout(900)
def test_every_command_of_the_readme_runs(workplace: Path) -> None:
    commands = readme_commands()
    assert commands[:2] == ["make demo", "make test"]
    for command in commands:
        if command == "make test":
            continue  # this is it
        done = run(command, workplace, 600, DEMO_SIZE="tiny")
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    report = (workplace / "out" / "demo" / "report.html").read_text(encoding="utf-8")
    assert all(name in report for name in ("clean", "stains", "stains_finetuned", "melded"))
    verdicts = json.loads((workplace / "out" / "today" / "predictions.json").read_text())
    assert [each["verdict"] for each in verdicts] == ["anomalous"]
    again = run("make demo", workplace, 120, DEMO_SIZE="tiny")
    assert again.returncode == 0
    assert again.stdout.count("kept") + again.stdout.count("already") >= 8, again.stdout
