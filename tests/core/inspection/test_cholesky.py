# SPDX-License-Identifier: GPL-3.0-or-later
"""The systems of all pixels at once, against NumPy's solver one by one."""

import numpy as np
import pytest

from blender_addon.core.inspection.cholesky import solve_planes
from blender_addon.core.inspection.denoise import smooth

RNG = np.random.default_rng(11)


def planes(matrix: np.ndarray, right: np.ndarray):
    """(h, w, n, n) and (h, w, n) -> the lower triangle and the right side as planes, copied."""
    n = right.shape[-1]
    lower = [[matrix[..., i, j].copy() for j in range(i + 1)] for i in range(n)]
    return lower, [right[..., i].copy() for i in range(n)]


@pytest.mark.parametrize("n", [1, 2, 5, 6, 8])
def test_it_solves_what_numpy_solves(n):
    factor = RNG.normal(0, 1, (23, 31, n, n + 3))
    matrix, right = factor @ np.swapaxes(factor, -1, -2), RNG.normal(0, 1, (23, 31, n))
    found = np.stack(solve_planes(*planes(matrix, right)), axis=-1)
    np.testing.assert_allclose(found, np.linalg.solve(matrix, right[..., None])[..., 0], rtol=1e-9, atol=1e-9)


def test_it_solves_the_moments_of_guides_that_depend_on_each_other():
    """Slopes, their square, and metal that follows them, in the ranges that renders have."""
    slope = RNG.normal(0, 3, (60, 70)).cumsum(axis=1) / 8
    guides = [slope, 0.2 * slope + 0.01 * RNG.normal(0, 1, slope.shape), slope**2, np.where(slope > 2, 20.0, 0.0)]
    means = [smooth(guide) for guide in guides]
    n = len(guides)
    matrix = np.empty((*means[0].shape, n, n))
    for i, j in np.ndindex(n, n):
        matrix[..., i, j] = smooth(guides[i] * guides[j]) - means[i] * means[j] + 1e-4 * (i == j)
    right = np.stack([smooth(guide * RNG.random(slope.shape)) for guide in guides], axis=-1)
    found = np.stack(solve_planes(*planes(matrix, right)), axis=-1)
    assert np.linalg.cond(matrix).max() > 1e6
    np.testing.assert_allclose(found, np.linalg.solve(matrix, right[..., None])[..., 0], rtol=1e-6, atol=1e-6)
