# SPDX-License-Identifier: Apache-2.0
"""The greedy baseline as a function of arrays; what it chooses is tested beside the training that uses it."""

import numpy as np
import pytest
import torch
from sequential_patchcore import greedy_coreset
from slow_rule import stream


def test_rows_are_of_the_kind_that_the_vectors_are():
    X = stream("random", 8)
    rows, tensor = greedy_coreset(X, 20), greedy_coreset(torch.from_numpy(X), 20)
    assert isinstance(rows, np.ndarray) and rows.dtype == np.int64 and rows.shape == (20,)
    assert isinstance(tensor, torch.Tensor) and tensor.tolist() == rows.tolist()
    assert greedy_coreset(X.astype(np.float64), 20).tolist() == rows.tolist()
    assert greedy_coreset(X.tolist(), np.int64(20)).tolist() == rows.tolist()


def test_each_row_is_the_farthest_from_those_before():
    X = stream("random", 8, seed=2)
    rows = greedy_coreset(X, 30)
    for k in range(1, 30):
        distances = np.linalg.norm(X[:, None].astype(np.float64) - X[rows[:k]][None], axis=-1).min(1)
        assert distances[rows[k]] == pytest.approx(distances.max(), rel=1e-6)


@pytest.mark.parametrize(("size", "count"), [(0, 5), (-1, 5), (6, 5), (1, 0)])
def test_a_size_that_cannot_be_is_refused(size, count):
    with pytest.raises(ValueError, match=f"between 1 and the {count} vectors that there are, got {size}"):
        greedy_coreset(np.zeros((count, 3)), size)
    assert greedy_coreset(np.zeros((5, 3)), 5).tolist() == [0, 1, 2, 3, 4]


def test_what_are_no_finite_vectors_is_refused():
    with pytest.raises(ValueError, match="not finite"):
        greedy_coreset(np.array([[0.0, np.nan], [1.0, 2.0]]), 1)
    with pytest.raises(ValueError, match=r"shape \(N, D\)"):
        greedy_coreset(np.zeros(4), 1)
    with pytest.raises(TypeError, match="real numbers"):
        greedy_coreset(np.array([["a"]]), 1)
