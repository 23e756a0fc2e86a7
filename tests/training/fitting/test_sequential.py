# SPDX-License-Identifier: Apache-2.0
"""Training against the rule written out slowly; interrupted, killed and resumed runs against undisturbed ones."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from sequential_patchcore.cli import parser as cli
from sequential_patchcore.extractors.base import ExtractorSettings, to_tensor
from sequential_patchcore.extractors.builder import extractor_of
from sequential_patchcore.fitting import checkpoint, sequential, training
from sequential_patchcore.fitting.augmentation import AugmentSettings, augment, augmentation_rng, flips_of, mask_border
from sequential_patchcore.fitting.settings import RunOptions, TrainSettings
from sequential_patchcore.fitting.training import train
from sequential_patchcore.model.file import load_model
from sequential_patchcore.runtime.errors import UserError
from sequential_patchcore.runtime.files import remove_leftovers
from sequential_patchcore.runtime.interrupt import Interrupt, deferred_interrupt
from sequential_patchcore.runtime.requests import Request

SIZE = 24


@pytest.fixture(scope="module")
def data(plates, tmp_path_factory):
    return plates(tmp_path_factory.mktemp("train") / "plates", train=5, val=0, test=0)


@pytest.fixture
def extractor():
    return extractor_of(ExtractorSettings("filters"))


OPTIONS = RunOptions.__dataclass_fields__.keys()


def run(data, extractor, out, *, initial=None, **given):
    """`given` are settings and options of the run."""
    datasets = data if isinstance(data, list) else [data]
    options = RunOptions(**{"request": Request("a run")} | {name: given.pop(name) for name in OPTIONS & given.keys()})
    settings = TrainSettings(**{"coreset_size": SIZE, "epochs": 4} | given)
    return train(datasets, extractor, settings, initial=initial, out=out, options=options)


def patches_of(extractor, image) -> np.ndarray:
    """(h, w, D)"""
    return extractor(to_tensor(image, 1.0, torch.device("cpu")))[0].numpy()


def slow_rule(size: int, epochs: int, stream):
    """The rule as the paper states it, in float64. `stream(epoch)` yields (vector, name). Returns vectors, names."""
    vectors, names, log = [], [], []
    for epoch in range(epochs):
        replaced = 0
        for vector, name in stream(epoch):
            vector = vector.astype(np.float64)
            if len(vectors) < size:
                vectors.append(vector)
                names.append(name)
                if len(vectors) == size:
                    table = np.array(vectors)
                    pairs = ((table[:, None] - table[None]) ** 2).sum(2)
                    np.fill_diagonal(pairs, np.inf)
                continue
            if ((table - vector) ** 2).sum(1).min() > pairs.min():
                i = min(np.unravel_index(int(pairs.argmin()), pairs.shape))
                table[i], names[i] = vector, name
                pairs[i] = pairs[:, i] = ((table - vector) ** 2).sum(1)
                pairs[i, i] = np.inf
                replaced += 1
        log.append(replaced)
        if replaced == 0 and epoch > 0:
            break
    return table.astype(np.float32), names, log


def named(model) -> list[tuple[str, int, int]]:
    return [
        (model.sources[row][1], int(y), int(x)) for row, (y, x) in zip(model.source, model.position, strict=True)
    ]


def same(one, other) -> bool:
    return (
        np.array_equal(one.features, other.features) and np.array_equal(one.source, other.source)
        and np.array_equal(one.position, other.position) and one.epochs == other.epochs
        and one.sources == other.sources and one.separation == other.separation
        and one.covering_radius == other.covering_radius and one.converged == other.converged
    )


def test_vectors_are_those_of_the_rule_over_all_patches(data, extractor, tmp_path):
    images = [(sample.id, patches_of(extractor, data.image(sample))) for sample in data.split("train")]

    def stream(_epoch):
        for name, grid in images:
            for y, x in np.ndindex(grid.shape[:2]):
                yield grid[y, x], (name, y, x)

    expected, names, log = slow_rule(SIZE, 4, stream)
    model = run(data, extractor, tmp_path / "m.h5")
    assert np.array_equal(model.features, expected)
    assert named(model) == names
    assert [epoch["replacements"] for epoch in model.epochs] == log and log[0] > 0
    assert model.epochs[-1]["covering_radius"] == model.covering_radius
    for epochs, epoch in enumerate(model.epochs, 1):  # the log against models that stopped there
        shorter = run(data, extractor, tmp_path / f"{epochs}.h5", epochs=epochs)
        assert epoch["covering_radius"] == shorter.covering_radius and epoch["separation"] == shorter.separation
    distances = np.linalg.norm(expected[:, None].astype(float) - expected[None], axis=2)
    assert model.separation == pytest.approx(distances[np.triu_indices(SIZE, 1)].min(), rel=1e-12)
    every = np.concatenate([grid.reshape(-1, grid.shape[-1]) for _, grid in images]).astype(float)
    nearest = np.sqrt(((every[:, None] - expected[None].astype(float)) ** 2).sum(2)).min(1)
    assert model.covering_radius == pytest.approx(nearest.max(), rel=1e-12)


def test_augmented_vectors_are_those_of_the_rule_over_new_pictures_in_every_epoch(plates, extractor, tmp_path):
    data = plates(tmp_path / "render", train=2, val=0, test=0, rendered=True)

    def stream(epoch):
        for number, sample in enumerate(data.split("train")):
            rng = augmentation_rng(3, epoch, number)
            image, region = augment(data.image(sample), data.region(sample), rng, AugmentSettings())
            image, region = mask_border(image, region, rng)
            grid = patches_of(extractor, image)
            for y, x in np.ndindex(grid.shape[:2]):
                # At this stride the cell of a pixel is found by brute force: the one whose centre is nearest.
                if region[cells_of(extractor, region.shape, grid.shape[:2]) == y * grid.shape[1] + x].any():
                    # A patch is the average of two cells a side (pool 2); mirrored, it begins at the other one.
                    up_down, left_right = flips_of(augmentation_rng(3, epoch, number), AugmentSettings())
                    rows, columns = grid.shape[:2]
                    place = (max(rows - 2 - y, 0) if up_down else y, max(columns - 2 - x, 0) if left_right else x)
                    yield grid[y, x], (sample.id, *place)

    expected, names, _ = slow_rule(SIZE, 2, stream)
    model = run(data, extractor, tmp_path / "m.h5", augment=True, seed=3, epochs=2)
    assert np.array_equal(model.features, expected)
    assert named(model) == names
    assert [run(data, extractor, tmp_path / f"{n}.h5", augment=True, seed=3, epochs=2, workers=n).fingerprint
            for n in (0, 3)] == [model.fingerprint] * 2


def cells_of(extractor, size, cells) -> np.ndarray:
    """(H, W) number of the cell that looks nearest to each pixel; ties to the later cell."""
    nearest = []
    for length, count in zip(size, cells, strict=True):
        looks_at = np.arange(count) * extractor.stride + extractor.offset
        away = np.abs(np.arange(length)[:, None] - looks_at[None, ::-1])
        nearest.append(count - 1 - away.argmin(1))
    return nearest[0][:, None] * cells[1] + nearest[1][None]


def test_same_seed_same_model_another_seed_another(data, extractor, tmp_path):
    first, again, other = (
        run(data, extractor, tmp_path / f"{name}.h5", augment=True, epochs=2, seed=seed)
        for name, seed in (("first", 1), ("again", 1), ("other", 2))
    )
    assert same(first, again)
    assert not np.array_equal(first.features, other.features)


def test_the_chunk_size_does_not_matter(data, extractor, tmp_path):
    assert same(run(data, extractor, tmp_path / "a.h5"), run(data, extractor, tmp_path / "b.h5", chunk_size=37))


def test_shuffle_changes_the_order_and_only_by_the_seed(data, extractor, tmp_path):
    plain = run(data, extractor, tmp_path / "plain.h5")
    mixed = [run(data, extractor, tmp_path / f"{n}.h5", shuffle=True, seed=5) for n in range(2)]
    assert same(*mixed)
    assert not np.array_equal(plain.features, mixed[0].features)


def test_shards_partition_the_images(data, extractor, tmp_path):
    parts = [run(data, extractor, tmp_path / f"{part}.h5", shard=(part, 3)).sources for part in (1, 2, 3)]
    assert sorted(source for part in parts for source in part) == [
        (data.name, sample.id) for sample in data.split("train")
    ]
    with pytest.raises(UserError, match="shard 7/7 of 5"):
        run(data, extractor, tmp_path / "none.h5", shard=(7, 7))


def test_masked_out_patches_never_enter(plates, extractor, tmp_path):
    """One plate wholly outside (the first, while nothing is known yet), one half inside, one with a single pixel."""
    left, none, spot = np.zeros((3, 96, 128), bool)
    left[:, :50] = True
    spot[40, 80] = True
    data = plates(tmp_path / "d", train=3, val=0, test=0, regions={"train0": none, "train1": left, "train2": spot})
    model = run(data, extractor, tmp_path / "m.h5")
    assert {name for name, _, _ in named(model)} <= {"train1", "train2"}
    inside = cells_of(extractor, (96, 128), (24, 32))
    allowed = {"train1": set(inside[left]), "train2": set(inside[spot])}
    assert all(y * 32 + x in allowed[name] for name, y, x in named(model))


def test_finetuning_goes_on_from_the_model(data, plates, extractor, tmp_path):
    """From every vector of the first model, in the first one's order; with no replacements it is the first one."""
    first = run(data, extractor, tmp_path / "first.h5", epochs=20)
    assert first.converged
    again = run(data, extractor, tmp_path / "again.h5", initial=first)
    assert np.array_equal(again.features, first.features)
    assert again.parents == (first.fingerprint,)
    assert [epoch["replacements"] for epoch in again.epochs] == [0]
    assert again.sources == first.sources * 2
    other = plates(tmp_path / "other", seed=9, train=2, val=0, test=0)
    grown = run(other, extractor, tmp_path / "grown.h5", initial=first, coreset_size=SIZE + 8)
    assert len(grown.features) == SIZE + 8 and grown.sources[len(first.sources) :] == (
        ("other", "train0"), ("other", "train1"),
    )
    with pytest.raises(UserError, match=f"has {SIZE} vectors, more than `coreset_size` 8"):
        run(other, extractor, tmp_path / "small.h5", initial=first, coreset_size=8)


