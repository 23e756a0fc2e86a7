# SPDX-License-Identifier: Apache-2.0
"""The inspection twin in thumbnails: rendered with drawn labels, checked, and imported again as a person's labels."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "tools"))

import renderer  # noqa: E402

PATCHCORE = [str(Path(sys.executable).with_name("sequential-patchcore"))]


def run(*command: object) -> str:
    done = subprocess.run(
        [str(part) for part in command], cwd=REPOSITORY, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def render_command() -> list[str]:
    try:
        return renderer.command(REPOSITORY)
    except renderer.NoRenderer as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("twin") / "twin"
    run(*render_command(), "--recipe", "scenes/recipes/inspection_twin_small.toml", "--out", folder,
        "--scale", 6, "--samples", 1, "--start", 8, "--count", 12, "--human-labels")
    return folder


def records(folder: Path) -> dict[str, dict]:
    lines = (folder / "samples.jsonl").read_text().splitlines()
    return {record["id"]: record for record in map(json.loads, lines)}


def read(folder: Path, kind: str, name: str) -> np.ndarray:
    return cv2.imread(str(folder / kind / f"{name}.png"), cv2.IMREAD_UNCHANGED)


def test_the_twin_follows_the_format_and_holds_clean_and_defective_plates(twin: Path) -> None:
    assert "no problems" in run(*PATCHCORE, "info", twin, "--check")
    found = records(twin)
    classes = {entry["class"] for record in found.values() for entry in record["instances"]}
    assert {"bump", "dent", "scratch"} <= classes and classes & {"fingerprint", "sticker", "water_stain"}
    assert {record["split"] for record in found.values()} >= {"train", "test"}
    for record in found.values():
        assert record["split"] != "train" or record["instances"] == []


def test_drawn_labels_come_back_as_a_data_set_that_is_some_pixels_off(twin: Path, tmp_path: Path) -> None:
    run(*PATCHCORE, "import", "labelme", twin / "labelme", "--like", twin, "--out", tmp_path / "drawn")
    assert "no problems" in run(*PATCHCORE, "info", tmp_path / "drawn", "--check")
    exact, drawn = records(twin), records(tmp_path / "drawn")
    assert {name: record["split"] for name, record in exact.items()} == {
        name: record["split"] for name, record in drawn.items()
    }
    larger, compared = [], 0
    for name, record in exact.items():
        seen = {entry["class"] for entry in record["instances"] if entry["pixels"] >= 40}
        assert seen <= {entry["class"] for entry in drawn[name]["instances"]}
        np.testing.assert_array_equal(read(twin, "images", name), read(tmp_path / "drawn", "images", name))
        one, other = (read(folder, "instances", name) > 0 for folder in (twin, tmp_path / "drawn"))
        if seen:
            compared += 1
            larger.append(other.sum() / one.sum())
            assert (one & other).sum() > 0.6 * one.sum()
    assert compared >= 3 and np.mean(larger) > 1.05, "a person draws generously"
