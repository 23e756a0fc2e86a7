# SPDX-License-Identifier: Apache-2.0
"""An export proves itself, leaves nothing behind when it fails, and is refused when it is not whole."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sequential_patchcore.cli.parser import main
from sequential_patchcore.export.exported_model import ExportedModel
from sequential_patchcore.export.record import RECORD, read_record
from sequential_patchcore.model.file import load_model
from sequential_patchcore.runtime.errors import UserError

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from sequential_patchcore.export import exporter

TRAINING = Path(exporter.__file__).resolve().parents[2]
NOT_THERE = ("torch", "torchvision", "timm", "h5py", "numba", "matplotlib", "jinja2", "markupsafe", "tqdm", "onnx")
BLOCKED = f"""
import sys, time
begin = time.monotonic()
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {NOT_THERE!r}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Blocker())
from sequential_patchcore.cli.parser import main
code = main(sys.argv[1:])
print(time.monotonic() - begin, file=sys.stderr)
sys.exit(code)
"""


@pytest.fixture(scope="module")
def made(plates, tmp_path_factory):
    """A calibrated model of the filter bank, its data set, and its export."""
    folder = tmp_path_factory.mktemp("export")
    plates(folder / "data")
    model, data, out = str(folder / "m.h5"), str(folder / "data"), str(folder / "exported")
    assert main(["train", "--data", data, "--out", model, "--backbone", "filters", "--coreset-size", "40",
                 "--epochs", "1", "--threads", "1"]) == 0
    assert main(["calibrate", "--model", model, "--data", data]) == 0
    assert main(["export", "onnx", "--model", model, "--out", out, "--images", f"{data}/images"]) == 0
    return model, Path(data), Path(out)


@pytest.fixture
def copy(made, tmp_path):
    """A copy of the export, to be damaged."""
    for file in made[2].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def without_torch(*arguments):
    return subprocess.run(
        [sys.executable, "-c", BLOCKED, *map(str, arguments)], capture_output=True, text=True, timeout=120,
        env=os.environ | {"PYTHONPATH": str(TRAINING)},
    )


def test_the_record_says_what_the_model_says(made):
    model, record = load_model(made[0]), read_record(made[2])
    assert record.model == model.fingerprint and record.weights == model.extractor["weights_fingerprint"]
    assert record.threshold == model.threshold.value and record.backbone == "filters" and record.size is None
    assert [info["name"] for info in record.classes] == ["dent", "water_stain"]
    assert len(record.proof["images"]) == 8 and record.proof["largest_relative_difference"] <= 1e-4


def test_predictions_without_torch_are_those_of_the_model(made, tmp_path):
    model, data, out = made
    run = without_torch("predict", "--model", out, "--out", tmp_path / "export", data / "images")
    assert run.returncode == 0, run.stderr
    assert main(["predict", "--model", model, "--out", str(tmp_path / "model"), str(data / "images")]) == 0
    ours, theirs = (json.loads((tmp_path / name / "predictions.json").read_text()) for name in ("export", "model"))
    assert {prediction["verdict"] for prediction in theirs} == {"normal", "anomalous"}
    for one, other in zip(ours, theirs, strict=True):
        assert one["verdict"] == other["verdict"] and one["boxes"] == other["boxes"]
        assert one["score"] == pytest.approx(other["score"], rel=1e-4)
        assert (tmp_path / "export" / one["overlay"]).is_file()
    tables = [(tmp_path / name / "predictions.csv").read_text().splitlines()[0] for name in ("export", "model")]
    assert tables[0] == tables[1]


def test_a_transformer_is_exported_for_one_size(plates, tmp_path, capsys):
    data = plates(tmp_path / "data")
    model, out = str(tmp_path / "m.h5"), tmp_path / "exported"
    given = ["--backbone", "vit_tiny_patch16_224", "--layers", "blocks.2", "--weights", "none"]
    assert main(["train", "--data", str(data.path), "--out", model, *given, "--coreset-size", "20", "--epochs", "1",
                 "--threads", "1"]) == 0
    assert main(["calibrate", "--model", model, "--data", str(data.path), "--weights", "none"]) == 0
    capsys.readouterr()
    export = ["export", "onnx", "--model", model, "--out", str(out), "--weights", "none"]
    assert main(export) == 2
    assert "for images of one size alone" in capsys.readouterr().err and not out.exists()
    height, width = data.image_size(data.split("test")[0])
    assert main([*export, "--size", f"{width}x{height}", "--images", str(data.path / "images")]) == 0
    assert read_record(out).size == (height, width)
    assert main(["predict", "--model", str(out), "--out", str(tmp_path / "export"), str(data.path / "images")]) == 0
    assert main(["predict", "--model", model, "--out", str(tmp_path / "model"), str(data.path / "images")]) == 0
    ours, theirs = (json.loads((tmp_path / name / "predictions.json").read_text()) for name in ("export", "model"))
    assert [one["verdict"] for one in ours] == [one["verdict"] for one in theirs]
    assert [one["score"] for one in ours] == pytest.approx([one["score"] for one in theirs], rel=1e-4)


def test_what_needs_the_model_itself_is_refused(made, tmp_path, capsys):
    given = ["predict", "--model", str(made[2]), "--out", str(tmp_path / "out"), str(made[1] / "images")]
    for more in (["--explain"], ["--precision", "bfloat16"], ["--engine", "torch"], ["--device", "cuda"]):
        assert main([*given, *more]) == 2
        assert f"{more[0]} needs a model file" in capsys.readouterr().err


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def other_value(path):
    path.write_text(path.read_text().replace('"blur_sigma": 2.0', '"blur_sigma": 3.0'))


def sealed_nonsense(path):
    from sequential_patchcore.export import record

    content = json.loads(path.read_text()) | {"threshold": "high"}
    path.write_text(json.dumps(record._sealed({key: value for key, value in content.items()
                                               if key not in ("format", "format_version")})))


@pytest.mark.parametrize(("file", "damage", "words"), [
    ("anomaly_map.onnx", cut, "is damaged, or belongs to another export"),
    ("anomaly_map.onnx", Path.unlink, "is missing"),
    (RECORD, cut, "cannot be read as JSON"),
    (RECORD, Path.unlink, "holds no export.json"),
    (RECORD, other_value, "was changed or damaged"),
    (RECORD, sealed_nonsense, "was changed or damaged"),
    (RECORD, lambda path: path.write_text("[]"), "is not the record of an export"),
    (RECORD, lambda path: path.write_text(path.read_text().replace('"format_version": 1', '"format_version": 9')),
     "format version 9"),
])
def test_an_export_that_is_not_whole_is_refused_in_one_line(copy, made, file, damage, words, capsys):
    damage(copy / file)
    assert main(["predict", "--model", str(copy), "--out", str(copy / "out"), str(made[1] / "images")]) == 2
    told = capsys.readouterr().err.strip()
    assert words in told and "\n" not in told


def test_a_record_of_another_export_is_refused(copy, made, tmp_path_factory):
    other = tmp_path_factory.mktemp("other") / "export"
    exporter.export_model(scorer_of(made), other, size=(96, 128))
    (copy / RECORD).write_bytes((other / RECORD).read_bytes())
    with pytest.raises(UserError, match="belongs to another export"):
        ExportedModel(copy)
    with pytest.raises(UserError, match="takes images of 128 x 96 pixels alone"):
        ExportedModel(other).anomaly_map(np.zeros((96, 127, 3), np.float32))


def scorer_of(made):
    from sequential_patchcore.scoring.scorer import Scorer

    return Scorer(load_model(made[0]), engine="torch")


def test_a_graph_that_disagrees_is_not_exported_and_nothing_is_left(made, tmp_path, monkeypatch):
    right = exporter.anomaly_graph
    monkeypatch.setattr(exporter, "anomaly_graph", lambda extractor, vectors, *rest: right(
        extractor, vectors * np.float32(1.001), *rest))
    with pytest.raises(UserError, match=r"failed its proof on .*differs from the model's by"):
        exporter.export_model(scorer_of(made), tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_another_verdict_fails_the_proof(made, tmp_path, monkeypatch):
    scorer = scorer_of(made)
    picture = np.random.default_rng(0).random((60, 60, 3), np.float32)
    monkeypatch.setattr(exporter, "_pictures", lambda *_: [("a picture", picture)])
    highest = scorer.anomaly_map(picture).max()
    scorer.threshold = load_model(made[0]).threshold.__class__(float(highest), "by_hand")
    run = exporter.runner
    monkeypatch.setattr(exporter, "runner", lambda *given: lambda image: run(*given)(image) * np.float32(1 - 1e-5))
    with pytest.raises(UserError, match="its verdict differs"):
        exporter.export_model(scorer, tmp_path / "out")


def test_a_folder_of_something_else_is_never_replaced(made, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match="is no export"):
        exporter.export_model(scorer_of(made), tmp_path)
    assert (tmp_path / "thesis.txt").is_file()


def test_images_that_would_not_fit_are_told_before_they_are_decoded(made, tmp_path, capsys):
    assert main(["predict", "--model", str(made[2]), "--out", str(tmp_path / "out"), "--memory-budget", "100MB",
                 str(made[1] / "images")]) == 2
    assert "would not fit into the memory budget" in capsys.readouterr().err


def test_openvino_agrees_too(made, tmp_path):
    pytest.importorskip("openvino")
    exporter.export_model(scorer_of(made), tmp_path / "out", "openvino")
    picture = np.random.default_rng(3).random((70, 90, 3), np.float32)
    expected = scorer_of(made).anomaly_map(picture)
    found = ExportedModel(tmp_path / "out").anomaly_map(picture)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * expected.max())
