# SPDX-License-Identifier: Apache-2.0
"""`calibrate --promise` and `--lost-defects` by the command line: stored, shown, recognised, or refused in one line."""

import json
from pathlib import Path

import pytest
from sequential_patchcore.cli import parser as cli
from sequential_patchcore.data.png import read_header
from sequential_patchcore.model.file import load_model


@pytest.fixture(scope="module")
def made(plates, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("promise")
    plates(root / "d", train=10, val=4, test=1)
    training = ("train", "--data", str(root / "d"), "--out", str(root / "m.h5"), "--backbone", "filters",
                "--coreset-size", "32", "--epochs", "1", "--device", "cpu", "--image-scale", "0.25")
    assert cli.main(training) == 0
    return root


ASK = ("calibrate", "--model", "m.h5", "--data", "d")


def refused(capsys, *arguments: str) -> str:
    assert cli.main(arguments) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("sequential-patchcore: ")]
    return line


def test_a_promise_is_stored_shown_and_recognised(place, capsys):
    assert cli.main((*ASK, "--split", "train", "--promise", "0.1")) == 0
    captured = capsys.readouterr()
    assert "at most 0.1 of new plates without a defect alarm, on the average (10 plates, left out one by one)" in (
        captured.err)
    threshold = load_model("m.h5").threshold
    assert threshold.method == "promise"
    assert cli.main(("info", "m.h5")) == 0
    assert "promise: at most 0.1 of new plates" in capsys.readouterr().out
    assert cli.main(("info", "m.h5", "--json")) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["promise"].startswith("at most 0.1") and facts["threshold_method"] == "promise"
    assert cli.main(("info", "m.h5", "--check")) == 0
    capsys.readouterr()
    assert cli.main((*ASK, "--split", "train", "--promise", "0.1")) == 0
    assert "kept" in capsys.readouterr().out
    assert cli.main((*ASK, "--split", "train", "--promise", "0.1", "--per", "image")) == 0
    assert "kept" not in capsys.readouterr().out
    assert cli.main(("predict", "--model", "m.h5", "d/images/train0.png", "--out", "today")) == 0
    assert cli.main((*ASK, "--overwrite")) == 0
    assert load_model("m.h5").threshold.method == "max_f1"


def test_too_few_plates_are_told_with_the_number_that_it_takes(place, capsys):
    before = Path("m.h5").read_bytes()
    line = refused(capsys, *ASK, "--split", "train", "--promise", "0.01")
    assert "takes at least 99 plates without a defect" in line and "10 that it was trained on" in line
    assert "promise less as --promise: with 10 the least that can be promised is 0.091" in line
    line = refused(capsys, *ASK, "--lost-defects", "0.1")
    assert "takes at least 9 plates with a defect; the split 'val' has 4 that" in line
    assert "as --lost-defects" in line and Path("m.h5").read_bytes() == before


def test_both_promises_with_a_chart(place, plates, capsys):
    plates(Path("v"), seed=9, train=10, val=10, test=1)
    for file in (Path("v/samples.jsonl"),):
        file.write_text(file.read_text().replace('"split":"train"', '"split":"val"').replace(
            '"split": "train"', '"split": "val"'))
    asked = ("calibrate", "--model", "m.h5", "--data", "v", "--promise", "0.2", "--lost-defects", "0.2")
    code = cli.main((*asked, "--chart", "c.png"))
    said = capsys.readouterr().err
    assert code == 0 and "10 plates, held out" in said and "defects missed" in said
    assert read_header(Path("c.png")).width > 500
    assert cli.main((*asked, "--chart", "c.svg")) == 0 and Path("c.svg").read_text().startswith("<?xml")


@pytest.mark.parametrize(("further", "words"), [
    (("--promise", "0.1", "--false-positive-rate", "0.1"), "two ways to a threshold"),
    (("--promise", "0.1", "--chart", "c.png"), "give --promise and --lost-defects too"),
    (("--promise", "0.1", "--per", "pixel"), "plate, image, region"),
    (("--false-positive-rate", "0.1", "--per", "region"), "pixel, image, plate"),
    (("--promise", "0.1", "--split", "test"), "use --split val"),
])
def test_what_does_not_go_together_is_refused(place, capsys, further, words):
    assert words in refused(capsys, *ASK, *further)
