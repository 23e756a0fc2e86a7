# SPDX-License-Identifier: Apache-2.0
"""Splits of an import: no plate in two of them, whichever way they are given."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sequential_patchcore.cli import parser as cli
from sequential_patchcore.data.dataset import ClassInfo, open_dataset
from sequential_patchcore.data.importers.splits import apportion, share_out
from sequential_patchcore.data.writer import DatasetWriter

SIZE = (20, 30)


def photo(path: Path, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, SIZE, dtype=np.uint8)).save(path)


def label(path: Path, image: str, *labels: str, **more) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    shapes = [{"label": each, "shape_type": "rectangle", "points": [[3, 4], [9, 8]]} | more for each in labels]
    path.write_text(json.dumps({"shapes": shapes, "imagePath": image, "imageData": None}))


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *options: cli.main(["import", "labelme", *options])


def of(path: str = "d") -> dict[str, tuple[str, str]]:
    return {sample.id: (sample.split, sample.group) for sample in open_dataset(path).samples}


@pytest.mark.parametrize("count", range(9))
@pytest.mark.parametrize("weights", [(60, 10, 30), (1, 1, 1), (0, 1, 6), (5, 0, 1)])
def test_things_are_apportioned_to_within_one_and_nobody_goes_empty_handed(count, weights):
    given = apportion(count, weights)
    assert sum(given) == count and all(g == 0 for g, w in zip(given, weights, strict=True) if w == 0)
    if count >= sum(w > 0 for w in weights):
        assert all(g >= 1 for g, w in zip(given, weights, strict=True) if w)
    assert all(abs(g - count * w / sum(weights)) <= 1 for g, w in zip(given, weights, strict=True))


def test_shares_are_of_whole_plates_and_defects_never_train():
    plates = [f"p{k}" for k in range(20)]
    groups = [plate for plate in plates for _ in range(3)]
    defective = [plate in plates[:7] and number == 1 for plate, number in itertools.product(plates, range(3))]
    splits = share_out(groups, defective, (60, 10, 30))
    where = {plate: {s for g, s in zip(groups, splits, strict=True) if g == plate} for plate in plates}
    assert all(len(found) == 1 for found in where.values())
    counts = {name: sum(where[p] == {name} for p in plates[7:]) for name in ("train", "val", "test")}
    assert counts == {"train": 8, "val": 1, "test": 4}
    assert {name: sum(where[p] == {name} for p in plates[:7]) for name in counts} == {"train": 0, "val": 2, "test": 5}
    fewer = [k for k, group in enumerate(groups) if k % 3 == 0]  # the order hangs on names alone
    again = share_out([groups[k] for k in fewer], [groups[k] in plates[:7] for k in fewer], (60, 10, 30))
    assert again == [splits[k] for k in fewer]


def test_by_plate_on_the_command_line(run):
    for plate, number in itertools.product(range(6), range(2)):
        photo(Path(f"s/P{plate}/{number}.png"), plate)
    for plate in range(3):
        label(Path(f"s/P{plate}/1.json"), "1.png", "dent", "dust")
    shares = ["--split-shares", "40,20,40", "--impurities", "dust", "--defects", "dent"]
    assert run("s", "--out", "d", "--group-by", r"P\d", *shares) == 0
    found = of()
    assert len(found) == 12 and {split for split, _ in found.values()} == {"train", "val", "test"}
    for plate in range(6):
        mine = {split for split, group in found.values() if group == f"P{plate}"}
        assert len(mine) == 1 and (plate > 2 or "train" not in mine)


def test_by_the_names_of_folders(run, capsys):
    for place in ("train/a", "s1/Validation/b", "test/deep/c"):
        photo(Path(f"s/{place}.png"))
    assert run("s", "--out", "d", "--splits", "folders") == 0
    assert {key: split for key, (split, _) in of().items()} == {"a": "train", "b": "val", "c": "test"}
    photo(Path("s/other/d.png"))
    assert run("s", "--out", "e", "--splits", "folders") == 2
    assert "other/d.png: expected one folder train, val or test on its path, found none" in capsys.readouterr().err


def test_by_a_table_that_names_plates_and_leaves_labels_to_be_found(run, capsys):
    for name in "abc":
        photo(Path(f"s/{name}.png"))
    label(Path("s/labels/b.json"), "../b.png", "dent")
    Path("t.csv").write_text("image,split,group\na.png,train,7\nb.png,test,8\nc.png,test,8\n")
    assert run("s", "--out", "d", "--splits", "t.csv") == 0
    assert of() == {"a": ("train", "7"), "b": ("test", "8"), "c": ("test", "8")}
    assert [len(sample.instances) for sample in open_dataset("d").samples] == [0, 1, 0]
    Path("t.csv").write_text("image,split,group\na.png,train,7\nb.png,test,7\n")
    assert run("s", "--out", "e", "--splits", "t.csv") == 2
    assert "the first: '7' in train and test" in capsys.readouterr().err


@pytest.fixture
def rendered(tmp_path):
    """A data set of another program, with a second, coarser set of labels in `labelme/`."""
    classes = (ClassInfo(1, "bump", "defect"), ClassInfo(6, "water_stain", "impurity"))
    with DatasetWriter(tmp_path / "twin", "twin", "other", classes, pixel_size_um=40) as writer:
        for number, split in enumerate(("train", "val", "test")):
            exact = np.zeros(SIZE, np.uint8)
            exact[5:7, 4:8] = number > 0
            region = np.ones(SIZE, bool)
            region[:, :2] = number == 0  # only one has a border that is masked out
            writer.add(f"p{number}_00", np.full(SIZE, 9 * number, np.uint8), exact, exact.astype(np.uint16),
                       {1: 1} if number else {}, split, f"plate {number}", region=region if number == 1 else None)
            if number:
                label(tmp_path / f"twin/labelme/p{number}_00.json", f"../images/p{number}_00.png", "bump", "bump",
                      group_id=4)
    return tmp_path / "twin"


def test_what_is_wrong_with_images_that_the_table_leaves_out_stops_nothing(run, capsys):
    for number, name in enumerate("ab"):
        photo(Path(f"s/{name}.png"), number)
    label(Path("s/b.json"), "b.png", "dent", points=[[3, 4], [float("nan"), 8]])
    Path("s.csv").write_text("split,image\ntrain,a.png\n")
    assert run("s", "--out", "d", "--splits", "s.csv") == 0
    assert set(of()) == {"a"}
    assert "1 things are wrong with images that the table does not list" in capsys.readouterr().err
    Path("s.csv").write_text("split,image\ntrain,a.png\ntrain,b.png\n")
    assert run("s", "--out", "e", "--splits", "s.csv") == 2


def test_other_labels_of_a_data_set_there_is_in_one_command(run, rendered):
    assert run("twin", "--like", "twin", "--out", "d") == 0
    exact, human = open_dataset("twin"), open_dataset("d")
    assert of("d") == of("twin") and human.classes == exact.classes and human.pixel_size_um == 40
    for a, b in zip(exact.samples, human.samples, strict=True):
        np.testing.assert_array_equal(exact.image(a), human.image(b))
        np.testing.assert_array_equal(exact.region(a), human.region(b))
    assert [[i.pixels for i in sample.instances] for sample in human.samples] == [[], [24], [24]]


def test_label_files_alone_bring_their_images_from_beside(run, rendered, capsys):
    assert run("twin/labelme", "--like", "twin", "--out", "d") == 0
    assert of("d") == {key: value for key, value in of("twin").items() if key != "p0_00"}
    photo(Path("twin/labelme/new.png"))
    assert run("twin/labelme", "--like", "twin", "--out", "e") == 2
    assert "like twin has no sample 'new'" in capsys.readouterr().err.replace("`", "").replace("--", "")
    assert run("twin/labelme", "--like", "twin", "--split-shares", "1,1,1", "--out", "e") == 2
    assert "the splits come from one place" in capsys.readouterr().err


def test_the_validation_of_an_mvtec_tree_takes_whole_plates(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for plate, number in itertools.product(range(8), range(2)):
        photo(Path(f"t/test/dent/P{plate}_{number}.png"))
        photo(Path(f"t/ground_truth/dent/P{plate}_{number}_mask.png"), 1)
    photo(Path("t/train/good/P9_0.png"))
    options = ["import", "mvtec", "t", "--group-by", r"P\d", "--val-fraction", "0.25"]
    assert cli.main([*options, "--out", "d"]) == 0
    plates = {split: {group for s, group in of().values() if s == split} for split in ("val", "test")}
    assert len(plates["val"]) == 2 and len(plates["test"]) == 6 and not plates["val"] & plates["test"]
    photo(Path("t/train/good/P0_7.png"))
    assert cli.main([*options, "--out", "e"]) == 2
    assert "1 plate(s) would be in more than one split" in capsys.readouterr().err
