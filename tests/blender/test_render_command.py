# SPDX-License-Identifier: GPL-3.0-or-later
"""The headless entry as a person runs it: both routes, exit codes, messages, interruption, shards."""

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
RECIPE = str(ROOT / "scenes" / "recipes" / "inspection_demo.toml")
SMALL = ("--recipe", RECIPE, "--scale", "3", "--samples", "1", "--device", "CPU")
needs_bpy = pytest.mark.skipif(importlib.util.find_spec("bpy") is None, reason="needs the bpy module")


def render(*arguments, command=(sys.executable, str(RENDER)), **options):
    return subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True, timeout=120, **options)


def pixels(folder):
    """Checksum of every picture, by name."""
    files = folder.glob("*/*.png")
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Samples 0 to 3, rendered in one run."""
    folder = tmp_path_factory.mktemp("whole") / "set"
    result = render(*SMALL, "--count", 4, "--out", folder)
    assert result.returncode == 0, result.stderr
    return folder


BAD = {
    "no recipe": (("--out", "x"), "--recipe"),
    "no out": (("--recipe", RECIPE), "--out"),
    "missing recipe": (("--recipe", "no.toml", "--out", "x"), "no.toml: no such recipe"),
    "unknown option": ((*SMALL, "--out", "x", "--fast"), "--fast"),
    "count 0": ((*SMALL, "--out", "x", "--count", "0"), "at least 1"),
    "start beyond": ((*SMALL, "--out", "x", "--start", "20"), "the recipe has 20 samples"),
    "shard 3/2": ((*SMALL, "--out", "x", "--shard", "3/2"), "expected I/N"),
    "scale 0": (("--recipe", RECIPE, "--out", "x", "--scale", "0"), "--scale = 0.0: expected a number from 1 to 100"),
    "samples 0": (("--recipe", RECIPE, "--out", "x", "--samples", "0"), "--samples = 0"),
    "backend": ((*SMALL, "--out", "x", "--stain-backend", "magic"), "expected one of nodes, osl"),
    "device": ((*SMALL, "--out", "x", "--device", "ABACUS"), "expected auto or one of CPU"),
    "overwrite a shard": ((*SMALL, "--out", "x", "--shard", "1/2", "--overwrite"), "--overwrite with --shard"),
    "foreign folder": ((*SMALL, "--out", str(ROOT)), "expected an empty folder or a data set"),
    "overwrite others": ((*SMALL, "--out", str(ROOT), "--overwrite"), "expected an empty folder or a data set"),
}


@pytest.mark.parametrize("case", BAD)
def test_wrong_usage_is_one_line_and_exit_code_2(case, tmp_path):
    arguments, words = BAD[case]
    result = render(*arguments, cwd=tmp_path)
    assert result.returncode == 2
    assert words in result.stderr and result.stderr.count("\n") == 1 and "Traceback" not in result.stderr
    assert not list(tmp_path.iterdir()), "nothing was written"


@needs_bpy
def test_a_device_that_is_not_there_is_named_and_nothing_is_removed(whole):
    result = render(*SMALL[:-2], "--device", "METAL", "--count", 4, "--out", whole, "--overwrite")
    assert result.returncode == 2 and "--device METAL: the device is not on this machine" in result.stderr
    assert len(pixels(whole)) == 12


def test_help_teaches():
    result = render("--help")
    assert result.returncode == 0
    assert "examples:" in result.stdout and "exit codes:" in result.stdout


def test_dry_run_writes_nothing(tmp_path):
    result = render("--recipe", RECIPE, "--out", tmp_path / "x", "--dry-run")
    assert result.returncode == 0
    assert "20 samples of 2448 x 2050 px" in result.stdout and "MB of disk" in result.stdout
    assert not (tmp_path / "x").exists()


@needs_bpy
def test_the_folder_is_as_the_contract_says(whole):
    description = json.loads((whole / "dataset.json").read_text())
    keys = {"format_version", "name", "generator", "recipe", "master_seed", "classes", "pixel_size_um"}
    assert keys <= set(description) and description["rendered"] is True
    assert description["classes"][5] == {"id": 6, "name": "water_stain", "kind": "impurity"}
    records = [json.loads(line) for line in (whole / "samples.jsonl").read_text().splitlines()]
    assert [record["id"] for record in records] == [f"inspection_demo_{k:04d}" for k in range(4)]
    for record in records:
        assert {"id", "split", "seed", "group", "instances", "parameters", "sha256"} <= set(record)
        for kind, folder in (("image", "images"), ("mask", "masks"), ("instances", "instances")):
            data = (whole / folder / f"{record['id']}.png").read_bytes()
            assert record["sha256"][kind] == hashlib.sha256(data).hexdigest()


@needs_bpy
def test_a_finished_job_does_not_even_load_blender(whole):
    without = (
        "import sys, runpy; sys.modules['bpy'] = None; sys.argv = sys.argv[1:]; "
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    result = render(RENDER, *SMALL, "--count", 4, "--out", whole, command=(sys.executable, "-c", without))
    assert result.returncode == 0, result.stderr
    assert "4 samples, 0 rendered now" in result.stdout


@needs_bpy
def test_another_recipe_in_the_same_folder_is_refused(whole):
    result = render(*SMALL, "--seed", 9, "--out", whole)
    assert result.returncode == 2 and "samples of another recipe (seed differ)" in result.stderr


@needs_bpy
def test_a_sample_is_the_same_alone_in_a_shard_and_in_the_full_run(whole, tmp_path):
    alone, shards = tmp_path / "alone", tmp_path / "shards"
    assert render(*SMALL, "--start", 2, "--count", 1, "--out", alone).returncode == 0
    for part in ("1/2", "2/2"):
        assert render(*SMALL, "--count", 4, "--shard", part, "--out", shards).returncode == 0
    assert (shards / "samples.1-of-2.jsonl").exists() and (shards / "samples.2-of-2.jsonl").exists()
    assert pixels(shards) == pixels(whole)
    assert pixels(alone).items() <= pixels(whole).items() and len(pixels(alone)) == 3
    again = render(*SMALL, "--count", 4, "--out", shards)
    assert "4 samples, 0 rendered now" in again.stdout, "shards count as one data set"


@needs_bpy
def test_threads_change_no_pixel(whole, tmp_path):
    result = render(*SMALL, "--count", 2, "--threads", 1, "--out", tmp_path / "one")
    assert result.returncode == 0 and "1 processor threads" not in result.stderr
    two = {name: value for name, value in pixels(whole).items() if name.endswith(("0000.png", "0001.png"))}
    assert pixels(tmp_path / "one") == two and len(two) == 6


@needs_bpy
def test_two_processes_at_once_make_one_data_set(whole, tmp_path):
    command = [sys.executable, str(RENDER), *SMALL, "--count", "4", "--threads", "1", "--out", str(tmp_path / "set")]
    both = [subprocess.Popen([*command, "--shard", f"{part}/2"], stderr=subprocess.DEVNULL) for part in (1, 2)]
    assert [process.wait(timeout=120) for process in both] == [0, 0]
    assert pixels(tmp_path / "set") == pixels(whole)


@needs_bpy
def test_the_grid_writes_regions_and_checks_them(tmp_path):
    recipe = str(ROOT / "scenes" / "recipes" / "acquisition.toml")
    arguments = ("--recipe", recipe, "--scale", 2, "--samples", 1, "--count", 5, "--out", tmp_path / "set")
    assert render(*arguments).returncode == 0
    records = [json.loads(line) for line in (tmp_path / "set" / "samples.jsonl").read_text().splitlines()]
    assert {record["group"] for record in records} == {"synth-2025-plate0000"}
    # 4 places at the edge, and the fifth over the middle of the plate, which fills its picture
    assert ["region" in record["sha256"] for record in records] == [True] * 4 + [False]
    assert [record["parameters"]["acquisition"]["row"] for record in records] == [0, 0, 0, 1, 1]
    (tmp_path / "set" / "regions" / "acquisition_0002.png").write_bytes(b"half")
    assert "5 samples, 1 rendered now" in render(*arguments).stdout


@needs_bpy
def test_no_room_for_temporary_files_is_said(tmp_path):
    without = (
        "import collections, shutil, sys, runpy; sys.argv = sys.argv[1:]; "
        "shutil.disk_usage = lambda path: collections.namedtuple('usage', 'total used free')(9, 9, 0); "
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    arguments = (RENDER, *SMALL, "--count", 1, "--out", tmp_path / "x")
    result = render(*arguments, command=(sys.executable, "-c", without))
    assert result.returncode == 2 and "MB of room for temporary files" in result.stderr, result.stderr
    assert "Traceback" not in result.stderr


@needs_bpy
def test_missing_and_damaged_samples_are_rendered_again(whole, tmp_path):
    folder = tmp_path / "set"
    shutil.copytree(whole, folder)
    (folder / "masks" / "inspection_demo_0001.png").unlink()
    (folder / "images" / "inspection_demo_0003.png").write_bytes(b"half a picture")
    result = render(*SMALL, "--count", 4, "--out", folder, "--json-progress")
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert [event["id"] for event in events if event["event"] == "finished"] == [
        "inspection_demo_0001",
        "inspection_demo_0003",
    ]
    assert events[-1] == {"event": "end", "done": 4, "total": 4, "new": 2, "folder": str(folder)}
    assert pixels(folder) == pixels(whole)


@needs_bpy
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_job_goes_on(number, tmp_path):
    folder = tmp_path / "set"
    arguments = ["--recipe", RECIPE, "--scale", "12", "--samples", "4", "--count", "2", "--out", str(folder)]
    process = subprocess.Popen([sys.executable, RENDER, *arguments], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (folder / "samples.jsonl").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(number)
    said = process.communicate(timeout=30)[1]
    assert process.returncode == (-9 if number == signal.SIGKILL else 130)
    assert ("the same command goes on" in said) == (number != signal.SIGKILL)
    assert "Traceback" not in said
    kept = (folder / "images" / "inspection_demo_0000.png").stat().st_mtime_ns
    result = render(*arguments)
    assert result.returncode == 0 and "2 samples, 1 rendered now" in result.stdout
    assert (folder / "images" / "inspection_demo_0000.png").stat().st_mtime_ns == kept


@needs_bpy
def test_the_blender_executable_makes_the_same_masks(whole, tmp_path):
    blender = os.environ.get("BLENDER") or shutil.which("blender")
    if not blender:
        pytest.skip("no Blender executable: none in BLENDER, none on PATH")
    # A Python environment on PATH would lend Blender its own Python's library.
    system = {**os.environ, "PATH": os.pathsep.join([str(pathlib.Path(blender).parent), "/usr/bin", "/bin"])}
    command = (blender, "-b", "-P", str(RENDER), "--")
    result = render(*SMALL, "--count", 2, "--out", tmp_path / "set", command=command, env=system)
    assert result.returncode == 0, result.stderr
    labels = {name: value for name, value in pixels(whole).items() if not name.startswith("images")}
    expected = {name: value for name, value in labels.items() if name.endswith(("0000.png", "0001.png"))}
    assert len(expected) == 4 and expected.items() <= pixels(tmp_path / "set").items()
    wrong = render("--recipe", "no.toml", "--out", tmp_path / "x", command=command, env=system)
    assert wrong.returncode == 2 and "no.toml: no such recipe" in wrong.stderr


def test_a_numpy_that_does_not_fit_is_one_line(tmp_path):
    broken = tmp_path / "path" / "numpy" / "__init__.py"
    broken.parent.mkdir(parents=True)
    broken.write_text("raise ImportError('built for another Python')")
    result = render(
        *SMALL, "--out", tmp_path / "out", env=os.environ | {"PYTHONPATH": str(broken.parents[1])}, cwd=tmp_path
    )
    assert result.returncode == 2 and "Traceback" not in result.stderr and result.stderr.count("\n") == 1
    assert str(broken) in result.stderr and "PYTHONPATH" in result.stderr


OCIO = """ocio_profile_version: 1
search_path: ""
strictparsing: false
roles: {reference: lin, scene_linear: lin, rendering: lin, default: lin, default_byte: lin, default_float: lin,
  data: numbers, color_picking: lin}
