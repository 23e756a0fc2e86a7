# SPDX-License-Identifier: Apache-2.0
"""Memories of impurities against all patches gathered, chosen and shown to a coreset; killed runs; what stays."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from sequential_patchcore import SequentialCoreset
from sequential_patchcore.cli import parser as cli
from sequential_patchcore.data.dataset import open_dataset
from sequential_patchcore.data.format import ClassInfo
from sequential_patchcore.data.writer import DatasetWriter
from sequential_patchcore.extractors.base import ExtractorSettings, to_tensor
from sequential_patchcore.extractors.builder import extractor_of
from sequential_patchcore.fitting import checkpoint, impurities
from sequential_patchcore.fitting.augmentation import AugmentSettings, augment, augmentation_rng, flips_of, mask_border
from sequential_patchcore.fitting.impurities import add_impurities, level_of
from sequential_patchcore.fitting.labelled_patches import CLEARANCE
from sequential_patchcore.fitting.settings import MemorySettings, RunOptions, TrainSettings
from sequential_patchcore.fitting.training import train
from sequential_patchcore.model.file import Threshold, check_model, load_model, save_model
from sequential_patchcore.runtime.errors import UserError
from sequential_patchcore.runtime.interrupt import Interrupt
from sequential_patchcore.runtime.requests import Request
from sequential_patchcore.scoring.scorer import Scorer

HEIGHT, WIDTH = 96, 128
CLASSES = (ClassInfo(2, "dent", "defect"), ClassInfo(5, "smear", "impurity"), ClassInfo(6, "water_stain", "impurity"))
CHANGES = {2: -90.0, 5: 40.0, 6: -30.0}
SIZE = 16


def blot(rng, limits=((15, HEIGHT - 15), (15, WIDTH - 15))) -> np.ndarray:
    y, x = (int(rng.integers(*limit)) for limit in limits)
    rows, columns = np.ogrid[:HEIGHT, :WIDTH]
    return (rows - y) ** 2 + (columns - x) ** 2 <= int(rng.integers(7, 14)) ** 2


def soiled(folder: Path, count: int = 5, seed: int = 0, split: str = "train", rendered: bool = False, classes=CLASSES,
           regions=None):
    """Plates of which each has a stain, every other one a smear, and every third a dent upon the stain."""
    rng = np.random.default_rng(seed)
    with DatasetWriter(folder, folder.name, "test", classes, rendered=rendered) as writer:
        for number in range(count):
            image, mask = rng.normal(140, 6, (HEIGHT, WIDTH)), np.zeros((HEIGHT, WIDTH), np.uint8)
            stain = blot(rng)
            shapes = [(6, stain)]
            if number % 2 == 0:
                shapes.insert(0, (5, blot(rng)))
            if number % 3 == 0:
                y, x = np.argwhere(stain)[len(np.argwhere(stain)) // 2]
                dent = np.zeros_like(stain)
                dent[y - 3 : y + 3, x - 3 : x + 3] = True
                shapes.append((2, dent))
            for class_id, inside in shapes:
                mask[inside] = class_id
                image[inside] += CHANGES[class_id] * rng.uniform(0.6, 1.2)
            instances = np.zeros((HEIGHT, WIDTH), np.uint16)
            for class_id in np.unique(mask[mask > 0]):
                instances[mask == class_id] = class_id
            listed = {int(class_id): int(class_id) for class_id, _ in shapes}
            writer.add(f"{split}{number}", np.clip(image, 0, 255).astype(np.uint8), mask, instances, listed, split,
                       f"plate{number}", region=(regions or {}).get(f"{split}{number}"))
    return open_dataset(folder)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return soiled(tmp_path_factory.mktemp("soiled") / "soiled")


@pytest.fixture(scope="module")
def clean(plates, tmp_path_factory):
    return plates(tmp_path_factory.mktemp("clean") / "clean", train=3, val=2, test=1)


@pytest.fixture
def extractor():
    return extractor_of(ExtractorSettings("filters"))


@pytest.fixture(scope="module")
def model(clean):
    settings = TrainSettings(coreset_size=32, epochs=3)
    return train([clean], extractor_of(ExtractorSettings("filters")), settings)


def run(model, data, extractor, out=None, **given):
    """`given` are settings and options of the run."""
    names = RunOptions.__dataclass_fields__.keys() & given.keys()
    options = RunOptions(**{name: given.pop(name) for name in names})
    settings = MemorySettings(**{"memory_size": SIZE, "epochs": 4, "coverage": 0.5} | given)
    datasets = data if isinstance(data, list) else [data]
    return add_impurities(model, datasets, extractor, settings, out=out, options=options)


def cells_of(extractor, size, cells) -> np.ndarray:
    """(H, W) number of the cell that looks nearest to each pixel; ties to the later cell."""
    nearest = []
    for length, count in zip(size, cells, strict=True):
        looks_at = np.arange(count) * extractor.stride + extractor.offset
        away = np.abs(np.arange(length)[:, None] - looks_at[None, ::-1])
        nearest.append(count - 1 - away.argmin(1))
    return nearest[0][:, None] * cells[1] + nearest[1][None]


def chosen_patches(model, extractor, image, region, mask, class_id, coverage, level, is_impurity=True):
    """Yields (vector, (y, x)) of an image's patches that belong in the memory of a class, by the definition."""
    grid = extractor(to_tensor(image, 1.0, torch.device("cpu")))[0].numpy()
    cell = cells_of(extractor, region.shape, grid.shape[:2])
    mask = np.where(region, mask, 0)
    for y, x in np.ndindex(grid.shape[:2]):
        own = mask[cell == y * grid.shape[1] + x]
        if len(own) == 0 or (own == class_id).sum() == 0 or (own == class_id).mean() < coverage:
            continue
        around = range(-CLEARANCE, CLEARANCE + 1)
        near = [(y + dy) * grid.shape[1] + x + dx for dy in around for dx in around
                if 0 <= y + dy < grid.shape[0] and 0 <= x + dx < grid.shape[1]]
        if is_impurity and (mask[np.isin(cell, near)] == 2).any():
            continue
        away = np.linalg.norm(model.features.astype(float) - grid[y, x].astype(float), axis=1).min()
        if away >= level:
            yield grid[y, x], (y, x)


