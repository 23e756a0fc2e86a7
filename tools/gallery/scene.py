# SPDX-License-Identifier: GPL-3.0-or-later
"""The pictures of docs/scene.md, into docs/gallery/ (not in git): `make gallery`, or with options

    .venv-blender/bin/python tools/gallery/scene.py [--scale 25] [--samples 64] [--only lights|textures|crop|grid]

    lights.png    as in figure 3 of the paper: two plates under the three lights, clean, stained, masks in red
    textures.png  one plate with other grooves: each parameter of the surface at a low and a high value
    crop.png      a part of a picture at full resolution, one pixel for one pixel
    grid.png      the twelve positions over one side of a plate, in their places
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from studio import GAP, RED, Studio, row, stack, write

from blender_addon.core.recipe.sample import draw_sample

LIGHTS = ("synth", "synth_rot90", "synth_x2")
TEXTURES = (
    ("groove_slope", 0.015, 0.06),
    ("groove_length_mm", 3.0, 25.0),
    ("finest_spacing_um", 40.0, 110.0),
    ("roughness", 0.2, 0.35),
    ("anisotropy", 0.4, 0.85),
    ("streak_contrast", 0.0, 0.3),
)


def lights(studio: Studio, scale: float) -> np.ndarray:
    groups = []
    for index in (0, 1):
        columns = []
        for name in LIGHTS:
            clean, stained = (draw_sample(studio.recipe(n, scale), index) for n in (name, f"{name}_ws"))
            mask = studio.mask(stained)
            columns.append(stack([studio.picture(clean), studio.picture(stained), np.where(mask, RED, 0)]))
        groups.append(row(columns))
    return row(groups, gap=4 * GAP)


def textures(studio: Studio, scale: float) -> np.ndarray:
    recipe = studio.recipe("synth", 100.0)
    rows = []
    for which in (1, 2):
        parts = []
        for name, *values in TEXTURES:
            changed = recipe.with_values("surface", "gallery", **{name: values[which - 1]})
            parts.append(studio.picture(draw_sample(changed, 0), (0.55, 0.64, 0.68, 0.82)))
        rows.append(row(parts))
    return stack(rows)


def crop(studio: Studio, scale: float) -> np.ndarray:
    return studio.picture(draw_sample(studio.recipe("synth_ws", 100.0), 2), (0.10, 0.50, 0.08, 0.48))


def grid(studio: Studio, scale: float) -> np.ndarray:
    recipe = studio.recipe("acquisition", scale / 2)
    shots = [studio.picture(draw_sample(recipe, k)) for k in range(12)]
    return stack([row(shots[start : start + 3]) for start in (9, 6, 3, 0)])


PICTURES: dict[str, Callable[[Studio, float], np.ndarray]] = {
    "lights": lights, "textures": textures, "crop": crop, "grid": grid,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=25.0, help="percent of the camera's resolution")
    parser.add_argument("--samples", type=int, default=64, help="light paths per pixel")
    parser.add_argument("--only", choices=tuple(PICTURES), help="make this picture alone")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        studio = Studio(Path(folder), chosen.samples)
        for name, make in PICTURES.items():
            if chosen.only in (None, name):
                write(make(studio, chosen.scale), f"{name}.png")


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # the wheel may hang while it tears itself down
