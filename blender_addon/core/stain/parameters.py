# SPDX-License-Identifier: GPL-3.0-or-later
"""The parameters of the water stain: names, units, ranges and words, once for recipes, records, sockets and panel."""

import math
import numbers
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..errors import UserError
from ..noise.perlin import STRICT_BOUND
from ..seeding import SEED_LIMIT

EXACT_SEED_LIMIT = 2**24
"""Seeds are whole numbers below this: float32, the only number type of the node group, counts exactly up to here.
(For the last six, further draws, which use up to seed + 6, round onto one another, in all implementations alike.)"""


class ParameterSpec(NamedTuple):
    """What a panel or a recipe needs to know about one parameter. Ranges are (lowest, highest), inclusive.

    A default that is an int makes the parameter a whole number. `group` is the sub-panel: "stain" (Algorithm 1),
    "distribution" (where stains are and how they differ) or "appearance" (what is inside the outline).
    """

    name: str
    symbol: str
    unit: str
    hard: tuple[float, float]
    soft: tuple[float, float]
    default: float | None
    group: str
    tooltip: str


STAIN_SPECS = (
    ParameterSpec("radius_mm", "r", "mm", (1e-6, 1e4), (0.5, 20.0), 4.0, "stain",
          "Mean radius of a stain before the noise"),
    ParameterSpec("noise_frequency_per_mm", "f", "1/mm", (0.0, 100.0), (0.02, 2.0), 0.25, "stain",
          "How fast the outline wavers: Perlin lattice cells per millimetre"),
    ParameterSpec("noise_amplitude_mm", "A", "mm", (0.0, 1e4), (0.0, 5.0), 1.5, "stain",
          "How far the outline moves in or out of the mean radius"),
    ParameterSpec("decay", "γ", "", (0.0, 100.0), (0.25, 8.0), 2.0, "stain",
          "Power of the fade from the rim to the centre: 0 is flat, large values leave only a rim"),
    ParameterSpec("intensity", "α", "", (-100.0, 100.0), (-1.0, 1.0), -0.3, "stain",
          "What is added to the reflectance at the rim: negative darkens, positive brightens"),
    ParameterSpec("seed", "s", "", (0, EXACT_SEED_LIMIT - 1), (0, SEED_LIMIT - 1), 0, "distribution",
          "Draws the centres and the noise; another seed, another set of stains"),
    ParameterSpec("cell_size_mm", "G", "mm", (1e-6, 1e5), (5.0, 60.0), 20.0, "distribution",
          "Edge of the grid cells with one stain centre in each; at least the reach of a stain"),
    ParameterSpec("centre_mm", "c", "mm", (-1e5, 1e5), (-100.0, 100.0), None, "distribution",
          "Centre of a single stain in object space (x, y, z), instead of the grid"),
    ParameterSpec("density", "ρ", "", (0.0, 1.0), (0.0, 1.0), 1.0, "distribution",
          "Share of the cells that hold a stain"),
    ParameterSpec("radius_spread", "σr", "", (0.0, 1.0), (0.0, 1.0), 0.0, "distribution",
          "Stains differ in radius, evenly up to this share of it: 0.5 is from half to one and a half times"),
    ParameterSpec("radius_skew", "κr", "", (0.0, 1.0), (0.0, 1.0), 0.0, "distribution",
          "How uneven the sizes are: 0 is as many large as small stains, 1 is many small ones and few large"),
    ParameterSpec("intensity_spread", "σα", "", (0.0, 1.0), (0.0, 1.0), 0.0, "distribution",
          "Stains differ in strength, evenly up to this share of it"),
    ParameterSpec("intensity_skew", "κα", "", (0.0, 1.0), (0.0, 1.0), 0.0, "distribution",
          "How uneven the strengths are: 0 is as many strong as faint stains, 1 is many faint ones and few strong"),
    ParameterSpec("decay_spread", "σγ", "", (0.0, 1.0), (0.0, 1.0), 0.0, "distribution",
          "Stains differ in decay, evenly up to this share of it"),
    ParameterSpec("satellites", "ς", "", (0.0, 1.0), (0.0, 1.0), 0.0, "distribution",
          "How many small drops lie around a stain: share of their places at its outline that are taken; 0 is none"),
    ParameterSpec("satellite_radius_mm", "rς", "mm", (1e-6, 1e4), (0.05, 1.0), 0.3, "distribution",
          "Radius of the largest of the small drops; most are far smaller"),
    ParameterSpec("satellite_distance_mm", "Lς", "mm", (1e-6, 1e4), (0.5, 10.0), 4.0, "distribution",
          "How far from a stain's outline the last of the small drops lie"),
    ParameterSpec("normal_reach", "ν", "", (1.0, 100.0), (1.0, 6.0), 1.0, "distribution",
          "How many times farther a stain reaches along the surface's normal than over it: 1 is the solid ball that "
          "the surface cuts, more lets stains lie along the surface in their full size"),
    ParameterSpec("edge_width_um", "δ", "µm", (0.0, 1e6), (0.0, 300.0), 0.0, "appearance",
          "Width over which the outline fades, the mask's edge at its middle; 0 is a step"),
    ParameterSpec("rim_gain", "b", "", (-100.0, 100.0), (0.0, 4.0), 0.0, "appearance",
          "Strength of the dried rim, as a multiple of the stain's own at the outline; 0 is no rim"),
    ParameterSpec("rim_width", "w", "", (1e-3, 1.0), (0.01, 0.3), 0.05, "appearance",
          "How far inside the outline rim and rings have faded to a half, as a share of the radius"),
    ParameterSpec("rim_gaps", "κ", "", (0.0, 1.0), (0.0, 1.0), 0.0, "appearance",
          "Share of the rim and the rings that is missing: where the edge of the drop did not stick"),
    ParameterSpec("rim_gap_frequency_per_mm", "fκ", "1/mm", (0.0, 100.0), (0.1, 3.0), 0.6, "appearance",
          "How often the rim breaks: Perlin lattice cells per millimetre"),
    ParameterSpec("ring_count", "n", "", (0, 16), (0, 6), 0, "appearance",
          "Rings inside the rim, evenly spaced: where a drying drop's edge stuck on its way inwards"),
    ParameterSpec("ring_gain", "b'", "", (-100.0, 100.0), (0.0, 4.0), 0.5, "appearance",
          "Strength of the rings, as a multiple of the stain's own at the outline"),
    ParameterSpec("deposit_contrast", "m", "", (0.0, 10.0), (0.0, 1.0), 0.0, "appearance",
          "How patchy the deposit is: 0 is even, 1 lets it vary from nothing to double"),
    ParameterSpec("deposit_frequency_per_mm", "f'", "1/mm", (0.0, 100.0), (0.1, 5.0), 1.0, "appearance",
          "How fine the patches are: Perlin lattice cells per millimetre"),
    ParameterSpec("elongation", "e", "", (1.0, 20.0), (1.0, 5.0), 1.0, "appearance",
          "How many times farther the stain reaches to the side that the drop ran to; 1 is round"),
    ParameterSpec("elongation_direction_deg", "φ", "°", (-360.0, 360.0), (-180.0, 180.0), -90.0, "appearance",
          "Where the drop ran to, in the object's xy plane, counter-clockwise from +x"),
    ParameterSpec("roughness_change", "β", "", (-1.0, 1.0), (-0.3, 0.3), 0.0, "appearance",
          "What is added to the roughness where the stain is at full strength"),
    ParameterSpec("film_height_um", "h", "µm", (-1000.0, 1000.0), (0.0, 20.0), 0.0, "appearance",
          "Height of the deposit where the stain is at full strength: it bends the normal"),
    ParameterSpec("film_scatter", "τ", "", (0.0, 10.0), (0.0, 1.0), 0.0, "appearance",
          "Share of the light that the deposit scatters widely where the stain is at full strength: dark where the "
          "metal mirrors the light, bright where it does not"),
)

