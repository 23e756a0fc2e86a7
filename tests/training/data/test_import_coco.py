# SPDX-License-Identifier: Apache-2.0
"""COCO files: polygons, both run lengths, crowds, boxes; against pycocotools where it can be asked."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as reference
from sequential_patchcore.cli import parser as cli
from sequential_patchcore.data.check import check_dataset
from sequential_patchcore.data.dataset import open_dataset
from sequential_patchcore.data.importers.run_lengths import coco_counts
from sequential_patchcore.runtime.errors import UserError

HEIGHT, WIDTH = 40, 60


def photo(path: str, seed: int = 0) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)).save(path)


def blob(seed: int) -> np.ndarray:
    """bool (HEIGHT, WIDTH): random rectangles and single pixels."""
    rng = np.random.default_rng(seed)
    inside = rng.random((HEIGHT, WIDTH)) < 0.02
    for _ in range(3):
        y, x = rng.integers(0, HEIGHT - 8), rng.integers(0, WIDTH - 8)
        inside[y : y + rng.integers(2, 9), x : x + rng.integers(2, 9)] ^= True
    return inside


def packed(inside: np.ndarray) -> dict:
    """As pycocotools compresses it."""
    rle = reference.encode(np.asfortranarray(inside.astype(np.uint8)))
    return {"size": rle["size"], "counts": rle["counts"].decode()}


def annotation(number: int, image: int, category: int, **more) -> dict:
    return {"id": number, "image_id": image, "category_id": category, "iscrowd": 0, "area": 1.0} | more


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Writes `s/annotations/instances_train.json` of the given annotations of the images 1, a.png, and 2, sub/b.png."""
    monkeypatch.chdir(tmp_path)
    photo("s/images/a.png"), photo("s/images/sub/b.png", 1)

    def command(*annotations: dict, options: tuple = (), name: str = "instances_train", **more) -> int:
        content = {
            "info": {}, "licenses": [], "images": [
                {"id": 1, "file_name": "a.png", "width": WIDTH, "height": HEIGHT},
                {"id": 2, "file_name": "sub/b.png", "width": WIDTH, "height": HEIGHT}],
            "categories": [{"id": 7, "name": "dent", "supercategory": "none"}, {"id": 3, "name": "scratch"}],
            "annotations": list(annotations)} | more
        Path("s/annotations").mkdir(exist_ok=True)
        Path(f"s/annotations/{name}.json").write_text(json.dumps(content))
        return cli.main(["import", "coco", "s", "--out", "d", *options])

    return command


def pixels(sample_id: str = "a") -> dict[int, np.ndarray]:
    dataset = open_dataset("d")
    sample = next(sample for sample in dataset.samples if sample.id == sample_id)
    found = dataset.instances(sample)
    return {instance.id: found == instance.id for instance in sample.instances}


@pytest.mark.parametrize("seed", range(20))
def test_compressed_run_lengths_decode_as_the_reference_does(seed):
    inside = blob(seed) if seed else np.zeros((HEIGHT, WIDTH), bool)
    if seed == 1:
        inside[:] = True
    rle = packed(inside)
    counts = coco_counts(rle["counts"])
    assert counts.sum() == HEIGHT * WIDTH and (counts >= 0).all()
    decoded = np.repeat(np.arange(len(counts)) % 2 == 1, counts).reshape((HEIGHT, WIDTH), order="F")
    np.testing.assert_array_equal(decoded, reference.decode(rle).astype(bool))


@pytest.mark.parametrize("text", ["\x1f", "~", "é", "0P", "m"])
def test_broken_run_lengths_are_refused(text):
    with pytest.raises(UserError, match="run lengths"):
        coco_counts(text)


