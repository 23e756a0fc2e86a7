# SPDX-License-Identifier: GPL-3.0-or-later
"""Perlin noise in four dimensions, signed: OSL's ``noise("perlin", p, w)``.

Improved Perlin noise (K. Perlin, "Improving Noise", SIGGRAPH 2002) over the Jenkins hash of the lattice point, times
0.8344, the scale that OSL and Cycles give to the 4D form. Blender's *Noise Texture* in 4D with Detail 0, not
normalised, is the same function.
"""

import numpy as np

from ..parallel import side_by_side
from .grid import NEIGHBOURS_8, per_cell
from .hashing import hash_uint4

SCALE_4D = np.float32(0.8344)
_CHUNK = 1 << 16
"""Points at a time: what is looked up and added for them stays near the processor's cache."""

# At whole w each lattice point contributes at most |x| + |y| + |z|, whose weighted sum peaks at 3/2 in the middle of
# a cell with all eight gradients pointing there. Values above 1 need such an alignment of at least six of them: it
# happens about twice in ten million cells.
STRICT_BOUND = 1.5 * 0.8344


def _gradients() -> np.ndarray:
    """(32, 4) float32: the gradient for the low five bits of the hash, three of four axes with a sign each."""
    table = np.zeros((32, 4), dtype=np.float32)
    for h in range(32):
        axes = (0 if h < 24 else 1, 1 if h < 16 else 2, 2 if h < 8 else 3)
        for bit, axis in enumerate(axes):
            table[h, axis] = -1.0 if h & (1 << bit) else 1.0
    return table


_GRADIENTS = _gradients()


def perlin_4d(points: np.ndarray, w: float) -> np.ndarray:
    """Signed Perlin noise at (points, w): (N, 3) float32 and one float32 -> (N,) float32, zero at lattice points.

    Coordinates must stay below 2^24 in magnitude, where float32 still counts whole numbers.
    """
    points = np.asarray(points, dtype=np.float32)
    if len(points) <= _CHUNK:
        return _perlin_chunk(points, w)
    starts = range(0, len(points), _CHUNK)
    return np.concatenate(side_by_side(lambda start: _perlin_chunk(points[start : start + _CHUNK], w), starts))


def _perlin_chunk(points: np.ndarray, w: float) -> np.ndarray:
    """`perlin_4d` for points that are float32 and not too many."""
    floor = np.floor(points)
    base, offset = floor.astype(np.int32), points - floor
    w_floor = np.floor(np.float32(w))
    w_offset = np.float32(w) - w_floor

    low = _perlin_slice(base, offset, int(w_floor), w_offset)
    if w_offset == 0.0:  # the other slice would get the weight 0
        return SCALE_4D * low
    high = _perlin_slice(base, offset, int(w_floor) + 1, w_offset - np.float32(1.0))
    return SCALE_4D * _mix(low, high, _fade(w_offset))


def _perlin_slice(base: np.ndarray, offset: np.ndarray, w: int, w_offset: np.float32) -> np.ndarray:
    """Trilinear blend of the eight lattice points at one whole w."""
    w_word = np.uint32(w & 0xFFFFFFFF)
    gradient = per_cell(
        base, NEIGHBOURS_8, lambda c: _GRADIENTS[hash_uint4(*(c.view(np.uint32).T), w_word) & np.uint32(31)]
    )

    def corner(i, j, k):
        g = gradient((i, j, k))
        x, y, z = (offset[:, axis] - np.float32(step) for axis, step in enumerate((i, j, k)))
        return g[:, 0] * x + g[:, 1] * y + g[:, 2] * z + g[:, 3] * w_offset

    u, v, t = (_fade(offset[:, axis]) for axis in range(3))
    bottom, top = (
        _mix(_mix(corner(0, 0, k), corner(1, 0, k), u), _mix(corner(0, 1, k), corner(1, 1, k), u), v) for k in (0, 1)
    )
    return _mix(bottom, top, t)


def _fade(t):
    return t * t * t * (t * (t * np.float32(6.0) - np.float32(15.0)) + np.float32(10.0))


def _mix(a, b, t):
    return (np.float32(1.0) - t) * a + t * b
