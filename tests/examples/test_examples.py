# SPDX-License-Identifier: Apache-2.0
"""The scripts in examples/ run, and show what they say. The one for anomalib runs where anomalib is installed."""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import sequential_patchcore

REPOSITORY = Path(__file__).resolve().parents[2]
EXAMPLES = REPOSITORY / "examples"
PEERS = Path(os.environ.get("PEERS_PYTHON", REPOSITORY / ".venv-peers" / "bin" / "python"))


def run(script: str, *options: str, python: str | Path = sys.executable) -> str:
    package = str(Path(sequential_patchcore.__file__).parents[1])
    done = subprocess.run(
        [str(python), "-W", "ignore", str(EXAMPLES / script), *options], capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": package, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.parametrize("script", sorted(EXAMPLES.glob("*.py")), ids=lambda script: script.name)
def test_examples_use_public_names_alone(script):
    tree = ast.parse(script.read_text(encoding="utf-8"))
    plain = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    taken = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    modules = plain | {node.module for node in taken}
    assert {module for module in modules if module.startswith("sequential_patchcore")} <= {"sequential_patchcore"}
    names = {alias.name for node in taken if node.module == "sequential_patchcore" for alias in node.names}
    assert names <= set(sequential_patchcore.__all__)


def test_a_coreset_of_ones_own_features():
    told = run("own_features.py", "--vectors", "3000")
    replaced = [int(count) for count in re.findall(r"line 1, epoch \d: (\d+) vectors replaced", told)]
    assert len(replaced) > 1 and replaced == sorted(replaced, reverse=True)
    first, second = json.loads(re.search(r"melded: 384 vectors, (\[.*?\])", told)[1])
    assert first + second == 384 and min(first, second) > 100
    distances = re.findall(r"(\w+): distance to the nearest vector ([0-9.]+)", told)
    middle = {name: float(value) for name, value in distances}
    assert middle["strange"] > 1.5 * middle["normal"]


def test_a_model_from_folders(tmp_path):
    told = run("train_from_folders.py", "--out", str(tmp_path), "--coreset-size", "256")
    assert re.search(r"256 vectors, within [0-9.]+ times", told)
    assert float(re.search(r"pixel AUROC ([0-9.]+)", told)[1]) > 0.9
    assert (tmp_path / "results" / "report.html").exists() and (tmp_path / "model.h5").exists()
    again = run("train_from_folders.py", str(tmp_path / "data"), "--out", str(tmp_path / "again"),
                "--coreset-size", "256")
    assert again.splitlines()[0] in told and again.splitlines()[-1] in told


def reason_against_anomalib() -> str:
    if not PEERS.exists():
        return "there is no .venv-peers (make .venv-peers/.done); PEERS_PYTHON names another Python with anomalib"
    done = subprocess.run([str(PEERS), "-W", "ignore", "-c", "import anomalib.models, numba"], capture_output=True,
                          text=True)
    return f"{PEERS}: {done.stderr.strip().splitlines()[-1]}" if done.returncode else ""


@pytest.mark.slow
def test_anomalibs_patchcore_in_constant_memory():
    if reason := reason_against_anomalib():
        pytest.skip(reason)
    common = ("--images", "6", "--test-images", "6", "--coreset-size", "128")
    ours, plain = (
        json.loads(run("anomalib_patchcore.py", *common, *further, python=PEERS).splitlines()[-1])
        for further in (("--epochs", "3"), ("--plain",))
    )
    assert ours["vectors"] == plain["vectors"] == 128
    assert abs(ours["pixel_AUROC"] - plain["pixel_AUROC"]) < 0.02
    assert ours["pixel_AUROC"] > 0.95
