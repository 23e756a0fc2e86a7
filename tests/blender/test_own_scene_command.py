# SPDX-License-Identifier: GPL-3.0-or-later
"""A person's own scene by the command line: as a person runs it, interrupted, in shards, with a recipe, refused."""

import hashlib
import importlib.util
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).parents[2]
RENDER = ROOT / "blender_addon" / "render.py"
pytestmark = pytest.mark.skipif(importlib.util.find_spec("bpy") is None, reason="needs the bpy module")


def render(*arguments, command=(sys.executable, str(RENDER))):
    return subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True, timeout=200)


def pixels(folder):
    """Checksum of every picture, by name."""
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
            for file in folder.glob("*/*.png")}


@pytest.fixture(scope="module")
def blend(tmp_path_factory) -> pathlib.Path:
    file = tmp_path_factory.mktemp("scene") / "two parts.blend"
    maker = pathlib.Path(__file__).with_name("own_scenes.py")
    subprocess.run([sys.executable, str(maker), "two_parts", str(file)], check=True, capture_output=True, timeout=100)
    return file


@pytest.fixture(scope="module")
def whole(blend, tmp_path_factory):
    """Samples 0 to 3, rendered in one run."""
    folder = tmp_path_factory.mktemp("whole") / "set"
    before = blend.read_bytes()
    result = render("--scene", blend, "--count", 4, "--out", folder)
    assert result.returncode == 0, result.stderr
    assert blend.read_bytes() == before
    return folder


def test_the_folder_is_a_data_set_of_coloured_pictures_with_regions(whole):
    description = json.loads((whole / "dataset.json").read_text())
    assert description["name"] == "two_parts" and description["rendered"] is False
    assert description["pixel_size_um"] is None and len(description["recipe"]["scene"]["content"]) == 64
    records = [json.loads(line) for line in (whole / "samples.jsonl").read_text().splitlines()]
    assert [record["id"] for record in records] == [f"two_parts_{k:04d}" for k in range(4)]
    assert len({record["parameters"]["stain"]["seed"] for record in records}) == 4
    for record in records:
        assert {entry["object"] for entry in record["instances"]} == {"Shaft", "Head"}
        for kind, folder in (("image", "images"), ("mask", "masks"), ("instances", "instances"), ("region", "regions")):
            data = (whole / folder / f"{record['id']}.png").read_bytes()
            assert record["sha256"][kind] == hashlib.sha256(data).hexdigest()
    assert (whole / "images" / "two_parts_0000.png").read_bytes()[25] == 2, "colour type RGB"


@pytest.mark.parametrize("number", [pytest.param(signal.SIGINT, marks=pytest.mark.long), signal.SIGKILL])
def test_an_interrupted_job_goes_on_to_the_same_pixels(number, blend, whole, tmp_path):
    folder = tmp_path / "set"
    command = [sys.executable, str(RENDER), "--scene", str(blend), "--count", "4", "--out", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 100
    while not (folder / "samples.jsonl").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, number)
    process.wait(timeout=60)
    assert len((folder / "samples.jsonl").read_text().splitlines()) < 4, "stopped in the middle"
    result = render("--scene", blend, "--count", 4, "--out", folder)
    assert result.returncode == 0, result.stderr
    assert pixels(folder) == pixels(whole)


@pytest.mark.long
def test_shards_are_the_same_pixels_and_a_finished_job_is_left_alone(blend, whole, tmp_path):
    for part in ("1/2", "2/2"):
        assert render("--scene", blend, "--count", 4, "--shard", part, "--out", tmp_path / "s").returncode == 0
    assert pixels(tmp_path / "s") == pixels(whole)
    assert "4 samples, 0 rendered now" in render("--scene", blend, "--count", 4, "--out", tmp_path / "s").stdout


def test_a_recipe_names_the_file_and_what_varies(blend, tmp_path):
    shutil.copyfile(blend, tmp_path / "part.blend")
    (tmp_path / "part.toml").write_text(
        'count = 4\n[scene]\nfile = "part.blend"\nobjects = ["Shaft"]\n[pose]\nturntable_steps = 2\n'
        "[view]\nelevation_deg = [30.0, 60.0]\ndistance_mm = 250.0\n[stain]\nshare = 0.3\nradius_mm = [2.0, 3.0]\n"
        "[render]\nstain_distance = true\nhuman_labels = true\nbits = 16\nscale_percent = 50.0\n", encoding="utf-8")
    dry = render("--recipe", tmp_path / "part.toml", "--out", tmp_path / "set", "--dry-run")
    assert "4 samples of 48 x 36 px, 2 light paths" in dry.stdout and not (tmp_path / "set").exists(), dry.stderr
    result = render("--recipe", tmp_path / "part.toml", "--out", tmp_path / "set")
    assert result.returncode == 0, result.stderr
    records = [json.loads(line) for line in (tmp_path / "set" / "samples.jsonl").read_text().splitlines()]
    assert [record["parameters"]["pose"]["turntable_deg"] for record in records] == [0.0, 180.0] * 2
    stained = [bool(record["parameters"]["stains"]) for record in records]
    assert sorted(stained) == [False, False, True, True]
    for record in records:
        assert {entry["object"] for entry in record["instances"]} <= {"Shaft"}
        assert bool(record["instances"]) == bool(record["parameters"]["stains"])
    assert (tmp_path / "set" / "stain_distance").is_dir() and (tmp_path / "set" / "labelme").is_dir()


BAD = {
    "no such file": (("--scene", "none.blend"), "no such file"),
    "nothing is open": (("--scene",), "no file is open"),
    "neither": ((), "give --recipe, or --scene"),
}


@pytest.mark.parametrize("case", BAD)
def test_wrong_usage_is_one_line_and_exit_code_2(case, tmp_path):
    arguments, words = BAD[case]
    result = render(*arguments, "--out", tmp_path / "x")
    assert result.returncode == 2, result.stderr
    assert words in result.stderr and "Traceback" not in result.stderr
    assert not (tmp_path / "x").exists()


def test_a_file_that_is_no_blend_is_refused(tmp_path):
    (tmp_path / "a.blend").write_text("not one")
    result = render("--scene", tmp_path / "a.blend", "--out", tmp_path / "x")
    assert result.returncode == 2 and "cannot open it" in result.stderr


def test_samples_of_a_scene_before_a_change_are_refused(blend, whole, tmp_path):
    changed = tmp_path / "two parts.blend"
    code = ("import bpy, sys; bpy.ops.wm.open_mainfile(filepath=sys.argv[1]); "
            "bpy.data.objects['Shaft'].location.z += 0.001; bpy.ops.wm.save_as_mainfile(filepath=sys.argv[2])")
    subprocess.run([sys.executable, "-c", code, str(blend), str(changed)], check=True, capture_output=True, timeout=60)
    result = render("--scene", changed, "--count", 4, "--out", whole)
    assert result.returncode == 2 and "samples of another recipe (scene.content differ)" in result.stderr
