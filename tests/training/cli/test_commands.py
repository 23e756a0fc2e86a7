# SPDX-License-Identifier: Apache-2.0
"""The command line: bad input ends in one line and exit code 2; the whole way by its commands."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
import torch
from sequential_patchcore.cli import parser as cli
from sequential_patchcore.data import png
from sequential_patchcore.extractors import builder
from sequential_patchcore.model.file import Threshold, load_model, save_model
from sequential_patchcore.runtime import progress

PREFIX = "sequential-patchcore: "
SMALL = ("--backbone", "filters", "--coreset-size", "16", "--epochs", "1", "--device", "cpu")


@pytest.fixture(scope="module")
def made(plates, tmp_path_factory) -> Path:
    """A folder with a data set "d", a model "m.h5" of it, and the same calibrated, "c.h5"."""
    root = tmp_path_factory.mktemp("cli")
    plates(root / "d", train=2, val=1, test=1)
    assert cli.main(["train", "--data", str(root / "d"), "--out", str(root / "m.h5"), *SMALL]) == 0
    shutil.copy(root / "m.h5", root / "c.h5")
    assert cli.main(["calibrate", "--model", str(root / "c.h5"), "--data", str(root / "d")]) == 0
    return root


def refused(capsys, *arguments: str) -> str:
    """The message; exit code 2, one line of ours on stderr, no traceback, nothing on stdout, no new file."""
    before = sorted(path for path in Path().rglob("*") if path.is_file())
    capsys.readouterr()
    assert cli.main(arguments) == 2
    captured = capsys.readouterr()
    ours = [line for line in captured.err.splitlines() if line.startswith(PREFIX)]
    assert len(ours) == 1 and "Traceback" not in captured.err and captured.out == ""
    assert captured.err.rstrip().endswith(ours[0])
    assert sorted(path for path in Path().rglob("*") if path.is_file()) == before
    return ours[0].removeprefix(PREFIX)


def test_the_threads_hold_from_before_the_features_are_built(made, tmp_path, monkeypatch):
    """Building them computes already, and on all cores that is paid for in waiting threads."""
    found, build = [], builder.extractor_of

    def noted(*arguments):
        found.append(torch.get_num_threads())
        return build(*arguments)

    monkeypatch.setattr(builder, "extractor_of", noted)
    before = torch.get_num_threads()
    try:
        for count in (3, 1):
            train = ["train", "--data", str(made / "d"), "--out", str(tmp_path / f"{count}.h5"), *SMALL]
            assert cli.main([*train, "--threads", str(count)]) == 0
            assert torch.get_num_threads() == count
    finally:
        torch.set_num_threads(before)
    assert found == [3, 1]


def change_model(path: str, **changes) -> None:
    save_model(replace(load_model(path), **changes), path)


def cut(path: str, length: int) -> None:
    Path(path).write_bytes(Path(path).read_bytes()[:length])


def foreign(path: str) -> None:
    with h5py.File(path, "w") as file:
        file["weights"] = np.zeros(3)


def small_mask(path: str) -> None:
    Path(path).write_bytes(png.encode_indices(np.zeros((5, 6), np.uint8), bytes(768)))


def edit_records(old: str, new: str) -> None:
    file = Path("d/samples.jsonl")
    file.write_text(file.read_text().replace(old, new, 1))


def other_extractor(path: str) -> None:
    change_model(path, extractor=load_model(path).extractor | {"backbone": "resnet18", "pool": 3})


def label_file(shape_type: str) -> None:
    Path("src").mkdir()
    shutil.copy("d/images/val0.png", "src/a.png")
    shape = {"label": "dent", "shape_type": shape_type, "points": [[1, 1], [9, 9]]}
    Path("src/a.json").write_text(json.dumps({"imagePath": "a.png", "shapes": [shape]}))


TRAIN = ("train", "--data", "d", "--out", "new.h5", *SMALL)
EVALUATE = ("evaluate", "--model", "c.h5", "--data", "d", "--out", "results")
PREDICT = ("predict", "--model", "c.h5", "d/images/test0.png", "--out", "today")
NOTHING = ()


@pytest.mark.parametrize(
    ("spoil", "command", "words"),
    [
        (NOTHING, ("train", "--data", "absent", "--out", "new.h5"), ("absent", "no such folder")),
        (NOTHING, ("train", "--data", "d/images", "--out", "new.h5"), ("d/images is no data set", "import")),
        (NOTHING, ("train", "--data", "c.h5", "--out", "new.h5"), ("c.h5 is a file",)),
        ((cut, "d/images/train1.png", 200), TRAIN, ("d/images/train1.png",)),
        ((cut, "d/images/train0.png", 10), TRAIN, ("d/images/train0.png",)),
        ((edit_records, '"id"', '"id'), TRAIN, ("d/samples.jsonl, line 1", "broken JSON")),
        ((edit_records, '"train"', '"learn"'), TRAIN, ("d/samples.jsonl, line 1", "learn")),
        ((os.remove, "d/images/train0.png"), TRAIN, ("missing file d/images/train0.png",)),
        (NOTHING, (*TRAIN, "--split", "none"), ("no samples in the split 'none'", "train (2)")),
        (NOTHING, (*TRAIN, "--coreset-size", "1600"), ("only 1536 patches", "--coreset-size")),
        (NOTHING, (*TRAIN, "--weights", "absent.pth"), ("cannot read the weights file", "absent.pth")),
        (NOTHING, (*TRAIN, "--weights", "c.h5"), ("filters has no weights",)),
        (NOTHING, (*TRAIN, "--memory-budget", "much"), ("'much' is not a size", "12GiB")),
        (NOTHING, (*TRAIN, "--memory-budget", "."), ("'.' is not a size",)),
        (NOTHING, (*TRAIN, "--memory-budget", "1e999"), ("'1e999' is not a size",)),
        (NOTHING, (*TRAIN, "--memory-budget", "100MB"), ("the budget is 0.09 GiB", "--memory-budget")),
        (NOTHING, (*TRAIN, "--coreset-size", "1000000000000"), ("of memory",)),
        (NOTHING, (*TRAIN, "--image-scale", "100", "--memory-budget", "4GiB"), ("of memory",)),
        (NOTHING, (*TRAIN, "--device", "cuda:99"), ("--device cuda:99: not usable",)),
        (NOTHING, (*TRAIN, "--device", "toaster"), ("--device toaster: not usable",)),
        (NOTHING, (*TRAIN, "--device", "meta"), ("--device meta: not usable",)),
        (NOTHING, (*TRAIN, "--shard", "3/3"), ("shard 3/3 of 2",)),
        (NOTHING, (*TRAIN, "--resume"), ("--resume: there is no new.h5.checkpoint",)),
        (NOTHING, (*TRAIN, "--out", "m.h5", "--seed", "1"), ("m.h5 exists", "--overwrite")),
        (NOTHING, (*TRAIN, "--out", "d/dataset.json"), ("d/dataset.json exists",)),
        (NOTHING, (*TRAIN, "--out", "d", "--overwrite"), ("d is a folder",)),
        (NOTHING, (*TRAIN, "--out", "c.h5/new.h5"), ("c.h5",)),
        (NOTHING, (*TRAIN, "--out", "/proc/new.h5"), ("/proc/new.h5",)),
        (NOTHING, ("finetune", "--model", "absent.h5", "--data", "d", "--out", "new.h5"), ("absent.h5: no such",)),
        ((change_model, "c.h5"), ("finetune", "--model", "c.h5", "--data", "d", "--out", "new.h5",
                                  "--coreset-size", "4"), ("16 vectors, more than --coreset-size 4",)),
        (NOTHING, ("meld", "c.h5", "--out", "new.h5"), ("at least two models",)),
        (NOTHING, ("meld", "c.h5", "d", "--out", "new.h5"), ("d: no such model file",)),
        (NOTHING, ("meld", "c.h5", "m.h5", "--out", "new.h5", "--coreset-size", "33"), ("more than the 32 vectors",)),
        (NOTHING, ("meld", "c.h5", "m.h5", "--out", "d/dataset.json/new.h5"), ("d/dataset.json",)),
        ((other_extractor, "m.h5"), ("meld", "c.h5", "m.h5", "--out", "new.h5"),
         ("c.h5 and m.h5 have different", "filters and resnet18", "pool: 2 and 3")),
        ((cut, "c.h5", 3000), EVALUATE, ("c.h5: not a readable HDF5 file",)),
        ((foreign, "c.h5"), EVALUATE, ("c.h5: an HDF5 file, but not a model",)),
        (NOTHING, ("evaluate", "--model", "m.h5", "--data", "d", "--out", "results"), ("no threshold", "calibrate")),
        ((small_mask, "d/masks/test0.png"), EVALUATE, ("d/masks/test0.png is 6 x 5 pixels", "128 x 96")),
        ((cut, "d/images/test0.png", 300), EVALUATE, ("d/images/test0.png",)),
        (NOTHING, (*EVALUATE, "--out", "c.h5/results"), ("c.h5",)),
        (NOTHING, ("calibrate", "--model", "m.h5"), ("--data DIR", "--threshold")),
        (NOTHING, ("calibrate", "--model", "m.h5", "--data", "d", "--split", "test"), ("test split", "--split val")),
        ((small_mask, "d/masks/val0.png"), ("calibrate", "--model", "m.h5", "--data", "d"), ("d/masks/val0.png is",)),
        (NOTHING, (*PREDICT, "--model", "m.h5"), ("no threshold", "calibrate")),
        (NOTHING, ("predict", "--model", "c.h5", "d/dataset.json", "--out", "today"), ("d/dataset.json", "picture")),
        (NOTHING, ("predict", "--model", "c.h5", "d", "--out", "today"), ("no images in the folder d",)),
        (NOTHING, ("predict", "--model", "c.h5", "absent.png", "--out", "today"), ("no such image", "absent.png")),
        (NOTHING, (*PREDICT, "--out", "c.h5"), ("c.h5",)),
        (NOTHING, (*PREDICT, "--out", "/proc"), ("/proc",)),
        (NOTHING, ("info", "absent"), ("absent: no such model file",)),
        (NOTHING, ("info", "d/dataset.json"), ("d/dataset.json: not a readable HDF5 file",)),
        (NOTHING, ("info", "d/images"), ("d/images is no data set",)),
        ((label_file, "spiral"), ("import", "labelme", "src", "--out", "new"), ("a.json", "unknown type 'spiral'")),
        (NOTHING, ("import", "labelme", "absent", "--out", "new"), ("absent",)),
        ((label_file, "circle"), ("import", "labelme", "src", "--out", "new", "--map", "dent"), ("LABEL=CLASS",)),
        (NOTHING, ("import", "mvtec", "d", "--out", "new"), ("d",)),
        (NOTHING, ("export", "coco", "absent", "--out", "new"), ("absent",)),
        (NOTHING, ("export", "mvtec", "d", "--out", "c.h5/new"), ("c.h5",)),
    ],
    ids=lambda value: value[0] if value and isinstance(value[0], str) else "",
)
def test_bad_input_ends_in_one_line(place, capsys, spoil, command, words):
    if spoil:
        spoil[0](*spoil[1:])
    message = refused(capsys, *command)
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    "arguments",
    [
        (), ("fly",), ("train",), ("train", "--data", "d"), (*TRAIN, "--epochs", "0"), (*TRAIN, "--coreset-size", "1"),
        (*TRAIN, "--shard", "4/3"), (*TRAIN, "--image-scale", "nan"), (*TRAIN, "--chunk-size", "few"),
        (*TRAIN, "--seed", "-1"), (*TRAIN, "--threads", "0"), ("calibrate", "--model", "c.h5", "--threshold", "nan"),
        ("import", "zip", "d", "--out", "x"), ("evaluate", "--model", "c.h5", "--data", "d"),
    ],
)
def test_wrong_usage_exits_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(arguments)
    assert stopped.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_an_unknown_backbone_is_named_with_like_ones(place, capsys):
    message = refused(capsys, *TRAIN, "--backbone", "resnet19", "--weights", "none")
    assert "unknown backbone 'resnet19'" in message


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    """The command in a process of its own."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))} | environment
    return subprocess.run(
        [sys.executable, "-m", "sequential_patchcore", *arguments], env=environment, capture_output=True, text=True,
        timeout=300, check=False,
    )


