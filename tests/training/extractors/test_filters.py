# SPDX-License-Identifier: Apache-2.0
"""The filter bank against analytic answers and symmetries."""

import math

import numpy as np
import pytest
import torch
from sequential_patchcore.extractors.base import ExtractorSettings
from sequential_patchcore.extractors.filters import (
    BLACK,
    CENTRE,
    DIRECTIONS,
    FLOOR,
    SCALES,
    STRIDE,
    FilterBank,
    derivative_kernels,
    derivatives,
    measured_spreads,
)
from sequential_patchcore.runtime.errors import UserError

BLOCK = DIRECTIONS + 1  # channels of one scale


def bank(pool: int = 1) -> FilterBank:
    return FilterBank(ExtractorSettings(backbone="filters", pool=pool))


def grey(log_grey: torch.Tensor) -> torch.Tensor:
    """(H, W) of the logarithm that the bank takes, to an image (3, H, W)."""
    return (log_grey.exp() - BLACK).float().expand(3, -1, -1)


def pixels(height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    rows, columns = torch.arange(height).double(), torch.arange(width).double()
    return torch.meshgrid(rows, columns, indexing="ij")


def texture(height: int, width: int, seed: int = 0) -> torch.Tensor:
    noise = np.random.default_rng(seed).uniform(0.1, 0.9, (height, width))
    return torch.from_numpy(noise.astype(np.float32)).expand(3, -1, -1)


def energies(channels: torch.Tensor, scale: int) -> torch.Tensor:
    """(DIRECTIONS, h, w), the compression undone."""
    return torch.expm1(channels[scale * BLOCK : scale * BLOCK + DIRECTIONS].double()) * FLOOR


@pytest.mark.parametrize("scale", range(len(SCALES)))
@pytest.mark.parametrize("direction", [0, 1, 4, 6])
def test_a_grating_gives_the_analytic_energy_which_peaks_at_its_own_direction(scale, direction):
    # l = a cos(k u): the derivatives in direction θ have amplitudes a k cos(θ - φ) and a k² cos²(θ - φ), times the
    # blur exp(-σ²k²/2). A window averages cos² and sin² to 1/2 only over whole periods: compare the mean of all cells.
    sigma, angle = SCALES[scale].sigma, direction * math.pi / DIRECTIONS
    wavenumber, amplitude = 1 / sigma, 0.2
    y, x = pixels(256, 256)
    wave = amplitude * torch.cos(wavenumber * (x * math.cos(angle) + y * math.sin(angle)))
    measured = energies(bank().channels(grey(wave - 1)), scale)[:, 16:-16, 16:-16].mean((1, 2))
    t = sigma * wavenumber
    projection = torch.cos(torch.arange(DIRECTIONS).double() * math.pi / DIRECTIONS - angle)
    power = amplitude**2 / 2 * math.exp(-(t**2))
    expected = power * (t**2 * projection**2 + t**4 * projection**4)
    assert measured.argmax() == direction
    torch.testing.assert_close(measured, expected, rtol=0.06, atol=0.03 * float(expected.max()))


@pytest.mark.parametrize("scale", SCALES)
def test_derivatives_of_a_quadratic_are_exact(scale):
    y, x = pixels(120, 120)
    y, x = y - 60, x - 60
    plane = (0.5 + 0.02 * x - 0.03 * y + 0.001 * x * x + 0.002 * x * y - 0.0015 * y * y).float()
    kernels = derivative_kernels(scale.sigma, scale.step)
    found = derivatives(plane, kernels, scale.step)
    first = (kernels.shape[1] - 1) / 2 - 60
    places = first + scale.step * torch.arange(found.shape[1])
    py, px = torch.meshgrid(places, places, indexing="ij")
    s = scale.sigma
    expected = torch.stack([
        s * (0.02 + 0.002 * px + 0.002 * py), s * (-0.03 + 0.002 * px - 0.003 * py),
        torch.full_like(px, s**2 * 0.002), torch.full_like(px, s**2 * 0.002), torch.full_like(px, s**2 * -0.003),
    ])
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=2e-4)


def test_energies_equal_the_average_over_steered_derivatives():
    # The slow way: steer at every place, square, then average.
    image = texture(64, 64)
    channels = bank().channels(image)
    luma = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
    log_grey = torch.log((image * luma).sum(0) + BLACK)
    for n, scale in enumerate(SCALES[:2]):
        kernels = derivative_kernels(scale.sigma, scale.step)
        cell = 8
        begin = int(STRIDE * cell + scale.start - (kernels.shape[1] - 1) / 2)
        x, y, xx, xy, yy = derivatives(log_grey[begin:, begin:], kernels, scale.step)
        window = slice(0, scale.window)
        for d in range(DIRECTIONS):
            c, s = math.cos(d * math.pi / DIRECTIONS), math.sin(d * math.pi / DIRECTIONS)
            energy = (c * x + s * y) ** 2 + (c * c * xx + 2 * c * s * xy + s * s * yy) ** 2
            expected = float(torch.log1p(energy[window, window].mean() / FLOOR))
            assert float(channels[n * BLOCK + d, cell, cell]) == pytest.approx(expected, rel=1e-4)


