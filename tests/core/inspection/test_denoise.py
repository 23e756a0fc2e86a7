# SPDX-License-Identifier: GPL-3.0-or-later
"""Laws of the regression: what it must keep, what it must take out, and how far anything reaches."""

import numpy as np
import pytest

from blender_addon.core import parallel
from blender_addon.core.inspection import denoise
from blender_addon.core.inspection.denoise import REACH_PX, regress, smooth, within_range

RNG = np.random.default_rng(3)


def guides(shape, count=3):
    return [RNG.normal(0, 1, shape).astype(np.float32) for _ in range(count)]


def test_a_linear_function_of_the_guides_is_kept():
    some = guides((120, 60))
    picture = (5 + 0.5 * some[0] - 0.2 * some[1] + 0.1 * some[2]).astype(np.float32)
    np.testing.assert_allclose(regress(picture, some), picture, atol=2e-3)
    flat = np.full((50, 40), 0.7, np.float32)
    np.testing.assert_allclose(regress(flat, guides((50, 40))), flat, atol=1e-4)


def slow(picture, some):
    """The formula of the module, pixel by pixel, in float64, for the middle of a small picture."""
    radius, n = denoise.RADIUS_PX, len(some)
    offsets = np.arange(-radius, radius + 1)
    weights = np.exp(-0.5 * (offsets / denoise.SIGMA_PX) ** 2)
    weights = np.outer(weights, weights)
    weights /= weights.sum()
    layers = [np.pad(layer.astype(float), REACH_PX, mode="edge") for layer in (picture, *some)]
    height, width = layers[0].shape
    fitted = {}
    for y in range(radius, height - radius):
        for x in range(radius, width - radius):
            window = (slice(y - radius, y + radius + 1), slice(x - radius, x + radius + 1))
            values, *columns = (layer[window] for layer in layers)
            means = [float((weights * column).sum()) for column in columns]
            centred = np.stack([(column - mean).ravel() for column, mean in zip(columns, means, strict=True)])
            mean = float((weights * values).sum())
            normal = (centred * weights.ravel()) @ centred.T + denoise._RIDGE * np.eye(n)
            slopes = np.linalg.solve(normal, (centred * weights.ravel()) @ (values - mean).ravel())
            fitted[y, x] = np.array([mean - slopes @ means, *slopes])
    result = np.empty(picture.shape)
    for y, x in np.ndindex(*picture.shape):
        near = sum(
            weights[dy + radius, dx + radius] * fitted[y + dy + REACH_PX, x + dx + REACH_PX]
            for dy in offsets
            for dx in offsets
        )
        result[y, x] = near[0] + sum(near[1 + k] * some[k][y, x] for k in range(n))
    return result


def test_it_is_the_formula():
    some = guides((9, 11), 2)
    picture = (1 + 0.3 * some[0] * some[1] + 0.1 * RNG.random((9, 11))).astype(np.float32)
    np.testing.assert_allclose(regress(picture, some), slow(picture, some), atol=2e-6)


def test_it_is_the_formula_where_a_guide_varies_by_hundreds():
    """At one path a pixel squared slopes do, beside guides that are the same on one side of an edge."""
    rng = np.random.default_rng(0)
    slope = np.where(np.arange(14) < 7, 0.0, rng.normal(0, 6, (12, 14)))
    metal = np.where(slope == 0, -46.0, rng.normal(0, 0.3, slope.shape))
    roughness = 0.57 * metal + 0.01 * rng.normal(size=slope.shape) * (slope != 0)
    some = [guide.astype(np.float32) for guide in (slope / 100, slope, slope**2, metal, roughness)]
    picture = (0.4 + 0.01 * slope + 0.3 * (slope != 0) + 0.05 * rng.random(slope.shape)).astype(np.float32)
    expected = np.maximum(slow(picture, some), 0.0)
    np.testing.assert_allclose(regress(picture, some), expected, atol=2e-6)


def test_noise_goes_and_an_edge_that_a_guide_shows_stays():
    edge = np.zeros((200, 200), np.float32)
    edge[:, 100:] = 1.0
    clean = 0.4 + 0.3 * edge
    noisy = (clean + 0.1 * RNG.standard_normal(clean.shape)).astype(np.float32)
    result = regress(noisy, [edge])
    assert np.sqrt(np.mean((result - clean) ** 2)) < 0.02
    step = result[:, 100].mean() - result[:, 99].mean()
    assert step == pytest.approx(0.3, abs=0.01)
    assert np.abs(np.diff(smooth(noisy).mean(axis=0))).max() < 0.1, "plain smoothing would smear it"


def test_a_change_reaches_no_further_than_it_says_to_the_bit():
    some = guides((150, 130))
    picture = RNG.random((150, 130)).astype(np.float32)
    before = regress(picture, some)
    for layer in (picture, some[1]):
        layer[70:75, 60:64] += 1.0
        after = regress(picture, some)
        changed = np.argwhere(after != before)
        low, high = changed.min(axis=0), changed.max(axis=0)
        assert (low >= [70 - REACH_PX, 60 - REACH_PX]).all() and (high <= [74 + REACH_PX, 63 + REACH_PX]).all()
        assert (low <= [70, 60]).all()
        layer[70:75, 60:64] -= 1.0
        before = regress(picture, some)


@pytest.mark.parametrize("threads", [1, 3])
def test_tiles_leave_no_seams_and_threads_change_nothing(monkeypatch, threads):
    some = guides((100, 40))
    picture = RNG.random((100, 40)).astype(np.float32)
    whole = regress(picture, some)
    monkeypatch.setattr(denoise, "_TILE_PX", (7, 11))
    monkeypatch.setattr(parallel, "_wanted", threads)
    np.testing.assert_array_equal(regress(picture, some), whole)


def test_without_guides_it_refuses():
    with pytest.raises(ValueError, match="without guides"):
        regress(np.zeros((20, 20), np.float32), [])


def test_beyond_the_wall_of_a_dent_the_result_stays_within_the_raw_values_around():
    """Past the light the picture is dark and stays so, while the guide goes on growing: the regression extrapolates."""
    slope = np.zeros((60, 60), np.float32)
    slope[20:40, 30:33] = (8.0, 25.0, 8.0)
    clean = np.where(slope > 4, 0.1, 0.6).astype(np.float32)
    noisy = (clean * RNG.uniform(0.8, 1.2, clean.shape)).astype(np.float32)
    plain = regress(noisy, [slope, slope**2])
    plain = plain.copy()
    plain[30, 31], plain[10, 10] = 0.0, 5.0
    held = within_range(plain, noisy)
    around = noisy[29:32, 30:33]
    assert held[30, 31] == around.min() and held[10, 10] == noisy[9:12, 9:12].max()
    low = np.min([np.roll(noisy, (dy, dx), (0, 1)) for dy in (-1, 0, 1) for dx in (-1, 0, 1)], axis=0)
    middle = (slice(1, -1), slice(1, -1))
    assert (held >= low)[middle].all()
    unchanged = held == plain
    assert unchanged.mean() > 0.9, "it acts where the result left the range, and nowhere else"