def test_too_few_patches_are_refused_and_nothing_is_left_behind(data, extractor, tmp_path):
    with pytest.raises(UserError, match="only 3840 patches, fewer than the 3841"):
        run(data, extractor, tmp_path / "m.h5", coreset_size=5 * 24 * 32 + 1)
    assert list(tmp_path.iterdir()) == []


@contextmanager
def stops_after(images: int):
    """In place of `deferred_interrupt`: asked from the given look on."""

    class Counting(Interrupt):
        looks = 0

        @property
        def asked(self) -> bool:
            self.looks += 1
            return self.looks > images

        @asked.setter
        def asked(self, _value: bool) -> None:
            pass

    yield Counting()


@pytest.mark.parametrize("augmented", [False, True])
def test_a_run_stopped_at_any_image_ends_in_the_same_model(data, extractor, tmp_path, monkeypatch, augmented):
    settings = {"augment": augmented, "shuffle": augmented, "epochs": 3}
    undisturbed = run(data, extractor, tmp_path / "whole.h5", **settings)
    rng = np.random.default_rng(8)
    stops = 0
    out = tmp_path / "stopped.h5"
    while not out.exists():
        after = int(rng.integers(1, 9))
        monkeypatch.setattr(training, "deferred_interrupt", lambda after=after: stops_after(after))
        with contextlib.suppress(KeyboardInterrupt):
            run(data, extractor_of(ExtractorSettings("filters")), out, **settings)
        stops += 1
        assert stops < 40
    assert stops > 2
    assert same(load_model(out), undisturbed)
    assert not checkpoint.checkpoint_path(out).exists()


