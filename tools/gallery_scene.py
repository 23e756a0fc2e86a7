# SPDX-License-Identifier: GPL-3.0-or-later
"""The pictures of docs/scene.md, into docs/gallery/ (not in git): `make gallery`, or with options

    .venv-blender/bin/python tools/gallery_scene.py [--scale 25] [--samples 64] [--only lights|textures|crop|grid]

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

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))


from blender_addon.core import png  # noqa: E402
from blender_addon.core.labels import compose_labels  # noqa: E402
from blender_addon.core.sample import Sample, draw_sample  # noqa: E402
from blender_addon.core.sensor import expose  # noqa: E402
from blender_addon.core.settings import Recipe, load  # noqa: E402
from blender_addon.render import passes, session  # noqa: E402
from blender_addon.scene.inspection import build_inspection  # noqa: E402

OUT = ROOT / "docs" / "gallery"
LIGHTS = ("synth", "synth_rot90", "synth_x2")
TEXTURES = (
    ("groove_slope", 0.015, 0.06),
    ("groove_length_mm", 3.0, 25.0),
    ("finest_spacing_um", 40.0, 110.0),
    ("roughness", 0.2, 0.35),
    ("anisotropy", 0.4, 0.85),
    ("streak_contrast", 0.0, 0.3),
)
_GAP = 6
_WHITE, _RED = 254, 255
_PALETTE = (*((value, value, value) for value in range(_WHITE)), (255, 255, 255), (200, 30, 30))


class Studio:
    """A scene and a folder for temporary files."""

    def __init__(self, folder: Path, samples: int) -> None:
        with session.silence():
            self.scene, _ = session.start("CPU", needs_osl=False)
        self.folder, self.samples = folder, samples

    def picture(self, sample: Sample, crop: tuple[float, float, float, float] | None = None) -> np.ndarray:
        """(H, W) uint8 as the camera stores it, 254 for white; `crop`: left, right, bottom, top as shares."""
        render = self.scene.render
        with session.silence():
            built = build_inspection(self.scene, sample)
            render.use_border = render.use_crop_to_border = crop is not None
            if crop is not None:
                render.border_min_x, render.border_max_x, render.border_min_y, render.border_max_y = crop
            linear = passes.render_picture(self.scene, built, sample, self.folder)
            render.use_border = render.use_crop_to_border = False
        image = expose(linear, sample.sensor, sample.camera, sample.render.scale_percent, sample.seed, 8)
        return np.minimum(image, _WHITE)

    def mask(self, sample: Sample) -> np.ndarray:
        """(H, W) bool: inside a stain."""
        with session.silence():
            labels = passes.render_labels(self.scene, build_inspection(self.scene, sample), sample, self.folder)
        return compose_labels(labels, [])[0] > 0

    def recipe(self, name: str, scale: float) -> Recipe:
        recipe = load(ROOT / "scenes" / "recipes" / f"{name}.toml")
        return recipe.with_values("render", name, scale_percent=scale, samples=self.samples)


def lights(studio: Studio, scale: float) -> np.ndarray:
    groups = []
    for index in (0, 1):
        columns = []
        for name in LIGHTS:
            clean, stained = (draw_sample(studio.recipe(n, scale), index) for n in (name, f"{name}_ws"))
            mask = studio.mask(stained)
            columns.append(_stack([studio.picture(clean), studio.picture(stained), np.where(mask, _RED, 0)]))
        groups.append(_row(columns))
    return _row(groups, gap=4 * _GAP)


def textures(studio: Studio, scale: float) -> np.ndarray:
    recipe = studio.recipe("synth", 100.0)
    rows = []
    for which in (1, 2):
        row = []
        for name, *values in TEXTURES:
            changed = recipe.with_values("surface", "gallery", **{name: values[which - 1]})
            row.append(studio.picture(draw_sample(changed, 0), (0.55, 0.64, 0.68, 0.82)))
        rows.append(_row(row))
    return _stack(rows)


def crop(studio: Studio, scale: float) -> np.ndarray:
    return studio.picture(draw_sample(studio.recipe("synth_ws", 100.0), 2), (0.10, 0.50, 0.08, 0.48))


def grid(studio: Studio, scale: float) -> np.ndarray:
    recipe = studio.recipe("acquisition", scale / 2)
    shots = [studio.picture(draw_sample(recipe, k)) for k in range(12)]
    return _stack([_row(shots[start : start + 3]) for start in (9, 6, 3, 0)])


PICTURES: dict[str, Callable[[Studio, float], np.ndarray]] = {
    "lights": lights, "textures": textures, "crop": crop, "grid": grid,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=25.0, help="percent of the camera's resolution")
    parser.add_argument("--samples", type=int, default=64, help="light paths per pixel")
    parser.add_argument("--only", choices=tuple(PICTURES), help="make this picture alone")
    chosen = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        studio = Studio(Path(folder), chosen.samples)
        for name, make in PICTURES.items():
            if chosen.only in (None, name):
                beside = OUT / f".{name}.part"
                beside.write_bytes(png.encode(make(studio, chosen.scale).astype(np.uint8), _PALETTE))
                beside.replace(OUT / f"{name}.png")
                print(OUT / f"{name}.png", flush=True)


def _row(pictures: list[np.ndarray], gap: int = _GAP) -> np.ndarray:
    return _join(pictures, 1, gap)


def _stack(pictures: list[np.ndarray], gap: int = _GAP) -> np.ndarray:
    return _join(pictures, 0, gap)


def _join(pictures: list[np.ndarray], axis: int, gap: int) -> np.ndarray:
    """Pictures side by side (axis 1) or below each other (axis 0) with white between."""
    shape = list(pictures[0].shape)
    shape[axis] = gap
    between = np.full(shape, _WHITE)
    return np.concatenate([part for picture in pictures for part in (picture, between)][:-1], axis=axis)


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # the wheel may hang while it tears itself down
