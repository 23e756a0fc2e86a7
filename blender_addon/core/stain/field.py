# SPDX-License-Identifier: GPL-3.0-or-later
"""The water stain: a solid texture whose mask is exact. Algorithm 1 of the paper, and what goes beyond it.

For a surface point p in object space, with float32 arithmetic throughout:

    d  = |p - c|                                     one given centre c, or
    d  = min |p - c_i|, 27 neighbouring cells        one centre per cell of a jittered grid of size G
    r' = r + Perlin(p f, seed) A                     the wavy outline
    inside: d <= r' (and r' > 0)
    d^ = d / r',  R_out = R_in + d^^decay intensity  inside; R_in elsewhere

Beyond the paper, each step off by default. Stain i has draws in [0, 1]: three by the hash of (cell, seed + 2), for its
radius, its strength and whether it is there, and one by that of (cell, seed + 3), for its decay; h_i is the one meant:

    |v|   becomes |v + a max(v.a, 0) (1/e - 1)|      elongation e towards a: the drop ran
    c_i   only where h_i <= density
    min   is over |p - c_i| - dr_i, dr_i = r spread (2 h_i - 1), and r' has + dr_i: stains of several sizes, the
          mask being the union of them all, a point belonging to the one that it is deepest in
    S     = d^^decay_i + gain (1 + u k / w)^-7       the strength: fade, rim and rings; u is the way inwards from the
          times (1 + contrast Perlin(p f', seed))    next of n + 1 evenly spaced edges; then the patches of the deposit
          times (1 + spread (2 h_i - 1))             and the stain's own strength
    R_out = R_in + S intensity,  roughness + S change,  height = S film_height (1 - d^^8)

What makes it look dried is in ``look.py`` (uneven draws, a broken rim, an outline of finite width, a film that
scatters) and ``satellites.py`` (small drops around it). A point outside of the large stain belongs to the small drop
near it if that is nearer, d - r' counting. The outline's width changes no mask: half of it lies outside, where d^ is 1.

    |v|   becomes (t^4 + (n / reach)^4)^(1/4), t over the surface and n along its normal: stains along the surface

The power -7: T. A. Witten, "Robust fadeout profile of an evaporation stain", EPL 86 (2009) 64002, gives
1 - 2 (h0 / mean h) (mean J / J0), here with the parabolic cap of a small drop (2) and diffusive evaporation (2).

``shaders/water_stain.osl`` and the node group of ``scene/stain_nodes.py`` are the same function, step by step.
"""

from dataclasses import dataclass, fields

import numpy as np

from ..errors import UserError
from ..noise.grid import centres_of, nearest_centre, vector_length
from ..noise.hashing import white_noise_color, white_noise_value
from ..noise.perlin import perlin_4d
from . import satellites
from .look import edge_share, rim_left, uneven
from .parameters import ShaderValues, StainParameters

RIM_HALF = np.float32(2.0 ** (1.0 / 7.0) - 1.0)
"""k: (1 + k)^-7 is a half, so that the rim's width is where it has faded to a half."""

NONE_NEAR = np.float32(1e8)
"""Metres: at or beyond this distance no neighbouring cell holds a stain, and there is no radius to speak of."""

DEPOSIT_SHIFT = (113.0, 47.0, 71.0)
"""Lattice cells between the noise of the outline and that of the deposit, so that they differ at equal frequencies."""

MAX_CELL_INDEX = 2.0**23
_CHUNK = 1 << 16  # points at a time: the working set stays near the processor's cache, whatever the image size
_ONE, _TWO = np.float32(1.0), np.float32(2.0)


@dataclass(frozen=True)
class StainField:
    """The field at N points. Lengths in metres; arrays of length N, float32 unless noted."""

    inside: np.ndarray
    """bool: the mask."""
    distance: np.ndarray
    """d, to the centre of the stain that the point belongs to or is nearest to; 1e9 where no cell near has one."""
    boundary: np.ndarray
    """r', the outline's radius there; may be negative, where there is no stain."""
    normalised_distance: np.ndarray
    """d / r' inside, 0 outside."""
    reflectance_delta: np.ndarray
    """What the stain adds to the reflectance; 0 outside, but for the outer half of a wide outline."""
    roughness_delta: np.ndarray
    """What the stain adds to the roughness, likewise."""
    scatter: np.ndarray
    """Share of the light that the film scatters widely, likewise; 0 to 1."""
    height: np.ndarray
    """Height of the deposit over the surface; 0 outside and on the outline."""
    instance_hash: np.ndarray
    """One value in [0, 1] per stain, 0 outside."""
    cell: np.ndarray
    """int32 (N, 3): the cell of the nearest centre; zeros for one given centre and where no cell near has one."""


