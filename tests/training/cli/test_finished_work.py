# SPDX-License-Identifier: Apache-2.0
"""What makes finished work finished, and what does not: the code, the training split, the weights' contents."""

import hashlib
import json
import os
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import sequential_patchcore
import timm
import torch
from sequential_patchcore.cli import parser as cli
from sequential_patchcore.data import png
from sequential_patchcore.data.dataset import open_dataset
from sequential_patchcore.extractors.base import ExtractorSettings
from sequential_patchcore.fitting import cluster, training
from sequential_patchcore.fitting.checkpoint import checkpoint_path
from sequential_patchcore.fitting.settings import TrainSettings
from sequential_patchcore.model.file import load_model, read_request, save_model
from sequential_patchcore.runtime import requests

SMALL = ("--backbone", "filters", "--coreset-size", "16", "--device", "cpu")
TRAIN = ("train", "--data", "d", "--out", "m.h5", *SMALL)
TUNE = ("finetune", "--model", "m.h5", "--data", "d", "--out", "t.h5", "--device", "cpu")
MELD = ("meld", "m.h5", "t.h5", "--out", "mt.h5")
CALIBRATE = ("calibrate", "--model", "m.h5", "--data", "d")
EVALUATE = ("evaluate", "--model", "m.h5", "--data", "d", "--out", "results")
PREDICT = ("predict", "--model", "m.h5", "d/images/test0.png", "--out", "today")


