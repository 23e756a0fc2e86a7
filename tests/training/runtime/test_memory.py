# SPDX-License-Identifier: Apache-2.0
"""Sizes as people write them; plans that fit their budget or say what would help."""

import itertools
import os
import re
import resource
import subprocess
import sys
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from sequential_patchcore.coreset.engine import bytes_needed
from sequential_patchcore.data.format import ClassInfo, Sample
from sequential_patchcore.data.writer import DatasetWriter
from sequential_patchcore.extractors.base import ExtractorSettings, scaled_size
from sequential_patchcore.extractors.builder import extractor_of
from sequential_patchcore.extractors.footprint import activation_bytes_per_pixel, weight_bytes
from sequential_patchcore.fitting import stream
from sequential_patchcore.fitting.memory_needs import needs_of
from sequential_patchcore.fitting.settings import RunOptions, TrainSettings
from sequential_patchcore.runtime.errors import UserError
from sequential_patchcore.runtime.memory import Needs, gib, parse_size, peak, peak_resident, plan, resident

LARGE = (2050, 2448)


def coreset_of(size: int, dimension: int = 152):
    return partial(bytes_needed, size, dimension)


def needs(**changes) -> Needs:
    return replace(Needs(10**8, 2 * 10**8, coreset_of(2048), image_size=LARGE, coreset_size=2048), **changes)


def test_sizes_with_and_without_units():
    expected = {
        "12GiB": 12 * 2**30, "12 gib": 12 * 2**30, "12Gi": 12 * 2**30, "800 MB": 800 * 10**6, "800M": 800 * 10**6,
        "0.5GiB": 2**29, "2e9": 2 * 10**9, "1kB": 1000, "1KiB": 1024, "1TB": 10**12, "1TiB": 2**40, "7": 7, " 7 b ": 7,
    }
    assert {text: parse_size(text) for text in expected} == expected


@pytest.mark.parametrize("text", ["", "GiB", "12 apples", "-3GB", "1.2.3MB", "1,5GB", "nan", "12GiBB", "i", "1iB", "."])
def test_anything_else_is_no_size(text):
    with pytest.raises(UserError, match="12GiB"):
        parse_size(text)


def test_plenty_of_memory_means_the_papers_chunk():
    chosen = plan(needs(), 64 * 2**30)
    assert chosen.chunk_size == 2048
    parts = (chosen.base, chosen.weights, chosen.image, chosen.loader, chosen.features, chosen.coreset)
    assert chosen.total == sum(parts) <= chosen.budget
    assert gib(chosen.total) in str(chosen) and "2048 patches" in str(chosen)


def test_the_chunk_shrinks_until_the_plan_fits_and_no_further():
    sizes, large = [], needs(coreset=coreset_of(50_000))
    for quarter in range(2, 40):
        try:
            chosen = plan(large, quarter * 2**28)
        except UserError:
            assert not sizes, "more memory cannot stop a plan from fitting"
            continue
        assert chosen.total <= chosen.budget
        if chosen.chunk_size < 2048:
            with pytest.raises(UserError):
                plan(large, chosen.budget, 2 * chosen.chunk_size)
        sizes.append(chosen.chunk_size)
    assert sizes == sorted(sizes) and {128, 256, 512, 1024, 2048} >= set(sizes) and len(set(sizes)) > 2


def test_a_chunk_that_was_asked_for_is_not_changed():
    assert plan(needs(), 2**35, 17).chunk_size == 17


def test_what_cannot_fit_is_refused_with_advice():
    with pytest.raises(UserError) as caught:
        plan(needs(), 2**29)
    message = str(caught.value)
    for part in ("0.50 GiB", "2448 x 2050", "2048", "`image_scale`", "`coreset_size`", "`memory_budget`"):
        assert part in message
    assert "\n" not in message


