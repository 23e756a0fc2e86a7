# SPDX-License-Identifier: Apache-2.0
"""Thresholds by product and zone on the command line: learnt, shown, used, dropped; evaluation knows one."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from sequential_patchcore.cli import parser as cli
from sequential_patchcore.model.file import load_model


@pytest.fixture(scope="module")
def made(plates, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("products")
    plates(root / "d", train=10, val=2, test=1)
    training = ("train", "--data", str(root / "d"), "--out", str(root / "m.h5"), "--backbone", "filters",
                "--coreset-size", "32", "--epochs", "1", "--device", "cpu", "--image-scale", "0.25")
    assert cli.main(training) == 0
    zones = np.zeros((96, 128), np.uint8)
    zones[:, :64] = 7
    cv2.imwrite(str(root / "zones.png"), zones)
    for folder in ("even", "odd"):
        (root / folder).mkdir()
    for number in range(4):
        shutil.copy(root / "d" / "images" / f"train{number}.png", root / ("even", "odd")[number % 2])
    rows = [f"train{number}.png,{('even', 'odd')[number % 2]},cam" for number in range(10)]
    (root / "t.csv").write_text("\n".join(["image,part,camera", *rows]) + "\n")
    return root


@pytest.fixture
def place(made, tmp_path, monkeypatch) -> Path:
    for one in made.iterdir():
        if one.is_file() and one.suffix != ".lock":
            shutil.copy(one, tmp_path)
        elif one.is_dir():
            (tmp_path / one.name).symlink_to(one)
    monkeypatch.chdir(tmp_path)
    return tmp_path


ASK = ("calibrate", "--model", "m.h5", "--data", "d", "--split", "train", "--promise", "0.2")


def refused(capsys, *arguments: str) -> str:
    assert cli.main(arguments) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("sequential-patchcore: ")]
    return line


def test_products_of_a_table_and_zones_are_learnt_shown_and_used(place, capsys) -> None:
    assert cli.main((*ASK, "--products", "t.csv", "--product-column", "part,camera", "--zones", "odd/cam=zones.png",
                     "--zone-names", "7=left")) == 0
    out = capsys.readouterr().out
    assert "even/cam: threshold" in out and "odd/cam: left: threshold" in out and "odd/cam: in no zone: thr" in out
    model = load_model("m.h5")
    assert list(model.products) == ["even/cam", "odd/cam"]
    assert all(one.threshold.method == "promise" and one.threshold.calibrated_on["code"]
               for one in model.products.values())
    assert cli.main(("info", "m.h5", "--check")) == 0 and cli.main(("info", "m.h5")) == 0
    assert "odd/cam: left: threshold" in capsys.readouterr().out
    assert cli.main(("info", "m.h5", "--json")) == 0
    records = json.loads(capsys.readouterr().out)["products"]
    assert [(one["product"], one["zone"]) for one in records] == [
        ("even/cam", ""), ("odd/cam", ""), ("odd/cam", "left")]
    rules = ("--product-rule", "*/even/*=even/cam", "--product-rule", "*/odd/*=odd/cam")
    assert cli.main(("predict", "--model", "m.h5", "even", "odd", "--out", "today", *rules, "--json")) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {(one["product"], one["threshold_of"].split(":")[0]) for one in found} == {
        ("even/cam", "even/cam"), ("odd/cam", "odd/cam")}
    thresholds = {one["product"]: one["threshold"] for one in found}
    assert thresholds["even/cam"] == model.products["even/cam"].threshold.value


def test_products_one_after_the_other_keep_the_one_threshold(place, capsys) -> None:
    assert cli.main(ASK) == 0
    before = load_model("m.h5").threshold
    for name, rate in (("a", "0.1"), ("b", "0.3")):
        assert cli.main((*ASK[:-1], rate, "--product", name)) == 0
    model = load_model("m.h5")
    assert model.threshold == before and model.products["a"].threshold.value > model.products["b"].threshold.value
    kept = model.products["a"].threshold.calibrated_on["promises"]["wish"]
    assert kept["false_alarms"] == 0.1, "each has a promise of its own"
    assert cli.main(("predict", "--model", "m.h5", "even", "--out", "today", "--product", "b")) == 0
    assert cli.main(("calibrate", "--model", "m.h5", "--one-threshold")) == 0
    assert load_model("m.h5").products == {} and load_model("m.h5").threshold == before


def test_a_product_with_too_few_plates_is_told_what_is_missing(place, capsys) -> None:
    rules = ("--product-rule", "train[01].png=few", "--product-rule", "*=many")
    assert cli.main((*ASK, *rules)) == 0
    captured = capsys.readouterr()
    assert "few: no threshold of its own, the model's one decides: 2 plate(s) are missing" in captured.err
    assert "few: the model's one threshold decides" in captured.out


def test_what_cannot_be_is_one_line(place, capsys) -> None:
    line = refused(capsys, "predict", "--model", "m.h5", "even", "--out", "o", "--threshold", "1", "--product", "a")
    assert "knows no products" in line
    assert "nothing tells the product of 8 of the 10" in refused(capsys, *ASK, "--product-rule", "train[01].png=few")
    assert "names the product 'x'" in refused(capsys, *ASK, "--product", "a", "--zones", "x=zones.png")
    assert "names the value 3" in refused(capsys, *ASK, "--zones", "zones.png", "--zone-names", "3=a")
    chart = ("--lost-defects", "0.2", "--chart", "c.png", "--product", "a")
    assert "--chart draws the promises of one threshold" in refused(capsys, *ASK, *chart)
    assert "t.csv" in refused(capsys, *ASK, "--products", "t.csv")


@pytest.mark.long
def test_an_evaluation_is_at_the_one_threshold_and_says_so(place, capsys) -> None:
    assert cli.main((*ASK, "--product", "a")) == 0
    assert cli.main(("evaluate", "--model", "m.h5", "--data", "d", "--out", "results", "--split", "val")) == 0
    assert "it is evaluated at its one threshold" in capsys.readouterr().err
