# SPDX-License-Identifier: Apache-2.0
"""Covering radius of the sequential coreset over that of offline greedy, on kind and on adversarial streams."""

from collections.abc import Iterator

import numpy as np
import torch
from sequential_patchcore.coreset.engine import CoresetEngine
from sequential_patchcore.coreset.greedy import greedy_coreset
from sequential_patchcore.coreset.guarantee import certified_factor

DIMENSION = 40


def streams(count: int) -> Iterator[tuple[str, torch.Tensor]]:
    """(name, (N, D) float32)"""
    rng = np.random.default_rng(0)
    spread = np.linspace(2, 0.2, DIMENSION)
    centres = 4 * rng.standard_normal((50, DIMENSION)) * spread
    clustered = centres[rng.integers(0, 50, count)] + rng.standard_normal((count, DIMENSION)) * spread
    line = np.linspace(0, 100, count)[:, None] * np.eye(1, DIMENSION)
    for name, values in (
        ("clusters", clustered),
        ("clusters, sorted along an axis", clustered[np.argsort(clustered[:, 0])]),
        ("a line, slid along", line + 1e-3 * rng.standard_normal((count, DIMENSION))),
        ("every patch 20 times", np.repeat(clustered[: count // 20], 20, 0)),
    ):
        yield name, torch.from_numpy(values.astype(np.float32))


def rows(name: str, patches: torch.Tensor, size: int, limit: int = 200) -> Iterator[dict]:
    """One row for each eviction: the ratio after 1, 2, 5 epochs and at the end, and whether the certificate held."""
    patch_ids = np.arange(len(patches))
    chosen = CoresetEngine(size, patches.shape[1])
    chosen.update(patches[greedy_coreset(patches, size)], np.arange(size))
    offline = chosen.farthest(patches)
    for eviction in ("lower-index", "seeded-random"):
        coreset = CoresetEngine(size, patches.shape[1], eviction=eviction)
        found, epochs, held = {}, 0, True
        while epochs < limit:
            replaced = coreset.update(patches, patch_ids)
            epochs += 1
            if epochs in (1, 2, 5) or not replaced:
                radius = coreset.farthest(patches)
                found[epochs] = radius / offline
                # Offline greedy is itself a coreset of this size, so OPT <= its radius, and R <= factor x OPT.
                factor = certified_factor(radius, coreset.separation)
                held &= factor is None or radius <= factor * offline * (1 + 1e-6)
            if not replaced and epochs > 1:
                break
        last = found[max(found)]
        yield {"stream": name, "eviction": eviction, "epochs": epochs, "converged": replaced == 0, "end": last,
               "held": held} | {f"after {n}": found.get(n, last) for n in (1, 2, 5)}
