# SPDX-License-Identifier: Apache-2.0
"""Verdicts by product and zone: the threshold that decides is the one that the tables name."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from sequential_patchcore.data.product_names import ProductChoice, ProductNames
from sequential_patchcore.metrics.binarize import Rule
from sequential_patchcore.model.file import Model, Product, Threshold, Zones
from sequential_patchcore.prediction.predictor import PredictSettings, predict

LEFT = np.zeros((60, 80), np.uint8)
LEFT[:, :40] = 1
MODEL = Model(
    features=np.zeros((2, 1), np.float32), source=np.zeros(2, np.uint32), position=np.zeros((2, 2), np.uint16),
    sources=(("d", "a"),), extractor={}, settings={}, separation=0.0, covering_radius=0.0, converged=True,
    threshold=Threshold(0.5, "by_hand"),
)
SEVERAL = replace(MODEL, products={
    "dark": Product(Threshold(0.9, "by_hand")),
    "two": Product(Threshold(0.3, "by_hand"), Zones(("left",), LEFT), {"left": Threshold(0.8, "by_hand")}),
})


class Darkness:
    def anomaly_map(self, image: np.ndarray) -> np.ndarray:
        return 1 - image.mean(2)


def grey(path: Path, *boxes: tuple[int, int, int, int, float]) -> Path:
    """White, with boxes (x, y, width, height, darkness)."""
    image = np.full((60, 80), 255, np.uint8)
    for x, y, width, height, dark in boxes:
        image[y : y + height, x : x + width] = round(255 * (1 - dark))
    path.parent.mkdir(exist_ok=True, parents=True)
    cv2.imwrite(str(path), image)
    return path


BY_FOLDER = ProductChoice(by="folder")


def run(paths, out, model=SEVERAL, choice=BY_FOLDER, **settings):
    return predict(Darkness(), model, paths, out, PredictSettings(**settings), product_of=ProductNames(choice).of)


def test_the_product_decides(tmp_path) -> None:
    paths = [grey(tmp_path / folder / "a.png", (10, 10, 5, 5, 0.7)) for folder in ("dark", "two", "strange")]
    dark, two, strange = run(paths, tmp_path / "out")
    assert [found.verdict for found in (dark, two, strange)] == ["normal", "normal", "anomalous"]
    assert (dark.product, dark.threshold, dark.threshold_of) == ("dark", 0.9, "dark")
    assert (two.zone, two.threshold, two.threshold_of) == ("left", 0.8, "two: left")
    assert (strange.product, strange.threshold, strange.threshold_of) == ("strange", 0.5, "model")


def test_the_zone_decides_and_the_tables_say_so(tmp_path) -> None:
    path = grey(tmp_path / "two" / "a.png", (10, 10, 5, 5, 0.7), (60, 10, 4, 4, 0.4), (60, 40, 3, 3, 0.2),
                (20, 40, 4, 2, 0.9))
    (found,) = run([path], tmp_path / "out")
    assert found.boxes == [(60, 10, 4, 4), (20, 40, 4, 2)]
    assert [(one.zone, one.threshold, one.threshold_of) for one in found.regions] == [
        ("", 0.3, "two: no zone"), ("left", 0.8, "two: left")]
    (record,) = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert record["product"] == "two" and record["regions"][1]["zone"] == "left"
    assert record["threshold_of"] == "two: no zone" and record["threshold"] == 0.3, "0.4 exceeds 0.3 more than 0.9 0.8"
    with open(tmp_path / "out" / "regions.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["product"], row["zone"], row["threshold"], row["threshold_of"]) for row in rows] == [
        ("two", "", "0.3", "two: no zone"), ("two", "left", "0.8", "two: left")]
    with open(tmp_path / "out" / "predictions.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["product"], row["threshold_of"]) == ("two", "two: no zone")


def test_a_region_across_zones_is_one_and_named_where_it_exceeds_most(tmp_path) -> None:
    path = grey(tmp_path / "two" / "a.png", (30, 10, 20, 5, 0.85))
    (found,) = run([path], tmp_path / "out")
    assert found.boxes == [(30, 10, 20, 5)] and found.regions[0].threshold_of == "two: no zone"
    (grown,) = run([grey(tmp_path / "two" / "b.png", (30, 10, 20, 5, 0.6))], tmp_path / "out2", rule=Rule(0, 0.5))
    assert grown.boxes == [(30, 10, 20, 5)], "down to half of each zone's own threshold"


def test_a_model_of_one_threshold_writes_what_it_always_wrote(tmp_path) -> None:
    path = grey(tmp_path / "two" / "a.png", (10, 10, 5, 5, 0.7))
    predict(Darkness(), MODEL, [path], tmp_path / "out")
    (record,) = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert not {"product", "zone", "threshold", "threshold_of"} & set(record) | set(record["regions"][0]) & {"zone"}
    assert (tmp_path / "out" / "predictions.csv").read_text().splitlines()[0] == (
        "image,verdict,score,anomalous_pixels,area_mm2,regions,error")
    assert (tmp_path / "out" / "regions.csv").read_text().splitlines()[0].endswith("peak_y")


def test_finished_work_is_that_of_the_same_product_and_thresholds(tmp_path) -> None:
    path = grey(tmp_path / "x" / "a.png", (10, 10, 5, 5, 0.7))
    journal = tmp_path / "out" / "predictions.jsonl"
    for lines, choice, model in (
        (1, ProductChoice(name="dark"), SEVERAL), (1, ProductChoice(by=None, name="dark"), SEVERAL),
        (2, ProductChoice(name="two"), SEVERAL),
        (3, ProductChoice(name="two"), replace(SEVERAL, products={"two": Product(Threshold(0.2, "by_hand"))})),
    ):
        (found,) = run([path], tmp_path / "out", model, choice)
        assert len(journal.read_text().splitlines()) == lines
    (again,) = run([path], tmp_path / "out", SEVERAL, ProductChoice(name="two"))
    assert again.threshold_of == "two: left" and again.regions == () and found.threshold_of == "two"


def test_what_is_amiss_is_said_once(tmp_path, capsys) -> None:
    paths = [grey(tmp_path / "strange" / f"{number}.png") for number in range(3)]
    run(paths, tmp_path / "out")
    assert capsys.readouterr().err.count("the product 'strange', which the model has no threshold for") == 1
    predict(Darkness(), SEVERAL, paths[:1], tmp_path / "out2")
    assert "nothing tells which of them an image shows" in capsys.readouterr().err
    cv2.imwrite(str(tmp_path / "tall.png"), np.zeros((80, 60), np.uint8))
    (found,) = run([tmp_path / "tall.png"], tmp_path / "out3", choice=ProductChoice(name="two"))
    assert found.threshold_of == "model" and "zones were drawn on images of another shape" in capsys.readouterr().err


def test_a_threshold_by_hand_overrules_all(tmp_path) -> None:
    (found,) = run([grey(tmp_path / "dark" / "a.png", (10, 10, 5, 5, 0.2))], tmp_path / "out", threshold=0.1)
    assert found.verdict == "anomalous" and (found.threshold, found.threshold_of) == (0.1, "by hand")


@pytest.mark.parametrize("kind", ["tiff", "png"])
def test_a_saved_map_holds_raw_scores_or_steps_of_each_zones_threshold(tmp_path, kind) -> None:
    path = grey(tmp_path / "two" / "a.png", (10, 10, 5, 5, 0.79), (60, 10, 4, 4, 0.31), (20, 40, 4, 4, 0.81))
    (found,) = run([path], tmp_path / "out", save_map=kind)
    kept = cv2.imread(str(tmp_path / "out" / found.map), cv2.IMREAD_UNCHANGED)
    mask = cv2.imread(str(tmp_path / "out" / found.mask), cv2.IMREAD_UNCHANGED) > 0
    if kind == "tiff":
        image = cv2.imread(str(path)).astype(np.float32) / np.float32(255)
        assert np.allclose(kept, 1 - image.mean(2), atol=1e-6)
    else:
        assert np.array_equal(kept >= 4096, mask)
    assert mask.any() and not mask[12, 12] and mask[12, 61]