def test_a_quarter_turn_permutes_the_directions():
    image = texture(64, 96)
    plain, turned = bank().channels(image), bank().channels(torch.rot90(image, -1, (1, 2)))
    order = [(d + DIRECTIONS // 2) % DIRECTIONS for d in range(DIRECTIONS)] + [DIRECTIONS]  # the Laplacian last
    channels = [n * BLOCK + d for n in range(len(SCALES)) for d in order] + [len(SCALES) * BLOCK]
    torch.testing.assert_close(torch.rot90(turned, 1, (1, 2)), plain[channels], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_a_constant_image_has_no_energy(value):
    channels = bank().channels(torch.full((3, 50, 70), value))
    torch.testing.assert_close(channels[:-1], torch.zeros_like(channels[:-1]), rtol=0, atol=1e-3)
    torch.testing.assert_close(channels[-1], torch.full_like(channels[-1], math.log(value + BLACK)))


def test_exposure_changes_only_the_mean():
    image = 0.1 + 0.4 * texture(64, 64)
    plain, bright = bank().channels(image), bank().channels(2 * (image + BLACK) - BLACK)
    torch.testing.assert_close(bright[:-1], plain[:-1], rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(bright[-1], plain[-1] + math.log(2))
    # The gain of a camera knows nothing of BLACK: a change of a few percent remains.
    gained = bank().channels(2 * image)
    assert (gained[:-1] - plain[:-1]).abs().max() < 0.05


@pytest.mark.parametrize("size", [(100, 300), (101, 303), (9, 5), (1, 1), (4, 700), (300, 3)])
def test_any_size_gives_a_finite_grid(size):
    vectors = bank(pool=2)(texture(*size)[None])
    assert vectors.shape == (1, math.ceil(size[0] / 4), math.ceil(size[1] / 4), 37)
    assert vectors.dtype == torch.float32 and torch.isfinite(vectors).all()


@pytest.mark.parametrize("pool", [1, 2, 3])
def test_a_spot_is_seen_where_the_offset_says(pool):
    extractor = bank(pool)
    y, x = pixels(256, 256)
    for row, column in [(125.5, 131.25)]:
        spot = torch.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * 3.0**2))
        image = (0.5 - 0.3 * spot).float().expand(1, 3, -1, -1)
        change = (extractor(image) - extractor(torch.full_like(image, 0.5)))[0].square().sum(2).double()
        cells = torch.arange(64)
        seen = [float((change.sum(axis) * cells).sum() / change.sum()) for axis in (1, 0)]
        assert seen[0] * extractor.stride + extractor.offset == pytest.approx(row, abs=0.25)
        assert seen[1] * extractor.stride + extractor.offset == pytest.approx(column, abs=0.25)


def test_bands_of_rows_and_batches_leave_no_trace(monkeypatch):
    images = torch.stack([texture(130, 90, seed) for seed in (1, 2)])
    whole = bank()(images)
    assert torch.equal(whole, bank()(images))
    torch.testing.assert_close(whole[1:], bank()(images[1:]), rtol=0, atol=0)
    monkeypatch.setattr("sequential_patchcore.extractors.filters._BAND", 5)
    torch.testing.assert_close(bank()(images), whole, rtol=1e-4, atol=1e-4)


def test_the_fingerprint_is_that_of_the_constants(monkeypatch):
    fingerprint = bank().weights_fingerprint
    assert bank(pool=3).weights_fingerprint == fingerprint
    monkeypatch.setattr("sequential_patchcore.extractors.filters.FLOOR", 2 * FLOOR)
    assert bank().weights_fingerprint != fingerprint


def test_unit_maps_are_refused():
    with pytest.raises(UserError, match="`unit_maps`"):
        FilterBank(ExtractorSettings(backbone="filters", unit_maps=True))


def test_cells_are_centred():
    assert bank(1).offset == CENTRE == 1.5 and bank(2).offset == 3.5 and bank(3).offset == 1.5


def test_measured_spreads_are_standard_deviations():
    image = texture(64, 64)
    found, channels = measured_spreads([image]), bank().channels(image)
    assert found.per_channel()[BLOCK - 1] == pytest.approx(float(channels[BLOCK - 1].std()), rel=1e-5)
    assert found.mean == pytest.approx(float(channels[-1].std()), rel=1e-5)
