# SPDX-License-Identifier: GPL-3.0-or-later
"""The water stain: a solid texture whose mask is exact (Algorithm 1 of the paper).

For a surface point p in object space, with float32 arithmetic throughout:

    r' = r + Perlin(p f, seed) A                     the wavy outline
    d  = |p - c|                                     one given centre c, or
    d  = min |p - c_i|, 27 neighbouring cells        one centre per cell of a jittered grid of size G
    inside: d <= r' (and r' > 0)
    d^ = d / r',  R_out = R_in + d^^decay intensity  inside; R_in elsewhere

``shaders/water_stain.osl`` and the node group of ``scene/stain_nodes.py`` are the same function, line by line.
"""

import math
import numbers
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np

from .errors import UserError
from .grid import nearest_centre, squared_length
from .hashing import white_noise_value
from .noise import STRICT_BOUND, perlin_4d

SEED_LIMIT = 2**24
"""Seeds are whole numbers below this: float32, the only number type of the node group, counts exactly up to here."""

PORTABLE_SEED_LIMIT = 100_000
"""Draw seeds below this: in newer Blenders the Noise Texture node repeats every 100,000 units on each axis."""

MAX_CELL_INDEX = 2.0**23
_CHUNK = 1 << 16  # points at a time: the working set stays near the processor's cache, whatever the image size


class Field(NamedTuple):
    """What a panel or a recipe needs to know about one parameter. Ranges are (lowest, highest), inclusive."""

    name: str
    symbol: str
    unit: str
    hard: tuple[float, float]
    soft: tuple[float, float]
    default: float | None
    tooltip: str


FIELDS = (
    Field("radius_mm", "r", "mm", (1e-6, 1e4), (0.5, 20.0), 4.0, "Mean radius of a stain before the noise"),
    Field("noise_frequency_per_mm", "f", "1/mm", (0.0, 100.0), (0.02, 2.0), 0.25,
          "How fast the outline wavers: Perlin lattice cells per millimetre"),
    Field("noise_amplitude_mm", "A", "mm", (0.0, 1e4), (0.0, 5.0), 1.5,
          "How far the outline moves in or out of the mean radius"),
    Field("decay", "γ", "", (0.0, 100.0), (0.25, 8.0), 2.0,
          "Power of the fade from the rim to the centre: 0 is flat, large values leave only a rim"),
    Field("intensity", "α", "", (-100.0, 100.0), (-1.0, 1.0), -0.3,
          "What is added to the reflectance at the rim: negative darkens, positive brightens"),
    Field("seed", "s", "", (0, SEED_LIMIT - 1), (0, PORTABLE_SEED_LIMIT - 1), 0,
          "Draws the centres and the noise; another seed, another set of stains"),
    Field("cell_size_mm", "G", "mm", (1e-6, 1e5), (5.0, 60.0), 20.0,
          "Edge of the grid cells with one stain centre in each; at least radius plus amplitude"),
    Field("centre_mm", "c", "mm", (-1e5, 1e5), (-100.0, 100.0), None,
          "Centre of a single stain in object space (x, y, z), instead of the grid"),
)  # fmt: skip


@dataclass(frozen=True)
class StainParameters:
    """The symbols of Algorithm 1. Exactly one of ``cell_size_mm`` (grid) and ``centre_mm`` (one stain) is given.

    Ranges and meanings: ``FIELDS``. Raises UserError for values out of range and for a grid whose cells are smaller
    than radius + amplitude, since a stain could then reach beyond the neighbouring cells.
    """

    radius_mm: float
    noise_frequency_per_mm: float
    noise_amplitude_mm: float
    decay: float
    intensity: float
    seed: int
    cell_size_mm: float | None = None
    centre_mm: tuple[float, float, float] | None = None

    def __post_init__(self):
        for field in FIELDS:
            value = getattr(self, field.name)
            if field.name == "seed":
                object.__setattr__(self, "seed", _whole_number(field, value))
            elif field.name == "centre_mm" and value is not None:
                object.__setattr__(self, "centre_mm", _point(field, value))
            elif value is not None or field.name not in ("centre_mm", "cell_size_mm"):
                object.__setattr__(self, field.name, _number(field, value))
        if (self.cell_size_mm is None) == (self.centre_mm is None):
            raise UserError("stain: give either cell_size_mm (a grid of stains) or centre_mm (one stain), not both")
        if self.cell_size_mm is not None and self.reach_mm > self.cell_size_mm * (1 + 1e-9):
            raise UserError(
                f"stain: radius_mm + noise_amplitude_mm = {self.reach_mm:g} mm reaches beyond the neighbouring cells "
                f"of cell_size_mm = {self.cell_size_mm:g} mm; enlarge the cell or shrink the stain"
            )

    @property
    def reach_mm(self) -> float:
        """r + A, the largest radius that the outline is meant to have."""
        return self.radius_mm + self.noise_amplitude_mm

    @property
    def neighbours(self) -> int:
        """Cells that the shaders search: 27, or 8 where every r' stays within G/2 whatever the noise; 0 without a grid.

        Inside the stains both searches give the same bits; outside, the 8-cell distance may be too large.
        """
        if self.cell_size_mm is None:
            return 0
        return 8 if self.radius_mm + STRICT_BOUND * self.noise_amplitude_mm <= 0.499 * self.cell_size_mm else 27

    def in_metres(self) -> "ShaderValues":
        """The float32 numbers that all three implementations compute with."""
        return ShaderValues(
            radius=_metres(self.radius_mm),
            noise_frequency=np.float32(self.noise_frequency_per_mm * 1000.0),
            noise_amplitude=_metres(self.noise_amplitude_mm),
            decay=np.float32(self.decay),
            intensity=np.float32(self.intensity),
            seed=np.float32(self.seed),
            cell_size=None if self.cell_size_mm is None else _metres(self.cell_size_mm),
            centre=None if self.centre_mm is None else np.array([_metres(x) for x in self.centre_mm]),
        )