def test_a_run_stopped_while_the_coreset_fills_ends_in_the_same_model(data, extractor, tmp_path, monkeypatch):
    size = 2 * 24 * 32 + 100  # full in the third image
    undisturbed = run(data, extractor, tmp_path / "whole.h5", coreset_size=size, epochs=2)
    out = tmp_path / "stopped.h5"
    for _ in range(2):
        monkeypatch.setattr(training, "deferred_interrupt", lambda: stops_after(0))
        with pytest.raises(KeyboardInterrupt):
            run(data, extractor, out, coreset_size=size, epochs=2)
    monkeypatch.setattr(training, "deferred_interrupt", deferred_interrupt)
    assert same(run(data, extractor, out, coreset_size=size, epochs=2), undisturbed)


def test_a_checkpoint_of_another_run_is_refused_and_restart_drops_it(data, extractor, tmp_path, monkeypatch):
    undisturbed = run(data, extractor, tmp_path / "whole.h5", request=Request("b"))
    out = tmp_path / "m.h5"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(training, "deferred_interrupt", lambda: stops_after(1))
        run(data, extractor, out, request=Request("a"))
    with pytest.raises(UserError, match="other data or settings; give `restart`"):
        run(data, extractor, out, request=Request("b"))
    assert same(run(data, extractor, out, request=Request("b"), restart=True), undisturbed)


