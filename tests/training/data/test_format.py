# SPDX-License-Identifier: Apache-2.0
"""The data set folder: round trips, shards, resuming, and one clear line for each way of being broken."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from sequential_patchcore.data.check import check_dataset
from sequential_patchcore.data.dataset import ClassInfo, Instance, open_dataset
from sequential_patchcore.data.exporters.whole_folder import whole_folder
from sequential_patchcore.data.summary import as_text, summarise
from sequential_patchcore.data.writer import DatasetWriter
from sequential_patchcore.runtime.errors import UserError

CLASSES = (ClassInfo(1, "bump", "defect"), ClassInfo(6, "water_stain", "impurity"), ClassInfo(7, "rust", "defect"))
HEIGHT, WIDTH = 20, 30


def make_image(seed: int, dtype: type = np.uint8, channels: int = 3) -> np.ndarray:
    shape = (HEIGHT, WIDTH, channels) if channels > 1 else (HEIGHT, WIDTH)
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


def make_labels() -> tuple[np.ndarray, np.ndarray, dict[int, int]]:
    """A stain of 6 x 10 (instance 1) under a bump of 2 x 3 (instance 300), and a hidden instance 2 of rust."""
    instances = np.zeros((HEIGHT, WIDTH), np.uint16)
    instances[4:10, 5:15] = 1
    instances[5:7, 6:9] = 300
    classes = {1: 6, 2: 7, 300: 1}
    mask = np.select([instances == 1, instances == 300], [6, 1], 0).astype(np.uint8)
    return mask, instances, classes


def write_dataset(path: Path, count: int = 4, **settings) -> Path:
    """Samples s0 (clean, train), s1 (labelled, val), s2 (clean, train), s3 (labelled, val, with a region) …"""
    with DatasetWriter(path, "plates", "test", CLASSES, pixel_size_um=20.0, **settings) as writer:
        for index in range(count):
            mask, instances, classes = make_labels()
            if index % 2 == 0:
                mask, instances, classes = np.zeros_like(mask), np.zeros_like(instances), {}
            region = None
            if index == 3:
                region = np.ones((HEIGHT, WIDTH), bool)
                region[:, -4:] = False
            writer.add(f"s{index}", make_image(index), mask, instances, classes, ("train", "val")[index % 2],
                       f"plate{index // 2}", region, seed=index, parameters={"gloss": 0.5})
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "data")


def edit_records(folder: Path, change) -> None:
    file = folder / "samples.jsonl"
    records = [json.loads(line) for line in file.read_text().splitlines()]
    for record in records:
        change(record)
    file.write_text("".join(json.dumps(record) + "\n" for record in records))


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_comes_back_exactly_at_every_depth(tmp_path, dtype, channels):
    image = make_image(5, dtype, channels)
    blank = np.zeros((HEIGHT, WIDTH), np.uint16)
    with DatasetWriter(tmp_path / "d", "x", "test", CLASSES) as writer:
        writer.add("a", image, blank.astype(np.uint8), blank, {}, "train", "a")
    dataset = open_dataset(tmp_path / "d")
    read = dataset.image(dataset.samples[0])
    assert read.dtype == np.float32 and read.shape == (HEIGHT, WIDTH, 3) and read.flags.c_contiguous
    expected = image if channels == 3 else np.repeat(image[..., None], 3, axis=2)
    np.testing.assert_array_equal(read, expected.astype(np.float32) / np.float32(np.iinfo(dtype).max))
    assert dataset.image_size(dataset.samples[0]) == (HEIGHT, WIDTH)


def test_labels_records_and_regions_come_back(folder):
    dataset = open_dataset(folder)
    mask, instances, _ = make_labels()
    sample = dataset.split("val")[1]
    assert [s.id for s in dataset.samples] == ["s0", "s1", "s2", "s3"] and sample.id == "s3"
    np.testing.assert_array_equal(dataset.mask(sample), mask)
    np.testing.assert_array_equal(dataset.instances(sample), instances)
    assert dataset.mask(sample).dtype == np.uint8 and dataset.instances(sample).dtype == np.uint16
    assert sample.instances == (Instance(1, "water_stain", 54), Instance(2, "rust", 0), Instance(300, "bump", 6))
    assert (sample.seed, sample.group, sample.parameters) == (3, "plate1", {"gloss": 0.5})
    assert not dataset.region(sample)[:, -4:].any() and dataset.region(sample)[:, :-4].all()
    assert dataset.region(dataset.samples[0]).all()
    assert dataset.classes == CLASSES and dataset.defect_ids == (1, 7) and dataset.impurity_ids == (6,)
    assert dataset.pixel_size_um == 20.0 and not dataset.is_render
    assert check_dataset(folder) == []


def test_masks_are_palette_files_with_the_fixed_colours(folder):
    with Image.open(folder / "masks" / "s1.png") as image:
        assert image.mode == "P"
        colours = np.array(image.convert("RGB"))
    assert tuple(colours[0, 0]) == (0, 0, 0)
    assert "#{:02x}{:02x}{:02x}".format(*colours[5, 6]) == "#e69f00"
    assert "#{:02x}{:02x}{:02x}".format(*colours[4, 5]) == "#0072b2"


def test_grey_masks_and_palettes_of_few_bits_are_read_as_indices(folder):
    mask, _, _ = make_labels()
    Image.fromarray(mask).save(folder / "masks" / "s1.png")
    short = Image.frombytes("P", (WIDTH, HEIGHT), mask.tobytes())
    short.putpalette([0, 0, 0, 255, 0, 0] * 4)
    short.save(folder / "masks" / "s3.png")
    dataset = open_dataset(folder)
    for sample in dataset.split("val"):
        np.testing.assert_array_equal(dataset.mask(sample), mask)


def test_shards_and_repeated_equal_records_read_as_one_data_set(folder):
    whole = open_dataset(folder)
    lines = (folder / "samples.jsonl").read_text().splitlines()
    (folder / "samples.jsonl").unlink()
    (folder / "samples.0-of-2.jsonl").write_text("\n".join([lines[3], lines[0]]) + "\n\n")
    (folder / "samples.1-of-2.jsonl").write_text("\n".join([lines[2], lines[1], lines[0]]))
    sharded = open_dataset(folder)
    assert sharded.samples == whole.samples and sharded.fingerprint == whole.fingerprint
    assert check_dataset(folder) == []


def test_the_fingerprint_changes_with_any_record_and_any_class(folder, tmp_path):
    before = open_dataset(folder).fingerprint
    edit_records(folder, lambda record: record.update(group="other"))
    assert open_dataset(folder).fingerprint != before
    assert open_dataset(write_dataset(tmp_path / "again")).fingerprint == before


def test_instances_may_name_their_class_by_id(folder):
    before = open_dataset(folder).samples
    ids = {info.name: info.id for info in CLASSES}
    edit_records(folder, lambda record: [i.update({"class": ids[i["class"]]}) for i in record["instances"]])
    assert open_dataset(folder).samples == before


def test_a_clean_sample_may_leave_out_its_label_files(folder):
    for kind in ("masks", "instances"):
        (folder / kind / "s0.png").unlink()
    dataset = open_dataset(folder)
    with pytest.raises(UserError, match="missing file"):
        dataset.mask(dataset.samples[0])  # the record has its checksum, so it was there
    edit_records(folder, lambda record: record["id"] == "s0" and record.update(sha256={
        "image": record["sha256"]["image"]}))
    dataset = open_dataset(folder)
    assert not dataset.mask(dataset.samples[0]).any() and not dataset.instances(dataset.samples[0]).any()
    assert check_dataset(folder) == []


@pytest.mark.parametrize(("generator", "expected"), [
    ({"name": "surface_impurities", "version": "0.1"}, True), ("surface-impurities 0.1", True),
    ("sequential-patchcore import labelme", False),
])
def test_renders_are_told_by_a_field_and_those_of_before_it_by_their_generator(folder, generator, expected):
    header = json.loads((folder / "dataset.json").read_text())
    assert header["rendered"] is False
    for said in (True, False):
        (folder / "dataset.json").write_text(json.dumps(header | {"generator": generator, "rendered": said}))
        assert open_dataset(folder).is_render is said
    del header["rendered"]
    (folder / "dataset.json").write_text(json.dumps(header | {"generator": generator}))
    assert open_dataset(folder).is_render is expected
    (folder / "dataset.json").write_text(json.dumps(header | {"rendered": "yes"}))
    with pytest.raises(UserError, match="expected rendered as true or false, found 'yes'"):
        open_dataset(folder)


def test_a_data_set_of_before_the_field_rendered_is_gone_on_with(folder):
    header = json.loads((folder / "dataset.json").read_text())
    del header["rendered"]
    (folder / "dataset.json").write_text(json.dumps(header))
    write_dataset(folder)
    assert len(open_dataset(folder).samples) == 4


def test_importing_and_decoding_leave_opencvs_log_level_alone(folder):
    script = f"""
