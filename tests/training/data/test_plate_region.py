# SPDX-License-Identifier: Apache-2.0
"""The plate's region: found against the plate that was painted, shrunk against a slow count, read and drawn."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from sequential_patchcore.cli import parser as cli
from sequential_patchcore.data.check import check_dataset
from sequential_patchcore.data.dataset import open_dataset
from sequential_patchcore.data.importers.plate_region import find_plate, shrink

SIZE = (150, 200)


def plate(angle: float = 4.0, size=SIZE, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A grooved bright plate on a dark background with a dark dent and a bright lamp beside: image, and the plate."""
    rng = np.random.default_rng(seed)
    box = cv2.boxPoints(((size[1] * 0.5, size[0] * 0.48), (size[1] * 0.7, size[0] * 0.6), angle))
    inside = np.zeros(size, np.uint8)
    cv2.fillPoly(inside, [box.round().astype(int)], 1)
    grooves = cv2.blur(rng.standard_normal(size), (21, 1)) * 60
    image = np.where(inside, 150 + grooves, 14) + rng.normal(0, 5, size)
    cv2.circle(image, (size[1] // 2, size[0] // 2), size[0] // 15, 20, -1)
    cv2.circle(image, (8, 8), 5, 250, -1)
    return np.clip(image, 0, 255).astype(np.uint8), inside.astype(bool)


def within(inside: np.ndarray, pixels: int) -> np.ndarray:
    return cv2.dilate(inside.astype(np.uint8), np.ones((2 * pixels + 1,) * 2)) > 0


@pytest.mark.parametrize("angle", [0, 4, -17, 45])
@pytest.mark.parametrize("deep", [False, True])
def test_a_plate_is_found_to_two_pixels_with_its_dents_and_without_the_lamp(angle, deep):
    image, true = plate(angle)
    if deep:
        image = np.stack([image.astype(np.uint16) * 60] * 3, -1)  # a dim 16-bit RGB photograph
    found = find_plate(image)
    assert not (found & ~within(true, 2)).any()
    assert not (true & ~within(found, 2)).any()


def test_a_plate_may_leave_the_image():
    image, true = plate(7, (300, 400))
    found, wanted = find_plate(image[60:200, 100:260]), true[60:200, 100:260]
    assert wanted[:, 0].any() and (found != wanted).mean() < 0.02


@pytest.mark.parametrize("image", [
    np.full(SIZE, 140, np.uint8), np.zeros(SIZE, np.uint8),
    np.random.default_rng(0).normal(140, 20, SIZE).clip(0, 255).astype(np.uint8),
    np.tile(np.linspace(100, 180, SIZE[1]).astype(np.uint8), (SIZE[0], 1)),
])
def test_without_a_dark_background_there_is_nothing_to_find(image):
    assert find_plate(image) is None


@pytest.mark.parametrize("margin", [0.5, 1, 3, 7.5])
def test_a_margin_goes_off_the_border_but_not_off_the_images_edge(margin):
    region = np.zeros((24, 30), bool)
    region[:15, 5:28] = True
    region[6:8, 11] = False
    rows, columns = np.nonzero(~region)
    y, x = np.indices(region.shape)
    distance = np.sqrt((y[..., None] - rows) ** 2 + (x[..., None] - columns) ** 2).min(-1)
    np.testing.assert_array_equal(shrink(region, margin), distance > margin)
    assert shrink(np.ones((5, 5), bool), 9).all()


@pytest.fixture
def photos(tmp_path, monkeypatch) -> Path:
    """p1_a.png, whose label file draws a dent, and p2_a.png; the working directory is their parent."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in (1, 2):
        Image.fromarray(plate(seed=number)[0]).save(folder / f"p{number}_a.png")
    write_labels(folder / "p1_a.json", [("dent", "rectangle", [[90, 60], [110, 80]])])
    monkeypatch.chdir(tmp_path)
    return folder


def write_labels(path: Path, shapes: list) -> None:
    path.write_text(json.dumps({"shapes": [
        {"label": label, "shape_type": kind, "points": points} for label, kind, points in shapes
    ], "imagePath": f"{path.stem}.png"}))


def run(*arguments: str) -> int:
    return cli.main(["import", "labelme", "photos", "--out", "d", *arguments])


def test_found_with_a_margin_in_millimetres(photos, capsys):
    assert run("--regions", "find", "--margin", "1.5mm", "--pixel-size-um", "500") == 0
    assert "plate region: in 2 of 2 images it covers" in capsys.readouterr().err
    dataset = open_dataset("d")
    for number, sample in enumerate(dataset.samples, start=1):
        np.testing.assert_array_equal(dataset.region(sample), shrink(find_plate(plate(seed=number)[0]), 3))
    assert check_dataset("d") == []


def test_read_from_a_folder_of_masks_by_name(photos, capsys):
    Path("masks").mkdir()
    true = plate()[1]
    Image.fromarray(true.astype(np.uint8)).save("masks/p1_a.png")  # 0 and 1
    assert run("--regions", "masks") == 2
    assert "p2_a.png has no region: expected masks/p2_a.png" in capsys.readouterr().err
    Image.fromarray(true.astype(np.uint8) * 255).save("masks/p2_a_mask.png")
    assert run("--regions", "masks") == 0
    dataset = open_dataset("d")
    for sample in dataset.samples:
        np.testing.assert_array_equal(dataset.region(sample), true)
    Image.fromarray(~true).save("masks/p1_a.png")  # a changed mask is taken up
    assert run("--regions", "masks") == 0
    dataset = open_dataset("d")
    np.testing.assert_array_equal(dataset.region(dataset.samples[0]), ~true)


def test_drawn_as_a_shape_unless_that_is_a_class(photos):
    shapes = [("dent", "rectangle", [[90, 60], [110, 80]]), ("plate", "rectangle", [[20, 30], [120, 130]])]
    write_labels(photos / "p1_a.json", shapes)
    assert run("--margin", "2px") == 0
    dataset = open_dataset("d")
    drawn = np.zeros(SIZE, bool)
    drawn[32:128, 22:118] = True
    np.testing.assert_array_equal(dataset.region(dataset.samples[0]), drawn)
    assert dataset.region(dataset.samples[1]).all() and [c.name for c in dataset.classes] == ["dent"]
    assert run("--defects", "dent,plate", "--overwrite") == 0
    assert [i.class_name for i in open_dataset("d").samples[0].instances] == ["dent", "plate"]


@pytest.mark.parametrize(("options", "message"), [
    (["--regions", "nowhere"], "regions nowhere: no such folder; expected 'find', or a folder of masks"),
    (["--regions", "find", "--margin", "2mm"], "margin 2mm needs pixel-size-um"),
    (["--regions", "find", "--margin", "80px"], "nothing of the plate is left to inspect inside a margin of 80 pixels"),
    (["--margin", "3px"], "margin is off the border of a plate's region"),
])
def test_what_makes_no_sense_is_refused_in_one_line(photos, capsys, options, message):
    assert run(*options) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert message in error.replace("`", "").replace("--", "")