def test_each_part_is_told_and_added():
    parts = {"libraries": 3 * 2**30, "weights": 5 * 2**30, "loader": 7 * 2**30, "all_patches": 9 * 2**30}
    plain, all_of_them = plan(needs(), 2**40), plan(needs(**parts), 2**40)
    assert all_of_them.total - plain.total == sum(parts.values())
    for text in ("base 3.45 GiB", "weights 5.00 GiB", "loader 7.00 GiB", "all patches 9.00 GiB"):
        assert text in str(all_of_them)


class SmallNetwork:
    """An extractor whose network is two layers."""

    def __init__(self, image_scale: float = 1.0) -> None:
        self.settings = ExtractorSettings("small", image_scale=image_scale)
        self.dimension, self.stride = 15, 8
        self.network = torch.nn.Sequential(torch.nn.Conv2d(3, 5, 1), torch.nn.ReLU(inplace=True),
                                           torch.nn.Conv2d(5, 2, 1))

    def __call__(self, images):
        kept = images + 1
        return self.network(images), kept, torch.cat([self.network(kept)] * 4, 1)


def test_activations_are_those_that_are_alive_at_the_same_time():
    # In the last line, per pixel: 3 kept, 2 of the first pass, 2 of the second, 8 put together. What the ReLU gives
    # back is what it got, the 5 + 2 of a pass are less, and the image is the caller's.
    assert activation_bytes_per_pixel(SmallNetwork()) == (3 + 2 + 2 + 8) * 4


@pytest.mark.parametrize("backbone", ["mobilenetv3_large_100", "resnet18", "vit_small_patch14_dinov2"])
def test_where_tensors_cannot_be_counted_the_estimate_is_more_but_not_much_more(backbone, monkeypatch):
    extractor = extractor_of(ExtractorSettings(backbone), "none", "torch")
    counted = activation_bytes_per_pixel(extractor)
    monkeypatch.setitem(sys.modules, "sequential_patchcore.extractors.live_bytes", None)  # an import of it fails
    assert counted <= activation_bytes_per_pixel(extractor) <= 2.5 * counted
    assert not any(layer._forward_hooks for layer in extractor.network.modules())


