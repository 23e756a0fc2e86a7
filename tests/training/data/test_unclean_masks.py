# SPDX-License-Identifier: Apache-2.0
"""Masks as people save them: as JPEG, antialiased, with numbers of classes."""

import base64
import io
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from sequential_patchcore.cli import parser as cli
from sequential_patchcore.data.dataset import open_dataset

SIZE = (120, 160)


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """Makes an MVTec-like tree in `t` with one defective image and its mask as given; returns the folder of masks."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for place in ("train/good/000.png", "test/scratch/000.png"):
        Path("t", place).parent.mkdir(parents=True)
        Image.fromarray(rng.integers(0, 256, SIZE, dtype=np.uint8)).save(Path("t", place))
    masks = tmp_path / "t/ground_truth/scratch"
    masks.mkdir(parents=True)
    return masks


def scratches() -> np.ndarray:
    """Two thin diagonal strokes, 0 and 255."""
    mask = np.zeros(SIZE, np.uint8)
    cv2.line(mask, (10, 12), (100, 90), 255, 3)
    cv2.line(mask, (120, 15), (150, 70), 255, 4)
    return mask


def import_and_read() -> tuple[np.ndarray, int]:
    assert cli.main(["import", "mvtec", "t", "--out", "d"]) == 0
    (sample,) = open_dataset("d").split("test")
    return open_dataset("d").mask(sample) > 0, len(sample.instances)


@pytest.mark.parametrize("quality", [30, 75, 95])
def test_a_mask_saved_as_jpeg_keeps_its_scratches(tree, capsys, quality):
    true = scratches()
    Image.fromarray(true).save(tree / "000_mask.jpg", quality=quality)
    assert np.count_nonzero(np.unique(Image.open(tree / "000_mask.jpg"))) > 10
    found, instances = import_and_read()
    assert instances == 2
    wrong = found != (true > 0)
    border = cv2.dilate(true, np.ones((3, 3))) != cv2.erode(true, np.ones((3, 3)))
    assert not (wrong & ~border).any() and wrong.mean() < 0.004
    assert ("1 masks hold values between 0 and their largest (lossy or antialiased): half of the largest value decides "
            "(t/ground_truth/scratch/000_mask.jpg)") in capsys.readouterr().err.replace(str(tree.parents[2]) + "/", "")


def test_an_antialiased_mask_is_cut_at_half(tree, capsys):
    large = np.zeros((SIZE[0] * 4, SIZE[1] * 4), np.uint8)
    cv2.circle(large, (300, 200), 90, 200, -1)
    soft = cv2.resize(large, SIZE[::-1], interpolation=cv2.INTER_AREA)
    Image.fromarray(soft).save(tree / "000_mask.png")
    found, instances = import_and_read()
    np.testing.assert_array_equal(found, soft >= 100)
    assert instances == 1 and "1 masks hold values between 0 and" in capsys.readouterr().err


def test_numbers_of_classes_are_all_labels(tree, capsys):
    mask = np.zeros(SIZE, np.uint8)
    mask[10:20, 10:20], mask[40:50, 40:60], mask[80:90, 5:15] = 1, 2, 5
    Image.fromarray(mask).save(tree / "000_mask.png")
    found, instances = import_and_read()
    np.testing.assert_array_equal(found, mask > 0)
    assert instances == 3 and "every value but 0 counts as labelled" in capsys.readouterr().err


@pytest.mark.parametrize("values", [(0, 1), (0, 255), (0, 40000)])
def test_a_clean_mask_is_taken_without_a_word(tree, capsys, values):
    mask = np.where(scratches() > 0, values[1], 0).astype(np.uint16 if values[1] > 255 else np.uint8)
    Image.fromarray(mask).save(tree / "000_mask.png")
    found, _ = import_and_read()
    np.testing.assert_array_equal(found, mask > 0)
    assert "masks hold" not in capsys.readouterr().err


def test_a_bitmap_of_labelme_that_is_a_jpeg_is_cut_at_half_too(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("s").mkdir()
    Image.fromarray(np.zeros(SIZE, np.uint8)).save("s/a.png")
    buffer = io.BytesIO()
    patch = np.zeros((40, 60), np.uint8)
    patch[8:32, 8:50] = 255
    Image.fromarray(patch).save(buffer, "JPEG", quality=60)
    shape = {"label": "dent", "shape_type": "mask", "points": [[20, 30], [79, 69]],
             "mask": base64.b64encode(buffer.getvalue()).decode()}
    Path("s/a.json").write_text(json.dumps({"shapes": [shape], "imagePath": "a.png"}))
    assert cli.main(["import", "labelme", "s", "--out", "d"]) == 0
    dataset = open_dataset("d")
    found = dataset.mask(dataset.samples[0]) > 0
    assert found[38:62, 28:70].mean() > 0.98 and found.sum() < 1.05 * 24 * 42
    assert "1 masks hold values between" in capsys.readouterr().err
