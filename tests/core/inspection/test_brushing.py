# SPDX-License-Identifier: GPL-3.0-or-later
"""The brushed surface against its formula written out for one point, and the laws that a texture may break."""

import math

import numpy as np
import pytest

from blender_addon.core.inspection import aluminium, brushing
from blender_addon.core.inspection.plate import Surface
from blender_addon.core.noise.hashing import white_noise_color
from blender_addon.core.seeding import uniform

SURFACE = Surface(seed=123, grain_angle_deg=20.0, angle_spread_deg=0.5)


def slope_at(a: float, c: float, surface: Surface) -> float:
    """The formula of `brushing`, one point, one scale after the other."""
    total = 0.0
    bent = c + sum(
        size * math.sin(2 * math.pi * (a / length + uniform(surface.seed, k, "groove wave")))
        for k, (size, length) in enumerate(brushing._WAVES)
    )
    for k in range(brushing.SCALES):
        spacing = surface.finest_spacing_um / 1000 * surface.scale_ratio**k
        length = surface.groove_length_mm * surface.scale_ratio ** (0.25 * k)
        lean = math.radians((2 * uniform(surface.seed, k, "groove angle") - 1) * surface.angle_spread_deg)
        q = (bent + math.tan(lean) * a) / spacing
        place = q + sum(
            size * math.sin(2 * math.pi * (q / stretch + uniform(surface.seed, k, f"groove spread {i}")))
            for i, (size, stretch) in enumerate(brushing._SPREADS)
        )
        row = math.floor(place)
        start, stretch, _ = (float(x) for x in white_noise_color(np.float32([row, 0, k]), np.float32(surface.seed)))
        run = a / (length * (0.5 + stretch)) + start
        segment = math.floor(run)
        key = np.float32([row, segment, k + brushing.SCALES]) + np.float32(0)
        width, position, depth = (float(x) for x in white_noise_color(key, np.float32(surface.seed)))
        half = min(surface.groove_width * 0.8**k * (0.3 + 0.4 * width), 0.49)
        t = (place - row - (half + position * (1 - 2 * half))) / half
        if abs(t) >= 1:
            continue
        power = brushing._TAIL[k]
        mean = surface.groove_slope * brushing._STEEPNESS[k]
        end = 1 - (2 * (run - segment) - 1) ** 4
        # 4 t (1 - t²) is 1.5396 at its steepest; a uniform draw to the power p has the mean 1/(p + 1), not 1/2.
        total += mean * (power + 1) / 2 * depth**power * 4 * t * (1 - t * t) / (8 / 3**1.5) * end
    return total


def test_slopes_are_those_of_the_formula():
    along, across = np.random.default_rng(0).uniform(-40, 40, (2, 300))
    expected = np.array([slope_at(a, c, SURFACE) for a, c in zip(along, across, strict=True)])
    found = brushing.groove_slope(along, across, SURFACE)
    assert np.abs(expected).max() > 0.05
    # float32 places at 40 mm are good to 1e-4 of a fine groove's half width; a point may fall into the next row.
    assert np.mean(np.abs(found - expected) > 2e-4) < 0.01


def test_the_texture_between_its_texels_is_the_field():
    texture = brushing.bake_grain(SURFACE, -6.0, 6.0, -4.0, 4.0)
    rng = np.random.default_rng(1)
    along, across = rng.uniform(-5.5, 5.5, 20000), rng.uniform(-3.5, 3.5, 20000)
    column, row = ((value - corner) / step - 0.5 for value, corner, step in
                   zip((along, across), texture.corner_mm, texture.step_mm, strict=True))
    k, r = np.floor(column).astype(int), np.floor(row).astype(int)
    u, v = column - k, row - r
    values = texture.values[..., 0]
    low, high = ((1 - u) * values[r + i, k] + u * values[r + i, k + 1] for i in (0, 1))
    error = (1 - v) * low + v * high - brushing.groove_slope(along, across, SURFACE)
    assert np.sqrt(np.mean(error**2)) < 0.1 * values.std()