def test_without_weights_and_network_the_way_out_is_told(place):
    done = run("train", "--data", "d", "--out", "new.h5", HF_HUB_OFFLINE="1", HF_HOME=str(place / "hub"))
    assert done.returncode == 2 and done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith(PREFIX + "no weights for mobilenetv3_large_100")
    assert "as --weights" in line and "--backbone 'filters'" in line
    assert not Path("new.h5").exists()


def test_a_weights_file_that_is_gone_is_named_with_the_cure(place, capsys):
    settings = load_model("c.h5").settings | {"weights": "/absent/net.pth"}
    change_model("c.h5", settings=settings)
    assert re.search("--weights|`weights`", refused(capsys, *PREDICT))


def output_of(capsys, *arguments: str) -> str:
    capsys.readouterr()
    assert cli.main(arguments) == 0
    return capsys.readouterr().out


def content(folder: str) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


@pytest.fixture
def photographs(place) -> Path:
    """LabelMe: four clean photographs for training, one labelled each for val and test, and their table."""
    (place / "src").mkdir()
    rows = ["split,image,label"]
    rng = np.random.default_rng(2)
    for name in ("t0", "t1", "t2", "t3", "v0", "e0"):
        image = rng.normal(130, 5, (96, 128))
        label = ""
        if name[0] in "ve":
            image[30:42, 40:60] -= 80
            label = f"{name}.json"
            shape = {"label": "dent", "shape_type": "rectangle", "points": [[40, 30], [60, 42]]}
            (place / "src" / label).write_text(json.dumps({"imagePath": f"{name}.png", "shapes": [shape]}))
        cv2.imwrite(str(place / "src" / f"{name}.png"), np.clip(image, 0, 255).astype(np.uint8))
        split = {"t": "train", "v": "val", "e": "test"}[name[0]]
        rows.append(f"{split},{name}.png,{label}")
    (place / "splits.csv").write_text("\n".join(rows) + "\n")
    return place