@pytest.fixture(scope="module")
def made(plates, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("finished")
    plates(root / "d", train=2, val=1, test=1)
    before = os.getcwd()
    os.chdir(root)
    try:
        for command in (TRAIN, CALIBRATE, TUNE, MELD, EVALUATE, PREDICT):
            assert cli.main(command) == 0
    finally:
        os.chdir(before)
    return root


@pytest.fixture
def change_code(tmp_path, monkeypatch):
    """Changes a module of the program, as far as the program looks at its own code."""
    copy = tmp_path / "program"
    shutil.copytree(Path(sequential_patchcore.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(requests, "_PACKAGE", copy)
    requests.code_digest.cache_clear()

    def change(module: str) -> None:
        with open(copy / module, "a", encoding="utf-8") as file:
            file.write("# changed\n")
        requests.code_digest.cache_clear()

    yield change
    requests.code_digest.cache_clear()


def outcome(capsys, *command: str) -> str:
    """What a command says, on both streams."""
    capsys.readouterr()
    assert cli.main(command) == 0
    captured = capsys.readouterr()
    return captured.out + captured.err


def journal() -> int:
    return len(Path("today/predictions.jsonl").read_text().splitlines())


def is_kept(capsys, command) -> bool:
    lines = journal()
    told = outcome(capsys, *command)
    if command is PREDICT:
        return journal() == lines
    again = "by another state of this program's code; it is" in told
    assert again != ("kept" in told or "already evaluated" in told)
    return not again


@pytest.mark.parametrize(
    ("module", "made_again"),
    [
        ("scoring/anomaly_map.py", {CALIBRATE, EVALUATE, PREDICT}),
        ("report/page.html", {EVALUATE, PREDICT}),
        ("coreset/search.py", {MELD, CALIBRATE, EVALUATE, PREDICT}),
        ("coreset/kernels.py", {TRAIN, TUNE, MELD}),
        ("fitting/stream.py", {TRAIN, TUNE}),
        ("fitting/melding.py", {MELD}),
        ("cli/parser.py", set()),
        ("runtime/progress.py", set()),
    ],
)
def test_what_other_code_made_is_made_again_and_it_is_said(place, change_code, capsys, module, made_again):
    outcome(capsys, *PREDICT)  # a photograph is known by where it lies, and lies elsewhere since the copy
    change_code(module)
    for command in (PREDICT, EVALUATE, CALIBRATE, MELD, TUNE, TRAIN):  # the last changes what the others start from
        assert is_kept(capsys, command) == (command not in made_again), command
    assert TRAIN not in made_again or load_model("m.h5").threshold is None
    if TRAIN not in made_again:
        for command in made_again:
            assert is_kept(capsys, command)


def test_a_model_that_other_code_made_stays_until_the_new_one_is_whole(place, change_code, capsys, monkeypatch):
    before = Path("m.h5").read_bytes()
    change_code("fitting/run.py")
    with monkeypatch.context() as patch:
        patch.setattr(training, "save_model", lambda *_: pytest.fail("no room"))
        with pytest.raises(pytest.fail.Exception):
            cli.main(TRAIN)
    assert Path("m.h5").read_bytes() == before
    vectors = load_model("m.h5").features
    outcome(capsys, *TRAIN)
    assert np.array_equal(load_model("m.h5").features, vectors) and load_model("m.h5").threshold is None


def earlier_request(command: str, **inputs: object) -> str:
    """As the program wrote it before it noted its code."""
    text = json.dumps({"command": command, "version": "0.1.0", **inputs}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def earlier_train_request() -> str:
    return earlier_request(
        "train", datasets=[open_dataset("d").fingerprint], settings=asdict(TrainSettings(coreset_size=16)),
        extractor=asdict(ExtractorSettings("filters")), weights="none", blur_sigma=2.0, split="train",
    )


def test_models_from_before_the_code_was_noted_are_made_again_and_it_is_said(place, capsys):
    parents = [load_model(path).fingerprint for path in ("m.h5", "t.h5")]
    tuned = earlier_request(
        "finetune", parent=parents[0], datasets=[open_dataset("d").fingerprint],
        settings=asdict(TrainSettings(coreset_size=16)), split="train",
    )
    melded = earlier_request("meld", parents=parents, size=None)
    for path, request in (("m.h5", earlier_train_request()), ("t.h5", tuned), ("mt.h5", melded)):
        save_model(replace(load_model(path), request=request), path)
    for command in (MELD, TUNE, TRAIN):
        assert not is_kept(capsys, command)
        assert is_kept(capsys, command)


@pytest.fixture
def stopped(place, monkeypatch):
    """A run to s.h5 that was stopped after an image; the command."""
    command = (*TRAIN[:4], "s.h5", *SMALL, "--checkpoint-images", "1")
    fit = training.SequentialRun._save_or_stop

    def stop(self, _stop):
        fit(self, True)

    with monkeypatch.context() as patch:
        patch.setattr(training.SequentialRun, "_save_or_stop", stop)
        assert cli.main(command) == 130
    return command


def test_a_checkpoint_of_other_code_is_not_gone_on_from(stopped, change_code, capsys):
    assert "going on from" in outcome(capsys, *stopped, "--resume")
    Path("s.h5").rename("whole.h5")


def test_a_checkpoint_of_other_code_is_dropped_with_a_word_and_refused_where_it_is_insisted_on(
    stopped, change_code, capsys
):
    change_code("fitting/stream.py")
    capsys.readouterr()
    assert cli.main((*stopped, "--resume")) == 2
    assert "another state of this program's code; leave --resume out to begin anew" in capsys.readouterr().err
    told = outcome(capsys, *stopped)
    assert "another state of this program's code; beginning anew" in told and "going on from" not in told


def test_a_checkpoint_from_before_the_code_was_noted_is_gone_on_from(stopped, capsys):
    import h5py

    with h5py.File(checkpoint_path("s.h5"), "a") as file:
        file.attrs["request"] = earlier_train_request()
        del file.attrs["sha256"]  # nor did it say what it holds
    assert "going on from" in outcome(capsys, *stopped)
    assert np.array_equal(load_model("s.h5").features, load_model("m.h5").features)
    assert read_request("s.h5") == read_request("m.h5")


def relabel(sample: str, folder: str = "d") -> None:
    """Take a defect off a sample's label, in the mask and in the record."""
    file = Path(folder, "samples.jsonl")
    records = [json.loads(line) for line in file.read_text().splitlines()]
    (record,) = [record for record in records if record["id"] == sample]
    mask = Path(folder, "masks", f"{sample}.png")
    if record["instances"]:
        record["instances"] = [one for one in record["instances"] if one["class"] != "dent"]
        shown = png.read_indices(mask)
        mask.write_bytes(png.encode_indices(np.where(shown == 2, 0, shown).astype(np.uint8), bytes(768)))
        record["sha256"]["mask"] = hashlib.sha256(mask.read_bytes()).hexdigest()
    else:
        record["group"] = "another plate"
    file.write_text("".join(json.dumps(one) + "\n" for one in records))


@pytest.mark.parametrize("sample", ["val0", "test0"])
def test_a_label_corrected_beside_the_training_split_leaves_training_finished(place, capsys, sample):
    before = open_dataset("d").fingerprint
    relabel(sample)
    assert open_dataset("d").fingerprint != before
    for command in (TRAIN, TUNE):
        assert is_kept(capsys, command)


def test_a_class_that_no_training_image_shows_leaves_training_finished(place, capsys):
    header = json.loads(Path("d/dataset.json").read_text())
    header["classes"].append({"id": 9, "name": "scratch", "kind": "defect"})
    Path("d/dataset.json").write_text(json.dumps(header))
    assert is_kept(capsys, TRAIN)


def test_a_changed_training_image_is_other_data(place, capsys):
    relabel("train0")
    for command in (TRAIN, TUNE):
        assert cli.main(command) == 2
        assert "was made from other data or settings; give --overwrite" in capsys.readouterr().err


@pytest.mark.parametrize(
    "option",
    [("--epochs", "3"), ("--epochs", "5"), ("--eviction", "lower-index"), ("--eviction", "seeded-random"),
     ("--restart",), ("--resume",), ("--checkpoint-images", "4"), ("--chunk-size", "64")],
    ids=" ".join,
)
def test_the_greedy_coreset_refuses_what_it_would_pass_over(place, capsys, option):
    assert cli.main((*TRAIN[:4], "g.h5", *SMALL, "--coreset", "greedy", *option)) == 2
    assert f"{option[0]} is for the sequential coreset; leave it out with --coreset greedy" in capsys.readouterr().err
    assert not Path("g.h5").exists()


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """Shards are carried out one after the other, each in a working directory of its own, as Ray does it."""
    def run_shards(task, arguments, address, processors):
        assert address == "local" and processors == 1
        for number, shard in enumerate(arguments):
            (tmp_path / f"worker{number}").mkdir(exist_ok=True)
            with monkeypatch.context() as patch:
                patch.chdir(tmp_path / f"worker{number}")
                task(shard)
            yield number

    monkeypatch.setattr(cluster, "run_shards", run_shards)


def save_weights(seed: int) -> None:
    torch.manual_seed(seed)
    torch.save(timm.create_model("mobilenetv3_small_050", pretrained=False).state_dict(), "w.pth")


@pytest.mark.parametrize("shards", ["1", "2"])
def test_on_a_cluster_weights_are_found_from_everywhere_and_known_by_their_contents(place, elsewhere, capsys, shards):
    save_weights(1)
    command = (
        "train", "--data", "d", "--out", "r.h5", "--backbone", "mobilenetv3_small_050", "--weights", "w.pth",
        "--coreset-size", "16", "--epochs", "1", "--device", "cpu", "--threads", "1", "--ray", "local", "--shards",
        shards,
    )
    outcome(capsys, *command)
    first = load_model("r.h5")
    assert is_kept(capsys, command)
    save_weights(2)
    assert cli.main(command) == 2
    assert "other data or settings" in capsys.readouterr().err
    outcome(capsys, *command, "--overwrite")
    assert load_model("r.h5").extractor["weights_fingerprint"] != first.extractor["weights_fingerprint"]
