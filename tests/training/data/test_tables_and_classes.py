# SPDX-License-Identifier: Apache-2.0
"""What people type: tables from spreadsheets, labels in any case, lists of classes, shares."""

import json
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sequential_patchcore.cli import parser as cli
from sequential_patchcore.data.dataset import open_dataset


def photo(path: str, seed: int = 0) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (20, 30), dtype=np.uint8)).save(path)


def label(path: str, *labels: str, **more) -> None:
    shapes = [{"label": name, "shape_type": "rectangle", "points": [[3, 4], [9, 8]]} for name in labels]
    Path(path).write_text(json.dumps({"shapes": shapes, "imagePath": Path(path).stem + ".png"} | more))


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs `import labelme s --out d`; `s` holds a.png, b.png and `Plätte 1.png`."""
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("a", "b", "Plätte 1")):
        photo(f"s/{name}.png", number)
    return lambda *options: cli.main(["import", "labelme", "s", "--out", "d", *options])


def splits() -> dict[str, str]:
    return {sample.id: sample.split for sample in open_dataset("d").samples}


TABLE = "Split;Image;Group\r\nTraining;a.png;1\r\n VALIDATION ;b.png;2\r\n;;\r\ntest;Plätte 1.png;3\r\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
@pytest.mark.parametrize("separator", [";", "\t", ",", "|"])
def test_a_table_as_a_spreadsheet_writes_it(run, capsys, encoding, separator):
    Path("t.csv").write_bytes(TABLE.replace(";", separator).encode(encoding))
    assert run("--splits", "t.csv") == 0
    assert splits() == {"a": "train", "b": "val", "Plätte 1": "test"}
    assert ("was read as Windows-1252" in capsys.readouterr().err) == (encoding == "cp1252")


def test_paths_of_a_table_may_be_spelt_in_many_ways(run, tmp_path):
    photo("s/sub/c.png", 7)
    decomposed = unicodedata.normalize("NFD", "Plätte 1.png")
    Path("t.csv").write_text("sep=,\nIMAGE,split,comment\n./a.png,train,x\nsub\\..\\B.PNG,train,\n"
                             f"{decomposed},test,y\n{tmp_path / 's/sub/c.png'},val,\n", encoding="utf-8")
    assert run("--splits", "t.csv") == 0
    assert splits() == {"a": "train", "b": "train", "Plätte 1": "test", "c": "val"}


@pytest.mark.parametrize("second", ["a.png", "./a.png", "A.PNG", "sub/../a.png", "link.png"])
def test_one_file_under_two_names_is_listed_twice(run, capsys, second):
    Path("s/link.png").symlink_to("a.png")
    Path("t.csv").write_text(f"split,image\ntrain,a.png\n\ntest,{second}\n")
    assert run("--splits", "t.csv") == 2
    error = capsys.readouterr().err
    assert "t.csv, line 4: the image" in error and "is listed twice (first in line 2)" in error


def test_every_wrong_row_is_named(run, capsys):
    Path("t.csv").write_text("split,image\ntrain,no.png\ndev,a.png\ntest,\ntrain,b.png\n")
    assert run("--splits", "t.csv") == 2
    said = capsys.readouterr().err
    assert "line 2: no such image: s/no.png" in said
    assert "line 3: expected the split train, val or test, found 'dev'" in said
    assert "line 4: no such image: the column is empty" in said and "3 things are wrong" in said
    assert run("--splits", "t.csv", "--skip-bad") == 2  # an empty line names no image that could be left out
    Path("t.csv").write_text("split,image\ntrain,no.png\ndev,a.png\ntrain,b.png\n")
    assert run("--splits", "t.csv", "--skip-bad") == 4
    assert splits() == {"b": "train"}


def test_a_workbook_is_refused(run, capsys):
    Path("t.xlsx").write_bytes(b"PK\x03\x04....")
    assert run("--splits", "t.xlsx") == 2
    assert "t.xlsx is a spreadsheet; save it as CSV" in capsys.readouterr().err


def test_labels_that_differ_by_case_are_one_class(run, capsys):
    label("s/a.json", "Dent", "dent", "DENT", "Rust")
    label("s/b.json", "dent", "RUST")
    assert run() == 0
    assert [info.name for info in open_dataset("d").classes] == ["RUST", "dent"]
    assert [len(sample.instances) for sample in open_dataset("d").samples] == [0, 4, 2]
    said = capsys.readouterr().err
    assert "labels that differ by case only are one class, 'dent': 'DENT', 'Dent', 'dent'" in said
    assert "labels that differ by case only are one class, 'RUST': 'RUST', 'Rust'" in said


def test_lists_aliases_and_ignored_labels_are_found_in_any_case(run, capsys):
    label("s/a.json", "Dent", "Water Stain", "Dust", "dust")
    assert run("--defects", "dent", "--impurities", "water_stain", "--map", "water stain=water_stain",
               "--ignore", "DUST") == 0
    assert [i.class_name for i in open_dataset("d").samples[1].instances] == ["dent", "water_stain"]
    label("s/a.json", "Plate", "dent")
    assert run("--overwrite") == 0  # the plate's region in any case
    assert [i.class_name for i in open_dataset("d").samples[1].instances] == ["dent"]


def test_two_listed_classes_may_differ_by_case(run):
    label("s/a.json", "Dent", "dent")
    assert run("--defects", "Dent,dent") == 0
    assert [i.class_name for i in open_dataset("d").samples[1].instances] == ["Dent", "dent"]


def test_a_class_that_occurs_nowhere_is_said(run, capsys):
    label("s/a.json", "scratch", "dent")
    assert run("--defects", "scrath,dent,scratch", "--impurities", "oil") == 0
    said = capsys.readouterr().err
    assert ("--defects names 'scrath', which is no label here; labels found: dent, scratch; did you mean 'scratch'?"
            in said)
    assert "--impurities names 'oil', which is no label here; labels found: dent, scratch\n" in said


def test_shares_that_are_no_percents_are_said(run, capsys):
    assert run("--split-shares", "60,10,20") == 0
    assert "--split-shares 60, 10, 20 add up to 90, not to 100: only their proportions count" in capsys.readouterr().err
    for shares in ("60,10,30", "0.6,0.1,0.3"):
        assert run("--split-shares", shares) == 0
        assert "add up to" not in capsys.readouterr().err


def test_an_unlabelled_copy_of_a_labelled_image_is_an_error(run, capsys):
    """a.png is labelled; a.jpg beside it would count as clean."""
    label("s/a.json", "dent")
    photo("s/a.jpg")
    assert run() == 2
    assert "s/a.jpg has no labels, and s/a.png of the same name has" in capsys.readouterr().err
    assert run("--exclude", "*.jpg") == 0


def test_the_same_picture_twice_is_said(run, capsys):
    Path("s/c.png").write_bytes(Path("s/a.png").read_bytes())
    assert run() == 0
    assert "1 pictures are copies of others, byte for byte (s/c.png is s/a.png)" in capsys.readouterr().err
    label("s/c.json", "dent")
    assert run("--overwrite") == 0
    assert "WARNING: 1 pictures without labels are copies, byte for byte, of labelled ones (s/a.png is s/c.png)" in (
        capsys.readouterr().err)


def test_an_mvtec_mask_without_a_pixel_is_an_error(run, capsys):
    photo("t/train/good/0.png"), photo("t/test/dent/1.png")
    Path("t/ground_truth/dent").mkdir(parents=True)
    Image.fromarray(np.zeros((20, 30), np.uint8)).save("t/ground_truth/dent/1_mask.png")
    assert cli.main(["import", "mvtec", "t", "--out", "e"]) == 2
    assert "t/ground_truth/dent/1_mask.png covers no pixel of its image" in capsys.readouterr().err


def test_images_with_ignored_labels_alone_are_said(run, capsys):
    label("s/a.json", "dust"), label("s/b.json", "dust", "dent")
    assert run("--ignore", "dust") == 0
    assert "1 images have ignored labels alone and count as clean (s/a.png)" in capsys.readouterr().err
    photo("t/train/good/0.png"), photo("t/test/glue/1.png"), photo("t/ground_truth/glue/1_mask.png")
    assert cli.main(["import", "mvtec", "t", "--out", "e", "--ignore", "glue"]) == 0
    assert "1 images of ignored types are left out (test/glue/1.png)" in capsys.readouterr().err
