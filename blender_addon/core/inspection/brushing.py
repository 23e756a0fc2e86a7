# SPDX-License-Identifier: GPL-3.0-or-later
"""The brushed surface as a field over the plate, and baked to a texture that follows the grain.

After the idea of a parallel texture model: grooves of random width, position, depth and length, superposed over
scales. In grain space, a along and c across the grain (mm), every scale of spacing s and mean length l has

    q       = (c + tan(lean) a + w(a)) / s      w bends all grooves of a plate alike, by some 10 µm
    place   = q + g(q)                          g spreads the rows: even ones would stand out of the spectrum
    row     = floor(place)                      grooves lie end to end in it
    run     = a / (l m(row)) + o(row),  segment = floor(run)
    t       = (place - row - centre) / half     centre, half width and depth drawn per (row, segment)
    h       = -D (1 - t²)² E,  E = 1 - (2 (run - segment) - 1)⁴
    dh/dc   = D 4 t (1 - t²) E / (half s)       what bends the normal; dh/da is a thousandth of it and left out

All draws are the one hash of (row, segment, scale, seed): nothing tiles, and a groove is the same in every picture of
its plate. Along the grain the field changes over millimetres, across it over micrometres, and so do the texels.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..noise.hashing import white_noise_color
from ..noise.perlin import perlin_4d
from ..parallel import side_by_side
from ..seeding import uniform
from .plate import Surface

SCALES = 6
_STEEPNESS = (1.0, 1.3, 1.4, 1.2, 0.8, 0.5)
"""Of an average groove, by scale."""
_TAIL = (1, 1, 2, 3, 4, 4)
"""Depth is a uniform draw to this power, over its mean: fine grooves lie everywhere, few of the wide ones are deep."""
_STEEPEST = 1.5396
"""The greatest value of 4 t (1 - t²), at t = 1/√3."""
_NARROWING = 0.8
"""Share of the spacing that a groove takes, from one scale to the next: wide rows hold lone scratches."""
_BANDS = ((4.0, 0.6), (0.7, 0.4))
"""Width across the grain in mm, and weight, of the bands of other reflectance and roughness."""
_BAND_LENGTH_MM = 60.0
_WAVES = ((0.011, 47.0), (0.005, 19.0), (0.002, 7.3))
"""Amplitude and length in mm of w(a)."""

_SPREADS = ((0.2, 5.3), (0.45, 13.7), (1.2, 41.3))
"""Amplitude and length, in spacings, of g(q). The row spacing varies by 62 % at most, so rows keep their order."""

_TEXELS_PER_SPACING = 12
_TEXEL_ALONG_MM = 0.4
"""At most; less where grooves lean so much that they would cross a texel within one."""
_TEXELS_PER_PIXEL = 16
_LARGEST_SIDE = 16384
_BLOCK_ROWS = 512


@dataclass(frozen=True)
class GrainTexture:
    """The surface over a rectangle of grain space.

    `values` (rows, columns, 2) float32: dh/dc, and the signed relative variation of the bands. Row r, column k is the
    field at c = corner_mm[1] + (r + 1/2) step_mm[1], a = corner_mm[0] + (k + 1/2) step_mm[0].
    """

    values: np.ndarray
    corner_mm: tuple[float, float]
    step_mm: tuple[float, float]

    @property
    def size_mm(self) -> tuple[float, float]:
        """Extent along and across the grain."""
        rows, columns = self.values.shape[:2]
        return columns * self.step_mm[0], rows * self.step_mm[1]


def to_grain(points_mm: np.ndarray, surface: Surface) -> tuple[np.ndarray, np.ndarray]:
    """Plate space (..., 2) in mm -> (a, c), each (...)."""
    angle = math.radians(surface.grain_angle_deg)
    x, y = points_mm[..., 0], points_mm[..., 1]
    return math.cos(angle) * x + math.sin(angle) * y, math.cos(angle) * y - math.sin(angle) * x


def groove_slope(along: np.ndarray, across: np.ndarray, surface: Surface) -> np.ndarray:
    """dh/dc at points of grain space; `along` and `across` in mm broadcast -> float32."""
    along, across = (np.asarray(value, dtype=np.float32) for value in (along, across))
    bent = across + _waves(along, surface.seed)
    return sum(_one_scale(along, bent, surface, scale) for scale in range(SCALES))


def bands(along: np.ndarray, across: np.ndarray, surface: Surface) -> np.ndarray:
    """Signed relative variation of reflectance, (...) float32, smooth along the grain."""
    along, across = np.broadcast_arrays(along, across)
    total = np.zeros(along.shape, dtype=np.float32)
    for width_mm, weight in _BANDS:
        points = np.stack([along / _BAND_LENGTH_MM, across / width_mm, np.full(along.shape, width_mm)], axis=-1)
        noise = perlin_4d(points.reshape(-1, 3), float(surface.seed)).reshape(along.shape)
        total += np.float32(weight * surface.streak_contrast) * noise
    return total


@lru_cache(maxsize=2)
def bake_grain(
    surface: Surface, left_mm: float, right_mm: float, bottom_mm: float, top_mm: float, coarsen: int = 1
) -> GrainTexture:
    """The surface over the rectangle `left_mm` .. `right_mm` along, `bottom_mm` .. `top_mm` across the grain.

    Texels are point samples; `coarsen` leaves out all but every n-th row, which keeps the statistics of the slopes.
    Texels lie on one lattice for all rectangles, so that pictures of neighbouring places see the same surface. They are
    coarser where the rectangle would have more than 16,384 rows, the largest texture of many graphics processors.
    """
    step_c = surface.finest_spacing_um * 1e-3 / _TEXELS_PER_SPACING
    step_a = min(_TEXEL_ALONG_MM, step_c / max(math.tan(math.radians(surface.angle_spread_deg)), 1e-6))
    step_c *= coarsen
    step_c *= math.ceil((top_mm - bottom_mm) / step_c / (_LARGEST_SIDE - 2))
    first_a, first_c = math.floor(left_mm / step_a) - 1, math.floor(bottom_mm / step_c) - 1
    columns, rows = math.ceil(right_mm / step_a) + 1 - first_a, math.ceil(top_mm / step_c) + 1 - first_c
    along = (first_a + np.arange(columns) + 0.5) * step_a
    across = (first_c + np.arange(rows) + 0.5) * step_c
    values = np.empty((rows, columns, 2), dtype=np.float32)

    def fill(start: int) -> None:
        block = slice(start, start + _BLOCK_ROWS)
        values[block, :, 0] = groove_slope(along[None, :], across[block, None], surface)

    side_by_side(fill, range(0, rows, _BLOCK_ROWS))
    values[..., 1] = _smooth_bands(along, across, surface)
    values.setflags(write=False)
    return GrainTexture(values, (first_a * step_a, first_c * step_c), (step_a, step_c))


def coarsening(surface: Surface, pixel_um: float) -> int:
    """How much coarser the texture may be for pixels of this size: as long as each one covers 16 rows of texels."""
    return max(1, int(pixel_um * _TEXELS_PER_SPACING / (surface.finest_spacing_um * _TEXELS_PER_PIXEL)))


def _waves(along: np.ndarray, seed: int) -> np.ndarray:
    total = np.float32(0.0)
    for k, (size, length) in enumerate(_WAVES):
        total = total + size * np.sin(2.0 * math.pi * (along / length + uniform(seed, k, "groove wave")))
    return total.astype(np.float32)


def _spread(place: np.ndarray, seed: int, scale: int) -> np.ndarray:
    total = np.float32(0.0)
    for k, (size, length) in enumerate(_SPREADS):
        phase = 2.0 * math.pi * uniform(seed, scale, f"groove spread {k}")
        total = total + np.float32(size) * np.sin(place * np.float32(2.0 * math.pi / length) + np.float32(phase))
    return total


def _one_scale(along: np.ndarray, across: np.ndarray, surface: Surface, scale: int) -> np.ndarray:
    """dh/dc of the grooves of one scale."""
    spacing = surface.finest_spacing_um * 1e-3 * surface.scale_ratio**scale
    length = surface.groove_length_mm * surface.scale_ratio ** (0.25 * scale)
    lean = (2.0 * uniform(surface.seed, scale, "groove angle") - 1.0) * surface.angle_spread_deg
    place = (across + along * np.float32(math.tan(math.radians(lean)))) * np.float32(1.0 / spacing)
    place = place + _spread(place, surface.seed, scale)
    row = np.floor(place)
    place = place - row

    first_row = int(row.min())
    row = (row - np.float32(first_row)).astype(np.int32)
    rows = np.arange(first_row, first_row + int(row.max()) + 1, dtype=np.float32) + 0.0
    start, stretch, _ = _draws(rows, np.zeros_like(rows), scale, surface.seed)
    rate = (1.0 / (length * (0.5 + stretch))).astype(np.float32)
    run = along * rate[row] + start[row]
    segment = np.floor(run)
    run = run - segment

    first = int(segment.min())
    segments = np.arange(first, int(segment.max()) + 1, dtype=np.float32) + 0.0
    cell = row * np.int32(len(segments)) + (segment - np.float32(first)).astype(np.int32)
    width, position, depth = _draws(rows[:, None], segments[None, :], scale + SCALES, surface.seed)
    half = np.minimum(surface.groove_width * _NARROWING**scale * (0.3 + 0.4 * width), 0.49).astype(np.float32).ravel()
    centre = half + position.ravel() * (1.0 - 2.0 * half)
    power = _TAIL[scale]
    steepness = surface.groove_slope * _STEEPNESS[scale] * (power + 1) / 2.0 * 4.0 / _STEEPEST
    weight = (depth.ravel() ** power * np.float32(steepness)).astype(np.float32)

    t = (place - centre[cell]) / half[cell]
    np.clip(t, -1.0, 1.0, out=t)
    flank = t - t * t * t
    ramp = 2.0 * run - 1.0
    ramp *= ramp
    return flank * (1.0 - ramp * ramp) * weight[cell]


def _draws(row: np.ndarray, segment: np.ndarray, stream: int, seed: int) -> np.ndarray:
    """Three draws in [0, 1] for each (row, segment): (3, ...) float32."""
    row, segment = np.broadcast_arrays(row, segment)
    key = np.stack([row, segment, np.full(row.shape, stream, dtype=np.float32)], axis=-1)
    return np.moveaxis(white_noise_color(key, np.float32(seed)), -1, 0)


def _smooth_bands(along: np.ndarray, across: np.ndarray, surface: Surface) -> np.ndarray:
    """`bands` on the lattice along x across -> (rows, columns): linear between every so many points."""
    coarse_a = np.arange(along[0] - 1.0, along[-1] + 5.0, 4.0)
    coarse_c = np.arange(across[0] - 0.1, across[-1] + 0.2, 0.1)
    coarse = bands(coarse_a[None, :], coarse_c[:, None], surface)
    by_column = np.stack([np.interp(along, coarse_a, line) for line in coarse])
    place = (across - coarse_c[0]) / 0.1
    low = np.floor(place).astype(int)
    share = (place - low)[:, None].astype(np.float32)
    return (1.0 - share) * by_column[low] + share * by_column[low + 1]