def reference(model, extractor, pictures, class_id, coverage, level, size=SIZE, epochs=4, is_impurity=True):
    """(coreset, names) of a class. `pictures(epoch)` yields (sample id, image, region, mask, place of each cell)."""
    coreset = None
    for epoch in range(epochs):
        vectors, names = [], []
        for sample, image, region, mask, place in pictures(epoch):
            for vector, cell in chosen_patches(model, extractor, image, region, mask, class_id, coverage, level,
                                               is_impurity):
                vectors.append(vector)
                names.append((sample, *place(*cell)))
        coreset = coreset or SequentialCoreset(min(size, len(vectors)))
        known = getattr(coreset, "names", []) + names
        coreset.partial_fit(np.array(vectors), np.arange(len(known) - len(names), len(known)))
        coreset.names = known
        coreset.end_epoch()
        if coreset.converged_:
            break
    return coreset, [coreset.names[number] for number in coreset.ids_]


def as_they_are(data):
    def pictures(_epoch):
        for sample in data.split("train"):
            yield sample.id, data.image(sample), data.region(sample), data.mask(sample), lambda y, x: (y, x)

    return pictures


def named(memory) -> list[tuple[str, int, int]]:
    return [(memory.sources[row][1], int(y), int(x))
            for row, (y, x) in zip(memory.source, memory.position, strict=True)]


def same(one, other) -> bool:
    """Models with the same memories, to the bit."""
    arrays = ("vectors", "source", "position")
    if one.memories.keys() != other.memories.keys() or one.fingerprint != other.fingerprint:
        return False
    return all(
        all(np.array_equal(getattr(mine, name), getattr(theirs, name)) for name in arrays)
        and replace(mine, **dict.fromkeys(arrays)) == replace(theirs, **dict.fromkeys(arrays))
        for mine, theirs in ((one.memories[name], other.memories[name]) for name in one.memories)
    )


