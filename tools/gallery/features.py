# SPDX-License-Identifier: GPL-3.0-or-later
"""Every surface feature at full resolution, one pixel for one pixel, into docs/gallery/features.png (not in git).

    .venv-blender/bin/python tools/gallery/features.py [--samples 64] [--only scratch,dent] [--draws 4]

A row a class, drawn from the recipe `inspection_twin`; the first half lies in the bright middle of the picture, the
second half at its dim side.
"""

import argparse
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from studio import Studio, row, stack, write

from blender_addon.core.features.classes import FEATURE_CLASSES
from blender_addon.core.parameter import draw
from blender_addon.core.recipe.sample import Sample, draw_sample

_SIDE_PX = 620
_PLATE = 24
"""A sample whose camera stands over the plate's lower left part; the features are moved before it."""


def crop(studio: Studio, sample: Sample, surface_class, number: int, x_share: float) -> np.ndarray:
    """The `number`-th feature of a class at a place of the image, and what the camera sees around it."""
    recipe = studio.recipe("inspection_twin", 100.0)
    width, height = sample.camera.field_mm
    world = np.array([(x_share - 0.5) * width, 0.05 * height])
    x, y = sample.plate.from_world(world)
    feature = draw(surface_class.feature, recipe.section(surface_class.name), recipe.seed, number, "gallery",
                   centre_x_mm=float(x), centre_y_mm=float(y), seed=100 + number)
    middle = sample.plate.to_world(feature.footprint()[0].mean(axis=0))
    columns, rows = sample.size_px
    centre = middle / [width, height] + 0.5
    half = np.array([_SIDE_PX / columns, _SIDE_PX / rows]) / 2
    centre = np.clip(centre, half, 1 - half)
    border = (centre[0] - half[0], centre[0] + half[0], centre[1] - half[1], centre[1] + half[1])
    return studio.picture(replace(sample, features=(feature,), stain=None), border)[:_SIDE_PX, :_SIDE_PX]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--only", help="classes, with commas between")
    parser.add_argument("--draws", type=int, default=4)
    arguments = parser.parse_args()
    only = arguments.only.split(",") if arguments.only else [surface_class.name for surface_class in FEATURE_CLASSES]
    classes = [surface_class for surface_class in FEATURE_CLASSES if surface_class.name in only]
    with tempfile.TemporaryDirectory() as folder:
        studio = Studio(Path(folder), arguments.samples)
        sample = draw_sample(studio.recipe("inspection_twin", 100.0), _PLATE + 4)
        rows = []
        for surface_class in classes:
            places = np.linspace(0.5, 0.9, arguments.draws)
            rows.append(row([crop(studio, sample, surface_class, k, x) for k, x in enumerate(places)]))
            write(stack(rows), "features.png")


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # the wheel may hang while it tears itself down