def whole_formula(largest, scaled, extractor, coreset_size, chunk, workers, augmented, patches):
    """All parts of the estimate in one place."""
    dimension, stride = extractor.dimension, extractor.stride
    weights = weight_bytes(extractor)
    pixels, scaled_pixels = largest[0] * largest[1], scaled[0] * scaled[1]
    cells = -(-scaled[0] // stride) * -(-scaled[1] // stride)
    reading = 3 * 3 * 4 + 3 + 4 if augmented else 3 * 4 + 3 + 2
    loader = pixels * (workers * (reading + 3 * 4 + 1) if workers else reading)
    activations = int(scaled_pixels * activation_bytes_per_pixel(extractor))
    kept = int(min(activations, 5 * 32 * 2**20)) if weights and scaled_pixels * 3 * 4 < 32 * 2**20 else 0
    copies = 2 if weights or scaled != largest else 0
    return {
        "base": int(0.45 * 2**30 + (0.15 * 2**30 if weights else 0)), "weights": weights,
        "image": (pixels + copies * scaled_pixels) * 3 * 4, "loader": loader,
        "features": max(activations + kept, 2 * cells * dimension * 4),
        "coreset": coreset_size * dimension * 16 + chunk * coreset_size * 12 + 16 * chunk * dimension,
        "all_patches": patches * (4 * dimension + 20),
    }


class Pictures:
    """A data set of which nothing but the sizes of its images is asked."""

    def __init__(self, *sizes: tuple[int, int], is_render: bool = False) -> None:
        self.sizes, self.is_render = sizes, is_render
        self.classes, self.name = (), "pictures"

    def split(self, _name: str) -> tuple[Sample, ...]:
        return tuple(Sample(str(n), "train", None, "", (), {}, {}) for n in range(len(self.sizes)))

    def image_size(self, sample: Sample) -> tuple[int, int]:
        return self.sizes[int(sample.id)]


@pytest.mark.parametrize("image_scale", [0.25, 1.0, 1.7])
@pytest.mark.parametrize("backbone", ["filters", "small"])
def test_the_parts_together_are_what_the_one_formula_gives(backbone, image_scale):
    settings = ExtractorSettings("filters", image_scale=image_scale)
    extractor = extractor_of(settings) if backbone == "filters" else SmallNetwork(image_scale)
    for sizes, render, workers, augment, size, chunk, coreset in itertools.product(
        [[(9, 5)], [(100, 300), (299, 100)], [(1024, 1224), LARGE]], [False, True], [0, 3], [False, True],
        [2, 2048], [1, 2048], ["sequential", "greedy"],
    ):
        dataset = Pictures(*sizes, is_render=render)
        run = TrainSettings(coreset_size=size, augment=augment, coreset=coreset)
        chosen = plan(needs_of([dataset], extractor, run, RunOptions(workers=workers)), 2**50, chunk)
        largest = max(sizes, key=lambda one: one[0] * one[1])
        patches = 0
        if coreset == "greedy":
            scaled = [scaled_size(one, image_scale) for one in sizes]
            patches = sum(-(-h // extractor.stride) * -(-w // extractor.stride) for h, w in scaled)
        expected = whole_formula(
            largest, scaled_size(largest, image_scale), extractor, size, chunk, min(workers, len(sizes) - 1),
            augment or render, patches
        )
        assert {name: getattr(chosen, name) for name in expected} == expected
        assert chosen.total == sum(expected.values())


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Images large enough for their memory to stand out from the process's own."""
    folder = tmp_path_factory.mktemp("memory") / "photographs"
    rng, nothing = np.random.default_rng(0), np.zeros((1024, 1224), np.uint8)
    with DatasetWriter(folder, "photographs", "test", ()) as writer:
        for number in range(6):
            image = rng.integers(0, 256, nothing.shape, np.uint8)
            writer.add(f"p{number}", image, nothing, nothing.astype(np.uint16), {}, "train", f"p{number}")
    return folder


@pytest.mark.parametrize(
    ("backbone", "workers", "further"),
    [
        ("filters", 4, ("--augment",)),
        ("mobilenetv3_large_100", 1, ("--augment",)),
        pytest.param("mobilenetv3_large_100", 3, ("--augment", "--image-scale", "0.25"), marks=pytest.mark.long),
        pytest.param("vit_small_patch14_dinov2", 0, ("--image-scale", "0.5"), marks=pytest.mark.long),
        pytest.param("wide_resnet50_2", 1, ("--image-scale", "0.5"), marks=pytest.mark.long),
    ],
)
def test_the_estimate_is_what_a_run_takes_at_most_and_little_more(photographs, tmp_path, backbone, workers, further):
    command = (
        sys.executable, "-m", "sequential_patchcore", "train", "--data", photographs, "--out", tmp_path / "m.h5",
        "--backbone", backbone, "--weights", "none", "--coreset-size", "256", "--epochs", "1", "--device", "cpu",
        "--threads", "1", "--workers", str(workers), *further,
    )
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    told = done.stdout + done.stderr
    estimate, measured = (float(re.search(f"memory: {word} ([0-9.]+) GiB", told)[1]) for word in ("about", "at most"))
    assert measured <= estimate <= 1.4 * measured


@pytest.mark.parametrize(("held", "base"), [(0, 0.45), (0.3, 0.38), (0.75, 0.54)])
def test_a_process_is_counted_as_it_is_where_that_is_known(held: float, base: float) -> None:
    """0.25 GiB of what is resident are the weights, which have their own place; 0.04 GiB are still to come."""
    needs = Needs(image=2**20, features=2**20, coreset=lambda chunk: chunk, weights=2**28)
    chosen = plan(needs, 2**33, resident=int(held * 2**30))
    assert chosen.base == pytest.approx(base * 2**30, abs=2)
    assert chosen.total == chosen.base + 2**28 + 2**21 + chosen.chunk_size


def test_the_peak_is_the_process_s_own_and_not_that_of_the_one_that_started_it():
    held = np.ones(300 * 2**20, np.uint8)
    code = "from sequential_patchcore.runtime.memory import peak_resident; print(peak_resident())"
    own = int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
    assert 5 * 2**20 < own < peak_resident() - held.nbytes // 2


def test_where_there_is_neither_proc_nor_resource_the_run_goes_on_and_says_so(monkeypatch):
    def not_there(*_arguments, **_options):
        raise FileNotFoundError

    monkeypatch.setattr("builtins.open", not_there)
    if sys.platform.startswith("linux"):
        assert abs(peak_resident() - resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024) < 2**24
    monkeypatch.setitem(sys.modules, "resource", None)  # an import of it fails, as on Windows
    assert peak_resident() is None and resident() == 0
    assert peak("cpu") == "memory: what was resident at the most this system does not say"


def test_no_module_asks_for_resource_when_it_is_imported():
    code = "import sys; sys.modules['resource'] = None; import sequential_patchcore.runtime.memory"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_weights_of_a_network_are_counted_and_filters_have_none():
    # 15 + 5 of the first layer, 10 + 2 of the second.
    assert weight_bytes(SmallNetwork()) == 4 * (20 + 12)
    assert weight_bytes(extractor_of(ExtractorSettings("filters"))) == 0


def test_images_that_are_changed_and_threads_that_read_them_take_more():
    def loader(workers, augmented):
        return stream.bytes_needed(LARGE, workers, augmented)

    assert 0 < loader(0, False) < loader(0, True) < loader(1, True) < loader(4, True) == 4 * loader(1, True)


@pytest.mark.long
def test_the_estimate_of_memories_is_what_their_run_takes_at_most_and_little_more(tmp_path):
    """Two classes, each over half of an image, so that masks and memories count."""
    rng, folder = np.random.default_rng(0), tmp_path / "dirty"
    classes = (ClassInfo(1, "smear", "impurity"), ClassInfo(2, "print", "impurity"))
    with DatasetWriter(folder, "dirty", "test", classes) as writer:
        for number in range(4):
            mask = np.ones((2050, 2448), np.uint8)
            mask[:, 1200:] = 2
            image = rng.integers(0, 256, mask.shape, np.uint8)
            writer.add(f"p{number}", image, mask, mask.astype(np.uint16), {1: 1, 2: 2}, "train", f"p{number}")
    with DatasetWriter(tmp_path / "clean", "clean", "test", ()) as writer:
        nothing = np.zeros((256, 256), np.uint8)
        writer.add("c", rng.integers(0, 256, nothing.shape, np.uint8), nothing, nothing.astype(np.uint16), {}, "train",
                   "c")
    shared = ("--threads", "1", "--device", "cpu", "--epochs", "1")
    commands = [
        ("train", "--data", tmp_path / "clean", "--out", tmp_path / "m.h5", "--backbone", "filters", "--coreset-size",
         "2000", *shared),
        ("impurities", "--model", tmp_path / "m.h5", "--data", folder, "--out", tmp_path / "m2.h5", "--level", "0",
         "--memory-size", "2000", *shared),
    ]
    for command in commands:
        done = subprocess.run((sys.executable, "-m", "sequential_patchcore", *command), capture_output=True, text=True,
                              env=os.environ | {"OMP_NUM_THREADS": "1"})
        assert done.returncode == 0, done.stderr
    told = done.stdout + done.stderr
    estimate, measured = (float(re.search(f"memory: {word} ([0-9.]+) GiB", told)[1]) for word in ("about", "at most"))
    assert measured <= estimate <= 1.4 * measured
    refused = subprocess.run((sys.executable, "-m", "sequential_patchcore", *commands[1], "--memory-budget", "500MiB",
                              "--overwrite"), capture_output=True, text=True)
    assert refused.returncode == 2 and "lower --memory-size, or raise --memory-budget" in refused.stderr