def stain_field(
    points: np.ndarray, parameters: StainParameters, neighbours: int = 27, normals: np.ndarray | None = None
) -> StainField:
    """Evaluate the stain at object-space points.

    points: (N, 3), taken as float32, in metres (Blender units); x, y, z. Points that are not finite (rays that hit
    nothing) are outside, at distance inf. ``neighbours=8`` is faster and equal inside the stains where
    ``parameters.neighbours`` says so. Memory beyond the result is bounded, however many points there are.
    normals: (N, 3), unit vectors of the surface there; needed where ``normal_reach`` lets stains lie along it.
    """
    try:
        points = np.asarray(points, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise UserError(f"stain: expected points as numbers of shape (N, 3) in metres: {error}") from error
    if points.ndim != 2 or points.shape[1] != 3:
        raise UserError(f"stain: expected points of shape (N, 3) in metres, got {points.shape}")
    if neighbours not in (8, 27):
        raise UserError(f"stain: expected a search of 8 or 27 cells, got {neighbours!r}")
    values = parameters.in_metres()
    _check_extent(points, values)
    normals = _checked_normals(normals, points, values)

    result = _empty_field(len(points))
    for start in range(0, len(points), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        finite = np.isfinite(points[chunk]).all(axis=1)
        part = _evaluate(points[chunk][finite], values, neighbours, None if normals is None else normals[chunk][finite])
        for field in fields(StainField):
            getattr(result, field.name)[chunk][finite] = getattr(part, field.name)
    return result


def _evaluate(p: np.ndarray, v: ShaderValues, neighbours: int, normals: np.ndarray | None) -> StainField:
    """The whole model for one chunk of finite points."""
    def length(vectors):
        return stretched_length(vectors, v, normals)

    if v.cell_size is None:
        d, cell = length(p - v.centre), np.zeros_like(p)
        r, decay, strength = v.radius, v.decay, _ONE
    else:
        excess, cell = nearest_centre(
            p, v.cell_size, v.seed, neighbours, length=length,
            handicap=lambda cells: larger_radius(cells, v),
            present=None if v.density >= 1.0 else lambda cells: stain_is_present(cells, v),
        )
        larger = np.where(excess < NONE_NEAR, larger_radius(cell, v), np.float32(0.0))
        d, r = excess + larger, v.radius + larger
        strength, decay = _ONE, v.decay
        cell[excess >= NONE_NEAR] = 0.0
        if v.intensity_spread or v.decay_spread:
            strength = _ONE + _centred(uneven(_draws(cell, v)[..., 1], v.intensity_skew)) * v.intensity_spread
            draw = white_noise_value(cell, v.seed + np.float32(3.0))
            decay = v.decay * (_ONE + _centred(draw) * v.decay_spread)

    r = r + perlin_4d(p * v.noise_frequency, v.seed) * v.noise_amplitude
    instance_seed = v.seed + _ONE
    if v.satellites > 0.0:
        excess, small, small_cell = satellites.nearest_satellite(p, v, lambda centres: excess_over_outline(centres, v))
        taken = (d > r) & (excess < d - r)
        draw = uneven(satellites.draws(small_cell, v)[..., 1], v.intensity_skew)
        strength = np.where(taken, _ONE + _centred(draw) * v.intensity_spread, strength)
        decay = np.where(taken, v.decay, decay)
        d, r = np.where(taken, excess + small, d), np.where(taken, small, r)
        cell = np.where(taken[:, None], small_cell, cell)
        instance_seed = np.where(taken, v.seed + np.float32(6.0), instance_seed)
    inside = (d <= r) & (r > 0)

    if v.edge_width > 0.0:
        touched = (d <= r + np.float32(0.5) * np.minimum(v.edge_width, r)) & (r > 0)
        strength = strength * edge_share(d, np.where(touched, r, _ONE), v)
    else:
        touched = inside
    d_hat = np.minimum(np.where(touched, d / np.where(touched, r, _ONE), np.float32(0.0)), _ONE)
    marks = d_hat**decay + _rings(d_hat, v) * rim_left(p, v)
    strength = np.where(touched, marks * _deposit(p, v) * strength, np.float32(0.0))
    film = _ONE - np.square(np.square(np.square(d_hat)))
    instance = np.zeros_like(d)
    instance[inside] = white_noise_value(cell[inside], np.broadcast_to(instance_seed, d.shape)[inside])
    return StainField(
        inside=inside, distance=d, boundary=r, normalised_distance=np.where(inside, d_hat, np.float32(0.0)),
        reflectance_delta=strength * v.intensity, roughness_delta=strength * v.roughness_change,
        scatter=np.clip(strength * v.film_scatter, np.float32(0.0), _ONE),
        height=strength * v.film_height * film, instance_hash=instance, cell=cell.astype(np.int32),
    )


def excess_over_outline(centres: np.ndarray, v: ShaderValues) -> np.ndarray:
    """How far points lie from the mean outline of the stain whose cell holds them, or of the one given stain.

    (M, 3) metres -> (M,); far inside, where that cell is empty.
    """
    if v.cell_size is None:
        return vector_length(centres - v.centre) - v.radius
    cell = satellites.main_cell(centres, v)
    away = vector_length(centres - centres_of(cell, v.cell_size, v.seed)) - (v.radius + larger_radius(cell, v))
    return away if v.density >= 1.0 else np.where(stain_is_present(cell, v), away, -NONE_NEAR)


def stretched_length(vectors: np.ndarray, v: ShaderValues, normals: np.ndarray | None = None) -> np.ndarray:
    """|v|, counted 1/e-fold towards the side that the drop ran to: (N, 3) metres -> (N,).

    normals: (N, 3) or (1, 3), where stains lie along the surface.
    """
    if v.elongation != 1.0:
        towards = np.array([np.cos(v.elongation_direction), np.sin(v.elongation_direction), 0.0], dtype=np.float32)
        along = np.maximum(vectors[:, 0] * towards[0] + vectors[:, 1] * towards[1], np.float32(0.0))
        vectors = vectors + towards * (along * (_ONE / v.elongation - _ONE))[:, None]
    if v.normal_reach <= 1.0:
        return vector_length(vectors)
    deep = vectors[:, 0] * normals[:, 0] + vectors[:, 1] * normals[:, 1] + vectors[:, 2] * normals[:, 2]
    over = np.square(vector_length(vectors - normals * deep[:, None]))
    deep = np.square(deep / v.normal_reach)
    return np.sqrt(np.sqrt(over * over + deep * deep))


def _draws(cells: np.ndarray, v: ShaderValues) -> np.ndarray:
    """For radius, strength and presence of each stain: (..., 3) float32 cell indices -> (..., 3) in [0, 1]."""
    return white_noise_color(cells, v.seed + _TWO)


def _centred(draw: np.ndarray) -> np.ndarray:
    """[0, 1] -> [-1, 1]"""
    return draw * _TWO - _ONE


def larger_radius(cells: np.ndarray, v: ShaderValues) -> np.ndarray:
    """By how much the radius of each stain exceeds r, metres: (..., 3) float32 -> (...)."""
    if v.radius_spread == 0.0:
        return np.zeros(cells.shape[:-1], dtype=np.float32)
    return _centred(uneven(_draws(cells, v)[..., 0], v.radius_skew)) * (v.radius * v.radius_spread)


def stain_is_present(cells: np.ndarray, v: ShaderValues) -> np.ndarray:
    """Which cells hold a stain: (..., 3) float32 -> (...) bool."""
    return _draws(cells, v)[..., 2] <= v.density


def _rings(d_hat: np.ndarray, v: ShaderValues) -> np.ndarray | np.float32:
    """Rim and rings: each fades inwards from its own edge, as far as the next ring."""
    edges = v.ring_count + _ONE
    t = d_hat * edges
    edge = np.minimum(np.floor(t) + _ONE, edges)
    inwards = (edge - t) / edges
    ring_gain = v.ring_gain * np.float32(v.ring_count > 0)
    gain = v.rim_gain + (edge < edges) * (ring_gain - v.rim_gain)
    return gain / _seventh_power(_ONE + inwards * (RIM_HALF / v.rim_width))


def _seventh_power(x: np.ndarray) -> np.ndarray:
    """By products: the shaders' general power is less exact."""
    cube = x * x * x
    return cube * cube * x


def _deposit(p: np.ndarray, v: ShaderValues) -> np.ndarray | np.float32:
    """The patches of the deposit, 1 on average."""
    if v.deposit_contrast == 0.0:
        return _ONE
    shifted = p * v.deposit_frequency + np.array(DEPOSIT_SHIFT, dtype=np.float32)
    return _ONE + perlin_4d(shifted, v.seed) * v.deposit_contrast


def _empty_field(n: int) -> StainField:
    """No stain anywhere."""
    arrays = {field.name: np.zeros(n, dtype=np.float32) for field in fields(StainField)}
    arrays |= {"inside": np.zeros(n, dtype=bool), "cell": np.zeros((n, 3), np.int32)}
    return StainField(**{**arrays, "distance": np.full(n, np.inf, np.float32)})


def _checked_normals(normals, points: np.ndarray, values: ShaderValues) -> np.ndarray | None:
    """float32 (N, 3), or None where the stain has no use for them."""
    if values.normal_reach <= 1.0:
        return None
    if normals is None or np.shape(normals) != points.shape:
        raise UserError(f"stain: with normal_reach above 1 expected normals of shape {points.shape}, got "
                        f"{'none' if normals is None else np.shape(normals)}; give the surface's normals")
    return np.asarray(normals, dtype=np.float32)


def _check_extent(points: np.ndarray, values: ShaderValues) -> None:
    """Refuse coordinates at which float32 no longer resolves the grid or the noise."""
    extent = float(np.abs(points, where=np.isfinite(points), out=np.zeros_like(points)).max(initial=0.0))
    grid = 0.0 if values.cell_size is None else 1.0 / float(values.cell_size)
    deposit = float(values.deposit_frequency) if values.deposit_contrast else 0.0
    gaps = float(values.rim_gap_frequency) if values.rim_gaps else 0.0
    drops = 1.0 / float(satellites.satellite_cell(values)) if values.satellites else 0.0
    if extent * max(float(values.noise_frequency), deposit, gaps, drops, grid) > MAX_CELL_INDEX:
        raise UserError(
            f"stain: a point lies {extent:g} m from the object's origin, too far for cells or noise this fine; "
            "give points in metres, move the origin nearer, or enlarge the cell"
        )
