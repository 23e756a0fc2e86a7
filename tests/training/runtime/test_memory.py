# SPDX-License-Identifier: Apache-2.0
"""Sizes as people write them; plans that fit their budget or say what would help."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from sequential_patchcore.data.writer import DatasetWriter
from sequential_patchcore.extractors.footprint import activation_bytes_per_pixel, weight_bytes
from sequential_patchcore.runtime.errors import UserError
from sequential_patchcore.runtime.memory import (
    gib,
    parse_size,
    peak_resident,
    plan,
)

COMMON = {"largest": (2050, 2448), "scaled": (2050, 2448), "dimension": 152, "stride": 8, "activation_bytes": 400.0}


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
    chosen = plan(**COMMON, coreset_size=2048, chunk_size=None, budget=64 * 2**30)
    assert chosen.chunk_size == 2048
    parts = (chosen.base, chosen.weights, chosen.image, chosen.loader, chosen.features, chosen.coreset)
    assert chosen.total == sum(parts) <= chosen.budget
    assert gib(chosen.total) in str(chosen) and "2048 patches" in str(chosen)


def test_the_chunk_shrinks_until_the_plan_fits_and_no_further():
    sizes = []
    for quarter in range(2, 40):
        try:
            chosen = plan(**COMMON, coreset_size=50_000, chunk_size=None, budget=quarter * 2**28)
        except UserError:
            assert not sizes, "more memory cannot stop a plan from fitting"
            continue
        assert chosen.total <= chosen.budget
        if chosen.chunk_size < 2048:
            with pytest.raises(UserError):
                plan(**COMMON, coreset_size=50_000, chunk_size=2 * chosen.chunk_size, budget=chosen.budget)
        sizes.append(chosen.chunk_size)
    assert sizes == sorted(sizes) and {128, 256, 512, 1024, 2048} >= set(sizes) and len(set(sizes)) > 2


def test_a_chunk_that_was_asked_for_is_not_changed():
    assert plan(**COMMON, coreset_size=100, chunk_size=17, budget=2**35).chunk_size == 17


def test_what_cannot_fit_is_refused_with_advice():
    with pytest.raises(UserError) as caught:
        plan(**COMMON, coreset_size=2048, chunk_size=None, budget=2**29)
    message = str(caught.value)
    for part in ("0.50 GiB", "2448 x 2050", "2048", "--image-scale", "--coreset-size", "--memory-budget"):
        assert part in message
    assert "\n" not in message


def test_the_plan_grows_with_each_of_its_causes():
    few = plan((100, 100), (100, 100), 10, 8, 100.0, 100, 64, 2**40)
    assert plan((200, 100), (100, 100), 10, 8, 100.0, 100, 64, 2**40).image > few.image
    assert plan((100, 100), (200, 100), 10, 8, 100.0, 100, 64, 2**40).features > few.features
    assert plan((100, 100), (100, 100), 10, 8, 200.0, 100, 64, 2**40).features > few.features
    assert plan((100, 100), (100, 100), 10, 8, 100.0, 200, 64, 2**40).coreset > few.coreset
    assert plan((100, 100), (100, 100), 10, 8, 100.0, 100, 65, 2**40).coreset > few.coreset


def test_activations_are_those_that_are_alive_at_the_same_time():
    class Extractor:
        network = torch.nn.Sequential(torch.nn.Conv2d(3, 5, 1), torch.nn.ReLU(inplace=True), torch.nn.Conv2d(5, 2, 1))

        def __call__(self, images):
            kept = images + 1
            return self.network(images), kept, torch.cat([self.network(kept)] * 4, 1)

    # In the last line, per pixel: 3 kept, 2 of the first pass, 2 of the second, 8 put together. What the ReLU gives
    # back is what it got, the 5 + 2 of a pass are less, and the image is the caller's.
    assert activation_bytes_per_pixel(Extractor()) == (3 + 2 + 2 + 8) * 4


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
        ("mobilenetv3_large_100", 3, ("--augment", "--image-scale", "0.25")),
        ("vit_small_patch14_dinov2", 0, ("--image-scale", "0.5")),
        ("wide_resnet50_2", 1, ("--image-scale", "0.5")),
    ],
)
def test_the_estimate_is_what_a_run_takes_at_most_and_little_more(photographs, tmp_path, backbone, workers, further):
    command = (
        sys.executable, "-m", "sequential_patchcore", "train", "--data", photographs, "--out", tmp_path / "m.h5",
        "--backbone", backbone, "--weights", "none", "--coreset-size", "256", "--epochs", "1", "--device", "cpu",
        "--threads", "1", "--workers", str(workers), *further,
    )  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    told = done.stdout + done.stderr
    estimate, measured = (float(re.search(f"memory: {word} ([0-9.]+) GiB", told)[1]) for word in ("about", "at most"))
    assert measured <= estimate <= 1.4 * measured


def test_the_peak_is_the_process_s_own_and_not_that_of_the_one_that_started_it():
    held = np.ones(300 * 2**20, np.uint8)
    code = "from sequential_patchcore.runtime.memory import peak_resident; print(peak_resident())"
    own = int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
    assert 50 * 2**20 < own < peak_resident() - held.nbytes // 2


def test_the_weights_of_a_network_are_counted_and_filters_have_none():
    class Extractor:
        network = torch.nn.Sequential(torch.nn.Conv2d(3, 5, 1), torch.nn.BatchNorm2d(5))

    # 15 + 5 of the first layer; 4 x 5 of the second and its count, an int64.
    assert weight_bytes(Extractor()) == 4 * (20 + 20) + 8
    assert weight_bytes(object()) == 0
    with_weights = plan(**COMMON, coreset_size=100, chunk_size=17, budget=2**35, weights=10**9)
    assert with_weights.weights == 10**9 and "weights 0.93 GiB" in str(with_weights)


def test_images_that_are_changed_and_threads_that_read_them_take_more():
    def loader(workers, augmented):
        return plan(**COMMON, coreset_size=9, chunk_size=9, budget=2**40, workers=workers, augmented=augmented).loader

    assert 0 < loader(0, False) < loader(0, True) < loader(1, True) < loader(4, True) == 4 * loader(1, True)
