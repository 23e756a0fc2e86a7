# SPDX-License-Identifier: Apache-2.0
"""The baseline: the coreset of the original PatchCore, greedy k-center over all patches at once.

Gonzalez, "Clustering to minimize the maximum intercluster distance" (1985): begin with one vector, then always take the
patch that is farthest from all taken so far. Its covering radius is at most twice the best possible. It has to hold
every patch (N x D), and each of its K steps reads all of them.
"""

from collections.abc import Callable

import torch

_ROWS = 65_536  # at a time, where a temporary of the patches' own size would double the memory


def bytes_needed(patches: int, dimension: int) -> int:
    """What the baseline holds for N patches of length D: the vectors, norms, distances, products and patch ids."""
    return patches * (4 * dimension + 3 * 4 + 8)


def greedy_coreset(patches: torch.Tensor, size: int, step: Callable[[], object] = lambda: None) -> torch.Tensor:
    """The rows to keep, in the order of their choice; the first patch is the first.

    Args:
        patches: (N, D) float32, N >= size.
        size: K.
        step: called after each choice, for progress.

    Returns:
        (K,) int64.
    """
    centre = patches.mean(0)  # about it the matrix form of the distance loses fewer digits
    norms_sq = torch.cat([(rows - centre).square().sum(1) for rows in patches.split(_ROWS)])
    nearest_sq = torch.full_like(norms_sq, torch.inf)
    products = torch.empty_like(norms_sq)
    chosen = torch.empty(size, dtype=torch.int64)
    row = 0
    for k in range(size):
        chosen[k] = row
        newest = patches[row] - centre
        torch.addmv(norms_sq, patches, newest, alpha=-2, out=products)  # |x - c|² - 2 x·(p - c)
        products += 2 * centre.dot(newest) + norms_sq[row]
        torch.minimum(nearest_sq, products, out=nearest_sq)
        nearest_sq[chosen[: k + 1]] = -torch.inf  # none is taken twice, whatever the rounding
        row = int(nearest_sq.argmax())
        step()
    return chosen