@pytest.mark.parametrize("coverage", [0.0, 0.5, 1.0])
def test_a_memory_is_the_coreset_of_the_patches_that_a_class_covers_and_that_are_anomalous(
    model, data, extractor, coverage
):
    level = level_of(model, MemorySettings())
    assert level == (np.nextafter(model.covering_radius, np.inf), "covering_radius")
    found = run(model, data, extractor, coverage=coverage).memories
    assert list(found) == ["smear", "water_stain"]
    for name, class_id in (("smear", 5), ("water_stain", 6)):
        expected, names = reference(model, extractor, as_they_are(data), class_id, coverage, level[0])
        memory = found[name]
        assert np.array_equal(memory.vectors, expected.vectors_)
        assert named(memory) == names
        assert memory.separation == expected.separation_ and memory.converged == expected.converged_
        assert [epoch["replacements"] for epoch in memory.epochs] == [e["replacements"] for e in expected.history_]
        offered = [vector for picture in as_they_are(data)(0)
                   for vector, _ in chosen_patches(model, extractor, *picture[1:4], class_id, coverage, level[0])]
        assert memory.seen == len(offered) > SIZE
        assert memory.covering_radius == expected.covering_radius(np.array(offered))
        assert memory.kind == "impurity" and memory.coverage_share == coverage and memory.level == level[0]
        assert memory.nominal == model.fingerprint and memory.data[0]["images"] == (3 if name == "smear" else 5)


def test_a_patch_is_remembered_only_at_the_level_and_where_the_level_is_met_exactly(model, data, extractor):
    """The level is the distance of one of the patches themselves: that patch is in, and with the next number out."""
    distances = sorted(
        np.linalg.norm(model.features.astype(float) - vector.astype(float), axis=1).min()
        for picture in as_they_are(data)(0)
        for vector, _ in chosen_patches(model, extractor, *picture[1:4], 6, 0.5, 0.0)
    )
    middle = len(distances) // 2
    for level, count in ((distances[middle], len(distances) - middle),
                         (np.nextafter(distances[middle], np.inf), len(distances) - middle - 1)):
        assert run(model, data, extractor, level=level).memories["water_stain"].seen == count
        assert run(model, data, extractor, level=level, chunk_size=7).memories["water_stain"].seen == count


def test_no_patch_near_a_defect_is_remembered_as_dirt(model, data, extractor):
    found = run(model, data, extractor, memory_size=4000, coverage=0.0, level=0.0).memories["water_stain"]
    every = {sample.id: data.mask(sample) for sample in data.split("train")}
    cell = cells_of(extractor, (HEIGHT, WIDTH), (24, 32))
    near = 0
    for name, y, x in named(found):
        rows, columns = np.nonzero(np.isin(cell, [y * 32 + x]))
        reach = CLEARANCE * extractor.stride
        window = every[name][max(0, rows[0] - reach) : rows[-1] + reach + 1,
                             max(0, columns[0] - reach) : columns[-1] + reach + 1]
        assert not (window == 2).any()
        near += (window != 6).any()
    assert near, "some patches lie on the outline"
    assert len(found.vectors) == found.seen, "a class with fewer patches than vectors wanted keeps all"
    assert found.converged and found.covering_radius == 0


def test_defects_have_memories_where_that_is_wanted(model, data, extractor):
    found = run(model, data, extractor, with_defects=True)
    assert list(found.memories) == ["dent", "smear", "water_stain"] and found.memories["dent"].kind == "defect"
    level = level_of(model, MemorySettings())[0]
    _, names = reference(model, extractor, as_they_are(data), 2, 0.5, level, is_impurity=False)
    assert named(found.memories["dent"]) == names
    plain = run(model, data, extractor).memories
    assert all(np.array_equal(plain[name].vectors, found.memories[name].vectors) for name in plain)


