# SPDX-License-Identifier: GPL-3.0-or-later
"""The two renders of a sample: the picture, and what is where; both as float arrays, row 0 on top."""

import shutil
from pathlib import Path

import bpy
import numpy as np

from ..core.errors import UserError
from ..core.sample import Sample
from ..scene import compat
from ..scene.inspection import InspectionScene

_CAMERA_FILTER_PX = 1.5
"""Width of the Blackman-Harris pixel filter: the anti-aliasing of the picture."""
_BYTES_PER_PIXEL = 12
"""Of three floats, uncompressed."""


def render_picture(scene: bpy.types.Scene, built: InspectionScene, sample: Sample, folder: Path) -> np.ndarray:
    """The noise-free-sensor picture: (H, W) float32, 1 = full well."""
    cycles, render = scene.cycles, scene.render
    built.plate.data.materials[0] = built.beauty
    built.light.hide_render = False
    scene.world = built.world
    render.resolution_x, render.resolution_y = sample.size_px
    cycles.samples = sample.render.samples
    cycles.seed = sample.seed
    cycles.pixel_filter_type, cycles.filter_width = "BLACKMAN_HARRIS", _CAMERA_FILTER_PX
    cycles.film_exposure = sample.camera.full_wells_per_radiance
    compat.use_osl(scene, _needs_osl(sample))
    return _render(scene, folder)[..., :3].mean(axis=-1)


def render_labels(scene: bpy.types.Scene, built: InspectionScene, sample: Sample, folder: Path) -> np.ndarray:
    """The label pass: (H, W, 3) float32, see `core/labels.py`."""
    return _render_field(scene, built, built.labels, sample, folder)


def render_stain_distance(scene: bpy.types.Scene, built: InspectionScene, sample: Sample, folder: Path) -> np.ndarray:
    """The stain's d / r' at the pixels' centres: (H, W) float32, 0 outside. The sample must ask for it."""
    return _render_field(scene, built, built.stain_distance, sample, folder)[..., 0].copy()


def _render_field(scene, built: InspectionScene, material, sample: Sample, folder: Path) -> np.ndarray:
    """What `material` emits: (H, W, 3) float32.

    One sample with a box filter sits on the pixel's centre, so every value is the field's own, never a mean.
    """
    cycles, render = scene.cycles, scene.render
    built.plate.data.materials[0] = material
    built.light.hide_render = True
    scene.world = None
    render.resolution_x, render.resolution_y = sample.size_px
    cycles.samples = 1
    cycles.seed = 0
    cycles.pixel_filter_type = "BOX"
    cycles.film_exposure = 1.0
    compat.use_osl(scene, _needs_osl(sample))
    return _render(scene, folder)[..., :3]


def _needs_osl(sample: Sample) -> bool:
    """The stain's backend decides, stains or not: a pair of clean and stained pictures runs on one shading system."""
    return sample.render.stain_backend == "osl"


def _render(scene: bpy.types.Scene, folder: Path) -> np.ndarray:
    """Render to a float EXR and read it back: (H, W, 4) float32, linear.

    Raises:
        UserError: no room for the EXR file.
    """
    file = folder / "pass.exr"
    needed = scene.render.resolution_x * scene.render.resolution_y * _BYTES_PER_PIXEL + 2**20
    if shutil.disk_usage(folder).free < needed:  # Blender would say no more than that it cannot write
        raise UserError(f"{folder}: expected {needed / 1e6:.0f} MB of room for temporary files; "
                        "make room, or name another folder in TMPDIR")  # fmt: skip
    scene.render.filepath = str(file)
    scene.render.use_file_extension = True
    bpy.ops.render.render(write_still=True, scene=scene.name)
    if not file.exists():
        raise RuntimeError("Blender rendered nothing")
    image = bpy.data.images.load(str(file))
    try:
        image.colorspace_settings.name = compat.raw_colour_space(image)
        width, height = image.size
        pixels = np.empty(width * height * 4, dtype=np.float32)
        image.pixels.foreach_get(pixels)
    finally:
        bpy.data.images.remove(image)
        file.unlink()
    return pixels.reshape(height, width, 4)[::-1]
