# SPDX-License-Identifier: GPL-3.0-or-later
"""The README's picture, into docs/gallery/readme.png (not in git): `make gallery`.

Five water stains, and below them the five other features.
"""

import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from stain import ONE, RIM
from studio import Studio, row, stack, write

from blender_addon.core.features.bump import Bump
from blender_addon.core.features.dent import Dent
from blender_addon.core.features.feature import Feature
from blender_addon.core.features.fingerprint import Fingerprint
from blender_addon.core.features.scratch import Scratch
from blender_addon.core.features.sticker import Sticker
from blender_addon.core.recipe.sample import Sample, draw_sample

STAINS = (
    {},
    RIM,
    {**RIM, "ring_count": 2, "ring_gain": 1.2, "rim_width": 0.04},
    {"decay": 0.6, "intensity": -0.25, "deposit_contrast": 0.8},
    {"elongation": 2.0, "radius_mm": 3.0, "elongation_direction_deg": -90.0},
)
X, Y = ONE.centre_mm[:2]
FEATURES: tuple[Feature, ...] = (
    Scratch(X, Y, 3, angle_deg=38.0, length_mm=13.0, width_um=130.0, depth_um=9.0, jag_um=60.0, gaps=0.25),
    Dent(X, Y, 7, angle_deg=25.0, diameter_mm=5.0, depth_um=110.0, irregularity=0.15, grain_um=2.0, smear=0.6),
    Bump(X, Y, 5, angle_deg=-30.0, diameter_mm=6.0, height_um=90.0),
    Fingerprint(X, Y, 11, pattern="whorl", width_mm=12.0, length_mm=14.5, grease=0.5),
    Sticker(X, Y, 13, angle_deg=8.0, width_mm=13.0, height_mm=8.5, number=42, bubbles=3, lift_um=400.0),
)
_EDGE_MM = 16.0
_PERCENT = 50.0


def crop(studio: Studio, sample: Sample) -> np.ndarray:
    middle = sample.plate.to_world(np.array([X, Y]))
    half = np.array([_EDGE_MM, _EDGE_MM]) / 2
    low, high = (0.5 + (middle + side * half) / sample.camera.field_mm for side in (-1, 1))
    return studio.picture(sample, (low[0], high[0], low[1], high[1]))


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        studio = Studio(Path(folder), samples=24)
        sample = draw_sample(studio.recipe("synth", _PERCENT), 0)
        sample = replace(sample, light=replace(sample.light, ambient=0.04))
        stains = [crop(studio, replace(sample, stain=replace(ONE, **changes))) for changes in STAINS]
        features = [crop(studio, replace(sample, features=(feature,))) for feature in FEATURES]
        write(stack([row(stains), row(features)]), "readme.png")


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # the wheel may hang while it tears itself down
