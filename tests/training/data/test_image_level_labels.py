# SPDX-License-Identifier: Apache-2.0
"""Labels of an image as a whole: that there is something, not where. Such an image never counts as clean."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sequential_patchcore.cli import parser as cli
from sequential_patchcore.data.check import check_dataset
from sequential_patchcore.data.contact_sheet import write_contact_sheet
from sequential_patchcore.data.dataset import ClassInfo, Instance, open_dataset
from sequential_patchcore.data.exporters.mvtec import export_mvtec
from sequential_patchcore.data.summary import as_text, summarise
from sequential_patchcore.data.writer import DatasetWriter
from sequential_patchcore.runtime.errors import UserError

SIZE = (20, 30)
CLASSES = (ClassInfo(1, "bad", "defect"), ClassInfo(2, "dust", "impurity"))


def photo(path: str, seed: int = 0) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, SIZE, dtype=np.uint8)).save(path)


def state(path: str = "d") -> dict[str, tuple[str, tuple]]:
    """Sample id -> its split and (class, pixels) of its instances."""
    return {sample.id: (sample.split, tuple((i.class_name, i.pixels) for i in sample.instances))
            for sample in open_dataset(path).samples}


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def dataset(here):
    """"whole" is bad somewhere; "both" has drawn dust and is bad somewhere; "clean"."""
    blank = np.zeros(SIZE, np.uint8)
    dust = blank.copy()
    dust[3:6, 3:9] = 1
    with DatasetWriter("d", "d", "test", CLASSES) as writer:
        writer.add("whole", blank, blank, blank.astype(np.uint16), {}, "test", "p1", as_a_whole=[1], tags=["dark"])
        writer.add("both", blank, dust * 2, dust.astype(np.uint16), {1: 2}, "test", "p2", as_a_whole=[1], weak=[1])
        writer.add("clean", blank, blank, blank.astype(np.uint16), {}, "test", "p3")
    return open_dataset("d")


def test_such_a_label_comes_back_and_its_mask_is_not_clean(dataset):
    both, clean, whole = dataset.samples
    assert whole.instances == (Instance(1, "bad", None),) and whole.tags == ("dark",) and not whole.is_located
    assert both.instances == (Instance(1, "dust", 18, weak=True), Instance(2, "bad", None)) and not both.is_located
    assert clean.is_located and not dataset.mask(clean).any()
    for sample in (whole, both):
        with pytest.raises(UserError, match=r"is labelled as a whole \(bad\); where that is on it is not known"):
            dataset.mask(sample)
    assert (dataset.mask(both, located_only=True) == 2).sum() == 18
    assert check_dataset("d") == []


@pytest.mark.parametrize(("change", "message"), [
    (lambda r: r["instances"][1].update(pixels="many"), "expected an instance as"),
    (lambda r: r["instances"][1].pop("pixels"), "expected an instance as"),
    (lambda r: r["instances"][0].update(weak=1), "expected weak as true or false, found 1"),
    (lambda r: r["instances"][0].update(pixels=None), "instance 1 has 18 pixels, the record says that its place is n"),
    (lambda r: r["instances"][1].update(pixels=0, id=9), None),
    (lambda r: r.update(tags="dark"), "expected tags as a list of texts"),
])
def test_the_checker_knows_the_rules(dataset, change, message):
    file = dataset.path / "samples.jsonl"
    records = [json.loads(line) for line in file.read_text().splitlines()]
    change(next(record for record in records if record["id"] == "both"))
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    problems = check_dataset("d")
    assert [message in problem for problem in problems] == [True] if message else not problems


def test_it_counts_as_defective_in_every_summary(dataset, here):
    summary = summarise(dataset)
    assert summary["splits"]["test"] == {
        "images": 3, "groups": 3, "with_defects": 2, "with_impurities": 1, "clean": 1, "as_a_whole": 2}
    assert summary["classes"]["bad"] | {"area": 0} == {
        "id": 1, "kind": "defect", "images": 2, "instances": 2, "pixels": 0, "area": 0, "as_a_whole": 2, "weak": 0}
    text = as_text(summary)
    assert "2 images are labelled as a whole: that there is something, not where" in text
    assert "1 instances are boxes around what was labelled (weak labels)" in text
    write_contact_sheet(dataset, "sheet.png")
    sheet = np.array(Image.open("sheet.png"))
    assert (sheet == [0xF0, 0xE4, 0x42]).all(axis=2).sum() > 500  # frames in the class's colour
    export_mvtec(dataset, "m", progress=False)
    assert sorted(p.as_posix() for p in Path("m").rglob("*.png")) == [
        "m/test/bad/both.png", "m/test/bad/whole.png", "m/test/good/clean.png"]


def test_good_and_bad_folders(here, capsys):
    for place in ("good/1", "good/deep/2", "Good2/7", "bad/3", "scratch/4"):
        photo(f"s/{place}.png", len(place))
    run = ["import", "folders", "s", "--out", "d"]
    assert cli.main(run) == 2
    said = capsys.readouterr().err
    assert "nothing says which images are for training, and 3 are not good" in said and "--split-shares" in said
    assert cli.main([*run, "--split-shares", "60,20,20", "--good", "good,good2"]) == 0
    found = state()
    assert {key: labels for key, (_, labels) in found.items()} == {
        "1": (), "2": (), "7": (), "3": (("bad", None),), "4": (("scratch", None),)}
    assert found["3"][0] != "train" and found["4"][0] != "train"
    assert [(info.name, info.kind) for info in open_dataset("d").classes] == [("bad", "defect"), ("scratch", "defect")]
    assert check_dataset("d") == []


def test_good_and_bad_folders_within_folders_of_splits(here):
    for place in ("train/good/1", "test/good/2", "test/bad/3", "valid/NG/4"):
        photo(f"s/{place}.png", len(place))
    assert cli.main(["import", "folders", "s", "--out", "d", "--map", "ng=bad"]) == 0
    assert state() == {"1": ("train", ()), "2": ("test", ()), "3": ("test", (("bad", None),)),
                       "4": ("val", (("bad", None),))}


def test_folders_without_a_good_one_are_refused(here, capsys):
    photo("s/fine/1.png"), photo("s/bad/2.png"), photo("s/3.png")
    assert cli.main(["import", "folders", "s", "--out", "d", "--split-shares", "1,1,1"]) == 2
    assert "none of the folders of s is called good or ok or normal; found bad, fine" in capsys.readouterr().err
    assert cli.main(["import", "folders", "s", "--out", "d", "--split-shares", "60,20,20", "--good", "fine"]) == 2
    assert "s/3.png lies in no folder that says whether it is good" in capsys.readouterr().err


def test_an_mvtec_tree_without_masks_is_labelled_as_a_whole(here, capsys):
    for place in ("train/good/1", "test/good/2", "test/bad/3", "test/dent/4", "ground_truth/dent/4_mask"):
        photo(f"s/{place}.png", len(place))
    assert cli.main(["import", "mvtec", "s", "--out", "d"]) == 0
    assert "1 images of types without a folder of masks are labelled as a whole (test/bad/3.png)" in (
        capsys.readouterr().err)
    assert state()["3"] == ("test", (("bad", None),)) and state()["4"][1][0][1] > 0
    export_mvtec(open_dataset("d"), "m", progress=False)  # and back
    assert cli.main(["import", "mvtec", "m", "--out", "e"]) == 0
    assert state("e") == state("d")


def test_flags_of_labelme_are_tags_and_labels_where_they_are_named(here, capsys):
    for number, name in enumerate("abc"):
        photo(f"s/{name}.png", number)
    dent = {"label": "dent", "shape_type": "rectangle", "points": [[2, 2], [6, 6]]}
    for name, flags, shapes in (("a", {"blurred": True, "NG": True, "ok": False}, []), ("b", None, [dent]),
                                ("c", {"dent": True}, [dent])):
        Path(f"s/{name}.json").write_text(json.dumps({"shapes": shapes, "flags": flags, "imagePath": f"{name}.png"}))
    assert cli.main(["import", "labelme", "s", "--out", "d"]) == 0
    said = capsys.readouterr().err
    assert "images without labels have tags ('blurred' 1, 'NG' 1) and count as clean" in said and "--defects" in said
    assert [s.tags for s in open_dataset("d").samples] == [("blurred", "NG"), (), ("dent",)]
    assert state()["a"][1] == ()
    assert cli.main(["import", "labelme", "s", "--out", "d", "--defects", "ng,dent", "--overwrite"]) == 0
    assert state()["a"][1] == (("ng", None),)
    assert state()["c"][1] == (("dent", 16),)  # it is drawn, so that its place is known