def test_augmented_pictures_carry_their_masks_along(model, extractor, tmp_path):
    region = np.ones((HEIGHT, WIDTH), bool)
    region[:, :30] = False
    data = soiled(tmp_path / "render", count=4, rendered=True, regions={"train1": region})
    level = level_of(model, MemorySettings())[0]

    def pictures(epoch):
        for number, sample in enumerate(data.split("train")):
            rng = augmentation_rng(3, epoch, number)
            up_down, left_right = flips_of(augmentation_rng(3, epoch, number), AugmentSettings())
            image, inside = augment(data.image(sample), data.region(sample), rng, AugmentSettings())
            image, inside = mask_border(image, inside, rng)
            mask = data.mask(sample)
            mask = cv2.flip(mask, 0) if up_down else mask
            mask = cv2.flip(mask, 1) if left_right else mask

            def place(y, x, flips=(up_down, left_right)):  # a patch is the average of two cells a side (pool 2)
                return (max(22 - y, 0) if flips[0] else y, max(30 - x, 0) if flips[1] else x)

            yield sample.id, image, inside, mask, place

    expected, names = reference(model, extractor, pictures, 6, 0.5, level, epochs=2)
    found = run(model, data, extractor, augment=True, seed=3, epochs=2).memories["water_stain"]
    assert np.array_equal(found.vectors, expected.vectors_) and named(found) == names
    assert found.settings["images_changed"]
    radius = max(expected.covering_radius(np.array([v])) for p in as_they_are(data)(0)
                 for v, _ in chosen_patches(model, extractor, *p[1:4], 6, 0.5, level))
    assert found.covering_radius == radius, "over the images as they are"


def test_the_nominal_memory_and_every_score_stay_as_they_are(model, data, clean, extractor, tmp_path):
    model = model.with_threshold(Threshold(model.covering_radius * 1.5, "by_hand"))
    changed = run(model, data, extractor, out=tmp_path / "m2.h5")
    assert changed.memories and changed.memories["smear"].level_from == "threshold"
    for one in (changed, load_model(tmp_path / "m2.h5")):
        assert one.features.tobytes() == model.features.tobytes() and one.threshold == model.threshold
        assert one.nominal_fingerprint == model.fingerprint != one.fingerprint
        for dataset, split in ((clean, "test"), (data, "train")):
            for sample in dataset.split(split):
                image = dataset.image(sample)
                maps = [Scorer(each, extractor=extractor).anomaly_map(image) for each in (model, one)]
                assert maps[0].tobytes() == maps[1].tobytes()
    assert same(load_model(tmp_path / "m2.h5"), changed) and check_model(tmp_path / "m2.h5") == []


def test_neither_chunks_nor_workers_matter(model, data, extractor):
    found = run(model, data, extractor, augment=True)
    assert same(run(model, data, extractor, augment=True, chunk_size=19, workers=3), found)
    assert not same(run(model, data, extractor, augment=True, seed=1), found)


def test_several_data_sets_feed_one_memory_by_name(model, data, extractor, tmp_path):
    """The number of a class is its data set's own; its name says what it is."""
    other = soiled(tmp_path / "other", count=3, seed=7, classes=(
        ClassInfo(2, "scratch", "defect"), ClassInfo(5, "water_stain", "impurity"), ClassInfo(6, "oil", "impurity"),
    ))
    found = run(model, [data, other], extractor, memory_size=4000).memories
    assert list(found) == ["oil", "smear", "water_stain"]
    assert {name for name, _ in found["water_stain"].sources} == {"soiled", "other"}
    assert {name for name, _ in found["oil"].sources} == {"other"}
    opposed = soiled(tmp_path / "opposed", count=1, classes=(ClassInfo(6, "dent", "impurity"), *CLASSES[1:2],
                                                             ClassInfo(2, "x", "defect")))
    with pytest.raises(UserError, match=r"'dent' is of kind impurity in .*opposed and of kind defect"):
        run(model, [data, opposed], extractor)


