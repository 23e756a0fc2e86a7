# SPDX-License-Identifier: Apache-2.0
"""Prediction on pictures made by code: verdicts, boxes and files that say what was drawn."""

import csv
import json
import os
import struct
import threading
import time
import zlib
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from sequential_patchcore.extractors.builder import build_extractor
from sequential_patchcore.fitting.settings import TrainSettings
from sequential_patchcore.fitting.training import train
from sequential_patchcore.metrics.binarize import Rule
from sequential_patchcore.model.file import Model, Threshold
from sequential_patchcore.prediction.predictor import (
    Predictor,
    PredictSettings,
    find_images,
    pixel_size_around,
    predict,
)
from sequential_patchcore.prediction.watcher import watch
from sequential_patchcore.runtime.errors import UserError

MODEL = Model(
    features=np.zeros((2, 1), np.float32), source=np.zeros(2, np.uint32), position=np.zeros((2, 2), np.uint16),
    sources=(("d", "a"),), extractor={}, settings={}, separation=0.0, covering_radius=0.0, converged=True,
    threshold=Threshold(0.5, "by_hand"),
)


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


@pytest.mark.parametrize("size", [(66_000, 24), (24, 40_000)])
def test_a_line_cameras_picture_has_an_overlay_and_stops_nothing(tmp_path, size):
    image = np.full(size, 255, np.uint8)
    image[10:14, 10:14] = 0
    cv2.imwrite(str(tmp_path / "long.png"), image)
    found, other = run([str(tmp_path / "long.png"), picture(tmp_path / "b.png")], tmp_path / "out")
    assert (found.verdict, found.boxes, other.verdict) == ("anomalous", [(10, 10, 4, 4)], "normal")
    overlay = cv2.imread(str(tmp_path / "out" / found.overlay))
    assert max(overlay.shape) <= 65_535 and overlay.shape[1] < 70_000


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


def test_areas_peaks_and_boxes_agree_with_what_was_drawn(tmp_path):
    boxes = [(30, 20, 20, 10), (5, 6, 3, 4)]
    path = picture(tmp_path / "a.png", *boxes)
    (found,) = predict(Darkness(), MODEL, [Path(path)], tmp_path / "out", PredictSettings(pixel_size_um=50.0))
    assert [region.pixels for region in found.regions] == [200, 12]
    assert [region.area_mm2 for region in found.regions] == pytest.approx([0.5, 0.03])
    assert found.area_mm2 == pytest.approx(0.53)
    for region, (x, y, width, height) in zip(found.regions, boxes, strict=True):
        assert x <= region.peak_at[0] < x + width and y <= region.peak_at[1] < y + height and region.peak == 1.0
    with open(tmp_path / "out" / "regions.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(int(r["x"]), int(r["y"]), int(r["pixels"]), float(r["area_mm2"])) for r in rows] == [
        (30, 20, 200, 0.5), (5, 6, 12, 0.03)]


def test_without_a_pixel_size_no_area_is_claimed_and_a_data_set_brings_one(plates, tmp_path):
    (found,) = run([picture(tmp_path / "a.png", (5, 6, 3, 4))], tmp_path / "out")
    assert found.area_mm2 is None and found.regions[0].area_mm2 is None
    plates(tmp_path / "data")
    header = tmp_path / "data" / "dataset.json"
    header.write_text(json.dumps(json.loads(header.read_text()) | {"pixel_size_um": 40.0}))
    assert pixel_size_around(tmp_path / "data" / "images") == 40.0
    cv2.imwrite(str(tmp_path / "data" / "images" / "dark.png"), np.zeros((10, 10), np.uint8))
    (found,) = run([str(tmp_path / "data" / "images" / "dark.png")], tmp_path / "out")
    assert found.area_mm2 == pytest.approx(0.16)


