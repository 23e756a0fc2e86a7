# SPDX-License-Identifier: GPL-3.0-or-later
import math

import numpy as np
import pytest

from blender_addon.core.noise import perlin
from blender_addon.core.noise.hashing import hash_uint4
from blender_addon.core.noise.perlin import STRICT_BOUND, perlin_4d


def slow_perlin(x: float, y: float, z: float, w: float) -> float:
    """Improved Perlin noise with one loop over the 16 lattice points, in float64."""

    def gradient(h, *d):
        first = d[0] if h < 24 else d[1]
        second = d[1] if h < 16 else d[2]
        third = d[2] if h < 8 else d[3]
        return (-first if h & 1 else first) + (-second if h & 2 else second) + (-third if h & 4 else third)

    p = (x, y, z, w)
    lattice = [math.floor(c) for c in p]
    part = [c - i for c, i in zip(p, lattice, strict=True)]
    fade = [t**3 * (t * (6 * t - 15) + 10) for t in part]
    total = 0.0
    for corner in np.ndindex(2, 2, 2, 2):
        words = [(i + step) & 0xFFFFFFFF for i, step in zip(lattice, corner, strict=True)]
        weight = math.prod(f if step else 1 - f for f, step in zip(fade, corner, strict=True))
        h = int(hash_uint4(*(np.uint32(word) for word in words))) & 31
        total += weight * gradient(h, *(t - step for t, step in zip(part, corner, strict=True)))
    return 0.8344 * total


def points(n: int, extent: float = 20.0, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-extent, extent, (n, 3)).astype(np.float32)


@pytest.mark.parametrize("w", [0.0, 7.0, -3.0, 99_999.0, 2.25, -0.5])
def test_equals_the_slow_definition(w):
    p = points(300)
    expected = [slow_perlin(*(float(c) for c in row), w) for row in p]
    np.testing.assert_allclose(perlin_4d(p, w), expected, atol=3e-6)


def test_tabulated_and_direct_evaluation_agree():
    scattered = points(50, extent=1e4)
    one_by_one = np.concatenate([perlin_4d(row[None], 5.0) for row in scattered])
    assert np.array_equal(perlin_4d(scattered, 5.0), one_by_one)


def test_many_points_are_the_same_in_chunks(monkeypatch):
    points = np.random.default_rng(5).uniform(-30, 30, (5000, 3)).astype(np.float32)
    whole = perlin_4d(points, 3.5)
    monkeypatch.setattr(perlin, "_CHUNK", 700)
    np.testing.assert_array_equal(perlin_4d(points, 3.5), whole)


def test_zero_at_lattice_points():
    lattice = np.round(points(500))
    assert not perlin_4d(lattice, 4.0).any()


@pytest.mark.parametrize("w", [1.0, 1.5])
def test_bounded_and_centred(w):
    noise = perlin_4d(points(400_000, extent=100.0), w)
    assert abs(noise).max() <= 1.0 < STRICT_BOUND
    assert abs(noise).max() > 0.6
    assert abs(noise.mean()) < 0.005


def test_strict_bound_is_the_largest_sum_of_aligned_gradients():
    """At whole w, with every gradient pointing to the point, |x| + |y| + |z| is blended: largest in the middle."""
    t = np.linspace(0, 1, 1001)
    fade = t**3 * (t * (6 * t - 15) + 10)
    per_axis = (1 - fade) * t + fade * (1 - t)
    assert pytest.approx(0.8344 * 3 * per_axis.max()) == STRICT_BOUND


def test_continuous_across_lattice_planes():
    on_plane = points(2000)
    on_plane[:, 0] = np.round(on_plane[:, 0])
    step = np.array([1e-3, 0, 0], dtype=np.float32)
    jump = abs(perlin_4d(on_plane + step, 3.0) - perlin_4d(on_plane - step, 3.0))
    assert jump.max() < 2e-3 * 4.0  # the slope stays below 4


def test_other_w_other_noise():
    p = points(2000)
    assert abs(np.corrcoef(perlin_4d(p, 0.0), perlin_4d(p, 1.0))[0, 1]) < 0.1