_BY_NAME = {spec.name: spec for spec in STAIN_SPECS}
GRID_ONLY = (
    "cell_size_mm", "density", "radius_spread", "radius_skew", "intensity_spread", "intensity_skew", "decay_spread"
)
"""Parameters that tell stains of a grid apart; one given stain has none of them."""

LOOK = (
    "radius_skew", "intensity_skew", "satellites", "satellite_radius_mm", "satellite_distance_mm", "normal_reach",
    "edge_width_um", "rim_gaps", "rim_gap_frequency_per_mm", "film_scatter",
)
"""Parameters that came last, and that the shaders leave out while all of them are off."""
LOOKS = ("", "dried", "drops")
SATELLITE_CELL = 3.2
"""Edge of the cells of the small drops over the radius of the largest: no drop leaves the eight cells around it."""


def is_whole(spec: ParameterSpec) -> bool:
    """Whether the parameter counts something."""
    return isinstance(spec.default, int)


@dataclass(frozen=True)
class StainParameters:
    """The symbols of Algorithm 1, then what goes beyond it, all of which is off by default.

    Exactly one of ``cell_size_mm`` (grid) and ``centre_mm`` (one stain) is given. Ranges and meanings: ``STAIN_SPECS``.
    Raises UserError for values out of range and for a grid whose cells are smaller than the reach of a stain, which
    could then extend beyond the neighbouring cells.
    """

    radius_mm: float
    noise_frequency_per_mm: float
    noise_amplitude_mm: float
    decay: float
    intensity: float
    seed: int
    cell_size_mm: float | None = None
    centre_mm: tuple[float, float, float] | None = None
    density: float = _BY_NAME["density"].default
    radius_spread: float = _BY_NAME["radius_spread"].default
    radius_skew: float = _BY_NAME["radius_skew"].default
    intensity_spread: float = _BY_NAME["intensity_spread"].default
    intensity_skew: float = _BY_NAME["intensity_skew"].default
    decay_spread: float = _BY_NAME["decay_spread"].default
    satellites: float = _BY_NAME["satellites"].default
    satellite_radius_mm: float = _BY_NAME["satellite_radius_mm"].default
    satellite_distance_mm: float = _BY_NAME["satellite_distance_mm"].default
    normal_reach: float = _BY_NAME["normal_reach"].default
    edge_width_um: float = _BY_NAME["edge_width_um"].default
    rim_gain: float = _BY_NAME["rim_gain"].default
    rim_width: float = _BY_NAME["rim_width"].default
    rim_gaps: float = _BY_NAME["rim_gaps"].default
    rim_gap_frequency_per_mm: float = _BY_NAME["rim_gap_frequency_per_mm"].default
    ring_count: int = _BY_NAME["ring_count"].default
    ring_gain: float = _BY_NAME["ring_gain"].default
    deposit_contrast: float = _BY_NAME["deposit_contrast"].default
    deposit_frequency_per_mm: float = _BY_NAME["deposit_frequency_per_mm"].default
    elongation: float = _BY_NAME["elongation"].default
    elongation_direction_deg: float = _BY_NAME["elongation_direction_deg"].default
    roughness_change: float = _BY_NAME["roughness_change"].default
    film_height_um: float = _BY_NAME["film_height_um"].default
    film_scatter: float = _BY_NAME["film_scatter"].default

    def __post_init__(self):
        for spec in STAIN_SPECS:
            value = getattr(self, spec.name)
            if is_whole(spec):
                object.__setattr__(self, spec.name, _whole_number(spec, value))
            elif spec.name == "centre_mm" and value is not None:
                object.__setattr__(self, "centre_mm", _point(spec, value))
            elif value is not None or spec.name not in ("centre_mm", "cell_size_mm"):
                object.__setattr__(self, spec.name, _number(spec, value))
        if (self.cell_size_mm is None) == (self.centre_mm is None):
            raise UserError("stain: give either cell_size_mm (a grid of stains) or centre_mm (one stain), not both")
        spread = [name for name in GRID_ONLY[1:] if getattr(self, name) != _BY_NAME[name].default]
        if self.centre_mm is not None and spread:
            raise UserError(f"stain: {spread[0]} tells the stains of a grid apart; one stain at centre_mm has none")
        if self.cell_size_mm is not None and self.reach_mm > self.cell_size_mm * (1 + 1e-9):
            raise UserError(
                f"stain: {self._reach_in_words()} = {self.reach_mm:g} mm reaches beyond the neighbouring cells "
                f"of cell_size_mm = {self.cell_size_mm:g} mm; enlarge the cell or shrink the stain"
            )

    @property
    def reach_mm(self) -> float:
        """e (r (1 + σr) + A + δ/2) (1 + ν⁴)^¼, the farthest from its centre that a stain is meant to come; the last
        factor where it lies along the surface only."""
        return self._reach(1.0)

    @property
    def neighbours(self) -> int:
        """Cells that the shaders search: 27, or 8 where no stain reaches G/2 whatever the noise; 0 without a grid.

        Inside the stains both searches give the same bits; outside, the 8-cell distance may be too large.
        """
        if self.cell_size_mm is None:
            return 0
        return 8 if self._reach(STRICT_BOUND) <= 0.499 * self.cell_size_mm else 27

    @property
    def look(self) -> str:
        """What of `LOOK` is on: "" nothing, "dried" without and "drops" with satellite drops."""
        if self.satellites:
            return "drops"
        masters = (self.radius_skew, self.intensity_skew, self.edge_width_um, self.rim_gaps, self.film_scatter)
        return "dried" if any(masters) or self.normal_reach > 1.0 else ""

    def in_metres(self) -> "ShaderValues":
        """The float32 numbers that all three implementations compute with."""
        values = {name: _in_blender_units(_BY_NAME[parameter], getattr(self, parameter))
                  for name, parameter in SHADER_NAMES.items()}
        return ShaderValues(**values)

    def _reach(self, noise: float) -> float:
        spread = 0.0 if self.cell_size_mm is None else self.radius_spread
        over = self.radius_mm * (1.0 + spread) + noise * self.noise_amplitude_mm + self.edge_width_um / 2000.0
        # The fourth root of t⁴ + (n/ν)⁴, t over the surface and n along its normal, is at most `over`: t² + n² then is
        # at most over² √(1 + ν⁴), by Cauchy and Schwarz.
        along = (1.0 + self.normal_reach**4) ** 0.25 if self.normal_reach > 1.0 else 1.0
        return self.elongation * over * along

    def _reach_in_words(self) -> str:
        """How `reach_mm` is made, of the parameters that are not off."""
        radius = "radius_mm" if self.radius_spread == 0 else "radius_mm * (1 + radius_spread)"
        reach = f"{radius} + noise_amplitude_mm"
        if self.edge_width_um:
            reach += " + edge_width_um / 2000"
        if self.elongation == 1 and self.normal_reach == 1:
            return reach
        along = "" if self.normal_reach == 1 else " * (1 + normal_reach^4)^(1/4)"
        return ("" if self.elongation == 1 else "elongation * ") + f"({reach}){along}"


