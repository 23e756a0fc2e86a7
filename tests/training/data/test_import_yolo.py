# SPDX-License-Identifier: Apache-2.0
"""YOLO's text files: boxes and segments, in the layouts that tools write."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sequential_patchcore.cli import parser as cli
from sequential_patchcore.data.check import check_dataset
from sequential_patchcore.data.dataset import open_dataset

HEIGHT, WIDTH = 40, 80


def photo(path: str, seed: int = 0, **more) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8)).save(path, **more)


def text(path: str, content: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(content, encoding="utf-8")


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs `import yolo s --out d`; `s` holds images/train/a.png, images/val/b.png and data.yaml."""
    monkeypatch.chdir(tmp_path)
    photo("s/images/train/a.png"), photo("s/images/val/b.png", 1)
    text("s/data.yaml", "path: ../somewhere\ntrain: images/train\nval: images/val\nnc: 2\nnames: ['dent', 'scratch']\n")
    return lambda *options: cli.main(["import", "yolo", "s", "--out", "d", *options])


def found(sample_id: str = "a") -> list[tuple[str, int, bool]]:
    sample = next(sample for sample in open_dataset("d").samples if sample.id == sample_id)
    return [(i.class_name, i.pixels, i.weak) for i in sample.instances]


def test_boxes_and_segments(run, capsys):
    # A box of 20 x 10 pixels around (40, 20); a segment of the pixels 8..15 x 4..11; a detection with its confidence.
    text("s/labels/train/a.txt", "1 0.5 0.5 0.25 0.25\n0 0.1 0.1 0.2 0.1 0.2 0.3 0.1 0.3\n\n0 0.9 0.9 0.05 0.05 0.87\n")
    text("s/labels/val/b.txt", "")
    assert run() == 0
    assert found() == [("scratch", 200, True), ("dent", 64, False), ("dent", 8, True)] and found("b") == []
    mask = open_dataset("d").mask(open_dataset("d").samples[0])
    assert (mask[15:25, 30:50] == 4).all() and (mask[4:12, 8:16] == 2).all()
    assert [(s.id, s.split) for s in open_dataset("d").samples] == [("a", "train"), ("b", "val")]
    assert "2 labels are boxes alone" in capsys.readouterr().err and check_dataset("d") == []


@pytest.mark.parametrize("names", [
    "names: [dent, scratch]\n", "names:\n  0: dent\n  1: scratch\n", "names:\n- dent\n- \"scratch\"\n",
    '{"names": {"0": "x"}}'])
def test_names_of_classes_in_any_form_of_yaml(run, capsys, names):
    text("s/data.yaml", names)
    text("s/labels/train/a.txt", "1 0.5 0.5 0.25 0.25\n")
    if '"0"' in names:
        assert run() == 2 and "expected names as a list, or as number: name" in capsys.readouterr().err
    else:
        assert run() == 0 and found() == [("scratch", 200, True)]


@pytest.mark.parametrize(("image", "label"), [
    ("x.png", "x.txt"), ("x.png", "labels/x.txt"), ("train/images/x.png", "train/labels/x.txt"),
    ("images/x.png", "labels/x.txt"), ("images/deep/x.PNG", "labels/deep/x.txt"),
    ("obj_train_data/x.png", "obj_train_data/x.txt")])
def test_layouts_of_ultralytics_roboflow_darknet_and_cvat(tmp_path, monkeypatch, image, label):
    monkeypatch.chdir(tmp_path)
    photo(f"s/{image}")
    text(f"s/{label}", "0 0.5 0.5 0.25 0.25\n")
    text("s/obj.names", "dent\n")
    text("s/obj.data", "classes = 1\nnames = data/obj.names\n")
    assert cli.main(["import", "yolo", "s", "--out", "d"]) == 0
    assert found("x") == [("dent", 200, True)]
    assert open_dataset("d").samples[0].split == "train"


