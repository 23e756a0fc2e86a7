# SPDX-License-Identifier: GPL-3.0-or-later
"""What the galleries share: a scene to take pictures in, and pictures side by side."""

import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from blender_addon.core.files import png  # noqa: E402
from blender_addon.core.inspection.sensor import expose  # noqa: E402
from blender_addon.core.labels.masks import compose_labels, number_features  # noqa: E402
from blender_addon.core.recipe.sample import Sample  # noqa: E402
from blender_addon.core.recipe.settings import Recipe, load  # noqa: E402
from blender_addon.render import passes, session  # noqa: E402
from blender_addon.scene.inspection import build_inspection  # noqa: E402

OUT = ROOT / "docs" / "gallery"
GAP = 6
WHITE, RED = 254, 255
_PALETTE = (*((value, value, value) for value in range(WHITE)), (255, 255, 255), (200, 30, 30))


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
        return np.minimum(image, WHITE)

    def mask(self, sample: Sample) -> np.ndarray:
        """(H, W) bool: inside a stain or a feature."""
        with session.silence():
            labels = passes.render_labels(self.scene, build_inspection(self.scene, sample), sample, self.folder)
        return compose_labels(labels, *number_features(sample))[0] > 0

    def recipe(self, name: str, scale: float) -> Recipe:
        recipe = load(ROOT / "scenes" / "recipes" / f"{name}.toml")
        return recipe.with_values("render", name, scale_percent=scale, samples=self.samples)


def write(picture: np.ndarray, name: str) -> None:
    """Write a picture of grey values, `WHITE` and `RED` to docs/gallery/ under its name, beside and then renamed."""
    (OUT / name).parent.mkdir(parents=True, exist_ok=True)
    beside = (OUT / name).with_suffix(".part")
    beside.write_bytes(png.encode(picture.astype(np.uint8), _PALETTE))
    beside.replace(OUT / name)
    print(OUT / name, flush=True)


def row(pictures: list[np.ndarray], gap: int = GAP) -> np.ndarray:
    return _join(pictures, 1, gap)


def stack(pictures: list[np.ndarray], gap: int = GAP) -> np.ndarray:
    return _join(pictures, 0, gap)


def _join(pictures: list[np.ndarray], axis: int, gap: int) -> np.ndarray:
    """Pictures side by side (axis 1) or below each other (axis 0) with white between."""
    shape = list(pictures[0].shape)
    shape[axis] = gap
    between = np.full(shape, WHITE)
    return np.concatenate([part for picture in pictures for part in (picture, between)][:-1], axis=axis)
