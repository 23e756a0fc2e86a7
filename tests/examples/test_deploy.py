# SPDX-License-Identifier: Apache-2.0
"""The examples that run an export without this package: verdicts and boxes are those of `predict`."""

import json
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest
from sequential_patchcore.cli.parser import main
from sequential_patchcore.data.writer import DatasetWriter

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture(scope="module")
def line(tmp_path_factory):
    """An export, pictures for it, and what `predict` says of them."""
    folder, rng = tmp_path_factory.mktemp("line"), np.random.default_rng(0)
    nothing = np.zeros((80, 100), np.uint8)
    with DatasetWriter(folder / "data", "data", "test", ()) as writer:
        for number in range(3):
            plate = rng.normal(140, 6, nothing.shape).clip(0, 255).astype(np.uint8)
            writer.add(f"n{number}", plate, nothing, nothing.astype(np.uint16), {}, "train", f"n{number}")
    (folder / "pictures").mkdir()
    for number, spots in enumerate([(), ((30, 40),), ((20, 25), (60, 70))]):
        plate = rng.normal(140, 6, nothing.shape).clip(0, 255).astype(np.uint8)
        for centre in spots:
            cv2.circle(plate, centre[::-1], 7, 40, -1)
        cv2.imwrite(str(folder / "pictures" / f"{number}.png"), plate)
    model, export = str(folder / "m.h5"), folder / "export"
    assert main(["train", "--data", str(folder / "data"), "--out", model, "--backbone", "filters", "--epochs", "1",
                 "--coreset-size", "60", "--threads", "1"]) == 0
    assert main(["calibrate", "--model", model, "--threshold", "6"]) == 0
    assert main(["export", "onnx", "--model", model, "--out", str(export), "--min-region", "20"]) == 0
    assert main(["predict", "--model", str(export), "--out", str(folder / "out"), str(folder / "pictures")]) == 0
    predictions = json.loads((folder / "out" / "predictions.json").read_text())
    assert [len(prediction["regions"]) for prediction in predictions] == [0, 1, 2], predictions
    return export, predictions


def assert_same(text, predictions):
    """The example's lines are those of the predictions."""
    lines = iter(text.splitlines())
    for prediction in predictions:
        head, score = next(lines).rsplit(", score ", 1)
        assert head == f"{prediction['image']}: {prediction['verdict']}"
        assert float(score) == pytest.approx(prediction["score"], rel=1e-4)
        for region in prediction["regions"]:
            x, y, width, height = region["box"]
            assert next(lines) == f"  x {x} y {y} width {width} height {height}: {region['pixels']} pixels"
    assert not list(lines)


def test_the_python_example_says_what_predict_says(line):
    export, predictions = line
    pictures = [prediction["image"] for prediction in predictions]
    run = subprocess.run([sys.executable, EXAMPLES / "deploy_minimal.py", export, *pictures], capture_output=True,
                         text=True, timeout=100)
    assert run.returncode == 0, run.stderr
    assert_same(run.stdout, predictions)


def test_the_python_example_refuses_a_damaged_export(line, tmp_path):
    shutil.copytree(line[0], tmp_path / "export")
    with open(tmp_path / "export" / "anomaly_map.onnx", "ab") as graph:
        graph.write(b"more")
    run = subprocess.run([sys.executable, EXAMPLES / "deploy_minimal.py", tmp_path / "export", "x.png"],
                         capture_output=True, text=True, timeout=100)
    assert run.returncode != 0 and "is damaged" in run.stderr


def openvino_for_cmake() -> Path | None:
    """Where the wheel openvino says how to be linked: in this environment, or in that of the peers."""
    if (found := find_spec("openvino")) is not None and found.origin is not None:
        return Path(found.origin).parent / "cmake"
    return next(EXAMPLES.parent.glob(".venv-peers/lib/python*/site-packages/openvino/cmake"), None)


def test_the_cpp_example_is_built_and_says_what_predict_says(line, tmp_path):
    engine = openvino_for_cmake()
    if shutil.which("cmake") is None or engine is None:
        pytest.skip("needs CMake, a compiler and the wheel openvino (pip install openvino, or make .venv-peers/.done)")
    configured = subprocess.run(
        ["cmake", "-S", EXAMPLES / "deploy_cpp", "-B", tmp_path, f"-DOpenVINO_DIR={engine}"], capture_output=True,
        text=True, timeout=100,
    )
    if configured.returncode and "OpenCV" in configured.stderr:
        pytest.skip("needs the headers of OpenCV, Debian's libopencv-dev")
    assert configured.returncode == 0, configured.stderr
    built = subprocess.run(["cmake", "--build", tmp_path], capture_output=True, text=True, timeout=300)
    assert built.returncode == 0, built.stdout + built.stderr
    export, predictions = line
    pictures = [prediction["image"] for prediction in predictions]
    run = subprocess.run([tmp_path / "verdict", export, *pictures], capture_output=True, text=True, timeout=100)
    assert run.returncode == 0, run.stderr
    assert_same(run.stdout, predictions)