displays:
  monitor:
    - !<View> {name: Film, colorspace: lin}
active_displays: [monitor]
active_views: [Film]
colorspaces:
  - !<ColorSpace> {name: lin, bitdepth: 32f, isdata: false}
  - !<ColorSpace> {name: numbers, bitdepth: 32f, isdata: true}
"""


def test_a_colour_configuration_of_a_studio_changes_no_pixel(whole, tmp_path):
    """It names its spaces and views as it likes; ours are numbers, whatever they are called."""
    (tmp_path / "config.ocio").write_text(OCIO)
    result = render(
        *SMALL, "--count", 2, "--out", tmp_path / "set",
        env=os.environ | {"OCIO": str(tmp_path / "config.ocio")},
    )
    assert result.returncode == 0, result.stderr
    found = pixels(tmp_path / "set")
    assert len(found) == 6 and found.items() <= pixels(whole).items()


@needs_bpy
def test_with_a_studio_s_colours_the_progress_is_still_json_alone(tmp_path):
    """Blender 5.2 says on standard output which configuration it takes."""
    (tmp_path / "config.ocio").write_text(OCIO)
    environment = os.environ | {"OCIO": str(tmp_path / "config.ocio")}
    result = render(*SMALL, "--count", 1, "--out", tmp_path / "set", "--json-progress", env=environment)
    assert result.returncode == 0, result.stderr
    events = [json.loads(line)["event"] for line in result.stdout.splitlines()]
    assert events[0] == "start" and events[-1] == "end"
