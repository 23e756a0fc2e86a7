# SPDX-License-Identifier: Apache-2.0
"""What the commands that score hold on to: scores that are no numbers, and what makes finished work finished."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from sequential_patchcore.cli import parser as cli
from sequential_patchcore.extractors.base import ExtractorSettings
from sequential_patchcore.extractors.builder import extractor_of
from sequential_patchcore.model.file import load_model, save_model

WEIGHTS = ("--weights", "none")


@pytest.fixture(scope="module")
def made(plates, tmp_path_factory) -> Path:
    """A data set "d" and a calibrated model "m.h5" of a network with random weights, in which precision matters."""
    root = tmp_path_factory.mktemp("scores")
    plates(root / "d", train=1, val=1, test=1)
    training = ("train", "--data", str(root / "d"), "--out", str(root / "m.h5"), "--backbone", "mobilenetv3_small_050",
                *WEIGHTS, "--coreset-size", "16", "--epochs", "1", "--device", "cpu")
    assert cli.main(training) == 0
    assert cli.main(["calibrate", "--model", str(root / "m.h5"), "--data", str(root / "d")]) == 0
    return root


EVALUATE = ("evaluate", "--model", "m.h5", "--data", "d", "--out", "results")
CALIBRATE = ("calibrate", "--model", "m.h5", "--data", "d")
PREDICT = ("predict", "--model", "m.h5", "d/images/test0.png", "--out", "today")


@pytest.fixture
def without_numbers(place, monkeypatch):
    """The network gives NaN, as one does that overflows in half precision."""
    extractor = extractor_of(ExtractorSettings("mobilenetv3_small_050"), "none")
    call = type(extractor).__call__
    monkeypatch.setattr(type(extractor), "__call__", lambda self, images: call(self, images) * float("nan"))
    return place


@pytest.mark.parametrize("command", [EVALUATE, (*CALIBRATE, "--overwrite"), PREDICT], ids=lambda c: c[0])
def test_scores_that_are_no_numbers_end_in_one_line(without_numbers, capsys, command):
    before = sorted(Path().rglob("*"))
    assert cli.main(command) == 2
    captured = capsys.readouterr()
    (line,) = [line for line in captured.err.splitlines() if line.startswith("sequential-patchcore: ")]
    assert "192 of 192 patches have a distance that is no finite number" in line and "Traceback" not in captured.err
    assert sorted(path for path in Path().rglob("*") if path.name != "results") == before


def numbers_of_results() -> dict:
    return json.loads(Path("results/metrics.json").read_text())["models"]["m"]["threshold_sweep"]


def test_another_precision_is_another_evaluation(place, capsys):
    assert cli.main(EVALUATE) == 0
    full = numbers_of_results()
    capsys.readouterr()
    assert cli.main((*EVALUATE, "--precision", "bfloat16")) == 0
    assert "already evaluated" not in capsys.readouterr().err
    half = numbers_of_results()
    assert half != full
    assert cli.main((*EVALUATE, "--precision", "bfloat16")) == 0
    assert "already evaluated" in capsys.readouterr().err and numbers_of_results() == half
    assert cli.main((*EVALUATE, "--precision", "float32")) == 0
    assert numbers_of_results() == full
    assert cli.main(EVALUATE) == 0  # float32 is the model's own
    assert "already evaluated" in capsys.readouterr().err


def test_another_precision_is_another_calibration(place, capsys):
    full = load_model("m.h5").threshold
    assert cli.main(CALIBRATE) == 0
    assert "kept" in capsys.readouterr().out
    assert cli.main((*CALIBRATE, "--precision", "bfloat16")) == 0
    assert "kept" not in capsys.readouterr().out
    half = load_model("m.h5").threshold
    assert half.value != full.value and half.calibrated_on["conditions"] == {"precision": "bfloat16"}
    assert cli.main((*CALIBRATE, "--precision", "bfloat16")) == 0
    assert "kept" in capsys.readouterr().out
    assert cli.main(CALIBRATE) == 0
    assert "kept" not in capsys.readouterr().out and load_model("m.h5").threshold == full


def test_another_precision_is_another_prediction(place, capsys):
    def score(*options: str) -> float:
        assert cli.main((*PREDICT, "--json", *options)) == 0
        return json.loads(capsys.readouterr().out.splitlines()[-1])["score"]

    full = score()
    assert score("--precision", "bfloat16") != full
    assert score() == score("--precision", "float32") == full


def test_another_blur_is_another_evaluation_and_another_prediction(place, capsys):
    """Two models of one file name and equal vectors, whose maps are blurred differently."""
    assert cli.main(EVALUATE) == cli.main(PREDICT) == 0
    sharp, model = numbers_of_results(), load_model("m.h5")
    journal = Path("today/predictions.jsonl").read_text().splitlines()
    save_model(replace(model, settings=model.settings | {"blur_sigma": 6.0}), "m.h5")
    capsys.readouterr()
    assert cli.main(EVALUATE) == cli.main(PREDICT) == 0
    assert "already evaluated" not in capsys.readouterr().err and numbers_of_results() != sharp
    assert len(Path("today/predictions.jsonl").read_text().splitlines()) == len(journal) + 1


@pytest.mark.parametrize("command", [(*CALIBRATE, "--overwrite"), ("calibrate", "--model", "m.h5", "--threshold", "1")])
@pytest.mark.parametrize("spoil", ["file", "folder"])
def test_a_model_that_cannot_be_written_is_refused_before_it_scores(place, capsys, monkeypatch, command, spoil):
    if spoil == "file":
        Path("m.h5").chmod(0o444)
    else:  # who runs the tests may be allowed everything
        real = os.access
        monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != Path.cwd() and real(path, mode))
    before = Path("m.h5").read_bytes()
    capsys.readouterr()
    assert cli.main(command) == 2
    said = capsys.readouterr().err
    assert "cannot write m.h5" in said and "read-only" in said and "scoring" not in said
    assert Path("m.h5").read_bytes() == before


def test_the_result_table_says_what_its_areas_are_of(place, capsys):
    assert cli.main(EVALUATE) == 0
    head = capsys.readouterr().out.splitlines()[0].split("  ")
    assert {"pixel AUROC", "pixel AP", "image AUROC"} <= {column.strip() for column in head}