def test_the_whole_way(photographs, capsys):
    importing = ("import", "labelme", "src", "--splits", "splits.csv", "--out", "mine")
    training = ("train", "--data", "mine", "--out", "a.h5", "--backbone", "filters", "--coreset-size", "64",
                "--augment")
    calibrating = ("calibrate", "--model", "a.h5", "--data", "mine", "--split", "val")
    tuning = ("finetune", "--model", "a.h5", "--data", "d", "--out", "b.h5")
    melding = ("meld", "a.h5", "b.h5", "--out", "ab.h5")
    evaluating = ("evaluate", "--model", "a.h5", "--model", "c.h5", "--data", "mine", "--out", "results")
    predicting = ("predict", "--model", "a.h5", "src/e0.png", "src/t0.png", "--out", "today")

    assert "6 images (1 test, 4 train, 1 val), 2 instances of dent" in output_of(capsys, *importing)
    assert "a.h5: 64 vectors" in output_of(capsys, *training)
    assert "(max_f1) stored in a.h5" in output_of(capsys, *calibrating)
    report = output_of(capsys, *evaluating)
    assert "results/report.html" in report and Path("results/report.html").is_file()
    metrics = json.loads(Path("results/metrics.json").read_text())
    assert metrics["models"]["a"]["pixel"]["auroc"] > 0.95
    assert metrics["models"]["a"]["classes"]["dent"]["defect_wise_recall"] > 0.5
    assert "anomalous" in output_of(capsys, *predicting)
    tables = json.loads(Path("today/predictions.json").read_text())
    assert tables[0]["verdict"] == "anomalous" and tables[0]["score"] > tables[1]["score"]
    assert sorted(os.listdir("today/overlays")) == ["e0.jpg", "t0.jpg"]
    output_of(capsys, *tuning)
    output_of(capsys, *melding)
    assert load_model("ab.h5").parents == tuple(load_model(path).fingerprint for path in ("a.h5", "b.h5"))

    facts = json.loads(output_of(capsys, "info", "ab.h5", "--json"))
    assert facts["vectors"] == 64 and facts["dimension"] == load_model("a.h5").features.shape[1]
    for path in ("a.h5", "b.h5", "ab.h5", "mine"):
        assert "no problems found" in output_of(capsys, "info", path, "--check")
        assert json.loads(output_of(capsys, "info", path, "--json"))
        assert output_of(capsys, "info", path)
    for kind in ("mvtec", "coco"):
        output_of(capsys, "export", kind, "mine", "--out", f"as_{kind}")
        assert content(f"as_{kind}")

    before = content(".")
    for command in (importing, training, calibrating, evaluating, tuning, melding):
        output_of(capsys, *command)
    assert content(".") == before


