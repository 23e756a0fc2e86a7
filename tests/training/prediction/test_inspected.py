# SPDX-License-Identifier: Apache-2.0
"""Only the inspected region counts: for verdict, score, regions, mask and explanation."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from sequential_patchcore.model.file import Threshold
from sequential_patchcore.prediction.inspected import inside_alone, inspected_part
from sequential_patchcore.prediction.predictor import Predictor, PredictSettings, predict
from sequential_patchcore.runtime.errors import UserError


class Darkness:
    """Scores a pixel by how dark it is, 0 to 1."""

    def anomaly_map(self, image):
        return np.float32(1) - image.mean(-1)


class Model:
    threshold = Threshold(0.5, "by_hand")
    fingerprint = "of a test"
    data = ()


def plate(path: Path, spots=()) -> Path:
    """A bright plate of 100 x 60 pixels at (20, 30) on a dark background, with dark spots (x, y, width, height)."""
    image = np.full((120, 160), 5, np.uint8)
    image[30:90, 20:120] = 200
    for x, y, width, height in spots:
        image[y:y + height, x:x + width] = 10
    cv2.imwrite(str(path), image)
    return path


def run(paths, out, **settings):
    return predict(Darkness(), Model(), paths, out, PredictSettings(**settings))


def test_a_plate_on_a_dark_background_is_judged_alone(tmp_path):
    paths = [plate(tmp_path / "sound.png"), plate(tmp_path / "spot.png", [(60, 50, 4, 3)])]
    whole = run(paths, tmp_path / "whole")
    assert [found.verdict for found in whole] == ["anomalous", "anomalous"], "the background alarms"
    sound, spot = run(paths, tmp_path / "out", regions="find", save_map="png")
    assert (sound.verdict, sound.anomalous_pixels) == ("normal", 0)
    assert sound.score == pytest.approx(1 - 200 / 255, abs=0.01)
    assert (spot.verdict, spot.boxes) == ("anomalous", [(60, 50, 4, 3)])
    mask = cv2.imread(str(tmp_path / "out" / spot.mask), cv2.IMREAD_UNCHANGED)
    assert (mask > 0).sum() == 12
    overlay = cv2.imread(str(tmp_path / "out" / spot.overlay))[:120, :160].astype(int)
    assert overlay[80, 30].min() > 150, "the plate is shown"


def test_a_plate_that_lost_a_corner_to_the_background_is_named(tmp_path, capsys):
    paths = [plate(tmp_path / f"{number}.png") for number in range(4)]
    run(paths, tmp_path / "out", regions="find")
    assert "was not judged" not in capsys.readouterr().err
    cut = plate(tmp_path / "cut.png", [(95, 65, 25, 25)])
    *_, found = run([*paths, cut], tmp_path / "other", regions="find", margin=4.0)
    assert found.verdict == "normal", "the corner is background to it"
    told = [line for line in capsys.readouterr().err.splitlines() if "was not judged" in line]
    assert len(told) == 1 and "cut.png" in told[0]


def test_a_margin_is_left_out(tmp_path):
    (path,) = [plate(tmp_path / "a.png", [(24, 50, 4, 4)])]
    (found,) = run([path], tmp_path / "out", regions="find", margin=2.0)
    assert found.verdict == "anomalous"
    (found,) = run([path], tmp_path / "out", regions="find", margin=12.0)
    assert found.verdict == "normal", "another margin judges anew, in the same folder"


def test_masks_of_the_images_names_say_where(tmp_path):
    path = plate(tmp_path / "a.png", [(60, 50, 4, 4), (100, 50, 4, 4)])
    masks = tmp_path / "masks"
    masks.mkdir()
    mask = np.zeros((120, 160), np.uint8)
    mask[40:80, 50:80] = 1
    cv2.imwrite(str(masks / "a.png"), mask)
    (found,) = run([path], tmp_path / "out", regions=masks)
    assert found.boxes == [(60, 50, 4, 4)]
    mask[40:80, 80:110] = 1
    cv2.imwrite(str(masks / "a.png"), mask)
    (found,) = run([path], tmp_path / "out", regions=str(masks))
    assert sorted(found.boxes) == [(60, 50, 4, 4), (100, 50, 4, 4)], "a changed mask is seen"


@pytest.mark.parametrize("mask", [None, (10, 10), (120, 160)])
def test_an_image_whose_region_cannot_be_had_is_unreadable_and_the_others_go_on(tmp_path, mask):
    bad, good = plate(tmp_path / "bad.png"), plate(tmp_path / "good.png")
    masks = tmp_path / "masks"
    masks.mkdir()
    cv2.imwrite(str(masks / "good.png"), np.pad(np.full((40, 80), 255, np.uint8), ((40, 40), (30, 50))))
    if mask is not None:
        cv2.imwrite(str(masks / "bad.png"), np.zeros(mask, np.uint8))
    first, second = run([bad, good], tmp_path / "out", regions=masks)
    assert first.verdict == "unreadable" and "bad" in first.error
    assert second.verdict == "normal"


def test_wrong_settings_are_refused_before_any_work(tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        run([], tmp_path / "out", regions=tmp_path / "nowhere")
    with pytest.raises(UserError, match="`margin`"):
        run([], tmp_path / "out", margin=3.0)
    assert not os.path.exists(tmp_path / "out")


@dataclass
class Grid:
    rows: np.ndarray
    columns: np.ndarray

    def nearest_cells(self):
        return self.rows, self.columns


@dataclass
class Scored:
    distances: np.ndarray
    grid: Grid


def test_cells_outside_lose_their_distance_as_by_a_slow_count():
    random = np.random.default_rng(5)
    rows, columns = np.sort(random.integers(0, 7, 40)), np.sort(random.integers(1, 9, 50))
    scored = Scored(random.random((8, 10), np.float32) + np.float32(1), Grid(rows, columns))
    region = np.zeros((40, 50), bool)
    region[7:19, 22:23] = region[30, 40:] = True
    expected = np.zeros((8, 10), np.float32)
    for y, x in zip(*np.nonzero(region), strict=True):
        expected[rows[y], columns[x]] = scored.distances[rows[y], columns[x]]
    assert np.array_equal(inside_alone(scored, region).distances, expected)
    assert np.array_equal(inside_alone(replace(scored), np.ones((40, 50), bool)).distances > 0,
                          np.isin(np.arange(8), rows)[:, None] & np.isin(np.arange(10), columns))


def test_what_changes_outside_the_region_is_no_drift_and_its_medians_fill_it():
    random = np.random.default_rng(8)
    image, scores = random.random((60, 80, 3), np.float32), random.random((60, 80), np.float32)
    region = np.zeros((60, 80), bool)
    region[20:50, 10:70] = True
    region[20:25, 10:15] = False
    part, of_part = inspected_part(image, scores, region)
    assert part.shape == (30, 60, 3) and of_part.shape == (30, 60)
    assert np.array_equal(part[region[20:50, 10:70]], image[region]) and np.array_equal(
        of_part[region[20:50, 10:70]], scores[region])
    assert (part[:5, :5] == np.median(image[region], axis=0).astype(np.float32)).all()
    assert (of_part[:5, :5] == np.median(scores[region]).astype(np.float32)).all()
    other = np.where(region[..., None], image, np.float32(0.9))
    assert np.array_equal(inspected_part(other, scores, region)[0], part)


def test_the_watch_sees_the_plate_and_not_the_background(tmp_path):
    seen = []
    path = plate(tmp_path / "a.png")
    watch = Predictor(Darkness(), Model(), tmp_path / "out", PredictSettings(regions="find"))
    watch.observer = lambda path, image, scores: seen.append((image, scores))
    watch(path)
    ((image, scores),) = seen
    assert image.shape == (60, 100, 3) and np.median(image) == pytest.approx(200 / 255, abs=0.01)
    assert np.median(scores) == pytest.approx(1 - 200 / 255, abs=0.01)