import cv2
before = cv2.utils.logging.getLogLevel()
import sequential_patchcore.data.importers.importing
from sequential_patchcore.data.dataset import open_dataset
assert cv2.utils.logging.getLogLevel() == before
dataset = open_dataset({str(folder)!r})
dataset.image(dataset.samples[0])
assert cv2.utils.logging.getLogLevel() == before
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_an_unknown_split_names_the_splits_present(folder):
    with pytest.raises(UserError, match=r"no samples in the split 'test'; splits present: train \(2\), val \(2\)"):
        open_dataset(folder).split("test")


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def _flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def _header(**changes):
    def damage(folder: Path) -> None:
        file = folder / "dataset.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    return damage


def _records(**changes):
    return lambda folder: edit_records(folder, lambda record: record["id"] == "s1" and record.update(changes))


OPENING_ERRORS = {
    "no folder": (lambda f: shutil.rmtree(f), "no such folder"),
    "no data set": (lambda f: (f / "dataset.json").unlink(), "is no data set.*import labelme"),
    "broken header": (lambda f: (f / "dataset.json").write_text('{"name": '), r"dataset\.json: broken JSON"),
    "deep header": (lambda f: (f / "dataset.json").write_text("[" * 99999), r"dataset\.json: broken JSON"),
    "not text": (lambda f: (f / "dataset.json").write_bytes(b"\xff\xfe\x00"), "expected UTF-8"),
    "header is a list": (lambda f: (f / "dataset.json").write_text("[]"), "expected an object"),
    "version": (_header(format_version=2), "expected format_version 1, found 2"),
    "class id": (_header(classes=[{"id": 0, "name": "a", "kind": "defect"}]), "expected a class as"),
    "class kind": (_header(classes=[{"id": 1, "name": "a", "kind": "bad"}]), "expected a class as"),
    "class twice": (_header(classes=[{"id": 1, "name": n, "kind": "defect"} for n in "ab"]), "id 1 is given twice"),
    "pixel size": (_header(pixel_size_um=-1), "pixel_size_um"),
    "no records": (lambda f: (f / "samples.jsonl").unlink(), "holds no finished sample"),
    "cut record": (lambda f: _truncate(f / "samples.jsonl"), r"samples\.jsonl, line 4: broken JSON"),
    "id with separator": (_records(id="a/b"), r"line 2: id 'a/b' cannot name a file"),
    "id upwards": (_records(id="../s1"), "cannot name a file"),
    "no id": (_records(id=None), "expected a text as id"),
    "split": (_records(split="validation"), "expected split train, val or test, found 'validation'"),
    "class unknown": (_records(instances=[{"id": 1, "class": 99, "pixels": 1}]), "unknown class 99; known: 1 bump"),
    "pixels absurd": (_records(instances=[{"id": 1, "class": 1, "pixels": 10**30}]), "expected an instance as"),
    "instance twice": (_records(instances=[{"id": 1, "class": 1, "pixels": 1}] * 2), "not unique"),
    "id twice": (_records(id="s0"), "second, different record with the id 's0'"),
    "image gone": (lambda f: (f / "images" / "s1.png").unlink(), "missing file .*s1.png"),
}


