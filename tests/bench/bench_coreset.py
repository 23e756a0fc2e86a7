# SPDX-License-Identifier: Apache-2.0
"""The coreset update as ratios of one run: `bench_coreset.py [--patches 200000] [--dimension 152] [--size 2048]`.

1. A stream without replacements, over the bare matrix product and row minimum of the same chunks.
2. Microseconds per replacement, in the first epoch.
3. The slow loop of the rule against the chunked form: the same coreset, and the factor.
4. Covering radius after 1, 2 and 5 epochs over that of offline greedy k-center, on clustered vectors.

Seconds are those of the processor, which other work on the machine disturbs less, with the wall's in brackets.
"""

import argparse
import platform
import time
from typing import NamedTuple

import numpy as np
import torch
from sequential_patchcore.coreset.engine import CoresetEngine

_CHUNK = 2048


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patches", type=int, default=200_000)
    parser.add_argument("--dimension", type=int, default=152)
    parser.add_argument("--size", type=int, default=2048)
    chosen = parser.parse_args()
    print(f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    print(f"{chosen.patches} patches x {chosen.dimension}, coreset {chosen.size}")
    rng = np.random.default_rng(0)
    _warm_up(rng, chosen.dimension)
    stream, patch_ids = clustered(rng, chosen.patches, chosen.dimension), np.arange(chosen.patches)
    coreset = CoresetEngine(chosen.size, chosen.dimension, _CHUNK)
    first, replaced = _timed(lambda: coreset.update(stream, patch_ids))
    radii = {1: coreset.farthest(stream)}
    for epoch in range(2, 6):
        coreset.update(stream, patch_ids)
        radii[epoch] = coreset.farthest(stream)
    while coreset.update(stream, patch_ids):
        pass
    rounds = [  # in turns, so that a change of the machine's speed meets both
        (_timed(lambda: _bare(stream, chosen.size))[0], _timed(lambda: coreset.update(stream, patch_ids))[0])
        for _ in range(3)
    ]
    bare, quiet = (min(measured, key=lambda found: found.cpu) for measured in zip(*rounds, strict=True))
    print(f"1. no replacements: {quiet}, bare product and minimum {bare}, ratio {quiet.cpu / bare.cpu:.2f}")
    cpu, wall = (1e6 * max(one - other, 0) / max(replaced, 1) for one, other in zip(first, quiet, strict=True))
    print(f"2. first epoch: {first}, {replaced} replacements, {cpu:.0f} us ({wall:.0f}) each")
    print("3.", slow_against_chunked())
    greedy = _greedy_radius(stream, chosen.size)
    shares = ", ".join(f"{radii[epoch] / greedy:.3f} after {epoch}" for epoch in (1, 2, 5))
    at_the_end = coreset.farthest(stream) / greedy
    print(f"4. covering radius over greedy's ({greedy:.3f}): {shares}, {at_the_end:.3f} converged")


def clustered(rng: np.random.Generator, count: int, dimension: int) -> torch.Tensor:
    """(count, dimension) float32: 50 clusters with a spectrum that falls off, as features of images have."""
    spread = np.linspace(2, 0.2, dimension)
    centres = 4 * rng.standard_normal((50, dimension)) * spread
    vectors = centres[rng.integers(0, 50, count)] + rng.standard_normal((count, dimension)) * spread
    return torch.from_numpy(vectors.astype(np.float32))


def _warm_up(rng: np.random.Generator, dimension: int) -> None:
    """Compile before the clock starts."""
    few = clustered(rng, 500, dimension)
    coreset = CoresetEngine(16, dimension)
    coreset.update(few, np.arange(500))
    coreset.farthest(few)


def _bare(stream: torch.Tensor, size: int) -> None:
    vectors = stream[:size]
    norms_sq = vectors.square().sum(1)
    out = torch.empty(_CHUNK, size)
    for first in range(0, len(stream), _CHUNK):
        chunk = stream[first : first + _CHUNK]
        torch.addmm(norms_sq, chunk, vectors.T, alpha=-2, out=out[: len(chunk)]).amin(1)


def slow_against_chunked(size: int = 256, count: int = 5000) -> str:
    rng = np.random.default_rng(0)
    stream = clustered(rng, count, 152)
    slow, expected = _timed(lambda: slow_rule(stream.numpy(), size))
    coreset = CoresetEngine(size, 152, _CHUNK)
    fast, _ = _timed(lambda: coreset.update(stream, np.arange(count)))
    same = "equal" if np.array_equal(coreset.result().patch_ids, expected) else "NOT EQUAL"
    times = f"slow loop {slow.cpu:.2f} s, chunked {fast.cpu:.3f} s, {slow.cpu / fast.cpu:.0f} times"
    return f"{count} patches, coreset {size}: {times}; the coresets are {same}."


def slow_rule(stream: np.ndarray, size: int) -> np.ndarray:
    """The rule as it is written, one epoch; returns the numbers of the patches that stay."""
    kept = np.arange(size)
    vectors = stream[:size].astype(np.float64)
    between = ((vectors[:, None] - vectors[None]) ** 2).sum(-1)
    np.fill_diagonal(between, np.inf)
    for number in range(size, len(stream)):
        patch = stream[number].astype(np.float64)
        distances = ((vectors - patch) ** 2).sum(1)
        i, j = divmod(int(between.argmin()), size)
        if distances.min() > between[i, j]:
            gone = min(i, j)
            vectors[gone], kept[gone] = patch, number
            distances[gone] = np.inf
            between[gone] = between[:, gone] = distances
    return kept


def _greedy_radius(stream: torch.Tensor, size: int) -> float:
    """Covering radius of offline greedy k-center (Gonzalez 1985), which needs all patches at once."""
    nearest_sq = (stream - stream[0]).square().sum(1)
    for _ in range(size - 1):
        chosen = stream[int(nearest_sq.argmax())]
        torch.minimum(nearest_sq, (stream - chosen).square().sum(1), out=nearest_sq)
    return float(nearest_sq.max().sqrt())


class Time(NamedTuple):
    """Seconds of the processor and of the wall."""

    cpu: float
    wall: float

    def __str__(self) -> str:
        return f"{self.cpu:.2f} s ({self.wall:.2f})"


def _timed(action) -> tuple[Time, object]:
    cpu, wall = time.process_time(), time.perf_counter()
    result = action()
    return Time(time.process_time() - cpu, time.perf_counter() - wall), result


if __name__ == "__main__":
    main()
