# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture strips of docs/stain.md, into docs/gallery/stain/ (not in git): `make gallery`, or with options

    .venv-blender/bin/python tools/gallery/stain.py [--samples 48] [--only rim_gain ...]

One strip per parameter: the same piece of plate with the values of `STRIPS` from left to right, everything else equal.
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from studio import Studio, row, write

from blender_addon.core.recipe.sample import draw_sample
from blender_addon.core.stain.parameters import GRID_ONLY, StainParameters

ONE = StainParameters(4.5, 0.3, 1.2, decay=2.5, intensity=-0.35, seed=3, centre_mm=(-17.0, 9.0, 0.0))
MANY = StainParameters(3.0, 0.3, 0.8, decay=2.5, intensity=-0.35, seed=6, cell_size_mm=11.0)
RIM = {"rim_gain": 1.5, "intensity": -0.2}
PATCHES = {"decay": 0.6, "intensity": -0.25}
CLEAR = {"decay": 0.5, "intensity": 0.0}
SMALL = {"radius_mm": 2.0, "noise_amplitude_mm": 0.4, "cell_size_mm": 6.0}
DROPS = {"radius_mm": 3.0, "satellites": 0.8, "satellite_radius_mm": 0.5}
STRIPS: dict[str, tuple[tuple, dict]] = {
    "radius_mm": ((2.5, 3.5, 4.5, 5.5, 6.5), {}),
    "noise_frequency_per_mm": ((0.05, 0.15, 0.3, 0.6, 1.2), {}),
    "noise_amplitude_mm": ((0.0, 0.6, 1.2, 2.4, 3.6), {}),
    "decay": ((0.0, 0.5, 1.0, 2.5, 8.0), {}),
    "intensity": ((-0.6, -0.35, -0.15, 0.05, 0.08), {}),
    "seed": ((3, 4, 5, 6, 7), {}),
    "cell_size_mm": ((4.0, 6.0, 8.0, 11.0, 14.0), {}),
    "density": ((1.0, 0.8, 0.5, 0.3, 0.1), {"cell_size_mm": 8.0}),
    "radius_spread": ((0.0, 0.25, 0.5, 0.75, 1.0), {"radius_mm": 2.5}),
    "radius_skew": ((0.0, 0.25, 0.5, 0.75, 1.0), {**SMALL, "radius_spread": 0.9}),
    "intensity_spread": ((0.0, 0.25, 0.5, 0.75, 1.0), {}),
    "intensity_skew": ((0.0, 0.25, 0.5, 0.75, 1.0), {**SMALL, "intensity_spread": 0.9}),
    "decay_spread": ((0.0, 0.25, 0.5, 0.75, 1.0), {}),
    "satellites": ((0.0, 0.25, 0.5, 0.75, 1.0), DROPS),
    "satellite_radius_mm": ((0.1, 0.2, 0.4, 0.6, 0.8), DROPS),
    "satellite_distance_mm": ((1.0, 2.0, 4.0, 6.0, 9.0), DROPS),
    "normal_reach": ((1.0, 1.5, 2.0, 2.5, 3.0), {"centre_mm": (-17.0, 9.0, 4.0)}),
    "edge_width_um": ((0.0, 60.0, 120.0, 200.0, 400.0), {}),
    "rim_gain": ((0.0, 0.5, 1.0, 2.0, 4.0), {"intensity": -0.2}),
    "rim_width": ((0.01, 0.03, 0.08, 0.15, 0.3), RIM),
    "rim_gaps": ((0.0, 0.25, 0.5, 0.75, 1.0), RIM),
    "rim_gap_frequency_per_mm": ((0.15, 0.3, 0.6, 1.2, 2.4), {**RIM, "rim_gaps": 0.5}),
    "ring_count": ((0, 1, 2, 3, 5), {**RIM, "ring_gain": 1.2, "rim_width": 0.04}),
    "ring_gain": ((0.0, 0.4, 0.8, 1.2, 2.0), {**RIM, "ring_count": 2, "rim_width": 0.04}),
    "deposit_contrast": ((0.0, 0.3, 0.6, 1.0, 2.0), PATCHES),
    "deposit_frequency_per_mm": ((0.2, 0.5, 1.0, 2.0, 4.0), {**PATCHES, "deposit_contrast": 1.0}),
    "elongation": ((1.0, 1.3, 1.6, 2.0, 2.5), {"radius_mm": 2.8, "noise_amplitude_mm": 0.6}),
    "elongation_direction_deg": ((-90.0, -45.0, 0.0, 90.0, 160.0), {"elongation": 2.0, "radius_mm": 3.0}),
    "roughness_change": ((-0.08, -0.04, 0.0, 0.08, 0.2), CLEAR),
    "film_scatter": ((0.0, 0.1, 0.2, 0.4, 0.8), CLEAR),
    "film_height_um": ((0.0, 2.0, 5.0, 10.0, 20.0), {**CLEAR, "rim_gain": 0.5, "rim_width": 0.15}),
}
"""Parameter -> its values, and what else differs from `ONE` (or from `MANY`, for what tells stains of a grid apart)."""

CLOSE, WIDE = 16.0, 36.0
"""Edge of the pictures, mm."""


def strip(studio: Studio, name: str) -> np.ndarray:
    values, changes = STRIPS[name]
    many = name in GRID_ONLY
    edge_mm, percent = (WIDE, 22.0) if many else (CLOSE, 50.0)
    sample = draw_sample(studio.recipe("synth", percent), 0)
    width, height = sample.camera.field_mm
    x, y = ONE.centre_mm[0] + sample.plate.offset_x_mm, ONE.centre_mm[1] + sample.plate.offset_y_mm
    crop = (0.5 + (x - edge_mm / 2) / width, 0.5 + (x + edge_mm / 2) / width,
            0.5 + (y - edge_mm / 2) / height, 0.5 + (y + edge_mm / 2) / height)
    base = replace(MANY if many else ONE, **changes)
    return row([studio.picture(replace(sample, stain=replace(base, **{name: value})), crop) for value in values])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=48, help="light paths per pixel")
    parser.add_argument("--only", nargs="+", choices=tuple(STRIPS), help="these strips alone")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        studio = Studio(Path(scratch), chosen.samples)
        for name in chosen.only or STRIPS:
            write(strip(studio, name), f"stain/{name}.png")


if __name__ == "__main__":
    main()