@pytest.mark.parametrize("case", OPENING_ERRORS)
def test_a_broken_folder_is_refused_in_one_line(folder, case):
    damage, message = OPENING_ERRORS[case]
    damage(folder)
    with pytest.raises(UserError, match=message) as caught:
        open_dataset(folder)
    assert "\n" not in str(caught.value)
    problems = check_dataset(folder)
    assert problems and all("\n" not in problem for problem in problems)


def _save(kind: str, array: np.ndarray):
    return lambda folder: cv2.imwrite(str(folder / kind / "s1.png"), array)


READING_ERRORS = {
    "image cut": ("image", lambda f: _truncate(f / "images" / "s1.png"), "broken or truncated PNG"),
    "image damaged": ("image", lambda f: _flip_a_bit(f / "images" / "s1.png"), "broken or truncated PNG"),
    "image empty": ("image", lambda f: (f / "images" / "s1.png").write_bytes(b""), "expected a PNG"),
    "image is a JPEG": ("image", lambda f: Image.new("L", (30, 20)).save(f / "images" / "s1.png", "JPEG"),
                        "expected a PNG"),
    "image with alpha": ("image", _save("images", np.zeros((20, 30, 4), np.uint8)), "expected a PNG in grey or RGB"),
    "image with palette": ("image", lambda f: Image.new("P", (30, 20)).save(f / "images" / "s1.png"), "found palette"),
    "image of bits": ("image", lambda f: Image.new("1", (30, 20)).save(f / "images" / "s1.png"), "with 1 bits"),
    "mask cut": ("mask", lambda f: _truncate(f / "masks" / "s1.png"), "broken or truncated PNG"),
    "mask gone": ("mask", lambda f: (f / "masks" / "s1.png").unlink(), "missing file"),
    "mask size": ("mask", _save("masks", np.zeros((20, 31), np.uint8)), "is 31 x 20 pixels, its image is 30 x 20"),
    "mask class": ("mask", _save("masks", np.full((20, 30), 9, np.uint8)), "unknown class id 9; .*lists: 1 bump"),
    "mask in colours": ("mask", _save("masks", np.zeros((20, 30, 3), np.uint8)), "expected an 8-bit palette PNG"),
    "instances size": ("instances", _save("instances", np.zeros((10, 30), np.uint16)), "is 30 x 10 pixels"),
    "instances in colours": ("instances", _save("instances", np.zeros((20, 30, 3), np.uint8)), "expected a grey PNG"),
    "region size": ("region", _save("regions", np.zeros((10, 30), np.uint8)), "is 30 x 10 pixels"),
}


