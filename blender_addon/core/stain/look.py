# SPDX-License-Identifier: GPL-3.0-or-later
"""What makes a stain look dried: sizes and strengths drawn unevenly, a broken rim, an outline of finite width.

For draws x in [0, 1], noise P and the smoothstep σ(t) = t² (3 - 2t) between 0 and 1:

    uneven draws     x + skew (x⁴ - x)                    skew 1: half of them below 1/16
    rim and rings    times 1 - σ((κ' - P) / 0.2 + 1/2),   κ' = 0.55 (2 κ - 1); P = Perlin(p f, seed) of its own
    outline          S times σ((r' - d) / w + 1/2),       w the least of the width δ and r'; the mask stays d <= r'
    scatter          S τ, at least 0 and at most 1

Sources are in docs/stain.md.
"""

import numpy as np

from ..noise.perlin import perlin_4d
from .parameters import ShaderValues

RIM_SHIFT = (29.0, 83.0, 131.0)
"""Lattice cells between the noise of the outline and that which breaks the rim."""
GAP_RANGE, GAP_WIDTH = 0.55, 0.2
"""Nearly all of the noise lies within ± the first; the second is how far it goes from whole rim to none."""
_ONE, _HALF = np.float32(1.0), np.float32(0.5)


def uneven(draw: np.ndarray, skew: np.float32) -> np.ndarray:
    """Draws in [0, 1], more of them small the larger the skew; float32 of any shape."""
    if skew == 0.0:
        return draw
    square = draw * draw
    return draw + (square * square - draw) * skew


def rim_left(p: np.ndarray, v: ShaderValues) -> np.ndarray | np.float32:
    """What is left of rim and rings at points (N, 3), 0 to 1."""
    if v.rim_gaps == 0.0:
        return _ONE
    shifted = p * v.rim_gap_frequency + np.array(RIM_SHIFT, dtype=np.float32)
    threshold = v.rim_gaps * np.float32(2.0 * GAP_RANGE) - np.float32(GAP_RANGE)
    gap = (threshold - perlin_4d(shifted, v.seed)) * np.float32(1.0 / GAP_WIDTH) + _HALF
    return _ONE - smoothstep(gap)


def edge_share(d: np.ndarray, r: np.ndarray, v: ShaderValues) -> np.ndarray:
    """How much of the stain there is across its outline: 1 well inside, 1/2 on it, 0 outside; where r is positive."""
    width = np.minimum(v.edge_width, r)
    return smoothstep((r - d) / width + _HALF)


def smoothstep(t: np.ndarray) -> np.ndarray:
    """0 below 0, 1 above 1, float32."""
    t = np.clip(t, np.float32(0.0), _ONE)
    return t * t * (np.float32(3.0) - (t + t))