class ShaderValues(NamedTuple):
    """Parameters in Blender units: metres, 1/metres and radians, each rounded once from float64 to float32."""

    radius: np.float32
    noise_frequency: np.float32
    noise_amplitude: np.float32
    decay: np.float32
    intensity: np.float32
    seed: np.float32
    cell_size: np.float32 | None
    centre: np.ndarray | None
    density: np.float32
    radius_spread: np.float32
    radius_skew: np.float32
    intensity_spread: np.float32
    intensity_skew: np.float32
    decay_spread: np.float32
    satellites: np.float32
    satellite_radius: np.float32
    satellite_distance: np.float32
    normal_reach: np.float32
    edge_width: np.float32
    rim_gain: np.float32
    rim_width: np.float32
    rim_gaps: np.float32
    rim_gap_frequency: np.float32
    ring_count: np.float32
    ring_gain: np.float32
    deposit_contrast: np.float32
    deposit_frequency: np.float32
    elongation: np.float32
    elongation_direction: np.float32
    roughness_change: np.float32
    film_height: np.float32
    film_scatter: np.float32


UNIT_SCALE = {"mm": 1e-3, "1/mm": 1e3, "µm": 1e-6, "°": math.pi / 180, "": 1.0}
"""Blender units per unit of a parameter."""

