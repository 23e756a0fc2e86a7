# SPDX-License-Identifier: Apache-2.0
"""What a graphics processor would be asked to do, without one: devices do not mix, and it is hardly ever waited for."""

import numpy as np
import pytest
import torch
from sequential_patchcore import SequentialCoreset
from sequential_patchcore.coreset.engine import CoresetEngine
from sequential_patchcore.coreset.search import NearestSearch

from .simulated_gpu import GpuTensor, SimulatedGpu, on_gpu

CHUNK = 256


@pytest.fixture(scope="module")
def stream() -> torch.Tensor:
    rng = np.random.default_rng(0)
    return torch.from_numpy(rng.normal(size=(3000, 16)).astype(np.float32))


def shown(stream, place, eviction, epochs=3):
    engine = CoresetEngine(64, 16, CHUNK, eviction=eviction, seed=5)
    for _ in range(epochs):
        if engine.full:
            engine.watch()
        for first in range(0, len(stream), 700):
            part = place(stream[first : first + 700])
            engine.update(part, np.arange(first, first + len(part)))
    return engine


def test_the_simulation_refuses_what_a_card_refuses():
    with SimulatedGpu() as gpu:
        one, other = on_gpu(torch.arange(4.0)), torch.arange(4.0)
        with pytest.raises(RuntimeError, match="one device"):
            one + other
        with pytest.raises((RuntimeError, TypeError)):
            one.numpy()
        assert isinstance(one + 1, GpuTensor) and isinstance(torch.zeros(3, device=one.device), GpuTensor)
        one.add_(1)
        assert not gpu.waits and torch.equal(one.cpu(), other + 1) and float(one[0]) == 1
        assert gpu.waits == {"copy to the CPU": 1, "a number read": 1}


@pytest.mark.parametrize("eviction", ["lower-index", "seeded-random"])
def test_the_coreset_is_bit_for_bit_that_of_the_cpu(stream, eviction):
    on_cpu = shown(stream, lambda part: part, eviction)
    with SimulatedGpu():
        engine = shown(stream, on_gpu, eviction)
        farthest = engine.farthest(on_gpu(stream))
    np.testing.assert_array_equal(engine.result().features, on_cpu.result().features)
    np.testing.assert_array_equal(engine.result().patch_ids, on_cpu.result().patch_ids)
    assert engine.unwatch() == on_cpu.unwatch() and farthest == on_cpu.farthest(stream)


def test_a_chunk_that_replaces_nothing_is_waited_for_twice(stream):
    """Once for whether all is finite, and once for whether anything is far enough; that goes for each chunk."""
    engine = shown(stream, lambda part: part, "lower-index", epochs=40)
    engine.unwatch()
    assert engine.update(stream, np.arange(len(stream))) == 0, "converged"
    waits = {}
    for chunks in (1, 4, 8):
        with SimulatedGpu() as gpu:
            part = on_gpu(stream[: chunks * CHUNK])
            engine.update(part, np.arange(len(part)))
            first = gpu.waits.total()
            engine.update(part, np.arange(len(part)))
            waits[chunks] = gpu.waits.total() - first
    assert waits[8] - waits[4] == 4 and waits[1] <= 2, waits


def test_distances_are_waited_for_once_a_chunk(stream):
    """For which of them lost their digits to rounding."""
    vectors = stream[:50].numpy()
    expected, rows = (found.numpy() for found in NearestSearch(vectors).nearest(stream))
    with SimulatedGpu() as gpu:
        part = on_gpu(stream)
        search = NearestSearch(vectors, part.device, 512)
        gpu.waits.clear()
        distances, nearest = search.nearest(part)
        only = search.distances(part)
        assert gpu.waits == {"aten.nonzero.default": 2 * 6}
        assert isinstance(distances, GpuTensor)
        found = distances.cpu().numpy(), nearest.cpu().numpy(), only.cpu().numpy()
    np.testing.assert_allclose(found[0], expected, atol=1e-5)
    np.testing.assert_array_equal(found[1], rows)
    np.testing.assert_allclose(found[2], expected, atol=1e-5)


def test_what_the_public_class_gives_back_is_on_the_card(stream):
    plain = SequentialCoreset(32).fit(stream)
    with SimulatedGpu():
        coreset = SequentialCoreset(32)
        coreset.partial_fit(on_gpu(stream))
        assert isinstance(coreset.vectors_, GpuTensor)
        coreset = SequentialCoreset(32).fit(on_gpu(stream))
        vectors = coreset.vectors_.cpu().numpy()
    np.testing.assert_array_equal(vectors, plain.vectors_.numpy())
    assert coreset.covering_radius_ == plain.covering_radius_
