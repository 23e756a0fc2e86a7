# SPDX-License-Identifier: Apache-2.0
"""What lies in a folder beside photographs and LabelMe files: labels of other tools, masks, pictures not read."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sequential_patchcore.cli import parser as cli
from sequential_patchcore.data.dataset import open_dataset

SIZE = (12, 16)


def photo(path: str, seed: int = 0) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, SIZE, dtype=np.uint8)).save(path)


def text(path: str, content: str | dict | list) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")


def labels(path: str, image: str) -> None:
    shape = {"label": "dent", "shape_type": "rectangle", "points": [[2, 2], [6, 6]]}
    text(path, {"shapes": [shape], "imagePath": image})


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs `import KIND s --out d`; `s` holds the photographs a.png and b.png."""
    monkeypatch.chdir(tmp_path)
    photo("s/a.png"), photo("s/b.png", 1)
    return lambda *options, kind="labelme": cli.main(["import", kind, "s", "--out", "d", *options])


VOC = """<annotation><folder>s</folder><filename>a.png</filename><size><width>16</width><height>12</height>
<depth>1</depth></size><object><name>dent</name><bndbox><xmin>2</xmin><ymin>2</ymin><xmax>6</xmax><ymax>6</ymax></bndbox>
</object></annotation>"""
CVAT = """<?xml version="1.0" encoding="utf-8"?><annotations><version>1.1</version><image id="0" name="a.png" width="16"
height="12"><box label="dent" xtl="2" ytl="2" xbr="6" ybr="6" occluded="0"/></image></annotations>"""
COCO = {"images": [{"id": 1, "file_name": "a.png", "width": 16, "height": 12}],
        "categories": [{"id": 1, "name": "dent"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [2, 2, 4, 4]}]}
STUDIO = [{"data": {"image": "a.png"}, "annotations": [{"result": []}]}]
VIA = {"a.png123": {"filename": "a.png", "size": 123, "regions": [{"shape_attributes": {"name": "rect"}}]}}

FOREIGN = {
    "coco": ("annotations.json", COCO, "COCO JSON", "import coco"),
    "yolo": ("labels/a.txt", "0 0.25 0.33 0.25 0.33\n", "YOLO text", "import yolo"),
    "yolo segments": ("a.txt", "0 0.1 0.1 0.4 0.1 0.4 0.4\n1 0.5 0.5 0.6 0.6\n", "YOLO text", "import yolo"),
    "voc": ("a.xml", VOC, "Pascal VOC XML", "import voc"),
    "cvat": ("annotations.xml", CVAT, "CVAT XML 1.1", "import cvat"),
    "label studio": ("project-1.json", STUDIO, "Label Studio JSON", "import labelstudio"),
    "via": ("via.json", VIA, "another labelling tool", "mend or convert them"),
    "csv of boxes": ("boxes.csv", "filename,xmin,ymin,xmax,ymax,class\na.png,2,2,6,6,dent\n", "another",
                     "mend or convert them"),
    "datumaro": ("annotations/default.json", {"info": {}, "categories": {"label": {}}, "items": [{"id": "a"}]},
                 "another labelling tool", "mend or convert them"),
    "labelbox": ("export.ndjson", '{"data_row": {"external_id": "a.png"}, "projects": {"x": {}}}\n', "another",
                 "mend or convert them"),
    "dota": ("a.txt", "10 2 30 2 30 9 10 9 ship 0\n", "another labelling tool", "mend or convert them"),
}


@pytest.mark.parametrize("case", FOREIGN)
def test_labels_of_another_kind_are_named_and_never_lost(run, capsys, case):
    name, content, title, cure = FOREIGN[case]
    text(f"s/{name}", content)
    assert run() == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert f"s holds labels of {title}" in error and name in error and cure in error and "--exclude" in error
    assert not Path("d").exists()
    assert run("--skip-bad") == 2  # nobody knows which images would have to be left out
    assert run("--exclude", Path(name).name) == 0  # a person's word
    assert len(open_dataset("d").samples) == 2


@pytest.mark.parametrize("case", FOREIGN)
def test_an_mvtec_tree_with_labels_of_another_kind_is_refused_too(run, capsys, case):
    name, content, title, _ = FOREIGN[case]
    photo("s/train/good/a.png")
    text(f"s/{name}", content)
    assert run(kind="mvtec") == 2
    assert f"labels of {title}" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["readme.txt", "labels.txt", "a.txt", "notes.xml", "log.csv", "splits.csv"])
def test_other_texts_are_counted_and_do_not_stop_an_import(run, capsys, name):
    text(f"s/{name}", {"notes.xml": "<x><y/></x>", "log.csv": "time,exposure\n1,2\n", "a.txt": "",
                       "labels.txt": "dent\nscratch\n"}.get(name, "Taken with camera 3 on 2024-05-01.\n"))
    assert run() == 0
    assert f"looked at 3 files in s: 2 images, 1 passed over (1 {Path(name).suffix})" in capsys.readouterr().err