def test_splits_of_cvats_darknet_layout(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number, split in enumerate(("train", "valid")):
        photo(f"s/obj_{split}_data/{split}.png", number)
        text(f"s/obj_{split}_data/{split}.txt", "0 0.5 0.5 0.25 0.25\n")
        text(f"s/{split}.txt", f"data/obj_{split}_data/{split}.png\n")
    text("s/obj.names", "dent\n")
    assert cli.main(["import", "yolo", "s", "--out", "d"]) == 0
    assert {s.id: s.split for s in open_dataset("d").samples} == {"train": "train", "valid": "val"}


def test_splits_from_lists_of_images(run):
    text("s/data.yaml", "train: train.txt\nval: [val.txt]\nnames: [dent]\n")
    text("s/train.txt", "./images/val/b.png\n")
    text("s/val.txt", "images/train/a.png\n")
    text("s/labels/train/a.txt", "0 0.5 0.5 0.25 0.25\n")
    assert run() == 0
    assert [(s.id, s.split) for s in open_dataset("d").samples] == [("a", "val"), ("b", "train")]


def test_without_names_classes_are_called_by_their_numbers(run, capsys):
    Path("s/data.yaml").unlink()
    text("s/labels/train/a.txt", "3 0.5 0.5 0.25 0.25\n")
    assert run() == 0
    assert found() == [("3", 200, True)]
    said = capsys.readouterr().err
    assert "the classes: they are called by their numbers" in said
    assert "1 of 2 images have no label file: they count as clean" in said


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("suffix", ["jpg", "tif", "png"])
def test_shares_are_of_the_upright_image(run, orientation, suffix):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Path("s/images/train/a.png").unlink()
    photo(f"s/images/train/a.{suffix}", exif=exif)
    text("s/labels/train/a.txt", "0 0.25 0.25 0.5 0.5\n")
    assert run() == 0
    dataset = open_dataset("d")
    mask = dataset.mask(dataset.samples[0])
    assert mask.shape == ((HEIGHT, WIDTH) if orientation < 5 else (WIDTH, HEIGHT))
    assert mask[: mask.shape[0] // 2, : mask.shape[1] // 2].all() and (mask > 0).mean() == 0.25


WRONG = {
    "letters": ("dent 0.1 0.1 0.1 0.1", "line 1: expected `class x y width height` or `class x1 y1"),
    "three numbers": ("0 0.1 0.1 0.1", "line 1: expected `class x y width height`"),
    "pixels": ("0 400 200 50 60", "expected shares of the image's sides, found 400"),
    "NaN": ("0 0.1 nan 0.1 0.1", "expected shares of the image's sides, found nan"),
    "unknown class": ("0 0.5 0.5 0.1 0.1\n9 0.5 0.5 0.1 0.1", "line 2: the class 9 has no name; known: 0, 1"),
    "outside": ("0 1.4 0.5 0.1 0.1", "lies outside its image"),
    "no extent": ("0 0.5 0.5 0 0", "it has no extent"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_named_by_file_and_line(run, capsys, case):
    line, message = WRONG[case]
    text("s/labels/train/a.txt", line + "\n")
    text("s/labels/val/b.txt", "0 0.5 0.5 0.1 0.1\n")
    assert run() == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert message in error and "s/labels/train/a.txt, line" in error
    assert run("--skip-bad") == 4
    assert [s.id for s in open_dataset("d").samples] == ["b"]


def test_labels_without_an_image_and_images_without_any_label(run, capsys):
    text("s/labels/train/c.txt", "0 0.5 0.5 0.1 0.1\n"), text("s/labels/train/a.txt", "0 0.5 0.5 0.1 0.1\n")
    assert run() == 2
    assert "s/labels/train/c.txt belongs to no image" in capsys.readouterr().err
    Path("s/labels/train/c.txt").unlink(), Path("s/labels/train/a.txt").unlink()
    assert run() == 2
    assert "none of the 2 images of s has a label file" in capsys.readouterr().err


def test_key_points_are_refused(run, capsys):
    text("s/data.yaml", "names: [dent]\nkpt_shape: [17, 3]\n")
    assert run() == 2
    assert "labels of key points (kpt_shape) are not read" in capsys.readouterr().err