@pytest.mark.parametrize("compressed", [True, False])
def test_run_lengths_become_exactly_their_pixels(run, compressed):
    first, second = blob(3), blob(4)
    second &= ~first
    entries = []
    for number, inside in enumerate((first, second), start=1):
        rle = packed(inside)
        if not compressed:
            rle["counts"] = coco_counts(rle["counts"]).tolist()
        entries.append(annotation(number, 1, 7, segmentation=rle))
    assert run(*entries) == 0
    found = pixels()
    np.testing.assert_array_equal(found[1], first)
    np.testing.assert_array_equal(found[2], second)
    assert check_dataset("d") == []
    dataset = open_dataset("d")
    assert [(s.id, s.split, len(s.instances)) for s in dataset.samples] == [("a", "train", 2), ("b", "train", 0)]
    assert [info.name for info in dataset.classes] == ["dent"]


@pytest.mark.parametrize("seed", range(6))
def test_polygons_agree_with_the_reference_up_to_the_border(run, seed):
    """Two parts are one instance. The reference rounds corners to a fifth of a pixel."""
    rng = np.random.default_rng(seed)
    angles = np.sort(rng.uniform(0, 2 * np.pi, (2, 9)), axis=1)
    radii = rng.uniform(6, 11, (2, 9))
    middles = np.array([[15.0, 20.0], [44.0, 18.0]])
    parts = [np.stack([m[0] + r * np.cos(a), m[1] + r * np.sin(a)], axis=1).ravel().tolist()
             for m, r, a in zip(middles, radii, angles, strict=True)]
    assert run(annotation(1, 1, 7, segmentation=parts)) == 0
    (found,) = pixels().values()
    expected = reference.decode(reference.merge(reference.frPyObjects(parts, HEIGHT, WIDTH))).astype(bool)
    border = found != expected
    assert found.sum() == pytest.approx(expected.sum(), rel=0.04) and border.sum() <= 0.1 * expected.sum()
    inner = np.zeros_like(found)
    inner[1:-1, 1:-1] = True
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            inner &= np.roll(expected, (dy, dx), (0, 1))
    assert found[inner].all()


def test_a_box_alone_is_a_weak_label_and_said(run, capsys):
    boxes = annotation(1, 1, 3, bbox=[10, 5, 12, 8], segmentation=[]), annotation(2, 1, 7, bbox=[30.0, 20.0, 4, 4])
    assert run(*boxes) == 0
    sample = open_dataset("d").samples[0]
    assert [(i.class_name, i.pixels, i.weak) for i in sample.instances] == [("scratch", 96, True), ("dent", 16, True)]
    assert "2 labels are boxes alone: weak labels" in capsys.readouterr().err
    record = json.loads(Path("d/samples.jsonl").read_text().splitlines()[0])
    assert record["instances"][0] == {"id": 1, "class": "scratch", "pixels": 96, "weak": True}


def test_a_crowd_is_one_instance_and_said(run, capsys):
    assert run(annotation(1, 2, 7, iscrowd=1, segmentation=packed(blob(5)))) == 0
    (found,) = pixels("b").values()
    np.testing.assert_array_equal(found, blob(5))
    assert "1 annotations are crowds" in capsys.readouterr().err


def test_each_file_is_a_split_and_folders_tell_equal_names_apart(run, capsys):
    photo("s/train/x.png", 5), photo("s/valid/x.png", 6)
    for split in ("train", "valid"):
        content = {"images": [{"id": 0, "file_name": "x.png"}], "categories": [{"id": 0, "name": "dent"}],
                   "annotations": [annotation(0, 0, 0, bbox=[1, 1, 4, len(split)])]}
        Path(f"s/{split}/_annotations.coco.json").write_text(json.dumps(content))
    assert run(name="instances_test2017") == 0
    assert {s.id: (s.split, [i.pixels for i in s.instances]) for s in open_dataset("d").samples} == {
        "train_x": ("train", [20]), "valid_x": ("val", [20]), "images_a": ("test", []), "images_sub_b": ("test", [])}


def test_images_that_no_file_lists_are_left_out_and_named(run, capsys):
    photo("s/images/c.png", 2)
    assert run() == 0
    assert [s.id for s in open_dataset("d").samples] == ["a", "b"]
    assert "1 pictures that the source does not list" in (said := capsys.readouterr().err) and "(images/c.png)" in said


