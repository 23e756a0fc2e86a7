# SPDX-License-Identifier: GPL-3.0-or-later
"""Satellite drops: small stains that a splash left around a large one.

A second jittered grid, of edge G_s = 3.2 r_s, with one place in each cell and draws (x, y, z) = hash3(cell, seed + 5):

    centre   c = (cell + hash3(cell, seed + 4)) G_s
    radius   ρ = r_s (0.15 + 0.85 x⁴)
    is there where z <= ς (1 - D / L) and D >= 0; D is how far c lies from the mean outline of the stain of the large
             grid whose cell holds c, or of the one given stain; nothing where that cell is empty

So a drop belongs to one stain, is there whole or not at all, and none lies on a mean outline. With its soft outline a
drop ends at 1.5 r_s < 0.499 G_s, so the eight cells around a point are enough. Lengths in metres, float32.
"""

import numpy as np

from ..noise.grid import cell_of, centres_of, nearest_centre, vector_length
from ..noise.hashing import white_noise_color
from .parameters import SATELLITE_CELL, ShaderValues

LEAST = 0.15
"""Radius of the smallest drop over that of the largest."""
_ONE = np.float32(1.0)


def satellite_cell(v: ShaderValues) -> np.float32:
    """G_s."""
    return v.satellite_radius * np.float32(SATELLITE_CELL)


def nearest_satellite(points: np.ndarray, v: ShaderValues, excess_over_outline, neighbours: int = 8):
    """The drop that each point is deepest in or nearest to.

    points: (N, 3). excess_over_outline: (M, 3) centres -> (M,) metres to the mean outline of the large stain that they
    belong to. Returns |p - c| - ρ (N,), ρ (N,) and the cells (N, 3) float32.
    """
    size = satellite_cell(v)
    excess, cell = nearest_centre(
        points, size, v.seed + np.float32(4.0), neighbours, length=vector_length,
        handicap=lambda cells: radii(cells, v),
        present=lambda cells: is_there(cells, v, excess_over_outline),
    )
    return excess, radii(cell, v), cell


def radii(cells: np.ndarray, v: ShaderValues) -> np.ndarray:
    """ρ of the drops of cells (M, 3) -> (M,)."""
    square = np.square(draws(cells, v)[..., 0])
    return v.satellite_radius * (square * square * np.float32(1.0 - LEAST) + np.float32(LEAST))


def draws(cells: np.ndarray, v: ShaderValues) -> np.ndarray:
    """For radius, strength and presence of each drop: (M, 3) float32 cells -> (M, 3) in [0, 1]."""
    return white_noise_color(cells, v.seed + np.float32(5.0))


def is_there(cells: np.ndarray, v: ShaderValues, excess_over_outline) -> np.ndarray:
    """Which cells (M, 3) hold a drop: (M,) bool."""
    away = excess_over_outline(centres_of(cells, satellite_cell(v), v.seed + np.float32(4.0)))
    chance = v.satellites * (_ONE - away / v.satellite_distance)
    return (away >= 0.0) & (draws(cells, v)[..., 2] <= chance)


def main_cell(centres: np.ndarray, v: ShaderValues) -> np.ndarray:
    """The cell of the large grid that holds each centre, (M, 3) float32."""
    return cell_of(centres, v.cell_size)
