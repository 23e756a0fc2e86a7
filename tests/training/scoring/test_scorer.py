# SPDX-License-Identifier: Apache-2.0
"""Distances against brute force in float64; the anomaly map against a loop over its pixels."""

import math

import numpy as np
import pytest
import torch
from sequential_patchcore.extractors.base import ExtractorSettings, scaled_size
from sequential_patchcore.extractors.builder import extractor_of
from sequential_patchcore.extractors.grid import Grid
from sequential_patchcore.scoring.anomaly_map import anomaly_map
from sequential_patchcore.scoring.scorer import Scorer

GRIDS = [
    # size, stride, offset, scale
    ((33, 47), 8, 0.2, 1.0),
    ((48, 64), 8, 3.25, 1.0),
    ((48, 64), 4, 1.3, 0.5),
    ((30, 101), 8, 7.1, 1.0),
    ((5, 3), 8, 3.1, 1.0),
    ((21, 40), 8, 11.2, 1.7),
]


def filters(scale=1.0):
    return extractor_of(ExtractorSettings(backbone="filters", image_scale=scale))


def grid_of(size, stride, offset, scale):
    cells = tuple(math.ceil(length / stride) for length in scaled_size(size, scale))
    return Grid(size, cells, stride, offset, scale)


@pytest.mark.parametrize("chunk", [1, 7, 64, 5000])
@pytest.mark.parametrize(("mean", "spread", "digits"), [(0, 1, 1e-5), (100, 1, 1e-4), (100, 1e-3, 1e-4)])
def test_distances_equal_brute_force(chunk, mean, spread, digits):
    rng = np.random.default_rng(0)
    features, patches = ((mean + spread * rng.normal(size=(n, 40))).astype(np.float32) for n in (37, 150))
    scorer = Scorer.of_vectors(filters(), features, chunk_size=chunk)
    difference = patches[:, None].astype(np.float64) - features[None].astype(np.float64)
    expected = np.sqrt((difference**2).sum(-1)).min(1)
    found = scorer.search.distances(torch.from_numpy(patches))
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.numpy(), expected, rtol=digits)


def test_a_vector_of_the_coreset_has_next_to_no_distance():
    features = np.random.default_rng(0).normal(size=(50, 40)).astype(np.float32)
    distances = Scorer.of_vectors(filters(), features).search.distances(torch.from_numpy(features)).numpy()
    assert (distances >= 0).all() and distances.max() < 1e-2


@pytest.mark.parametrize("grid", [grid_of(*one) for one in GRIDS], ids=str)
def test_each_pixel_takes_the_value_of_the_cell_that_looks_nearest(grid):
    distances = np.random.default_rng(0).random(grid.cells).astype(np.float32)
    found = anomaly_map(distances, grid, 0)
    assert found.shape == grid.size and found.dtype == np.float32
    scaled = scaled_size(grid.size, grid.image_scale)
    for pixel in np.ndindex(*grid.size):
        cell = []
        for axis in range(2):
            place = (pixel[axis] + 0.5) * scaled[axis] / grid.size[axis] - 0.5
            away = [abs(place - (n * grid.stride + grid.offset)) for n in range(grid.cells[axis])]
            cell.append(away.index(min(away)))
        assert found[pixel] == distances[tuple(cell)]


@pytest.mark.parametrize("sigma", [0.0, 0.5, 2.0, 5.0])
def test_the_blur_keeps_a_constant_map(sigma):
    grid = grid_of((40, 56), 8, 3.5, 1.0)
    np.testing.assert_allclose(anomaly_map(np.full(grid.cells, 3.0, np.float32), grid, sigma), 3.0, rtol=1e-6)


def test_the_kernel_is_the_gaussian_16_pixels_wide_at_sigma_2():
    grid = Grid((41, 41), (41, 41), 1, 0.0, 1.0)
    spot = np.zeros((41, 41), np.float32)
    spot[20, 20] = 1
    found = anomaly_map(spot, grid, 2.0)
    rows = np.flatnonzero(found.any(1))
    assert rows[-1] - rows[0] == 16 and rows[0] == 12
    axis = np.arange(-8, 9)
    kernel = np.exp(-(axis**2) / 8)
    kernel /= kernel.sum()
    np.testing.assert_allclose(found[12:29, 12:29], kernel[:, None] * kernel[None], rtol=1e-4, atol=1e-9)
    assert found.sum() == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_a_spot_on_a_plain_image_is_found_where_it_is(scale):
    rng = np.random.default_rng(0)
    plain = (0.5 + 0.01 * rng.normal(size=(96, 128, 1))).astype(np.float32).repeat(3, 2)
    spotted = plain.copy()
    spotted[60:68, 84:92] = 0.1
    scorer = Scorer.of_vectors(filters(scale), np.zeros((1, 1), np.float32))
    features = scorer.extractor(torch.from_numpy(plain).permute(2, 0, 1)[None])[0]
    scorer = Scorer.of_vectors(scorer.extractor, features.reshape(-1, features.shape[-1]).numpy())
    found = scorer.anomaly_map(spotted)
    assert found.shape == plain.shape[:2]
    y, x = np.unravel_index(found.argmax(), found.shape)
    scored = scorer.patches(spotted)
    assert abs(y - 63.5) <= 8 and abs(x - 87.5) <= 8
    np.testing.assert_array_equal(
        anomaly_map(scored.distances, Grid.of(scorer.extractor, (96, 128), scored.distances.shape), 2.0), found
    )
