# SPDX-License-Identifier: Apache-2.0
"""The paper's own data set as REAL=: photographs with black borders, LabelMe files, imported as the page says."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from sequential_patchcore.cli import parser as cli
from sequential_patchcore.data.dataset import Dataset, open_dataset

REPOSITORY = Path(__file__).resolve().parents[2]
HEIGHT, WIDTH = 205, 244  # a tenth of the camera's
SPLITS = {"01": "train", "02": "train", "03": "val", "04": "test", "05": "test"}
SHAPES = {  # label, shape type, points (x, y): two pieces of one scratch share a group, a dent is a circle
    "Scratch": [("polygon", [[60, 60], [100, 64], [100, 67], [60, 63]], 1),
                ("polygon", [[110, 66], [130, 68], [130, 71], [110, 69]], 1)],
    "bump": [("polygon", [[150, 90], [180, 90], [180, 120], [150, 120]], None)],
    "dent": [("circle", [[90, 120], [96, 120]], None)],
    "Water Stain": [("polygon", [[150, 40], [170, 40], [170, 60], [150, 60]], None)],
    "fingerprint": [("rectangle", [[60, 140], [100, 180]], None)],
    "sticker": [("rectangle", [[0, 150], [50, 190]], None)],  # half of it beyond the plate's border
}


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """plateNN_front_K.png with their label files beside them, and the table of splits that a person writes."""
    folder, rng, lines = tmp_path_factory.mktemp("fordatis"), np.random.default_rng(0), ["split,image,label"]
    for plate, split in SPLITS.items():
        for side in ("front", "back"):
            for place in range(2):
                name = f"plate{plate}_{side}_{place}"
                image = np.zeros((HEIGHT, WIDTH), np.uint8)
                image[:, 25:] = rng.normal(150, 8, (HEIGHT, WIDTH - 25)).clip(0, 255)  # the plate ends on the left
                clean = split == "train" or (plate, place) == ("05", 1)
                shapes = [] if clean else [
                    {"label": label, "shape_type": kind, "points": points, "group_id": group, "flags": {}}
                    for label, pieces in SHAPES.items() for kind, points, group in pieces
                    if side == "front" or label in ("Scratch", "bump", "dent")
                ]
                cv2.imwrite(str(folder / f"{name}.png"), image)
                if not clean:
                    (folder / f"{name}.json").write_text(json.dumps({
                        "version": "5.0.1", "flags": {}, "shapes": shapes, "imagePath": f"{name}.png",
                        "imageData": None, "imageHeight": HEIGHT, "imageWidth": WIDTH}))
                lines.append(f"{split},{name}.png,{'' if clean else name + '.json'}")
    (folder / "splits.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="module")
def imported(photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    out = tmp_path_factory.mktemp("imported") / "real"
    command = ["import", "labelme", str(photographs), "--splits", str(photographs / "splits.csv"), "--out", str(out),
               "--group-by", "plate[0-9]+", "--defects", "bump,dent,scratch",
               "--impurities", "fingerprint,sticker,water_stain", "--map", "Water Stain=water_stain",
               "--map", "Scratch=scratch", "--regions", "find", "--margin", "5px", "--pixel-size-um", "17.25"]
    assert cli.main([*command, "--check-only"]) == 0
    assert cli.main(command) == 0
    return open_dataset(out)


def test_the_import_keeps_plates_classes_and_what_is_labelled(imported: Dataset) -> None:
    assert [(info.name, info.kind) for info in imported.classes if info.kind == "defect"] == [
        ("bump", "defect"), ("dent", "defect"), ("scratch", "defect")]
    assert {info.name for info in imported.classes if info.kind == "impurity"} == {
        "fingerprint", "sticker", "water_stain"}
    assert {split: len(imported.split(split)) for split in ("train", "val", "test")} == {
        "train": 8, "val": 4, "test": 8}
    plates = {sample.group: sample.split for sample in imported.samples}
    assert plates == {f"plate{plate}": split for plate, split in SPLITS.items()}
    by_id = {sample.id: sample for sample in imported.samples}
    front, clean = by_id["plate04_front_0"], by_id["plate05_front_1"]
    assert sorted(each.class_name for each in front.instances) == sorted(
        label.lower().replace(" ", "_") for label in SHAPES)  # the pieces of the scratch are one instance
    assert not clean.instances and not imported.mask(clean).any()


def test_the_border_of_the_plate_is_left_out(imported: Dataset) -> None:
    sample = next(each for each in imported.samples if each.id == "plate04_front_0")
    region, mask = imported.region(sample), imported.mask(sample)
    assert not region[:, :29].any() and region[:, 33:].all()
    sticker = next(info.id for info in imported.classes if info.name == "sticker")
    assert (mask == sticker).any() and (region & (mask == sticker)).any()


@pytest.mark.parametrize("preset", ["medium", "full"])
def test_the_plan_takes_it_for_the_real_plates(imported: Dataset, tmp_path: Path, preset: str) -> None:
    """Nothing of the twin is rendered, every row is there, and the synthetic pictures become as large as these."""
    sys.path.insert(0, str(REPOSITORY / "tools"))
    from reproduction.command import PLAN
    from reproduction.jobs import Setting, image_counts, jobs_of
    from reproduction.plan import load_plan

    plan = load_plan(PLAN, preset)
    setting = Setting(REPOSITORY, ("render",), ("--backbone", "filters"), {}, " ".join, 1, imported)
    assert image_counts(plan, setting)["real"] == {"all": 20, "train": 8, "val": 4, "test": 8}
    assert setting.scale(plan) == pytest.approx(100 * WIDTH / 2448)
    assert setting.image_scale(plan) == 1.0  # these are smaller than the preset's
    jobs = {job.id: job for job in jobs_of(plan, setting)}
    assert "data.real" not in jobs and {"real.score", "synth_ws_ft.score", "melding_ws.score"} <= jobs.keys()
    command = jobs["real.train"].commands(tmp_path, {})[0][1]
    assert command[command.index("--data") + 1] == str(imported.path)


def test_the_command_lists_its_jobs(imported: Dataset, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "backbone.json").write_text('["--backbone", "filters"]')
    done = subprocess.run(
        [sys.executable, str(REPOSITORY / "tools" / "reproduce.py"), "--preset", "medium", "--real",
         str(imported.path), "--out", str(out), "--dry-run"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "real.score" in done.stdout and "data.real" not in done.stdout