@pytest.mark.parametrize("damage", ["text", "truncated", "no features' tags", "state"])
def test_a_damaged_checkpoint_is_refused_with_advice(data, extractor, tmp_path, monkeypatch, damage):
    out = tmp_path / "m.h5"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(training, "deferred_interrupt", lambda: stops_after(1))
        run(data, extractor, out)
    file = checkpoint.checkpoint_path(out)
    if damage == "text":
        file.write_text("not a checkpoint")
    elif damage == "truncated":
        file.write_bytes(file.read_bytes()[:-400])
    else:
        with h5py.File(file, "a") as opened:
            if damage == "state":
                opened.attrs["state"] = '{"epoch": 1'
            else:
                del opened["tags"]
    with pytest.raises(UserError, match=r"damaged.*`restart`"):
        run(data, extractor, out)


def test_the_first_signal_waits_for_the_image_the_second_does_not():
    before = signal.getsignal(signal.SIGINT)  # ignored, where a shell started the tests in the background
    with deferred_interrupt() as interrupt:
        assert not interrupt.asked
        signal.raise_signal(signal.SIGINT)
        assert interrupt.asked
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGINT) is before


def start(*arguments: str) -> subprocess.Popen:
    """The command in a process of its own, slowed down so that a signal finds it at work, one checkpoint an image."""
    slowed = (
        "import sys, time; from sequential_patchcore.cli import parser; "
        "from sequential_patchcore.fitting import run, sequential; "
        "sequential._CHECKPOINT_SECONDS = 0; whole = run.patches_of; "
        "run.patches_of = lambda *a: (time.sleep(0.15), whole(*a))[1]; sys.exit(parser.main(sys.argv[1:]))"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.Popen(
        [sys.executable, "-c", slowed, *arguments], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(path: Path, process: subprocess.Popen) -> None:
    end = time.monotonic() + 60
    while not path.exists() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.02)
    assert path.exists(), process.communicate()


@pytest.mark.parametrize("blow", [signal.SIGINT, signal.SIGKILL])
def test_a_process_stopped_or_killed_goes_on_to_the_same_model(data, tmp_path, blow):
    # On some processors torch's sums are rounded otherwise with another number of threads, and the tests' own process
    # has one.
    command = ["train", "--data", str(data.path), "--backbone", "filters", "--coreset-size", "20", "--epochs", "3",
               "--threads", "1"]
    assert cli.main([*command, "--out", str(tmp_path / "whole.h5")]) == 0
    out = tmp_path / "stopped.h5"
    process = start(*command, "--out", str(out))
    try:
        wait_for(checkpoint.checkpoint_path(out), process)
        time.sleep(float(np.random.default_rng().uniform(0, 0.8)))
        process.send_signal(blow)
        _, stderr = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    assert not out.exists()
    if blow == signal.SIGINT:
        assert process.returncode == 130
        assert "interrupted; the same command goes on from there" in stderr and "Traceback" not in stderr
    assert cli.main([*command, "--resume", "--out", str(out)]) == 0
    assert same(load_model(out), load_model(tmp_path / "whole.h5"))
    assert [file.name for file in tmp_path.iterdir() if file.suffix == ".checkpoint"] == []


def test_what_killed_processes_left_beside_a_file_is_removed(tmp_path):
    def beside(pid, name="m"):
        place = tmp_path / f".{name}.{pid}.part.h5"
        place.write_bytes(b"half")
        return place

    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    kept = [beside(os.getpid()), beside(gone.pid, "other"), beside("x")]
    left = beside(gone.pid)
    remove_leftovers(tmp_path / "m.h5")
    assert not left.exists() and all(file.exists() for file in kept)


@pytest.mark.parametrize(("every", "expected"), [(None, [0, 0]), (1, [1, 2, 3, 4, 5, 0] * 2), (3, [3, 0] * 2)])
def test_checkpoints_come_after_so_many_images_and_at_the_end_of_an_epoch(
    data, extractor, tmp_path, monkeypatch, every, expected
):
    saved, save = [], sequential.save_checkpoint

    def noted(state, *rest):
        saved.append(state.images)
        save(state, *rest)

    monkeypatch.setattr(sequential, "save_checkpoint", noted)
    run(data, extractor, tmp_path / "m.h5", epochs=2, checkpoint_images=every)
    assert saved == expected


def test_without_a_place_nothing_is_written_and_the_model_is_the_same(data, extractor, tmp_path, monkeypatch):
    written = run(data, extractor, tmp_path / "m.h5")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(sequential, "save_checkpoint", lambda *_: pytest.fail("a checkpoint was written"))
    monkeypatch.setattr(sequential, "_CHECKPOINT_SECONDS", 0)
    settings = TrainSettings(coreset_size=SIZE, epochs=4)
    model = train([data], extractor, settings, options=RunOptions(checkpoint_images=1))
    assert same(model, written) and model.fingerprint == written.fingerprint
    assert list(Path().iterdir()) == []
    monkeypatch.setattr(training, "deferred_interrupt", lambda: stops_after(1))
    with pytest.raises(KeyboardInterrupt):
        train([data], extractor, TrainSettings(coreset_size=SIZE))
    assert list(Path().iterdir()) == []


def test_without_a_request_a_checkpoint_is_bound_to_all_that_the_result_depends_on(
    plates, extractor, tmp_path, monkeypatch
):
    data = plates(tmp_path / "data", train=5, val=0, test=2)
    other_data = plates(tmp_path / "other", seed=9, train=2, val=0, test=0)
    small = run(data, extractor, None, coreset_size=4)
    undisturbed = run(data, extractor, None)
    out = tmp_path / "m.h5"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(training, "deferred_interrupt", lambda: stops_after(1))
        run(data, extractor, out, request=None)
    pooled = extractor_of(ExtractorSettings("filters", pool=3))
    for changed in (
        {"seed": 1}, {"coreset_size": SIZE + 1}, {"split": "test"}, {"initial": small}, {"record": {"blur_sigma": 1.0}},
        {"extractor": pooled}, {"data": other_data}, {"data": [data, other_data]},
    ):
        with pytest.raises(UserError, match="other data or settings"):
            run(**{"data": data, "extractor": extractor, "out": out, "request": None} | changed)
    assert same(run(data, extractor, out, request=None, workers=3, chunk_size=100), undisturbed)


def test_a_model_of_another_extractor_cannot_be_fine_tuned(data, extractor):
    first = run(data, extractor, None, coreset_size=4)
    with pytest.raises(UserError, match=r"another feature extractor .*pool: 2 and 3"):
        run(data, extractor_of(ExtractorSettings("filters", pool=3)), None, initial=first)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [("coreset_size", 1, "at least 2"), ("epochs", 0, "at least 1"), ("seed", -1, "at least 0"),
     ("eviction", "oldest", "lower-index, seeded-random"), ("coreset", "gredy", "sequential, greedy"),
     ("shard", (3, 2), "1 <= I <= N"), ("shard", (0, 2), "1 <= I <= N")],
)
def test_settings_that_cannot_be_are_refused_by_name(name, value, words):
    with pytest.raises(UserError, match=f"`{name}` .*{words}"):
        TrainSettings(**{name: value})
