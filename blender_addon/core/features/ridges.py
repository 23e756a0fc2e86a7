# SPDX-License-Identifier: GPL-3.0-or-later
"""The ridges of a finger: a direction field with its singular points, and ridges grown along it from noise.

Directions: the zero-pole model of Sherlock and Monro ("A model for interpreting fingerprint topology", Pattern
Recognition 26(7), 1993): half the angle around every core, less half the angle around every delta. An arch has no
singular points; its ridges rise over the middle and flatten towards the tip.

Ridges: white noise, filtered again and again by Gabor filters along the local direction, after Cappelli, Maio and
Maltoni ("Synthetic fingerprint-image generation", ICPR 2000): ridges join, end and fork by themselves.
"""

import math
from functools import lru_cache

import numpy as np

PATTERNS = ("whorl", "loop", "arch")
SAMPLES_PER_PERIOD = 8
_DIRECTIONS = 24
_PASSES = 8
_WIDTH = 0.6
"""Standard deviation of the Gabor filter's window, in periods."""
_GAIN = 4.0
_FINGER = (8.0, 11.0)
"""Half width and half length, mm, of the finger on which the singular points lie."""


@lru_cache(maxsize=32)
def ridges(pattern: str, seed: int, period_mm: float, half_width_mm: float, half_length_mm: float) -> np.ndarray:
    """Ridge heights over a rectangle around the core of a finger.

    Returns:
        (rows, columns) float32 from 0 (valley) to 1 (ridge); row 0 at the lower end, `SAMPLES_PER_PERIOD` samples to a
        period, the middle of the rectangle between the middle samples.
    """
    rng = np.random.Generator(np.random.Philox(seed))
    step = period_mm / SAMPLES_PER_PERIOD
    columns, rows = (2 * math.ceil(half / step) for half in (half_width_mm, half_length_mm))
    x = (np.arange(columns) + 0.5 - columns / 2) * step
    y = (np.arange(rows) + 0.5 - rows / 2) * step
    direction = ridge_direction(pattern, *np.meshgrid(x, y), rng)

    spectra = _filters(rows, columns)
    bins = np.round(direction / math.pi * _DIRECTIONS).astype(int) % _DIRECTIONS
    image = rng.standard_normal((rows, columns))
    for _ in range(_PASSES):
        spectrum = np.fft.rfft2(image)
        grown = np.empty_like(image)
        for k, response in enumerate(spectra):
            here = bins == k
            if here.any():
                grown[here] = np.fft.irfft2(spectrum * response, s=image.shape)[here]
        image = np.clip(_GAIN * grown / grown.std(), -1.0, 1.0) if grown.std() else grown
    image.flags.writeable = False
    return (0.5 * (1.0 + image)).astype(np.float32)


@lru_cache(maxsize=32)
def slipped_ridges(
    pattern: str, seed: int, period_mm: float, half_width_mm: float, half_length_mm: float,
    slip_mm: tuple[float, float], steps: int,
) -> np.ndarray:
    """The mean of the `ridges` over a slip of the finger, (x, y), in so many steps; an array of the same shape."""
    grid = ridges(pattern, seed, period_mm, half_width_mm, half_length_mm)
    rows, columns = np.indices(grid.shape, dtype=np.float64)
    step = period_mm / SAMPLES_PER_PERIOD
    shares = (np.arange(steps) + 0.5) / steps / step
    return sum(between(grid, columns - slip_mm[0] * share, rows - slip_mm[1] * share) for share in shares) / steps


def between(grid: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A grid at (x, y) counted in samples, linear between them, its border repeated."""
    rows, columns = grid.shape
    x, y = np.clip(x, 0.0, columns - 1.001), np.clip(y, 0.0, rows - 1.001)
    i, j = y.astype(int), x.astype(int)
    fy, fx = y - i, x - j
    below = grid[i, j] * (1.0 - fx) + grid[i, j + 1] * fx
    above = grid[i + 1, j] * (1.0 - fx) + grid[i + 1, j + 1] * fx
    return below * (1.0 - fy) + above * fy


def ridge_direction(pattern: str, x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Direction of the ridges in radians, modulo π; x across the finger, y towards its tip, mm from its middle."""
    width, length = _FINGER
    jitter = rng.uniform(-1.0, 1.0, 8)
    if pattern == "arch":
        height = np.clip(1.2 - 1.1 * y / length + 0.15 * jitter[0], 0.0, None) * np.exp(-((y / length) ** 2))
        return -np.arctan(height * np.sin(math.pi * (x / width - 0.1 * jitter[1]))) % math.pi
    if pattern == "loop":
        side = 1.0 if jitter[7] > 0 else -1.0
        cores = [(0.08 * width * jitter[0], 0.12 * length + 0.1 * length * jitter[1])]
        deltas = [(side * width * (0.62 + 0.12 * jitter[2]), -length * (0.50 + 0.1 * jitter[3]))]
    else:
        apart = length * (0.11 + 0.05 * jitter[0])
        lean = 0.12 * width * jitter[1]
        cores = [(lean, apart), (-lean, -apart)]
        deltas = [
            (-width * (0.80 + 0.1 * jitter[2]), -length * (0.72 + 0.1 * jitter[3])),
            (width * (0.80 + 0.1 * jitter[4]), -length * (0.72 + 0.1 * jitter[5])),
        ]
    turn = sum(np.arctan2(y - v, x - u) for u, v in cores) - sum(np.arctan2(y - v, x - u) for u, v in deltas)
    return (0.5 * turn) % math.pi


def _filters(rows: int, columns: int) -> list[np.ndarray]:
    """Spectra (rows, columns // 2 + 1) of the Gabor filters, ridges along k π / `_DIRECTIONS`."""
    fy, fx = np.fft.fftfreq(rows)[:, None], np.fft.rfftfreq(columns)[None, :]
    frequency = 1.0 / SAMPLES_PER_PERIOD
    spread = 1.0 / (2.0 * math.pi * _WIDTH * SAMPLES_PER_PERIOD)
    spectra = []
    for k in range(_DIRECTIONS):
        angle = k * math.pi / _DIRECTIONS
        across = (-math.sin(angle) * frequency, math.cos(angle) * frequency)
        lobes = [
            np.exp(-((fx - sign * across[0]) ** 2 + (fy - sign * across[1]) ** 2) / (2.0 * spread**2))
            for sign in (1.0, -1.0)
        ]
        spectra.append(lobes[0] + lobes[1])
    return spectra