WRONG = {
    "unknown category": (annotation(1, 1, 99, bbox=[1, 1, 2, 2]), "annotation 1 of a.png has the unknown category 99"),
    "neither": (annotation(1, 1, 7, segmentation=[]), "has neither a segmentation nor a bbox"),
    "two corners": (annotation(1, 1, 7, segmentation=[[1, 1, 2, 2]]), "a polygon needs 3 points, found 2"),
    "odd": (annotation(1, 1, 7, segmentation=[[1, 1, 2, 2, 3]]), "expected a polygon as x1, y1"),
    "NaN": (annotation(1, 1, 7, segmentation=[[1, 1, 2, float("nan"), 3, 3]]), "point 2 is [2, NaN]"),
    "outside": (annotation(1, 1, 7, bbox=[70, 5, 9, 9]), "lies outside its image of 60 x 40 pixels: x 70 to 79"),
    "negative": (annotation(1, 1, 7, bbox=[10, 5, -4, 9]), "its box is -4 pixels wide"),
    "no numbers": (annotation(1, 1, 7, bbox=["a", 5, 4, 9]), "expected a number of pixels, found 'a'"),
    "short runs": (annotation(1, 1, 7, segmentation={"size": [HEIGHT, WIDTH], "counts": [5, 5]}), "add up to 10 p"),
    "other size": (annotation(1, 1, 7, segmentation={"size": [5, 2], "counts": [5, 5]}), "are of 2 x 5 pixels"),
    "empty runs": (annotation(1, 1, 7, segmentation={"size": [HEIGHT, WIDTH], "counts": [HEIGHT * WIDTH]}), "is empty"),
    "broken runs": (annotation(1, 1, 7, segmentation={"size": [HEIGHT, WIDTH], "counts": "~~"}), "hold '~' at place 0"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_named_and_spoils_its_image_alone(run, capsys, case):
    wrong, message = WRONG[case]
    assert run(wrong, annotation(2, 2, 7, bbox=[1, 1, 2, 2])) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert message in error and "annotation 1" in error and "instances_train.json" in error
    assert run(wrong, annotation(2, 2, 7, bbox=[1, 1, 2, 2]), options=("--skip-bad",)) == 4
    assert [s.id for s in open_dataset("d").samples] == ["b"]


@pytest.mark.parametrize(("change", "message"), [
    ({"annotations": [annotation(1, 5, 7, bbox=[1, 1, 2, 2])]}, "1 annotations are of the image 5, which the file"),
    ({"images": [{"id": 1, "file_name": "no.png"}]}, "no image 'no.png' below s"),
    ({"images": [{"id": 1, "file_name": "a.png", "width": 9, "height": 9}]}, "was drawn on an image of 9 x 9 pixels"),
    ({"images": [{"id": 1, "file_name": "a.png"}, {"id": 1, "file_name": "sub/b.png"}]}, "two images have the id '1'"),
    ({"images": [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "a.png"}]}, "is listed twice"),
    ({"images": [{"id": 1}]}, "expected images with id and file_name"),
])
def test_a_file_that_does_not_fit_its_images_is_refused(run, capsys, change, message):
    assert run(**change) == 2
    assert message in capsys.readouterr().err


def test_the_name_of_an_upload_finds_the_file_that_was_uploaded(run):
    assert run(images=[{"id": 1, "file_name": "..\\data\\upload\\1\\0a1b2c3d-a.png"}]) == 0
    assert [s.id for s in open_dataset("d").samples] == ["a"]


def test_without_such_a_file_there_is_nothing_to_import(run, capsys):
    assert run(name="x") == 0
    Path("s/annotations/x.json").unlink()
    assert cli.main(["import", "coco", "s", "--out", "e"]) == 2
    assert "s holds no COCO file" in capsys.readouterr().err


def test_a_change_of_one_images_labels_takes_that_image_anew(run, capsys):
    one, two = annotation(1, 1, 7, bbox=[1, 1, 4, 4]), annotation(2, 2, 7, bbox=[1, 1, 4, 4])
    assert run(one, two) == 0
    assert run(one, two | {"bbox": [1, 1, 5, 5]}) == 0
    assert "1 of the 2 samples that were there stay as they are, 1 were made anew" in capsys.readouterr().err