class ShaderValues(NamedTuple):
    """Parameters in Blender units: metres and 1/metres, rounded once from float64 (mm / 1000, per_mm * 1000)."""

    radius: np.float32
    noise_frequency: np.float32
    noise_amplitude: np.float32
    decay: np.float32
    intensity: np.float32
    seed: np.float32
    cell_size: np.float32 | None
    centre: np.ndarray | None


@dataclass(frozen=True)
class StainField:
    """The field at N points. Lengths in metres; arrays of length N, float32 unless noted."""

    inside: np.ndarray
    """bool: the mask."""
    distance: np.ndarray
    """d, to the nearest centre."""
    boundary: np.ndarray
    """r', the outline's radius there; may be negative, where there is no stain."""
    normalised_distance: np.ndarray
    """d / r' inside, 0 outside."""
    reflectance_delta: np.ndarray
    """What the stain adds to the reflectance; 0 outside."""
    instance_hash: np.ndarray
    """One value in [0, 1] per stain, 0 outside."""
    cell: np.ndarray
    """int32 (N, 3): the cell of the nearest centre; zeros for one given centre."""


def stain_field(points: np.ndarray, parameters: StainParameters, neighbours: int = 27) -> StainField:
    """Evaluate the stain at object-space points.

    points: (N, 3), taken as float32, in metres (Blender units); x, y, z. Points that are not finite (rays that hit
    nothing) are outside, at distance inf. ``neighbours=8`` is faster and equal inside the stains where
    ``parameters.neighbours`` says so. Memory beyond the result is bounded, however many points there are.
    """
    points = np.asarray(points, dtype=np.float32)
    if points.ndim != 2 or points.shape[1] != 3:
        raise UserError(f"stain: expected points of shape (N, 3) in metres, got {points.shape}")
    values = parameters.in_metres()
    _check_extent(points, values)

    result = _empty_field(len(points))
    for start in range(0, len(points), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        finite = np.isfinite(points[chunk]).all(axis=1)
        part = _evaluate(points[chunk][finite], values, neighbours)
        for field in fields(StainField):
            getattr(result, field.name)[chunk][finite] = getattr(part, field.name)
    return result


def _evaluate(p: np.ndarray, v: ShaderValues, neighbours: int) -> StainField:
    """Algorithm 1 for one chunk of finite points."""
    if v.cell_size is None:
        d, cell = np.sqrt(squared_length(p - v.centre)), np.zeros_like(p)
    else:
        d, cell = nearest_centre(p, v.cell_size, v.seed, neighbours)

    r = v.radius + perlin_4d(p * v.noise_frequency, v.seed) * v.noise_amplitude
    inside = (d <= r) & (r > 0)

    d_hat = np.where(inside, d / np.where(inside, r, np.float32(1.0)), np.float32(0.0))
    delta = np.where(inside, d_hat**v.decay * v.intensity, np.float32(0.0))
    instance = np.zeros_like(d)
    instance[inside] = white_noise_value(cell[inside], v.seed + np.float32(1.0))
    return StainField(inside, d, r, d_hat, delta, instance, cell.astype(np.int32))


def _empty_field(n: int) -> StainField:
    """No stain anywhere."""
    zeros = [np.zeros(n, dtype=np.float32) for _ in range(4)]
    return StainField(np.zeros(n, dtype=bool), np.full(n, np.inf, np.float32), *zeros, np.zeros((n, 3), np.int32))


def _check_extent(points: np.ndarray, values: ShaderValues) -> None:
    """Refuse coordinates at which float32 no longer resolves the grid or the noise."""
    extent = float(np.abs(points, where=np.isfinite(points), out=np.zeros_like(points)).max(initial=0.0))
    scale = max(float(values.noise_frequency), 0.0 if values.cell_size is None else 1.0 / float(values.cell_size))
    if extent * scale > MAX_CELL_INDEX:
        raise UserError(
            f"stain: a point lies {extent:g} m from the object's origin, too far for cells or noise this fine; "
            "give points in metres, move the origin nearer, or enlarge the cell"
        )


def _metres(mm: float) -> np.float32:
    return np.float32(mm / 1000.0)


def _number(field: Field, value) -> float:
    low, high = field.hard
    real = isinstance(value, numbers.Real) and not isinstance(value, bool | np.bool_)
    if not real or not math.isfinite(value) or not low <= value <= high:
        unit = f" {field.unit}" if field.unit else ""
        raise UserError(f"stain: {field.name} must be a number from {low:g} to {high:g}{unit}, got {value!r}")
    return float(value)


def _whole_number(field: Field, value) -> int:
    low, high = field.hard
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool | np.bool_)
    if not whole or not low <= value <= high:
        raise UserError(f"stain: {field.name} must be a whole number from {low} to {high}, got {value!r}")
    return int(value)


def _point(field: Field, value) -> tuple[float, float, float]:
    if not isinstance(value, list | tuple | np.ndarray) or len(value) != 3:
        raise UserError(f"stain: {field.name} must be three numbers (x, y, z) in mm, got {value!r}")
    x, y, z = (_number(field, component) for component in value)
    return x, y, z