def test_finished_work_is_kept_and_overwrite_replaces_it(place, capsys):
    command = ("train", "--data", "d", "--out", "m.h5", *SMALL)
    before = Path("m.h5").stat().st_mtime_ns
    assert "already made by this command" in output_of(capsys, *command)
    assert Path("m.h5").stat().st_mtime_ns == before
    vectors = load_model("m.h5").features
    output_of(capsys, *command, "--shuffle", "--seed", "4", "--overwrite")
    assert not np.array_equal(load_model("m.h5").features, vectors)


def test_a_threshold_by_hand(place, capsys):
    output_of(capsys, "calibrate", "--model", "m.h5", "--threshold", "0.125")
    assert load_model("m.h5").threshold == Threshold(0.125, "by_hand")
    assert "by hand" in output_of(capsys, "info", "m.h5").replace("_", " ")
    assert cli.main(["evaluate", "--model", "m.h5", "--data", "d", "--out", "results"]) == 0


def test_the_checker_exits_with_2_and_lists_the_problem(place, capsys):
    change_model("m.h5", separation=1.0)
    assert cli.main(["info", "m.h5", "--check", "--json"]) == 2
    captured = capsys.readouterr()
    (problem,) = json.loads(captured.out)["problems"]
    assert "separation is recorded as 1" in problem and "1 problem(s) found" in captured.err