@pytest.mark.parametrize("case", READING_ERRORS)
def test_a_broken_picture_is_refused_in_one_line(folder, case):
    what, damage, message = READING_ERRORS[case]
    (folder / "regions").mkdir(exist_ok=True)
    damage(folder)
    dataset = open_dataset(folder)
    with pytest.raises(UserError, match=message) as caught:
        getattr(dataset, what)(dataset.split("val")[0])
    assert "\n" not in str(caught.value) and "s1.png" in str(caught.value)
    assert check_dataset(folder)


CHECKED_ONLY = {
    "checksum": (lambda f: Image.new("RGB", (30, 20)).save(f / "images" / "s0.png"), "sha256 is"),
    "no checksum": (_records(sha256={}), "no sha256"),
    "count": (_records(instances=[{"id": 1, "class": 6, "pixels": 53}, {"id": 300, "class": 1, "pixels": 6}]),
              "instance 1 has 54 pixels, the record says 53"),
    "unlisted": (_records(instances=[{"id": 300, "class": 1, "pixels": 6}]), "instance 1 is in the picture and not"),
    "disagreement": (_records(instances=[{"id": 1, "class": 7, "pixels": 54}, {"id": 300, "class": 1, "pixels": 6}]),
                     "mask and instances disagree in 54 pixels"),
    "region grey": (lambda f: cv2.imwrite(str(f / "regions" / "s3.png"), np.full((20, 30), 7, np.uint8)), "found 7"),
}


