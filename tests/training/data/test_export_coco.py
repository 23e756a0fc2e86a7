# SPDX-License-Identifier: Apache-2.0
"""COCO: run lengths against a slow decoder, boxes and areas against the pixels."""

import json
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from sequential_patchcore.data.dataset import ClassInfo, open_dataset
from sequential_patchcore.data.exporters.coco import _box, export_coco, run_lengths
from sequential_patchcore.data.writer import DatasetWriter

SIZE = (17, 23)


def slow_decode(counts: list[int], size: tuple[int, int]) -> np.ndarray:
    """Run lengths to pixels, one pixel at a time, down the columns."""
    mask = np.zeros(size, bool)
    position = 0
    for index, count in enumerate(counts):
        for _ in range(count):
            mask[position % size[0], position // size[0]] = index % 2 == 1
            position += 1
    assert position == size[0] * size[1]
    return mask


def make_instances(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 5, (4, 5)) * rng.integers(0, 2, (4, 5))
    instances = np.kron(coarse, np.ones((5, 5)))[: SIZE[0], : SIZE[1]].astype(np.uint16)
    instances[rng.random(SIZE) < 0.05] = 40000
    return instances


@pytest.mark.parametrize("seed", range(10))
def test_run_lengths_decode_to_the_instance(seed):
    instances = make_instances(seed)
    lengths = run_lengths(instances)
    assert set(lengths) == set(np.unique(instances).tolist()) - {0}
    for number, counts in lengths.items():
        np.testing.assert_array_equal(slow_decode(counts, SIZE), instances == number)
        assert all(count > 0 for count in counts[1:]), "no empty runs but the first"


@pytest.mark.parametrize(
    "place", [np.s_[0:1, 0:1], np.s_[16:, 22:], np.s_[:, :], np.s_[:, 3:5], np.s_[4:9, 7:8], np.s_[16:, :]]
)
def test_extreme_places(place):
    instances = np.zeros(SIZE, np.uint16)
    instances[place] = 3
    counts = run_lengths(instances)[3]
    np.testing.assert_array_equal(slow_decode(counts, SIZE), instances == 3)
    rows, columns = np.nonzero(instances)
    assert _box(counts, SIZE[0]) == [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]


def test_an_empty_image_has_no_run_lengths():
    assert run_lengths(np.zeros(SIZE, np.uint16)) == {}


def write(path: Path):
    classes = (ClassInfo(3, "rust", "defect"), ClassInfo(6, "water_stain", "impurity"))
    with DatasetWriter(path, "x", "test", classes) as writer:
        for index, split in enumerate(("train", "test", "test")):
            instances = make_instances(index) if index else np.zeros(SIZE, np.uint16)
            numbers = [n for n in np.unique(instances).tolist() if n] + ([99] if index else [])  # 99 is hidden
            table = {n: 3 if n % 2 else 6 for n in numbers}
            lookup = np.zeros(65536, np.uint8)
            for number, class_id in table.items():
                lookup[number] = class_id
            writer.add(f"s{index}", np.zeros(SIZE, np.uint8), lookup[instances], instances, table, split, "g")
    return open_dataset(path)


def test_annotations_agree_with_the_pixels(tmp_path):
    dataset = write(tmp_path / "d")
    out = export_coco(dataset, tmp_path / "out", progress=False)
    assert sorted(p.name for p in (out / "annotations").iterdir()) == ["instances_test.json", "instances_train.json"]
    content = json.loads((out / "annotations/instances_test.json").read_text())
    assert [(c["id"], c["name"], c["supercategory"]) for c in content["categories"]] == [
        (3, "rust", "defect"), (6, "water_stain", "impurity")]
    assert len({a["id"] for a in content["annotations"]}) == len(content["annotations"])
    for image in content["images"]:
        assert (out / "images" / image["file_name"]).is_file()
        sample = next(s for s in dataset.samples if f"{s.id}.png" == image["file_name"])
        assert (image["height"], image["width"]) == SIZE
        annotations = [a for a in content["annotations"] if a["image_id"] == image["id"]]
        assert len(annotations) == sum(i.pixels > 0 for i in sample.instances)
        painted = np.zeros(SIZE, np.uint8)
        for annotation in annotations:
            mask = slow_decode(annotation["segmentation"]["counts"], tuple(annotation["segmentation"]["size"]))
            assert annotation["area"] == mask.sum() and annotation["iscrowd"] == 0
            rows, columns = np.nonzero(mask)
            assert annotation["bbox"] == [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
            painted[mask] = annotation["category_id"]
        np.testing.assert_array_equal(painted, dataset.mask(sample))


def test_pycocotools_reads_the_same_pixels_and_finds_them_perfect(tmp_path):
    """The format's own implementation: it loads the file, decodes every mask, and scores the truth against itself."""
    dataset = write(tmp_path / "d")
    out = export_coco(dataset, tmp_path / "out", progress=False)
    truth = COCO(str(out / "annotations/instances_test.json"))
    for sample in dataset.split("test"):
        (image_id,) = [i for i, image in truth.imgs.items() if image["file_name"] == f"{sample.id}.png"]
        annotations = truth.loadAnns(truth.getAnnIds(imgIds=image_id))
        visible = {instance.id: instance.class_name for instance in sample.instances if instance.pixels}
        assert len(annotations) == len(visible) > 1
        instances = dataset.instances(sample)
        for annotation, (number, name) in zip(annotations, visible.items(), strict=True):
            np.testing.assert_array_equal(truth.annToMask(annotation), instances == number)
            assert truth.loadCats(annotation["category_id"])[0]["name"] == name
    guesses = [{key: a[key] for key in ("image_id", "category_id", "segmentation")} | {"score": 1.0,
               "segmentation": truth.annToRLE(a)} for a in truth.dataset["annotations"]]
    result = COCOeval(truth, truth.loadRes(guesses), "segm")
    result.evaluate()
    result.accumulate()
    result.summarize()
    assert result.stats[0] == pytest.approx(1.0)
