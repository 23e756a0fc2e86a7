# SPDX-License-Identifier: GPL-3.0-or-later
"""Small symmetric systems, one for each pixel, solved for all pixels at once.

Each entry of the matrices is a plane, an array over the pixels, and so is each entry of what is sought: the steps of
the decomposition M = L D Lᵀ (Cholesky without roots) are sums and products of planes. A library call for each 6 x 6
matrix takes eight times as long, and may wake its threads for every one of them.
"""

from collections.abc import Sequence

import numpy as np


def solve_planes(matrix: Sequence[Sequence[np.ndarray]], right: Sequence[np.ndarray]) -> list[np.ndarray]:
    """x of M x = r at each pixel, for M positive definite.

    Args:
        matrix: the lower triangle of M, which is overwritten: `matrix[i][j]`, j <= i, is a plane of floats.
        right: r, n planes, which are overwritten.

    Returns:
        n planes of the type of `right`.
    """
    n = len(right)
    lower: list[list[np.ndarray]] = [[] for _ in range(n)]
    """lower[i][j] of L, j < i."""
    inverse = []
    product = np.empty_like(right[0])
    for j in range(n):
        # Of column j, what the columns before it leave. matrix[i][j] becomes L[i][j] D[j].
        for i in range(j, n):
            for k in range(j):
                np.multiply(lower[j][k], matrix[i][k], out=product)
                matrix[i][j] -= product
        inverse.append(np.reciprocal(matrix[j][j]))
        for i in range(j + 1, n):
            lower[i].append(matrix[i][j] * inverse[j])
        for k in range(j):
            np.multiply(lower[j][k], right[k], out=product)
            right[j] -= product
    for i in reversed(range(n)):
        right[i] *= inverse[i]
        for k in range(i + 1, n):
            np.multiply(lower[k][i], right[k], out=product)
            right[i] -= product
    return list(right)
