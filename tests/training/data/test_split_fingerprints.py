# SPDX-License-Identifier: Apache-2.0
"""A split's fingerprint: of its own records and of the classes that these name, and of nothing else."""

import json
from pathlib import Path

import pytest
from sequential_patchcore.data.dataset import open_dataset


@pytest.fixture
def folder(plates, tmp_path) -> Path:
    return plates(tmp_path / "d", train=2, val=1, test=1).path


def change_record(folder: Path, sample: str, **changes: object) -> None:
    file = folder / "samples.jsonl"
    records = [json.loads(line) for line in file.read_text().splitlines()]
    file.write_text("".join(json.dumps(r | changes if r["id"] == sample else r) + "\n" for r in records))


@pytest.mark.parametrize("sample", ["train1", "val0", "test0"])
def test_a_changed_record_changes_the_fingerprint_of_its_split_alone(folder, sample):
    before = open_dataset(folder)
    assert before.split_fingerprints.keys() == {"train", "val", "test"}
    change_record(folder, sample, group="another")
    after = open_dataset(folder)
    changed = {name for name in ("train", "val", "test")
               if before.split_fingerprints[name] != after.split_fingerprints[name]}
    assert changed == {sample.rstrip("01")} and before.fingerprint != after.fingerprint


def test_a_class_counts_where_it_is_shown(folder):
    before = open_dataset(folder).split_fingerprints
    header = json.loads((folder / "dataset.json").read_text())
    header["classes"] = [one | {"kind": "impurity"} for one in header["classes"]]
    (folder / "dataset.json").write_text(json.dumps(header))
    after = open_dataset(folder).split_fingerprints
    assert after["train"] == before["train"] and after["val"] != before["val"] and after["test"] != before["test"]


def test_an_image_that_moves_to_another_split_changes_both(folder):
    before = open_dataset(folder).split_fingerprints
    change_record(folder, "train1", split="val")
    after = open_dataset(folder).split_fingerprints
    assert after["train"] != before["train"] and after["val"] != before["val"] and after["test"] == before["test"]


def test_it_does_not_depend_on_the_files_that_the_records_are_spread_over(folder):
    before = open_dataset(folder).split_fingerprints
    lines = (folder / "samples.jsonl").read_text().splitlines(keepends=True)
    (folder / "samples.jsonl").unlink()
    (folder / "samples.1-of-2.jsonl").write_text("".join(lines[1::2]))
    (folder / "samples.2-of-2.jsonl").write_text("".join(lines[::2]))
    assert open_dataset(folder).split_fingerprints == before
