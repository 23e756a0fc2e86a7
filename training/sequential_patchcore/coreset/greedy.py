# SPDX-License-Identifier: Apache-2.0
"""The baseline: the coreset of the original PatchCore, greedy k-center over all patches at once.

Gonzalez, "Clustering to minimize the maximum intercluster distance" (1985): begin with one vector, then always take the
patch that is farthest from all taken so far. Its covering radius is at most twice the best possible. It has to hold
every patch (N x D), and each of its K steps reads all of them.
"""

import operator
from collections.abc import Callable
from typing import Any

import torch

from .arrays import ArrayKind, as_vectors, checked

_ROWS = 65_536  # at a time, where a temporary of the patches' own size would double the memory


def bytes_needed(patches: int, dimension: int) -> int:
    """What the baseline holds for N patches of length D: the vectors, norms, distances, products and patch ids."""
    return patches * (4 * dimension + 3 * 4 + 8)


def greedy_coreset(X: Any, size: int, step: Callable[[], object] = lambda: None) -> Any:
    """The rows to keep, in the order of their choice; the first vector is the first.

    Args:
        X: (N, D) float32, N >= size, finite; numpy or torch.
        size: K, at least 1.
        step: called after each choice, for progress.

    Returns:
        (K,) int64, of the same kind and on the same device as X.

    Raises:
        TypeError: not numbers.
        ValueError: fewer vectors than are to be kept, another shape, or a value that is not finite.
    """
    vectors = as_vectors(X)
    if not 1 <= operator.index(size) <= len(vectors):
        raise ValueError(f"expected a `size` between 1 and the {len(vectors)} vectors that there are, got {size}")
    return ArrayKind.of(X).give(_farthest_first(checked(vectors, vectors.shape[1]), size, step))


def _farthest_first(vectors: torch.Tensor, size: int, step: Callable[[], object]) -> torch.Tensor:
    centre = vectors.mean(0)  # about it the matrix form of the distance loses fewer digits
    norms_sq = torch.cat([(rows - centre).square().sum(1) for rows in vectors.split(_ROWS)])
    nearest_sq = torch.full_like(norms_sq, torch.inf)
    products = torch.empty_like(norms_sq)
    chosen = torch.empty(size, dtype=torch.int64)
    row = 0
    for k in range(size):
        chosen[k] = row
        newest = vectors[row] - centre
        torch.addmv(norms_sq, vectors, newest, alpha=-2, out=products)  # |x - c|² - 2 x·(p - c)
        products += 2 * centre.dot(newest) + norms_sq[row]
        torch.minimum(nearest_sq, products, out=nearest_sq)
        nearest_sq[chosen[: k + 1]] = -torch.inf  # none is taken twice, whatever the rounding
        row = int(nearest_sq.argmax())
        step()
    return chosen
