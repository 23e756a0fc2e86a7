# SPDX-License-Identifier: GPL-3.0-or-later
"""Parameter sets on which the three implementations are compared: chosen ones, and as many drawn ones as wanted."""

from typing import NamedTuple

import numpy as np

from blender_addon.core.seeding import SEED_LIMIT
from blender_addon.core.stain.parameters import GRID_ONLY, STAIN_SPECS, StainParameters, is_whole

FLAT, TILTED = (0.0, 0.0), (0.31, -0.17)


class Case(NamedTuple):
    name: str
    parameters: StainParameters
    slope: tuple[float, float] = FLAT
    mirror: bool = False


def _stain(radius, frequency, amplitude, seed, cell=None, decay=2.0, intensity=-0.3, **more) -> StainParameters:
    return StainParameters(radius, frequency, amplitude, decay, intensity, seed, cell_size_mm=cell, **more)


_SPREAD = {"density": 0.6, "radius_spread": 0.7, "intensity_spread": 0.5, "decay_spread": 0.8}
_RIM = {"rim_gain": 1.7, "rim_width": 0.06, "ring_count": 3, "ring_gain": 0.6}
_PATCHES = {"deposit_contrast": 0.8, "deposit_frequency_per_mm": 0.9}
_RAN = {"elongation": 2.2, "elongation_direction_deg": 215.0}
_ACTS = {"roughness_change": 0.2, "film_height_um": 12.0}
_SIZES = {"radius_spread": 0.9, "radius_skew": 0.8, "intensity_spread": 0.9, "intensity_skew": 0.7, "density": 0.8}
_DRIED = {"edge_width_um": 120.0, "rim_gaps": 0.4, "rim_gap_frequency_per_mm": 0.7, "film_scatter": 0.3}
_DROPS = {"satellites": 0.7, "satellite_radius_mm": 0.8, "satellite_distance_mm": 4.0}

CASES = (
    Case("8 cells, tilted", _stain(4.0, 0.25, 1.5, seed=7, cell=20.0), TILTED),
    Case("27 cells, flat", _stain(9.0, 0.25, 4.0, seed=99_999, cell=20.0)),
    Case("27 cells, flat, -p", _stain(3.0, 1.7, 3.0, seed=1, cell=6.5, decay=0.4, intensity=0.2), mirror=True),
    Case("8 cells, flat, -p", _stain(2.0, 0.25, 0.5, seed=12_345, cell=20.0), mirror=True),
    Case("outline vanishes, decay 0", _stain(0.5, 0.6, 5.0, seed=3, cell=8.0, decay=0.0), TILTED),
    Case("one centre", _stain(15.0, 0.25, 6.0, seed=31, centre_mm=(-7.0, 11.0, 1.0)), TILTED),
    Case("spreads, 8 cells", _stain(4.0, 0.4, 1.0, seed=42, cell=20.0, **_SPREAD), TILTED),
    Case("spreads, few stains", _stain(2.0, 0.4, 0.5, seed=12_345, cell=8.0, radius_spread=0.9, density=0.06)),
    Case("spreads, 27 cells, -p", _stain(4.0, 0.4, 1.0, seed=43, cell=9.0, **_SPREAD | {"density": 1.0}), mirror=True),
    Case("rim and rings", _stain(6.0, 0.25, 1.0, seed=5, cell=16.0, decay=3.0, **_RIM), TILTED),
    Case("patches", _stain(6.0, 0.25, 1.0, seed=99_998, cell=16.0, decay=0.5, **_PATCHES), mirror=True),
    Case("ran, 8 cells", _stain(3.0, 0.3, 0.7, seed=8, cell=20.0, **_RAN), TILTED),
    Case("ran, 27 cells, -p", _stain(3.0, 0.3, 0.7, seed=9, cell=9.0, **_RAN), mirror=True),
    Case("all", _stain(3.0, 0.3, 0.7, seed=10, cell=14.0, **_SPREAD, **_RIM, **_PATCHES, **_RAN, **_ACTS), TILTED),
    Case("one centre, all", _stain(12.0, 0.3, 3.0, seed=11, centre_mm=(5.0, -3.0, -1.0), **_RIM, **_PATCHES, **_RAN,
                                   **_ACTS), TILTED),
    Case("soft outline, broken rim", _stain(4.0, 0.4, 1.0, seed=21, cell=11.0, **_RIM, **_DRIED, **_ACTS), TILTED),
    Case("uneven sizes, 27 cells, -p", _stain(2.0, 0.4, 0.5, seed=22, cell=6.0, **_SIZES, **_DRIED), mirror=True),
    Case("drops, 8 cells", _stain(3.0, 0.3, 0.8, seed=23, cell=16.0, **_SIZES, **_DRIED, **_DROPS), TILTED),
    Case("drops, 27 cells, all", _stain(2.0, 0.3, 0.5, seed=24, cell=10.0, **_SIZES, **_DRIED, **_DROPS, **_RIM,
                                        **_PATCHES, **_RAN, **_ACTS), mirror=True),
    Case("drops around one centre", _stain(12.0, 0.3, 3.0, seed=25, centre_mm=(5.0, -3.0, -1.0), **_DROPS, **_DRIED,
                                           **_RIM), TILTED),
    Case("along the surface, 27 cells", _stain(3.0, 0.3, 0.7, seed=26, cell=20.0, normal_reach=4.0, **_DRIED), TILTED),
    Case("along the surface, one centre", _stain(9.0, 0.3, 2.0, seed=27, centre_mm=(5.0, -3.0, -9.0),
                                                 normal_reach=3.0, **_RAN), TILTED),
)


def random_cases(count: int, seed: int) -> list[Case]:
    """Parameters drawn evenly from their soft ranges, a third of them one centre; the cell holds whatever comes."""
    generator = np.random.default_rng(seed)
    cases = []
    for number in range(count):
        values = {spec.name: _draw(spec, generator) for spec in STAIN_SPECS if spec.default is not None}
        values["seed"] = int(generator.integers(SEED_LIMIT))
        values["radius_mm"] = float(generator.uniform(0.5, 8.0))
        values["elongation"] = float(generator.choice([1.0, generator.uniform(1.0, 3.0)]))
        for off in ("radius_spread", "deposit_contrast", "rim_gain", "ring_count", "intensity_spread", "decay_spread",
                    "satellites", "edge_width_um", "rim_gaps", "film_scatter", "radius_skew", "intensity_skew"):
            values[off] *= int(generator.integers(2))  # each feature is off in half of the cases
        values["normal_reach"] = float(generator.choice([1.0, values["normal_reach"]]))
        reach = StainParameters(**{**values, "cell_size_mm": 1e4}).reach_mm
        values["cell_size_mm"] = float(reach * generator.uniform(1.0, 4.0))
        if number % 3 == 2:
            values = {name: value for name, value in values.items() if name not in GRID_ONLY}
            values["centre_mm"] = tuple(float(x) for x in generator.uniform(-9, 9, 3))
        slope = (float(generator.uniform(-0.5, 0.5)), float(generator.uniform(-0.5, 0.5)))
        cases.append(Case(f"random {seed}.{number}", StainParameters(**values), slope, bool(generator.integers(2))))
    return cases


def _draw(spec, generator) -> float | int:
    low, high = spec.soft
    return int(generator.integers(low, high + 1)) if is_whole(spec) else float(generator.uniform(low, high))