def test_progress_as_json_lines(place, capsys, monkeypatch):
    monkeypatch.setattr(progress, "_json_lines", False)  # to be put back afterwards
    lines = output_of(capsys, "train", "--data", "d", "--out", "new.h5", *SMALL, "--json-progress").splitlines()
    records = [json.loads(line) for line in lines if line.startswith("{")]
    steps = [(line["task"], line["done"], line["total"]) for line in records if line["event"] == "progress"]
    assert steps == [(task, done, 2) for task in ("epoch 1 of 1", "measuring the coverage") for done in (1, 2)]
    assert len(lines) == len(records)
    assert [record["event"] for record in records][-1] == "result" and "new.h5: 16 vectors" in records[-1]["text"]


def test_a_false_positive_rate_on_clean_images(place, capsys):
    rate = ("calibrate", "--model", "m.h5", "--data", "d", "--split", "train", "--false-positive-rate", "0.02")
    assert "(false_positive_rate) stored in m.h5" in output_of(capsys, *rate)
    kept = load_model("m.h5").threshold
    assert kept.calibrated_on["wanted_rate"] == 0.02 and kept.calibrated_on["reached_rate"] <= 0.02
    assert "kept" in output_of(capsys, *rate)
    assert "kept" not in output_of(capsys, *rate, "--per", "image")
    assert "kept" not in output_of(capsys, "calibrate", "--model", "m.h5", "--data", "d")  # best F1 is another thing
    assert load_model("m.h5").threshold.method == "max_f1"


def test_filters_of_the_evaluation_are_in_its_record(place, capsys):
    command = ("evaluate", "--model", "c.h5", "--data", "d", "--out", "results")
    output_of(capsys, *command)
    plain = json.loads(Path("results/metrics.json").read_text())["models"]["c"]
    output_of(capsys, *command, "--min-region", "100000", "--detection-coverage", "25")
    found = json.loads(Path("results/metrics.json").read_text())["models"]["c"]
    assert found["rule"] == {"min_region": 100000, "hysteresis": 1.0,
                             "text": "score >= threshold, regions of fewer than 100000 pixels dropped"}
    assert plain["pixel"]["counts"]["predicted"] > 0 == found["pixel"]["counts"]["predicted"]
    assert found["detection_coverage_percent"] == 25 and found["filter_sweep"] == plain["filter_sweep"]
    output_of(capsys, *command, "--threshold", "1e9")
    assert json.loads(Path("results/metrics.json").read_text())["models"]["c"]["threshold"] == 1e9


def test_exit_codes_by_verdict(place, capsys):
    cv2.imwrite("sound.png", cv2.imread("d/images/train0.png"))
    Path("broken.png").write_bytes(Path("sound.png").read_bytes()[:200])
    high = ("--threshold", "1e9", "--out", "today", "--exit-code")
    for files, options, code in (
        (["sound.png"], high, 0),
        (["sound.png", "broken.png"], high, 4),
        (["broken.png"], high, 4),
        (["sound.png", "broken.png"], ("--threshold", "0", "--out", "today", "--exit-code"), 3),
        (["sound.png"], ("--threshold", "0", "--out", "today"), 0),
    ):
        assert cli.main(["predict", "--model", "c.h5", *files, *options]) == code
    lines = output_of(capsys, "predict", "--model", "c.h5", "sound.png", "broken.png", "--out", "today", "--json")
    assert [json.loads(line)["verdict"] for line in lines.splitlines()][1] == "unreadable"
    assert "not one of 1 file(s)" in refused(capsys, "predict", "--model", "c.h5", "broken.png", "--out", "new")


def test_watching_a_folder_by_the_command(place, capsys):
    Path("line").mkdir()
    shutil.copy("d/images/test0.png", "line/first.png")
    found = output_of(capsys, "predict", "--model", "c.h5", "line", "--out", "today", "--watch", "--interval", "0.05",
                      "--idle-exit", "0.5")
    assert "line/first.png" in found and "1 unreadable" not in found
    assert [found["image"] for found in json.loads(Path("today/predictions.json").read_text())] == ["line/first.png"]
    assert "takes folders" in refused(capsys, "predict", "--model", "c.h5", "line/first.png", "--out", "n", "--watch")