def test_windows_of_one_plate_share_their_texels():
    whole = brushing.bake_grain(SURFACE, -6.0, 6.0, -3.0, 3.0)
    part = brushing.bake_grain(SURFACE, 0.7, 4.1, -1.3, 0.9)
    start = [round((p - w) / s) for p, w, s in zip(part.corner_mm, whole.corner_mm, whole.step_mm, strict=True)]
    assert whole.step_mm == part.step_mm
    rows, columns = part.values.shape[:2]
    seen = whole.values[start[1] : start[1] + rows, start[0] : start[0] + columns]
    np.testing.assert_allclose(seen[..., 0], part.values[..., 0], atol=2e-4)
    np.testing.assert_allclose(seen[..., 1], part.values[..., 1], atol=5e-3)


def test_a_coarse_texture_keeps_the_statistics():
    fine = brushing.bake_grain(SURFACE, -10.0, 10.0, -20.0, 20.0).values[..., 0]
    for pixel_um, factor in ((38.0, 1), (152.0, 1), (380.0, 4), (1265.0, 15)):
        assert brushing.coarsening(SURFACE, pixel_um) == factor
        coarse = brushing.bake_grain(SURFACE, -10.0, 10.0, -20.0, 20.0, factor).values[..., 0]
        assert coarse.shape[0] == pytest.approx(fine.shape[0] / factor, abs=3)
        assert coarse.std() == pytest.approx(fine.std(), rel=0.05)
        assert np.quantile(coarse, [0.01, 0.99]) == pytest.approx(np.quantile(fine, [0.01, 0.99]), rel=0.1)


def test_nothing_repeats_across_or_along_the_grain():
    across = np.arange(-50, 50, 0.0075)
    line = np.concatenate([brushing.groove_slope(a, across, SURFACE)[None] for a in (-30.0, 0.0, 30.0)]).astype(float)
    line -= line.mean(axis=1, keepdims=True)
    power = np.abs(np.fft.rfft(line, 2 * line.shape[1], axis=1)) ** 2
    correlation = np.fft.irfft(power, axis=1)[:, : line.shape[1] // 2]
    correlation /= correlation[:, :1]
    assert np.abs(correlation[:, int(2.0 / 0.0075) :]).max() < 0.2
    assert abs(np.corrcoef(line[0], line[2])[0, 1]) < 0.1, "60 mm further on the grooves are others"
    # No row of one scale stands out of the spectrum like a moiré would.
    spectrum = power.mean(axis=0)[100:]
    smooth = np.convolve(spectrum, np.ones(401) / 401, mode="same")
    assert (spectrum / smooth)[300:-300].max() < 15.0


def test_the_surface_has_no_mean_slope_and_grooves_follow_the_grain():
    texture = brushing.bake_grain(SURFACE, -40.0, 40.0, -10.0, 10.0).values[..., 0]
    assert abs(texture.mean()) < 0.02 * texture.std()
    step = texture.std() * np.sqrt(2)
    assert np.diff(texture[:, ::3], axis=1).std() < 0.5 * step, "0.9 mm along the grain changes little"
    assert np.diff(texture[::8], axis=0).std() > 0.8 * step, "60 µm across it change all"


def test_points_of_the_plate_are_turned_into_the_grain():
    along, across = brushing.to_grain(np.array([[1.0, 0.0], [0.0, 2.0]]), Surface(seed=1, grain_angle_deg=90.0))
    np.testing.assert_allclose(along, [0.0, 2.0], atol=1e-12)
    np.testing.assert_allclose(across, [-1.0, 0.0], atol=1e-12)


def test_aluminium_reflects_what_is_measured():
    # Rakić 1995 (Appl. Opt. 34, 4755), another evaluation: n = 1.3729, k = 7.6177 at 632.8 nm.
    n, k = 1.3729, 7.6177
    assert aluminium.reflectance(632.8) == pytest.approx(((n - 1) ** 2 + k**2) / ((n + 1) ** 2 + k**2), abs=0.002)
    assert Surface(seed=0).reflectance == pytest.approx(aluminium.reflectance(550.0), abs=5e-4)
    values = [aluminium.reflectance(wavelength) for wavelength in range(300, 1000)]
    assert max(np.abs(np.diff(values))) < 1e-3 and values[0] == values[99]
