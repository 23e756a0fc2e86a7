# SPDX-License-Identifier: Apache-2.0
"""Speed and quality of the coreset as ratios, which mean the same on every machine.

    python tests/bench/bench_coreset.py [--size K] [--dimension D] [--patches N] [--slow-patches N]

The features are drawn from Gaussian clusters, some dense, some rare. Takes about a minute on two cores.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from sequential_patchcore.coreset import SequentialCoreset, squared_distance

_CHUNK = 2048


def clustered(count: int, dimension: int, seed: int = 0) -> np.ndarray:
    """(N, D) float32: 200 clusters, the largest a hundred times as frequent as the smallest."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(200, dimension))
    frequency = np.geomspace(1, 100, len(centres))
    chosen = rng.choice(len(centres), count, p=frequency / frequency.sum())
    return (centres[chosen] + 0.3 * rng.normal(size=(count, dimension))).astype(np.float32)


def seconds(work: Callable[[], object], repeats: int = 1) -> float:
    """Least wall-clock time of some runs."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def bare_minimum(patches: torch.Tensor, vectors: torch.Tensor) -> None:
    """What no exact method does without: one matrix product and its row minima, chunk by chunk."""
    out = torch.empty(_CHUNK, len(vectors))
    for first in range(0, len(patches), _CHUNK):
        chunk = patches[first : first + _CHUNK]
        torch.mm(chunk, vectors.T, out=out[: len(chunk)]).amin(1)


def slow_loop(patches: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The rule, patch by patch, with the whole matrix of distances; (K, D) vectors and (K,) tags."""
    features, tags = patches[:size].copy(), np.arange(size)
    matrix = np.array([[squared_distance(a, b) for b in features] for a in features])
    np.fill_diagonal(matrix, np.inf)
    for tag in range(size, len(patches)):
        distances = np.array([squared_distance(patches[tag], each) for each in features])
        i, j = np.unravel_index(np.argmin(matrix), matrix.shape)
        if distances.min() > matrix[i, j]:
            out = min(i, j)
            distances[out] = np.inf
            features[out], tags[out] = patches[tag], tag
            matrix[out, :] = matrix[:, out] = distances
    return features, tags


def greedy_radius(patches: torch.Tensor, size: int) -> float:
    """Covering radius of offline greedy k-center (Gonzalez, 1985), which needs all patches in memory."""
    norms2 = patches.square().sum(1)
    nearest2 = torch.full((len(patches),), torch.inf)
    far = 0
    for _ in range(size):
        distances2 = torch.addmv(norms2 + norms2[far], patches, patches[far], alpha=-2)
        torch.minimum(nearest2, distances2, out=nearest2)
        far = int(nearest2.argmax())
    return float(nearest2[far].clamp_min(0).sqrt())


def row(what: str, figure: str) -> None:
    print(f"{what:<62}{figure}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=2048, help="K, vectors of the coreset")
    parser.add_argument("--dimension", type=int, default=152, help="D, length of a vector")
    parser.add_argument("--patches", type=int, default=60_000, help="patches of the stream")
    parser.add_argument("--slow-patches", type=int, default=12_000, help="of them for the slow loop, at K = 256")
    given = parser.parse_args()
    values = clustered(given.patches, given.dimension)
    patches, tags = torch.from_numpy(values), np.arange(given.patches)
    SequentialCoreset(2, given.dimension).update(patches[:64], tags[:64])  # compiles, or reads what was compiled
    print(f"K {given.size}, D {given.dimension}, {given.patches} patches, {torch.get_num_threads()} threads\n")

    coreset = SequentialCoreset(given.size, given.dimension, _CHUNK)
    start = time.perf_counter()
    replaced = coreset.update(patches, tags)
    first_epoch = time.perf_counter() - start
    radii = {1: coreset.farthest(patches)}
    for epoch in range(2, 6):
        coreset.update(patches, tags)
        radii[epoch] = coreset.farthest(patches)

    # Vectors of the coreset itself never replace anything: an epoch at its least.
    inside = torch.from_numpy(coreset.result().features).repeat(-(-given.patches // given.size), 1)[: given.patches]
    quiet = seconds(lambda: coreset.update(inside, tags), 3)
    bare = seconds(lambda: bare_minimum(inside, inside[: given.size]), 3)
    row("no replacements, over the matrix product and its minima", f"{quiet / bare:8.2f} x")
    # Whatever the walk costs, patches included that were looked at and rejected, per replacement.
    per_replacement = 1e6 * (first_epoch - quiet) / max(replaced, 1)
    row(f"a replacement ({replaced} in the first epoch)", f"{per_replacement:8.0f} µs")

    few = values[: given.slow_patches]
    slow: list[tuple[np.ndarray, np.ndarray]] = []
    slow_time = seconds(lambda: slow.append(slow_loop(few, 256)))
    fast = SequentialCoreset(256, given.dimension, _CHUNK)
    fast_time = seconds(lambda: fast.update(torch.from_numpy(few), tags[: len(few)]))
    same = np.array_equal(slow[0][0], fast.result().features) and np.array_equal(slow[0][1], fast.result().tags)
    verdict = "identical" if same else "DIFFERENT"
    row(f"slow loop over chunks, K 256, {len(few)} patches: {verdict}", f"{slow_time / fast_time:8.1f} x")

    best = greedy_radius(patches, given.size)
    for epoch in (1, 2, 5):
        row(f"covering radius over offline greedy's, epoch {epoch}", f"{radii[epoch] / best:8.3f} x")
    if not same:
        raise SystemExit("the chunked form differs from the slow loop")


if __name__ == "__main__":
    main()