@pytest.mark.parametrize("case", CHECKED_ONLY)
def test_the_checker_sees_what_a_reader_does_not(folder, case):
    damage, message = CHECKED_ONLY[case]
    damage(folder)
    open_dataset(folder)
    assert any(message in problem for problem in check_dataset(folder)), check_dataset(folder)


def test_checksums_are_those_of_the_files(folder):
    sample = open_dataset(folder).samples[3]
    for what, kind in (("image", "images"), ("mask", "masks"), ("instances", "instances"), ("region", "regions")):
        assert sample.sha256[what] == hashlib.sha256((folder / kind / "s3.png").read_bytes()).hexdigest()


def test_an_interrupted_writer_leaves_whole_samples_and_goes_on(folder, tmp_path):
    reference = tree(folder)
    blank = np.zeros((HEIGHT, WIDTH), np.uint16)
    with pytest.raises(KeyboardInterrupt), DatasetWriter(
        tmp_path / "cut", "plates", "test", CLASSES, pixel_size_um=20.0
    ) as writer:
        writer.add("s0", make_image(0), blank.astype(np.uint8), blank, {}, "train", "plate0", seed=0,
                   parameters={"gloss": 0.5})
        raise KeyboardInterrupt
    assert [s.id for s in open_dataset(tmp_path / "cut").samples] == ["s0"]
    write_dataset(tmp_path / "cut")
    resumed = tree(tmp_path / "cut")
    assert {k: v for k, v in resumed.items() if k != "samples.jsonl"} == {
        k: v for k, v in reference.items() if k != "samples.jsonl"}
    assert open_dataset(tmp_path / "cut").fingerprint == open_dataset(folder).fingerprint
    assert not [name for name in resumed if ".part" in name]