def test_a_model_goes_on_from_the_memories_that_it_has(model, data, extractor, tmp_path):
    other = soiled(tmp_path / "other", count=3, seed=7)
    first = run(model, data, extractor)
    grown = run(first, other, extractor)
    level = level_of(model, MemorySettings())[0]
    offered = [vector for picture in as_they_are(other)(0)
               for vector, _ in chosen_patches(model, extractor, *picture[1:4], 6, 0.5, level)]
    expected = SequentialCoreset(SIZE).partial_fit(first.memories["water_stain"].vectors)
    state = expected.state_dict()
    state["run"]["shown"] = 0
    expected.load_state_dict(state)
    for _ in range(4):
        expected.partial_fit(np.array(offered)).end_epoch()
        if expected.converged_:
            break
    memory = grown.memories["water_stain"]
    assert np.array_equal(memory.vectors, expected.vectors_)
    assert memory.seen == first.memories["water_stain"].seen + len(offered)
    assert {share["name"] for share in memory.data} == {"soiled", "other"}
    for vector, (sample, y, x), row in zip(memory.vectors, named(memory), memory.source, strict=True):
        source = data if memory.sources[row][0] == "soiled" else other
        image = source.image(next(each for each in source.samples if each.id == sample))
        grid = extractor(to_tensor(image, 1.0, torch.device("cpu")))[0].numpy()
        assert np.array_equal(vector, grid[y, x])
    with pytest.raises(UserError, match=f"has {SIZE} vectors, more than `memory_size` 8"):
        run(first, other, extractor, memory_size=8)


def test_what_cannot_be_remembered_is_said(model, data, clean, extractor, tmp_path, capsys):
    with pytest.raises(UserError, match=r"no image of the split 'train' .*clean has a label of kind impurity"):
        run(model, clean, extractor)
    with pytest.raises(UserError, match="nothing needs a name"):
        run(model, data, extractor, out=tmp_path / "none.h5", level=1e6)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UserError, match=r"another feature extractor .*pool: 2 and 3"):
        run(model, data, extractor_of(ExtractorSettings("filters", pool=3)))
    farthest = {
        class_id: sorted(np.linalg.norm(model.features.astype(float) - vector.astype(float), axis=1).min()
                         for picture in as_they_are(data)(0)
                         for vector, _ in chosen_patches(model, extractor, *picture[1:4], class_id, 0.5, 0.0, False))
        for class_id in (2, 5, 6)
    }
    level = max(farthest[5][-1], farthest[6][-1]) + 1e-6
    assert farthest[2][-2] > level
    darkest = run(model, data, extractor, level=level, with_defects=True)
    assert list(darkest.memories) == ["dent"]
    assert "water_stain: 0 patch(es) that the nominal memory finds anomalous" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [("memory_size", 1, "at least 2"), ("coverage", 1.5, "0 to 1"), ("coverage", float("nan"), "0 to 1"),
     ("level", -1.0, "at least 0"), ("level", float("inf"), "at least 0"), ("epochs", 0, "at least 1"),
     ("eviction", "oldest", "lower-index")],
)
def test_settings_that_cannot_be_are_refused_by_name(name, value, words):
    with pytest.raises(UserError, match=f"`{name}` .*{words}"):
        MemorySettings(**{name: value})


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
def test_a_run_stopped_at_any_image_ends_in_the_same_memories(
    model, data, extractor, tmp_path, monkeypatch, augmented
):
    settings = {"augment": augmented, "shuffle": augmented, "epochs": 3, "with_defects": True, "memory_size": 40}
    undisturbed = run(model, data, extractor, **settings)
    rng = np.random.default_rng(8)
    stops, out = 0, tmp_path / "stopped.h5"
    while not out.exists():
        after = int(rng.integers(1, 7))
        monkeypatch.setattr(impurities, "deferred_interrupt", lambda after=after: stops_after(after))
        with contextlib.suppress(KeyboardInterrupt):
            run(model, data, extractor, out=out, **settings)
        stops += 1
        assert stops < 40
    assert stops > 2
    assert same(load_model(out), undisturbed)
    assert not checkpoint.checkpoint_path(out).exists()