def test_pictures_that_cannot_be_read_are_counted_and_named(run, capsys):
    for name in ("IMG_1.HEIC", "deep/c.heic", "d.CR2", "e.exr", "film.mp4", "notes.pdf"):
        text(f"s/{name}", "x")
    text("s/.DS_Store", "x"), text("s/__MACOSX/._a.png", "x"), text("s/Thumbs.db", "x")
    assert run() == 0
    said = capsys.readouterr().err
    assert "passed over: 2 HEIC photographs, which are not read (IMG_1.HEIC, deep/c.heic)" in said
    assert "1 raw files of a camera, which are not read (d.CR2)" in said and "(e.exr)" in said and "(film.mp4)" in said
    assert "looked at 8 files in s: 2 images, 6 passed over (2 .heic" in said


def test_a_labelled_picture_of_a_kind_that_is_not_read_is_an_error(run, capsys):
    text("s/c.heic", "x"), labels("s/c.json", "c.heic")
    assert run() == 2
    assert "s/c.json: no image 'c.heic'" in capsys.readouterr().err
    photo("s/e.webp"), labels("s/e.json", "e.webp"), Path("s/c.json").unlink()
    assert run() == 0
    assert {s.id: len(s.instances) for s in open_dataset("d").samples} == {"a": 0, "b": 0, "e": 1}


def test_files_behind_links_are_looked_at(run, tmp_path):
    photo("elsewhere/c.png", 2)
    Path("s/link").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    Path("s/link/again").symlink_to(tmp_path / "s", target_is_directory=True)  # a circle
    assert run() == 0
    assert [s.id for s in open_dataset("d").samples] == ["a", "b", "c"]


@pytest.mark.parametrize("mask", [
    "a_mask.png", "a-mask.png", "a_GT.bmp", "a_label.png", "masks/a.png", "masks/a_mask.png", "ground_truth/x/a.png",
    "SegmentationClass/a.png", "labels/a.png"])
def test_masks_beside_photographs_do_not_train_as_photographs(run, capsys, mask):
    photo(f"s/{mask}")
    assert run() == 2
    assert f"1 picture(s) look like masks of others, the first: s/{mask} of s/a.png" in capsys.readouterr().err
    assert run("--skip-bad") == 4  # neither the mask nor the image whose labels it holds
    assert [s.id for s in open_dataset("d").samples] == ["b"]
    assert len(Path("d/left_out.txt").read_text().splitlines()) == 2
    assert run("--exclude", Path(mask).name if "/" not in mask else f"{Path(mask).parts[0]}/*") == 0
    assert [s.id for s in open_dataset("d").samples] == ["a", "b"] and not Path("d/left_out.txt").exists()


def test_masks_in_the_training_folder_of_an_mvtec_tree(run, capsys):
    photo("s/train/good/000.png"), photo("s/train/good/000_mask.png")
    assert run(kind="mvtec") == 2
    assert "s/train/good/000_mask.png of s/train/good/000.png" in capsys.readouterr().err


@pytest.mark.parametrize("folder", ["val", "valid", "Validation", "VAL"])
def test_a_validation_split_by_any_of_its_names(run, folder):
    for place in ("train/good/0", f"{folder}/good/1", f"{folder}/dent/2", f"{folder}_ground_truth/dent/2_mask"):
        photo(f"s/{place}.png")
    assert run(kind="mvtec") == 0
    dataset = open_dataset("d")
    assert {s.id: (s.split, bool(s.instances)) for s in dataset.samples} == {
        "0": ("train", False), "1": ("val", False), "2": ("val", True)}


def test_what_an_mvtec_tree_does_not_know_is_named(run, capsys):
    for place in ("train/Good/0", "test/good/1", "dev/good/2", "ground_truth/dent/9_mask"):
        photo(f"s/{place}.png")
    assert run(kind="mvtec") == 0
    said = capsys.readouterr().err
    assert "pictures that the source does not list or whose place it does not know (a.png, b.png, dev/good/2.png)" in (
        said)
    assert "1 masks belong to no image (s/ground_truth/dent/9_mask.png)" in said
    assert "1 images lie in a folder that is spelt 'Good'; it is taken for 'good' (train/Good/0.png)" in said
    assert len(open_dataset("d").samples) == 2


def test_two_masks_for_one_image_are_an_error(run, capsys):
    for place in ("test/dent/0", "ground_truth/dent/0_mask", "ground_truth/dent/0"):
        photo(f"s/{place}.png")
    assert run(kind="mvtec") == 2
    assert "s/test/dent/0.png has 2 masks" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "content"), [
    ("a.xml", "<annotation><object><name>dent"), ("labels.json", '{"images": [')])
@pytest.mark.parametrize("kind", ["labelme", "mvtec", "yolo"])
def test_a_broken_file_that_may_hold_labels_stops_every_import(run, capsys, kind, name, content):
    photo("s/train/good/0.png", 5)
    text("s/b.txt", "0 0.5 0.5 0.2 0.2\n" if kind == "yolo" else "")
    text(f"s/{name}", content)
    assert run(kind=kind) == 2
    error = capsys.readouterr().err
    assert name in error and "broken JSON" in error and not Path("d").exists()