def test_filters_act_and_a_threshold_by_hand_wins(tmp_path):
    path = Path(picture(tmp_path / "a.png", (5, 6, 3, 4), (30, 20, 20, 10)))
    (found,) = predict(Darkness(), MODEL, [path], tmp_path / "out", PredictSettings(rule=Rule(50)))
    assert found.boxes == [(30, 20, 20, 10)] and found.anomalous_pixels == 200
    (found,) = predict(Darkness(), MODEL, [path], tmp_path / "out", PredictSettings(threshold=1.5))
    assert found.verdict == "normal"


def test_an_image_unlike_those_that_the_model_saw_is_told_with_both_sizes(tmp_path, capsys):
    share = {"name": "d", "path": "d", "fingerprint": "f", "images": 2, "image_sizes": [[50, 80], [60, 90]],
             "pixel_size_um": 40.0}
    model = replace(MODEL, data=(share,))
    paths = [Path(picture(tmp_path / f"{name}.png")) for name in "ab"]
    for side in (59, 61):
        cv2.imwrite(str(tmp_path / f"{side}.png"), np.full((side, 80), 255, np.uint8))
    predict(Darkness(), model, [*paths, tmp_path / "59.png"], tmp_path / "out", PredictSettings(pixel_size_um=41.0))
    assert "note" not in capsys.readouterr().err
    predict(Darkness(), model, [tmp_path / "61.png"], tmp_path / "out")
    assert "61.png: 80 x 61 pixels, the model saw 80 to 90 x 50 to 60; " in capsys.readouterr().err
    predict(Darkness(), model, paths, tmp_path / "out", PredictSettings(pixel_size_um=60.0))
    said = capsys.readouterr().err
    assert "a.png: pixels of 60 µm, the model saw 40 µm; " in said and "b.png" not in said
    for nothing in ({}, {"image_sizes": "large", "pixel_size_um": "fine"}, {"image_sizes": [[1], "ab", [0, 5]]}):
        predict(Darkness(), replace(MODEL, data=({"name": "d"} | nothing,)), [tmp_path / "61.png"], tmp_path / "o")
        assert "note" not in capsys.readouterr().err


def test_a_trained_model_knows_the_sizes_of_its_images(plates, tmp_path, capsys):
    data = plates(tmp_path / "d", train=2)
    model = train([data], build_extractor("filters"), TrainSettings(8, 1))
    assert model.data[0]["image_sizes"] == [[96, 128], [96, 128]]
    predict(Darkness(), replace(model, threshold=MODEL.threshold), [Path(picture(tmp_path / "a.png"))], tmp_path / "o")
    assert "a.png: 80 x 60 pixels, the model saw 128 x 96; " in capsys.readouterr().err


class Ramp:
    """Scores from 0 to 20 along the rows, the threshold's neighbours among them."""

    def anomaly_map(self, image: np.ndarray) -> np.ndarray:
        scores = np.linspace(0, 20, image.shape[0] * image.shape[1], dtype=np.float32).reshape(image.shape[:2])
        scores[0, :3] = np.nextafter(np.float32(0.5), np.float32(0)), 0.5, np.nextafter(np.float32(0.5), np.float32(1))
        return scores


@pytest.mark.parametrize("threshold", [0.5, 0.1, 1 / 3])
@pytest.mark.parametrize("kind", ["tiff", "png"])
def test_a_saved_map_holds_the_scores_and_the_mask_what_is_predicted(tmp_path, kind, threshold):
    path = Path(picture(tmp_path / "a.png"))
    threshold = float(np.float32(threshold))
    settings = PredictSettings(threshold=threshold, rule=Rule(4), save_map=kind)
    (found,) = predict(Ramp(), MODEL, [path], tmp_path / "out", settings)
    record = json.loads((tmp_path / "out" / "predictions.json").read_text())[0]
    assert (record["map"], record["mask"]) == (found.map, found.mask) == (f"maps/a.{kind}", "masks/a.png")
    scores = Ramp().anomaly_map(np.zeros((60, 80, 3)))
    saved = cv2.imread(str(tmp_path / "out" / found.map), cv2.IMREAD_UNCHANGED)
    if kind == "tiff":
        assert saved.dtype == np.float32 and np.array_equal(saved, scores) and "map_step" not in record
    else:
        assert saved.dtype == np.uint16 and np.array_equal(saved >= 4096, scores >= np.float32(threshold))
        inside = saved < 65535
        assert inside.any() and not inside.all()
        steps = scores[inside].astype(float) / record["map_step"]
        assert ((saved[inside] <= steps) & (steps < saved[inside] + 1)).all()
    mask = cv2.imread(str(tmp_path / "out" / found.mask), cv2.IMREAD_UNCHANGED)
    assert set(np.unique(mask)) == {0, 255} and (mask > 0).sum() == found.anomalous_pixels
    for region in found.regions:
        x, y, width, height = region.box
        assert (mask[y : y + height, x : x + width] > 0).sum() >= region.pixels


