# SPDX-License-Identifier: GPL-3.0-or-later
import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest

from blender_addon.core.errors import UserError
from blender_addon.core.files.dataset import DatasetFolder
from blender_addon.core.files.png import encode

FILES = {kind: encode(np.full((3, 3), value, np.uint8)) for value, kind in enumerate(("image", "mask", "instances"))}


def made(tmp_path, *names, shard=None):
    folder = DatasetFolder(tmp_path / "set", shard)
    folder.begin({"recipe": {}})
    for name in names:
        folder.add({"id": name, "split": "train"}, FILES)
    return folder


def test_records_come_with_checksums_and_in_order(tmp_path):
    made(tmp_path, "b", "a")
    lines = [json.loads(line) for line in (tmp_path / "set" / "samples.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == ["a", "b"]
    assert set(lines[0]["sha256"]) == {"image", "mask", "instances"}


def test_a_second_process_goes_on_and_keeps_the_records(tmp_path):
    made(tmp_path, "a")
    again = made(tmp_path, "b")
    assert again.finished(["a", "b", "c"]) == {"a", "b"}


@pytest.mark.parametrize("kind", ["images", "masks", "instances"])
@pytest.mark.parametrize("harm", [os.remove, lambda file: file.write_bytes(b""), lambda file: file.write_bytes(b"x")])
def test_missing_or_damaged_files_do_not_count(tmp_path, kind, harm):
    folder = made(tmp_path, "a", "b")
    harm(tmp_path / "set" / kind / "a.png")
    assert folder.finished(["a", "b"]) == {"b"}
    folder.add({"id": "a", "split": "train"}, FILES)
    assert folder.finished(["a", "b"]) == {"a", "b"}


def test_files_without_a_record_do_not_exist(tmp_path):
    folder = made(tmp_path, "a")
    for kind in ("images", "masks", "instances"):
        (tmp_path / "set" / kind / "b.png").write_bytes(FILES["image"])
    assert folder.finished(["a", "b"]) == {"a"}


def test_shards_keep_records_of_their_own_and_are_read_together(tmp_path):
    made(tmp_path, "a")
    one = made(tmp_path, "b", shard=(1, 2))
    two = made(tmp_path, "c", shard=(2, 2))
    assert sorted(file.name for file in (tmp_path / "set").glob("*.jsonl")) == [
        "samples.1-of-2.jsonl",
        "samples.2-of-2.jsonl",
        "samples.jsonl",
    ]
    assert set(one.records()) == set(two.records()) == {"a", "b", "c"}


def test_half_written_files_are_not_left(tmp_path):
    folder = made(tmp_path)
    (tmp_path / "set" / "images").rmdir()
    with pytest.raises(UserError, match="cannot write"):
        folder.add({"id": "a", "split": "train"}, FILES)
    assert folder.records() == {}
    assert not list((tmp_path / "set").glob("**/*.part"))


def test_a_full_disk_is_named_and_what_is_finished_stays(tmp_path, monkeypatch):
    folder = made(tmp_path, "a")

    def full(path, data):
        path.touch()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", full)
        with pytest.raises(UserError, match=r"b\.png: No space left on device; what is finished stays"):
            folder.add({"id": "b", "split": "train"}, FILES)
    assert folder.finished(["a", "b"]) == {"a"}
    assert not list((tmp_path / "set").glob("**/*.part"))


def test_a_region_is_part_of_its_sample(tmp_path):
    folder = made(tmp_path, "a")
    assert not (tmp_path / "set" / "regions").exists()
    folder.add({"id": "b", "split": "train"}, {**FILES, "region": FILES["image"]})
    assert folder.finished(["a", "b"]) == {"a", "b"}
    (tmp_path / "set" / "regions" / "b.png").unlink()
    assert folder.finished(["a", "b"]) == {"a"}


def test_parts_of_a_killed_run_are_cleared_away_when_they_are_old(tmp_path):
    made(tmp_path)
    old, young = (tmp_path / "set" / "images" / f".{name}.png.1.part" for name in ("old", "young"))
    for part in (old, young):
        part.write_bytes(b"half")
    os.utime(old, (0, 0))
    made(tmp_path)
    assert young.exists() and not old.exists()


def test_other_folders_are_left_alone(tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(UserError, match="expected an empty folder or a data set"):
        DatasetFolder(tmp_path).description()
    with pytest.raises(UserError, match="expected a folder, found a file"):
        DatasetFolder(tmp_path / "letter.txt").description()


def test_clear_removes_the_data_set_alone(tmp_path):
    folder = made(tmp_path, "a")
    (tmp_path / "set" / "notes.txt").write_text("mine")
    folder.clear()
    assert [file.name for file in (tmp_path / "set").iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("line", ["{", "[]", '{"id": 3}'])
def test_a_damaged_record_is_named(tmp_path, line):
    folder = made(tmp_path, "a")
    with (tmp_path / "set" / "samples.jsonl").open("a") as file:
        file.write("\n" + line + "\n")
    with pytest.raises(UserError, match=r"samples\.jsonl, line 3: "):
        folder.finished(["a"])