def test_a_checkpoint_is_bound_to_all_that_the_memories_depend_on(model, data, extractor, tmp_path, monkeypatch):
    out = tmp_path / "m.h5"
    undisturbed = run(model, data, extractor)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(impurities, "deferred_interrupt", lambda: stops_after(2))
        run(model, data, extractor, out=out)
    other = soiled(tmp_path / "other", count=3, seed=7)
    calibrated = model.with_threshold(Threshold(9.0, "by_hand"))
    for changed in ({"coverage": 0.4}, {"level": 3.0}, {"memory_size": 9}, {"model": calibrated}, {"data": other},
                    {"with_defects": True}, {"seed": 4}):
        with pytest.raises(UserError, match="other data or settings"):
            run(**{"model": model, "data": data, "extractor": extractor, "out": out} | changed)
    assert same(run(model, data, extractor, out=out, workers=2), undisturbed)
    file = checkpoint.checkpoint_path(out)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(impurities, "deferred_interrupt", lambda: stops_after(2))
        run(model, data, extractor, out=out)
    file.write_bytes(file.read_bytes()[:-400])
    with pytest.raises(UserError, match=r"damaged.*`restart`"):
        run(model, data, extractor, out=out)
    assert same(run(model, data, extractor, out=out, restart=True), undisturbed)


