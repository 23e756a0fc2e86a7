# SPDX-License-Identifier: Apache-2.0
"""The distances of scores beside the same in float64, also where the matrix product loses its digits."""

import numpy as np
import pytest
import torch
from sequential_patchcore.coreset.search import NearestSearch


@pytest.mark.parametrize("apart", [0.0, 1e-5, 1e-3, 0.1, 1.0, 10.0])
def test_distances_are_right_to_five_digits_however_near_a_vector_lies(apart):
    rng = np.random.default_rng(0)
    vectors = rng.normal(0, 1, (300, 40)).astype(np.float32)
    directions = rng.normal(0, 1, (700, 40))
    directions *= apart / np.linalg.norm(directions, axis=1, keepdims=True)
    patches = (vectors[rng.integers(0, 300, 700)] + directions).astype(np.float32)
    exact = np.linalg.norm(patches[:, None].astype(np.float64) - vectors[None], axis=2).min(1)
    found = NearestSearch(vectors, chunk_size=256).distances(torch.from_numpy(patches)).numpy()
    np.testing.assert_allclose(found, exact, rtol=1e-5, atol=0)


@pytest.mark.parametrize("apart", [0.0, 1e-5, 1e-3, 0.1, 1.0, 10.0])
def test_nearest_gives_the_same_distances(apart):
    rng = np.random.default_rng(1)
    vectors = rng.normal(0, 1, (300, 40)).astype(np.float32)
    patches = (vectors[rng.integers(0, 300, 700)] + apart * rng.normal(0, 0.16, (700, 40))).astype(np.float32)
    search = NearestSearch(vectors, chunk_size=256)
    distances, rows = search.nearest(torch.from_numpy(patches))
    assert torch.equal(distances, search.distances(torch.from_numpy(patches)))
    exact = np.linalg.norm(patches[:, None].astype(np.float64) - vectors[None], axis=2)
    np.testing.assert_array_equal(rows.numpy(), exact.argmin(1))
