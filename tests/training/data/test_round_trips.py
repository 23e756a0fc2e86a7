# SPDX-License-Identifier: Apache-2.0
"""Out as COCO, YOLO or MVTec, and in again: the same pixels, classes and splits."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from sequential_patchcore.cli import parser as cli
from sequential_patchcore.data.check import check_dataset
from sequential_patchcore.data.dataset import Dataset, open_dataset
from sequential_patchcore.data.exporters.outline import outline_of
from sequential_patchcore.data.format import ClassInfo
from sequential_patchcore.data.importers.outlines import Polygon
from sequential_patchcore.data.writer import DatasetWriter

SIZE = (34, 46)
CLASSES = (
    ClassInfo(1, "crack: \"deep\"", "defect"), ClassInfo(2, "rost/表面", "defect"), ClassInfo(3, "oil", "impurity"),
)


def scatter(seed: int) -> np.ndarray:
    """Instance numbers: four random ones with holes, single pixels, parts that touch at corners and borders."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 5, (9, 12)) * (rng.random((9, 12)) < 0.6)
    instances = np.kron(coarse, np.ones((4, 4)))[: SIZE[0], : SIZE[1]].astype(np.uint16)
    fine = rng.random(SIZE) < 0.08
    instances[fine] = rng.integers(0, 5, fine.sum())
    return instances


@pytest.fixture
def dataset(tmp_path, monkeypatch) -> Dataset:
    monkeypatch.chdir(tmp_path)
    with DatasetWriter("d", "d", "test", CLASSES) as writer:
        for number, split in enumerate(("train", "train", "val", "test", "test")):
            instances = scatter(number) if number else np.zeros(SIZE, np.uint16)
            present = [n for n in np.unique(instances).tolist() if n]
            table = {n: 1 + n % 3 for n in present}
            mask = np.zeros(SIZE, np.uint8)
            for n, class_id in table.items():
                mask[instances == n] = class_id
            image = np.random.default_rng(number).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
            writer.add(f"Plätte {number}", image, mask, instances, table, split, f"p{number}",
                       weak=[present[0]] if number == 3 else [])
    return open_dataset("d")


def areas(dataset: Dataset) -> dict[str, set[tuple[str, bytes]]]:
    """Sample id -> (class, pixels) of its instances, whatever their numbers are."""
    found = {}
    for sample in dataset.samples:
        instances = dataset.instances(sample)
        found[sample.id] = {(i.class_name, (instances == i.id).tobytes()) for i in sample.instances if i.pixels}
    return found


@pytest.mark.parametrize("kind", ["coco", "yolo"])
def test_every_pixel_comes_back(dataset, kind, capsys):
    assert cli.main(["export", kind, "d", "--out", "x"]) == 0
    assert cli.main(["import", kind, "x", "--out", "e"]) == 0
    again = open_dataset("e")
    assert check_dataset("e") == []
    assert [(s.id, s.split) for s in again.samples] == [(s.id, s.split) for s in dataset.samples]
    assert [(c.name, c.kind) for c in again.classes] == [(c.name, c.kind) for c in dataset.classes]
    assert areas(again) == areas(dataset)
    for a, b in zip(dataset.samples, again.samples, strict=True):
        np.testing.assert_array_equal(dataset.image(a), again.image(b))
        np.testing.assert_array_equal(dataset.mask(a), again.mask(b))
    if kind == "coco":
        assert [sum(i.weak for i in s.instances) for s in again.samples] == [0, 0, 0, 1, 0]


def test_an_mvtec_tree_keeps_the_pixels_of_defects(dataset, capsys):
    assert cli.main(["export", "mvtec", "d", "--out", "x"]) == 0
    assert cli.main(["import", "mvtec", "x", "--out", "e"]) == 0
    again = {sample.id: sample for sample in open_dataset("e").samples}
    for sample in dataset.samples:
        if sample.split != "train":
            defect = np.isin(dataset.mask(sample), dataset.defect_ids)
            np.testing.assert_array_equal(open_dataset("e").mask(again[sample.id]) > 0, defect)
            assert again[sample.id].split == sample.split


@pytest.mark.parametrize("kind", ["coco", "yolo"])
def test_images_that_are_labelled_as_a_whole_do_not_become_clean_ones(tmp_path, monkeypatch, capsys, kind):
    monkeypatch.chdir(tmp_path)
    blank = np.zeros(SIZE, np.uint8)
    with DatasetWriter("d", "d", "test", CLASSES) as writer:
        writer.add("a", blank, blank, blank.astype(np.uint16), {}, "test", "a", as_a_whole=[1])
        writer.add("b", blank, blank, blank.astype(np.uint16), {}, "test", "b")
    assert cli.main(["export", kind, "d", "--out", "x"]) == 0
    assert "1 images that are labelled as a whole were left out" in capsys.readouterr().err
    assert [path.name for path in Path("x").rglob("*.png")] == ["b.png"]


def test_data_yaml_is_yaml(dataset):
    assert cli.main(["export", "yolo", "d", "--out", "x"]) == 0
    content = yaml.safe_load(Path("x/data.yaml").read_text(encoding="utf-8"))
    assert content["names"] == dict(enumerate(info.name for info in CLASSES)) and content["val"] == "images/val"
    assert content["kinds"]["oil"] == "impurity" and Path("x/labels/train/Plätte 0.txt").read_text() == ""
    for path in Path("x/labels").rglob("*.txt"):
        for line in path.read_text().splitlines():
            cells = line.split()
            assert cells[0] in "012" and len(cells) >= 9 and len(cells) % 2
            assert all(0 <= float(cell) <= 1 for cell in cells[1:])


@pytest.mark.parametrize("seed", range(30))
def test_an_outline_holds_exactly_its_pixels(seed):
    rng = np.random.default_rng(seed)
    inside = scatter(seed) == 1 if seed % 2 else rng.random(SIZE) < rng.uniform(0.01, 0.99)
    if not inside.any():
        inside[3, 4] = True
    outline = outline_of(inside).astype(float)
    np.testing.assert_array_equal(Polygon(outline).pixels(SIZE, 3.0), inside)
    shares = np.round(outline / (SIZE[1], SIZE[0]), 7) * (SIZE[1], SIZE[0])
    np.testing.assert_array_equal(Polygon(shares).pixels(SIZE, 3.0), inside)


@pytest.mark.parametrize("place", [
    np.s_[5, :], np.s_[:, 7], np.s_[0, 0], np.s_[:, :], np.s_[33:, 45:], np.s_[::2, ::2]])
def test_thin_and_extreme_outlines(place):
    inside = np.zeros(SIZE, bool)
    inside[place] = True
    outline = outline_of(inside) / (SIZE[1], SIZE[0])
    np.testing.assert_array_equal(Polygon(np.round(outline, 7) * (SIZE[1], SIZE[0])).pixels(SIZE, 3.0), inside)