def start(*arguments: str) -> subprocess.Popen:
    """The command in a process of its own, slowed down so that a signal finds it at work, one checkpoint an image."""
    slowed = (
        "import sys, time; from sequential_patchcore.cli import parser; "
        "from sequential_patchcore.fitting import memory_run, labelled_patches; "
        "memory_run._CHECKPOINT_SECONDS = 0; whole = labelled_patches.grid_of; "
        "labelled_patches.grid_of = lambda *a: (time.sleep(0.15), whole(*a))[1]; sys.exit(parser.main(sys.argv[1:]))"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.Popen(
        [sys.executable, "-c", slowed, *arguments], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(("blow", "command"), [(signal.SIGINT, "impurities"), (signal.SIGKILL, "train")])
def test_a_process_stopped_or_killed_goes_on_to_the_same_model(clean, data, tmp_path, blow, command):
    train_it = ["train", "--data", str(clean.path), "--backbone", "filters", "--coreset-size", "20", "--epochs", "2"]
    ending = ["--memory-size", "12", "--threads", "1"]
    if command == "train":
        line = [*train_it, "--impurities", str(data.path), *ending]
    else:
        assert cli.main([*train_it, "--out", str(tmp_path / "nominal.h5"), "--threads", "1"]) == 0
        line = ["impurities", "--model", str(tmp_path / "nominal.h5"), "--data", str(data.path), *ending]
    whole, out = tmp_path / "whole.h5", tmp_path / "stopped.h5"
    assert cli.main([*line, "--out", str(whole)]) == 0
    process = start(*line, "--out", str(out))
    state = checkpoint.checkpoint_path(out)
    try:
        end = time.monotonic() + 60
        while not (state.exists() and (command != "train" or out.exists())):
            assert process.poll() is None and time.monotonic() < end, process.communicate()
            time.sleep(0.02)
        time.sleep(float(np.random.default_rng().uniform(0, 0.8)))
        process.send_signal(blow)
        _, stderr = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    assert state.exists()
    if blow == signal.SIGINT:
        assert process.returncode == 130 and not out.exists()
        assert "interrupted; the same command goes on from there" in stderr and "Traceback" not in stderr
    else:
        assert load_model(out).memories == {}, "the nominal model, whole"
    assert cli.main([*line, "--resume", "--out", str(out)]) == 0
    assert same(load_model(out), load_model(whole)) and load_model(whole).memories
    assert load_model(out).request == load_model(whole).request
    assert [file.name for file in tmp_path.iterdir() if file.suffix == ".checkpoint"] == []


def test_trained_together_is_trained_one_after_the_other(clean, data, tmp_path, capsys):
    line = ["train", "--data", str(clean.path), "--backbone", "filters", "--coreset-size", "20", "--epochs", "2"]
    chosen = ["--memory-size", "12", "--coverage", "0.4"]
    together, nominal, apart = (str(tmp_path / f"{name}.h5") for name in ("together", "nominal", "apart"))
    assert cli.main([*line, "--impurities", str(data.path), *chosen, "--out", together]) == 0
    assert cli.main([*line, "--out", nominal]) == 0
    assert cli.main(["impurities", "--model", nominal, "--data", str(data.path), *chosen, "--epochs", "2", "--out",
                     apart]) == 0
    assert same(load_model(together), load_model(apart))
    capsys.readouterr()
    assert cli.main([*line, "--impurities", str(data.path), *chosen, "--out", together]) == 0
    assert "was already made by this command" in capsys.readouterr().out
    assert cli.main([*line, "--out", together]) == 2
    assert "made from other data or settings" in capsys.readouterr().err
    assert cli.main([*line, "--impurities", str(data.path), *chosen, "--out", nominal]) == 0
    assert "holds the nominal memory already" in capsys.readouterr().err
    assert same(load_model(nominal), load_model(together))
    before = load_model(nominal)
    assert cli.main([*line, "--impurities", str(data.path), *chosen, "--out", nominal, "--overwrite", "--restart"]) == 0
    assert "holds the nominal memory" not in capsys.readouterr().err and same(load_model(nominal), before)
    for wrong, words in (
        (["--shard", "1/2", "--impurities", str(data.path)], "--impurities and --shard do not go together"),
        (["--memory-size", "9"], "it needs --impurities"),
        (["--impurities", str(clean.path)], "has a label of kind impurity"),
        (["--impurities", str(data.path), "--memory-budget", "1MiB"], "budget is 0.00 GiB"),
    ):
        assert cli.main([*line, *wrong, "--out", str(tmp_path / "wrong.h5")]) == 2
        assert words in capsys.readouterr().err
    assert not (tmp_path / "wrong.h5").exists()


def test_fine_tuning_keeps_the_memories_and_the_level_that_they_were_made_at(model, data, extractor, plates, tmp_path):
    first = run(model, data, extractor)
    other = plates(tmp_path / "other", seed=5, train=2, val=0, test=0)
    tuned = train([other], extractor, TrainSettings(coreset_size=40, epochs=2), initial=first, out=tmp_path / "t.h5")
    for one in (tuned, load_model(tmp_path / "t.h5")):
        assert one.memories.keys() == first.memories.keys()
        for name, memory in one.memories.items():
            assert memory.vectors.tobytes() == first.memories[name].vectors.tobytes()
            assert memory.level == first.memories[name].level
            assert memory.nominal == model.fingerprint != one.nominal_fingerprint
        assert one.parents == (first.fingerprint,)
    plain = train([other], extractor, TrainSettings(coreset_size=40, epochs=2), initial=model)
    assert plain.features.tobytes() == tuned.features.tobytes()


def test_what_is_told_of_a_model_with_memories(model, data, extractor, tmp_path, capsys):
    found = run(model, data, extractor)
    save_model(found, tmp_path / "m.h5")
    seen, images = ([getattr(memory, name) for memory in found.memories.values()] for name in ("seen", "images"))
    assert cli.main(["info", str(tmp_path / "m.h5")]) == 0
    text = capsys.readouterr().out
    assert f"water_stain (impurity): {SIZE} vectors of {seen[1]} patches of {images[1]} images" in text
    assert cli.main(["info", str(tmp_path / "m.h5"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["memories"]
    assert [(one["class"], one["kind"], one["vectors"], one["images"]) for one in told] == [
        ("smear", "impurity", SIZE, images[0]), ("water_stain", "impurity", SIZE, images[1])
    ]
    sheet = tmp_path / "sheet.png"
    assert cli.main(["info", str(tmp_path / "m.h5"), "--coreset-sheet", str(sheet), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["memories"] == {"smear": SIZE, "water_stain": SIZE}
    with_memories = cv2.imread(str(sheet)).shape
    save_model(model, tmp_path / "plain.h5")
    assert cli.main(["info", str(tmp_path / "plain.h5"), "--coreset-sheet", str(sheet)]) == 0
    assert cv2.imread(str(sheet)).shape[0] < with_memories[0]
    capsys.readouterr()
    assert cli.main(["info", str(tmp_path / "plain.h5"), "--json"]) == 0
    assert "memories" not in json.loads(capsys.readouterr().out)


def test_a_request_that_is_given_is_written(model, data, extractor):
    assert run(model, data, extractor, request=Request("mine")).request == "mine"


def photographed(folder: Path, count: int = 3, seed: int = 5) -> Path:
    """Photographs with LabelMe files: a smear drawn as a polygon, a print as a circle, a scratch as a line."""
    rng = np.random.default_rng(seed)
    folder.mkdir()
    for number in range(count):
        image, shapes = rng.normal(140, 6, (HEIGHT, WIDTH)), []
        rows, columns = np.ogrid[:HEIGHT, :WIDTH]
        for label, column, change in (("smear", 30, 40), ("Print", 90, -30)):
            row = int(rng.integers(40, 70))
            image[(rows - row) ** 2 + (columns - column) ** 2 <= 144] += change
            if label == "smear":
                around = [(column + 12 * np.cos(a), row + 12 * np.sin(a)) for a in np.linspace(0, 6.2, 20)]
                shapes.append({"label": label, "points": around, "shape_type": "polygon"})
            else:
                shapes.append({"label": label, "points": [[column, row], [column + 12, row]], "shape_type": "circle"})
        image[10:13, 50:70] -= 90
        shapes.append({"label": "scratch", "points": [[50, 10], [70, 12]], "shape_type": "rectangle"})
        cv2.imwrite(str(folder / f"p{number}.png"), np.clip(image, 0, 255).astype(np.uint8))
        (folder / f"p{number}.json").write_text(json.dumps({
            "version": "5.4.1", "flags": {}, "shapes": [{"group_id": None, "flags": {}, **one} for one in shapes],
            "imagePath": f"p{number}.png", "imageData": None, "imageHeight": HEIGHT, "imageWidth": WIDTH,
        }, default=float))
    return folder


def test_labels_drawn_on_photographs_feed_the_same_memory_as_renders(model, data, extractor, tmp_path):
    photos = photographed(tmp_path / "photos")
    assert cli.main(["import", "labelme", str(photos), "--out", str(tmp_path / "real"), "--defects", "scratch",
                     "--impurities", "smear,print"]) == 0
    real = open_dataset(tmp_path / "real")
    assert {info.name: info.kind for info in real.classes} == {
        "scratch": "defect", "smear": "impurity", "print": "impurity"
    }
    rendered = run(model, data, extractor, memory_size=4000)
    both = [run(model, [data, real], extractor, memory_size=4000), run(rendered, real, extractor, memory_size=4000)]
    for found in both:
        assert list(found.memories) == ["print", "smear", "water_stain"]
        assert {name for name, _ in found.memories["smear"].sources} == {"soiled", "photos"}
        assert found.memories["print"].images == 3 and found.memories["print"].seen > 20
    assert both[0].fingerprint == both[1].fingerprint, "together or one after the other"
    by_id = {info.name: info.id for info in real.classes}
    pictures = [(s.id, real.image(s), real.region(s), real.mask(s), None) for s in real.split("train")]
    level = level_of(model, MemorySettings())[0]
    expected = [vector for picture in pictures
                for vector, _ in chosen_patches(model, extractor, *picture[1:4], by_id["print"], 0.5, level, False)]
    assert np.array_equal(both[0].memories["print"].vectors, np.array(expected))


def test_an_image_labelled_as_a_whole_enters_no_memory(model, data, extractor, tmp_path, capsys):
    """Where on it the labelled is, is not known: also its located label may lie beside an unlocated defect."""
    with DatasetWriter(tmp_path / "whole", "whole", "test", CLASSES) as writer:
        for number in range(2):
            image = np.full((HEIGHT, WIDTH), 140, np.uint8)
            mask = np.zeros_like(image)
            mask[20:50, 20:50] = 6
            image[20:50, 20:50] = 110
            writer.add(f"w{number}", image, mask, (mask == 6).astype(np.uint16), {1: 6}, "train", f"w{number}")
    records = (tmp_path / "whole" / "samples.jsonl").read_text().splitlines()
    first = json.loads(records[0])
    first["instances"].append({"id": 2, "class": "dent", "pixels": None})
    (tmp_path / "whole" / "samples.jsonl").write_text("\n".join([json.dumps(first), *records[1:]]) + "\n")
    found = run(model, open_dataset(tmp_path / "whole"), extractor)
    assert {sample for _, sample in found.memories["water_stain"].sources} == {"w1"}
    assert "1 image(s) are labelled as a whole" in capsys.readouterr().err