SHADER_NAMES = dict(zip(ShaderValues._fields, (spec.name for spec in STAIN_SPECS), strict=True))
"""Field of `ShaderValues` -> parameter: the same order, the unit gone from the name."""


def _in_blender_units(spec: ParameterSpec, value):
    if value is None:
        return None
    if isinstance(value, tuple):
        return np.array([_in_blender_units(spec, component) for component in value])
    if spec.unit in ("mm", "µm"):  # division rounds to what a person would write: 0.1 / 1000, not 0.1 * 0.001
        return np.float32(value / {"mm": 1e3, "µm": 1e6}[spec.unit])
    return np.float32(value * UNIT_SCALE[spec.unit])


def _short(value) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _number(spec: ParameterSpec, value) -> float:
    low, high = spec.hard
    real = isinstance(value, numbers.Real) and not isinstance(value, bool | np.bool_)
    if not real or not low <= value <= high:  # not a number is not within any bounds
        unit = f" {spec.unit}" if spec.unit else ""
        raise UserError(f"stain: {spec.name} must be a number from {low:g} to {high:g}{unit}, got {_short(value)}")
    return float(value)


def _whole_number(spec: ParameterSpec, value) -> int:
    low, high = spec.hard
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool | np.bool_)
    if not whole or not low <= value <= high:
        raise UserError(f"stain: {spec.name} must be a whole number from {low} to {high}, got {_short(value)}")
    return int(value)


def _point(spec: ParameterSpec, value) -> tuple[float, float, float]:
    point = value.tolist() if isinstance(value, np.ndarray) else value
    if not isinstance(point, list | tuple) or len(point) != 3:
        raise UserError(f"stain: {spec.name} must be three numbers (x, y, z) in mm, got {_short(value)}")
    x, y, z = (_number(spec, component) for component in point)
    return x, y, z
