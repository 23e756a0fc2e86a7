# SPDX-License-Identifier: GPL-3.0-or-later
"""Where on a plate a stain can be at all: a coarse map that is never wrong in saying no."""

import math
from functools import lru_cache

import numpy as np

from ..noise.grid import nearest_centre
from ..noise.perlin import STRICT_BOUND
from .field import excess_over_outline, larger_radius, stain_is_present, stretched_length
from .parameters import StainParameters
from .satellites import nearest_satellite, satellite_cell

_FINEST_TILES = 16
"""Tiles along a stain's smallest diameter worth looking at: a finer map would not exclude much more."""


def tile_size_mm(parameters: StainParameters) -> float:
    """Edge of the tiles: a fraction of the mean radius, between 0.25 and 1 mm."""
    return min(max(2.0 * parameters.radius_mm / _FINEST_TILES, 0.25), 1.0)


@lru_cache(maxsize=2)
def reach_map(parameters: StainParameters, low_mm: tuple, high_mm: tuple) -> np.ndarray:
    """Which tiles of a box may hold a point inside a stain.

    Args:
        parameters: the stain.
        low_mm, high_mm: two corners (x, y, z) of the box in object space.

    Returns:
        (rows, columns) bool, row 0 at low y, column 0 at low x; a tile spans the whole height of the box. False is
        certain: a stain's outline is at most r' = r + dr + 1.2516 A (the strict bound of the noise) and half of its
        width, and the stretched distance changes by no more than the way that one goes. The box is flat: where stains
        lie along a surface, its normal is taken to be z.
    """
    tile = tile_size_mm(parameters)
    counts = [max(1, math.ceil((high - low) / tile)) for low, high in zip(low_mm[:2], high_mm[:2], strict=True)]
    x, y = ((low + (np.arange(n) + 0.5) * (high - low) / n) / 1000.0
            for low, high, n in zip(low_mm[:2], high_mm[:2], counts, strict=True))
    z = (low_mm[2] + high_mm[2]) / 2000.0
    centres = np.stack([*np.meshgrid(x, y), np.full((counts[1], counts[0]), z)], axis=-1)
    size = [(high - low) / n for low, high, n in zip(low_mm, high_mm, (*counts, 1), strict=True)]
    half_diagonal = 0.5 * math.hypot(*size) / 1000.0

    v = parameters.in_metres()
    points, up = centres.reshape(-1, 3).astype(np.float32), np.array([[0.0, 0.0, 1.0]], np.float32)
    if v.cell_size is None:
        excess = stretched_length(points - v.centre, v, up)
    elif half_diagonal > float(v.cell_size):
        return _fixed(np.ones((counts[1], counts[0]), dtype=bool))  # several stains in every tile
    else:
        excess, _ = nearest_centre(
            points, v.cell_size, v.seed, neighbours=125,
            length=lambda vectors: stretched_length(vectors, v, up),
            handicap=lambda cells: larger_radius(cells, v),
            present=lambda cells: stain_is_present(cells, v),
        )
    outline = float(v.radius) + STRICT_BOUND * float(v.noise_amplitude) + 0.5 * float(v.edge_width)
    near = excess <= outline + half_diagonal * 1.001
    if v.satellites > 0.0:
        near |= _near_satellite(points, v, half_diagonal * 1.001)
    return _fixed(near.reshape(counts[1], counts[0]))


def _near_satellite(points: np.ndarray, v, way: float) -> np.ndarray:
    """Which points (N, 3) have a small drop within `way`, its soft outline included: (N,) bool."""
    if way > float(satellite_cell(v)):
        return np.ones(len(points), dtype=bool)  # several places in every tile
    excess, _, _ = nearest_satellite(points, v, lambda centres: excess_over_outline(centres, v), neighbours=125)
    return excess <= 0.5 * float(v.satellite_radius) + way


def _fixed(tiles: np.ndarray) -> np.ndarray:
    """The map is kept for the next who asks, so nobody may change it."""
    tiles.setflags(write=False)
    return tiles