def test_a_failed_write_leaves_no_record_and_no_part(tmp_path, monkeypatch):
    mask, instances, classes = make_labels()
    with DatasetWriter(tmp_path / "d", "x", "test", CLASSES) as writer:
        monkeypatch.setattr("sequential_patchcore.data.writer.png.encode_indices", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            writer.add("a", make_image(0), mask, instances, classes, "train", "a")
    assert list(tree(tmp_path / "d")) == ["dataset.json"]


def test_the_writer_refuses_other_folders(folder, tmp_path):
    before = tree(folder)
    with pytest.raises(UserError, match="another data set"), DatasetWriter(folder, "other", "test", CLASSES):
        pass
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    for overwrite in (False, True):
        with pytest.raises(UserError, match="not empty"), DatasetWriter(
            tmp_path / "mine", "x", "test", CLASSES, overwrite=overwrite
        ):
            pass
    with pytest.raises(UserError, match="a file has this name"), DatasetWriter(
        tmp_path / "mine" / "thesis.txt", "x", "test", CLASSES
    ):
        pass
    assert tree(folder) == before and (tmp_path / "mine" / "thesis.txt").read_text() == "x"


def test_overwriting_removes_the_old_samples_and_no_other_file(folder):
    (folder / "notes.txt").write_text("keep")
    with DatasetWriter(folder, "other", "test", CLASSES, overwrite=True):
        pass
    assert sorted(tree(folder)) == ["dataset.json", "notes.txt"]


@pytest.mark.parametrize(("change", "message"), [
    ({"mask": np.zeros((HEIGHT, WIDTH), np.uint8)}, "disagree"),
    ({"mask": np.zeros((HEIGHT, 3), np.uint8)}, "shape"),
    ({"instance_classes": {1: 99}}, "unknown class ids"),
    ({"split": "dev"}, "expected split"),
    ({"sample_id": "a/b"}, "cannot name a file"),
])
def test_the_writer_refuses_arrays_that_contradict_each_other(tmp_path, change, message):
    mask, instances, classes = make_labels()
    arguments = {"sample_id": "a", "image": make_image(0), "mask": mask, "instances": instances,
                 "instance_classes": classes, "split": "train", "group": "a"} | change
    with DatasetWriter(tmp_path / "d", "x", "test", CLASSES) as writer, pytest.raises(ValueError, match=message):
        writer.add(**arguments)


def test_the_reader_in_the_format_page_works(folder, monkeypatch):
    page = (Path(__file__).parents[3] / "docs" / "dataset_format.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    monkeypatch.chdir(folder.parent)
    read: dict = {}
    exec(code.replace("DATASET", folder.name), read)
    mask, instances, _ = make_labels()
    assert sorted(read["records"]) == ["s0", "s1", "s2", "s3"] and read["sample_id"] == "s3"
    np.testing.assert_array_equal(read["mask"], mask)
    np.testing.assert_array_equal(read["instances"], instances)


def test_a_full_disk_leaves_no_half_record(tmp_path, monkeypatch):
    folder = write_dataset(tmp_path / "d", count=1)
    before = (folder / "samples.jsonl").read_bytes()
    blank = np.zeros((HEIGHT, WIDTH), np.uint16)

    def half_write(record):
        (folder / "samples.jsonl").open("ab").write(b'{"id": ')
        raise OSError(28, "No space left on device")

    with DatasetWriter(folder, "plates", "test", CLASSES, pixel_size_um=20.0) as writer:
        monkeypatch.setattr("sequential_patchcore.data.writer._line", half_write)
        with pytest.raises(UserError, match=r"cannot write .*samples\.jsonl: No space left"):
            writer.add("s9", make_image(0), blank.astype(np.uint8), blank, {}, "train", "g")
    assert (folder / "samples.jsonl").read_bytes() == before


def test_a_damaged_record_is_told_before_the_writer_goes_on(folder):
    (folder / "samples.jsonl").write_text('{"split": "train"}\n')
    with pytest.raises(UserError, match=r"line 1: expected a text as id"):
        write_dataset(folder)


def test_the_summary_counts(folder):
    summary = summarise(open_dataset(folder))
    assert summary["images"] == 4 and summary["sizes"] == {"30x20": 4}
    assert summary["splits"]["val"] == {
        "images": 2, "groups": 2, "with_defects": 2, "with_impurities": 2, "clean": 0, "as_a_whole": 0}
    assert summary["classes"]["water_stain"]["pixels"] == 108
    assert summary["classes"]["rust"] == {
        "id": 7, "kind": "defect", "images": 0, "instances": 2, "pixels": 0, "area": None, "as_a_whole": 0, "weak": 0}
    assert summary["classes"]["bump"]["area"] == dict.fromkeys(("min", "q25", "median", "q75", "max"), 6.0)
    json.dumps(summary)
    text = as_text(summary)
    assert "water_stain" in text and "30x20 (4)" in text


def test_two_writers_of_one_folder_do_not_meet(folder, tmp_path):
    """Each would rewrite the records from its own memory."""
    before = tree(folder)
    with DatasetWriter(folder, "plates", "test", CLASSES, pixel_size_um=20.0):
        with pytest.raises(UserError, match=r"data is being written by process \d+ on this machine"):
            write_dataset(folder)
        with pytest.raises(UserError, match="is being written"), whole_folder(folder):
            pass
    write_dataset(folder)
    assert tree(folder) == before and not list(tmp_path.glob(".*"))
    with pytest.raises(UserError, match="another data set"):  # refused, and nothing stays locked
        write_dataset(folder, rendered=True)
    assert not list(tmp_path.glob(".*"))
