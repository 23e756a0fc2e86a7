# SPDX-License-Identifier: Apache-2.0
"""Prediction on pictures made by code: verdicts, boxes and files that say what was drawn."""

import csv
import json
import os
from dataclasses import replace

import cv2
import numpy as np
import pytest
from sequential_patchcore.errors import UserError
from sequential_patchcore.model_file import Model, Threshold
from sequential_patchcore.predict import find_images, predict

MODEL = Model(
    features=np.zeros((2, 1), np.float32), source=np.zeros(2, np.uint32), position=np.zeros((2, 2), np.uint16),
    sources=(("d", "a"),), extractor={}, settings={}, separation=0.0, covering_radius=0.0, converged=True,
    threshold=Threshold(0.5, "by_hand"),
)  # fmt: skip


class Darkness:
    def anomaly_map(self, image: np.ndarray) -> np.ndarray:
        return 1 - image.mean(2)


def picture(path, *boxes) -> str:
    """White, with black boxes (x, y, width, height)."""
    image = np.full((60, 80), 255, np.uint8)
    for x, y, width, height in boxes:
        image[y : y + height, x : x + width] = 0
    path.parent.mkdir(exist_ok=True)
    cv2.imwrite(str(path), image)
    return str(path)


def run(paths, out):
    return predict(Darkness(), MODEL, find_images(paths), out)


def test_boxes_are_those_drawn_largest_first(tmp_path):
    boxes = [(5, 6, 3, 4), (30, 20, 20, 10), (70, 50, 10, 10)]
    found, clean = run([picture(tmp_path / "a.png", *boxes), picture(tmp_path / "b.png")], tmp_path / "out")
    assert found.verdict == "anomalous" and found.score == 1.0 and found.anomalous_pixels == 12 + 200 + 100
    assert found.boxes == [boxes[1], boxes[2], boxes[0]]
    assert (clean.verdict, clean.score, clean.anomalous_pixels, clean.boxes) == ("normal", 0.0, 0, [])


def test_a_pixel_at_the_threshold_is_anomalous(tmp_path):
    image = np.full((8, 8), 255, np.uint8)
    image[3, 4] = 51
    cv2.imwrite(str(tmp_path / "a.png"), image)
    score = float(Darkness().anomaly_map(np.full((1, 1, 3), np.float32(51) / np.float32(255)))[0, 0])
    for value, verdict in ((score, "anomalous"), (np.nextafter(np.float32(score), np.float32(2)), "normal")):
        model = replace(MODEL, threshold=Threshold(float(value), "by_hand"))
        (found,) = predict(Darkness(), model, [tmp_path / "a.png"], tmp_path / "out")
        assert found.verdict == verdict


def test_the_tables_and_overlays_say_the_same(tmp_path):
    paths = [picture(tmp_path / "a.png", (5, 6, 3, 4)), picture(tmp_path / "b, c.png")]
    predictions = run(paths, tmp_path / "out")
    records = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert [record["image"] for record in records] == paths and records[0]["boxes"] == [[5, 6, 3, 4]]
    with open(tmp_path / "out" / "predictions.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["image"], row["verdict"], int(row["regions"])) for row in rows] == [
        (each.image, each.verdict, len(each.boxes)) for each in predictions
    ]
    overlay = cv2.imread(str(tmp_path / "out" / "overlays" / "a.jpg")).astype(int)
    blue, _, red = overlay[8, 6]
    assert red > blue + 60, "the box is marked in red"
    assert overlay[40, 60].min() > 200, "the rest stays as it was"


def test_photographs_of_one_name_have_an_overlay_each(tmp_path):
    paths = [picture(tmp_path / "x" / "a.png"), picture(tmp_path / "y" / "a.png", (1, 1, 30, 30)),
             picture(tmp_path / "x" / "a-2.png"), picture(tmp_path / "x" / "A.png"), picture(tmp_path / "x" / "a.bmp")]
    run(paths, tmp_path / "out")
    assert len({name.lower() for name in os.listdir(tmp_path / "out" / "overlays")}) == 5


def test_folders_stand_for_the_pictures_in_them(tmp_path):
    picture(tmp_path / "in" / "b.PNG")
    picture(tmp_path / "in" / "a.jpg")
    (tmp_path / "in" / "notes.txt").write_text("-")
    assert [path.name for path in find_images([str(tmp_path / "in")])] == ["a.jpg", "b.PNG"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no images in the folder"):
        find_images([str(tmp_path / "empty")])


def test_a_model_without_a_threshold_is_refused(tmp_path):
    with pytest.raises(UserError, match="calibrate"):
        predict(Darkness(), replace(MODEL, threshold=None), [], tmp_path / "out")
    assert not (tmp_path / "out").exists()