def test_a_map_that_is_gone_is_written_again_and_none_is_written_unasked(tmp_path):
    path, scorer = Path(picture(tmp_path / "a.png")), Counting()
    predict(scorer, MODEL, [path], tmp_path / "out")
    assert not (tmp_path / "out" / "maps").exists() and not (tmp_path / "out" / "masks").exists()
    assert "map" not in json.loads((tmp_path / "out" / "predictions.json").read_text())[0]
    settings = PredictSettings(save_map="tiff")
    first = predict(scorer, MODEL, [path], tmp_path / "out", settings)
    assert predict(scorer, MODEL, [path], tmp_path / "out", settings) == first and scorer.scored == 2
    (tmp_path / "out" / "masks" / "a.png").unlink()
    assert predict(scorer, MODEL, [path], tmp_path / "out", settings) == first and scorer.scored == 3
    with pytest.raises(UserError, match="`save_map` gif: expected one of tiff, png"):
        predict(scorer, MODEL, [path], tmp_path / "out", PredictSettings(save_map="gif"))


def strange_folder(folder):
    """One good picture among files of every kind; name to the verdict that they should get."""
    picture(folder / "m_good.png", (5, 6, 30, 40))
    good = (folder / "m_good.png").read_bytes()
    grey = cv2.imread(str(folder / "m_good.png"), cv2.IMREAD_UNCHANGED)
    (folder / "a_truncated.png").write_bytes(good[: len(good) // 2])
    (folder / "b_text.jpg").write_text("no picture")
    (folder / "c_empty.tif").write_bytes(b"")
    (folder / "d_lying.jpg").write_bytes(good)
    cv2.imwrite(str(folder / "e_deep.png"), grey.astype(np.uint16) * 257)
    cv2.imwrite(str(folder / "f_alpha.png"), cv2.merge([grey, grey, grey, np.full_like(grey, 9)]))
    cv2.imwrite(str(folder / "g_float.tif"), grey.astype(np.float32))
    cv2.imwrite(str(folder / "h_one.png"), grey[:1, :1])
    (folder / "i_folder.png").mkdir()
    (folder / "j_nowhere.png").symlink_to("nowhere")
    (folder / "k_notes.txt").write_text("-")
    # The header says 40000 x 40000; there is nothing behind it.
    header = b"IHDR" + struct.pack(">IIBBBBB", 40000, 40000, 8, 0, 0, 0, 0)
    huge = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    (folder / "l_huge.png").write_bytes(huge)
    return {
        "a_truncated.png": "unreadable", "b_text.jpg": "unreadable", "c_empty.tif": "unreadable",
        "d_lying.jpg": "anomalous", "e_deep.png": "anomalous", "f_alpha.png": "anomalous",
        "g_float.tif": "unreadable", "h_one.png": "normal", "j_nowhere.png": "unreadable", "l_huge.png": "unreadable",
        "m_good.png": "anomalous",
    }


def test_strange_files_never_stop_the_rest(tmp_path):
    (tmp_path / "in").mkdir()
    expected = strange_folder(tmp_path / "in")
    found = run([str(tmp_path / "in")], tmp_path / "out")
    assert {Path(each.image).name: each.verdict for each in found} == expected
    for each in found:
        assert (each.verdict == "unreadable") == bool(each.error) and "\n" not in each.error
    with open(tmp_path / "out" / "predictions.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) == len(expected)


def test_a_fault_of_the_network_on_one_image_is_told_and_the_rest_go_on(tmp_path):
    class Choking(Darkness):
        def anomaly_map(self, image):
            if image.shape[0] == 7:
                raise RuntimeError("expected a larger\nimage")
            return super().anomaly_map(image)

    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((7, 7), np.uint8))
    picture(tmp_path / "b.png")
    bad, good = predict(Choking(), MODEL, [tmp_path / "a.png", tmp_path / "b.png"], tmp_path / "out")
    assert bad.verdict == "unreadable" and bad.error == "RuntimeError: expected a larger image"
    assert good.verdict == "normal"


def test_an_image_too_large_is_refused_before_it_is_decoded(tmp_path):
    def check(path):
        raise UserError("too large")

    (found,) = predict(Darkness(), MODEL, [Path(picture(tmp_path / "a.png"))], tmp_path / "out", check_size=check)
    assert (found.verdict, found.error) == ("unreadable", "too large")


class Counting(Darkness):
    def __init__(self):
        self.scored = 0

    def anomaly_map(self, image):
        self.scored += 1
        return super().anomaly_map(image)


def test_what_was_done_is_not_done_again_until_something_changes(tmp_path):
    paths = [Path(picture(tmp_path / f"{name}.png", (5, 6, 3, 4))) for name in "abc"]
    scorer = Counting()
    first = predict(scorer, MODEL, paths, tmp_path / "out")
    tables = {f.name: f.read_bytes() for f in (tmp_path / "out").glob("predictions.*") if f.suffix != ".jsonl"}
    assert predict(scorer, MODEL, paths, tmp_path / "out") == first and scorer.scored == 3
    assert {f: (tmp_path / "out" / f).read_bytes() for f in tables} == tables
    picture(paths[0], (1, 1, 40, 40))
    os.utime(paths[0], ns=(1, 1))
    (tmp_path / "out" / "overlays" / "b.jpg").unlink()
    predict(scorer, MODEL, paths, tmp_path / "out")
    assert scorer.scored == 5
    predict(scorer, MODEL, paths, tmp_path / "out", PredictSettings(threshold=0.4))
    assert scorer.scored == 8


def test_a_run_that_is_interrupted_keeps_what_was_done_and_a_cut_line_costs_only_itself(tmp_path):
    paths = [Path(picture(tmp_path / f"{name}.png")) for name in "abc"]

    class Interrupted(Counting):
        def anomaly_map(self, image):
            if self.scored == 2:
                raise KeyboardInterrupt
            return super().anomaly_map(image)

    with pytest.raises(KeyboardInterrupt):
        predict(Interrupted(), MODEL, paths, tmp_path / "out")
    assert len(json.loads((tmp_path / "out" / "predictions.json").read_text())) == 2
    journal = tmp_path / "out" / "predictions.jsonl"
    journal.write_bytes(journal.read_bytes()[:-9])  # as a crash within the second line leaves it
    scorer = Counting()
    assert len(predict(scorer, MODEL, paths, tmp_path / "out")) == 3 and scorer.scored == 2
    assert len(predict(scorer, MODEL, paths, tmp_path / "out")) == 3 and scorer.scored == 2


def test_the_next_photograph_is_read_while_one_is_worked_on(tmp_path):
    paths, looked_at = [Path(picture(tmp_path / f"{name}.png")) for name in "abc"], []
    second = threading.Event()

    def check(path):
        looked_at.append(path)
        if path == paths[1]:
            second.set()

    class Waiting(Darkness):
        def anomaly_map(self, image):
            assert second.wait(30), "nothing was read meanwhile"
            return super().anomaly_map(image)

    found = predict(Waiting(), MODEL, paths, tmp_path / "out", check_size=check)
    assert [each.verdict for each in found] == ["normal"] * 3 and looked_at == paths


def test_read_ahead_or_one_by_one_the_results_are_the_same(tmp_path):
    """A file given twice among them: the second time it is known, although it is read before that."""
    (tmp_path / "in").mkdir()
    strange_folder(tmp_path / "in")
    paths = find_images([str(tmp_path / "in")])
    paths = [path for path in paths for _ in range(2)]
    ahead, single = Counting(), Counting()
    together = predict(ahead, MODEL, paths, tmp_path / "together")
    predictor = Predictor(single, MODEL, tmp_path / "single")
    assert [predictor(path) for path in paths] == together and ahead.scored == single.scored == 5
    for name in ("predictions.jsonl", *(f"overlays/{path.name}" for path in (tmp_path / "single/overlays").iterdir())):
        assert (tmp_path / "together" / name).read_bytes() == (tmp_path / "single" / name).read_bytes()


def test_watching_takes_files_once_they_are_whole_and_again_when_they_change(tmp_path):
    source = Path(picture(tmp_path / "a.png", (5, 6, 30, 40))).read_bytes()
    (tmp_path / "in").mkdir()
    target, handled, rounds = tmp_path / "in" / "new.png", [], []
    picture(tmp_path / "in" / "there.png")

    def work():  # a slow writer, who then writes once more
        with open(target, "wb") as file:
            for k in range(8):
                file.write(source[k * len(source) // 8 : (k + 1) * len(source) // 8])
                file.flush()
                time.sleep(0.06)
        time.sleep(0.8)
        target.write_bytes(source + b"\0")

    def handle(path):
        handled.append((path.name, path.stat().st_size))

    writer = threading.Thread(target=work)
    writer.start()
    watch([tmp_path / "in"], handle, lambda: rounds.append(len(handled)), interval=0.15, idle_exit=1.5)
    writer.join()
    assert sorted(handled) == [("new.png", len(source)), ("new.png", len(source) + 1),
                               ("there.png", (tmp_path / "in" / "there.png").stat().st_size)]
    assert rounds[-1] == 3


def test_ctrl_c_ends_the_watch_with_its_tables(tmp_path):
    picture(tmp_path / "in" / "a.png")
    settled = []

    def handle(path):
        raise KeyboardInterrupt

    watch([tmp_path / "in"], handle, lambda: settled.append(True), interval=0.01)
    assert settled == [True]


def test_what_is_passed_over_in_a_folder_is_said(tmp_path, capsys):
    picture(tmp_path / "in" / "a.png")
    for name in ("IMG_1.HEIC", "b.CR2", "notes.txt", ".hidden"):
        (tmp_path / "in" / name).write_text("x")
    assert [path.name for path in find_images([str(tmp_path / "in")])] == ["a.png"]
    said = capsys.readouterr().err
    assert "looked at 4 files in" in said and "1 images, 3 passed over, pictures that are not read" in said
    assert "IMG_1.HEIC, b.CR2" in said


def test_several_pages_are_unreadable(tmp_path):
    first, second = (Image.fromarray(np.full((8, 9), value, np.uint8)) for value in (255, 0))
    first.save(tmp_path / "a.tif", save_all=True, append_images=[second])
    (found,) = run([str(tmp_path / "a.tif")], tmp_path / "out")
    assert found.verdict == "unreadable" and "holds 2 pictures" in found.error


def test_few_bits_in_files_of_many_are_said_and_can_be_scaled(tmp_path, capsys):
    """A sound image, white at 12 bits, is black at 16."""
    cv2.imwrite(str(tmp_path / "a.png"), np.full((8, 9), 4095, np.uint16))
    cv2.imwrite(str(tmp_path / "b.png"), np.full((8, 9), 4000, np.uint16))
    paths = [str(tmp_path / "a.png"), str(tmp_path / "b.png")]
    assert [found.verdict for found in run(paths, tmp_path / "out")] == ["anomalous", "anomalous"]
    said = capsys.readouterr().err
    assert said.count("has 16 bits a channel and no value above 4095 (12 bits)") == 1
    settings = PredictSettings(bit_depth=12)
    found = predict(Darkness(), MODEL, find_images(paths), tmp_path / "out", settings)
    assert [each.verdict for each in found] == ["normal", "normal"] and "16 bits" not in capsys.readouterr().err
