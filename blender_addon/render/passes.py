# SPDX-License-Identifier: GPL-3.0-or-later
"""The two renders of a sample: the picture, and what is where; both as float arrays, row 0 on top."""

import shutil
from pathlib import Path

import bpy
import numpy as np

from ..core.errors import UserError
from ..core.files.exr import read_layers
from ..core.inspection.denoise import regress, within_range
from ..core.recipe.sample import Sample
from ..scene import compat
from ..scene.guides import GUIDES, ensure_layers, guides_of, has_cover, remove_layers, stain_guide
from ..scene.inspection import InspectionScene

_CAMERA_FILTER_PX = 1.5
"""Width of the Blackman-Harris pixel filter: the anti-aliasing of the picture."""
_BYTES_PER_PIXEL = 48
"""Of three layers of four floats, uncompressed."""


def render_picture(
    scene: bpy.types.Scene, built: InspectionScene, sample: Sample, folder: Path, stains: np.ndarray | None = None
) -> np.ndarray:
    """The noise-free-sensor picture: (H, W) float32, 1 = full well, without the path tracer's grain if so asked.

    `stains` is the label pass, which is rendered here if it is needed and not given.
    """
    layers = render_beauty(scene, built, sample, folder, built.beauty, _needs_osl(sample))
    picture = np.mean([layers[f"Combined.{channel}"] for channel in "RGB"], axis=0, dtype=np.float32)
    if not sample.render.denoise:
        return picture
    if _needs_osl(sample):
        layers = render_beauty(scene, built, sample, folder, built.guides, osl=False)
    clean = _clean_layers(scene, built, sample, folder, layers) if sample.render.guide_samples else None
    found = [each for each in (layers, clean) if each is not None]
    with_cover = any(has_cover(each) for each in found)
    guides, *taken_at = (guides_of(each, sample, with_cover) for each in found)
    if sample.stain is not None:
        stains = render_labels(scene, built, sample, folder) if stains is None else stains
        for each in (guides, *taken_at):
            each.append(stain_guide(stains))
    if clean is None:
        return regress(picture, guides)
    return within_range(regress(picture, guides, taken_at[0]), picture)


def _clean_layers(scene, built: InspectionScene, sample: Sample, folder: Path, layers) -> dict[str, np.ndarray]:
    """The guides' layers of the picture's own paths and of as many further ones as the sample asks for, together.

    The further paths have a seed of their own, end at the surface and see no light: each takes a third of the time.
    """
    own, further = sample.render.samples, sample.render.guide_samples
    more = render_beauty(scene, built, sample, folder, built.guides, osl=False, paths=further, seed=sample.seed + 1)
    return {
        name: (layers[name] * np.float32(own) + more[name] * np.float32(further)) / np.float32(own + further)
        for name in layers
        if name.startswith(GUIDES)
    }


def render_beauty(
    scene, built: InspectionScene, sample: Sample, folder: Path, material, osl: bool, paths: int | None = None,
    seed: int | None = None,
):
    """The layers that the paths of the picture write with this material, or that `paths` others a pixel write."""
    cycles, render = scene.cycles, scene.render
    built.plate.data.materials[0] = material
    built.light.hide_render = False
    scene.world = built.world
    render.resolution_x, render.resolution_y = sample.size_px
    cycles.samples = sample.render.samples if paths is None else paths
    cycles.seed = sample.seed if seed is None else seed
    cycles.pixel_filter_type, cycles.filter_width = "BLACKMAN_HARRIS", _CAMERA_FILTER_PX
    cycles.film_exposure = sample.camera.full_wells_per_radiance
    compat.use_osl(scene, osl)
    ensure_layers(scene)
    return _render(scene, folder)


def render_labels(scene: bpy.types.Scene, built: InspectionScene, sample: Sample, folder: Path) -> np.ndarray:
    """The stain's fields at the pixels' centres: (H, W, 3) float32, see `build_label_material`."""
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
    remove_layers(scene)
    layers = _render(scene, folder)
    return np.stack([layers[f"Combined.{channel}"] for channel in "RGB"], axis=-1)


def _needs_osl(sample: Sample) -> bool:
    """The stain's backend decides, stains or not: a pair of clean and stained pictures runs on one shading system."""
    return sample.render.stain_backend == "osl"


def _render(scene: bpy.types.Scene, folder: Path) -> dict[str, np.ndarray]:
    """Render to a float EXR and read it back: "LAYER.CHANNEL" -> (H, W) float32, linear.

    Raises:
        UserError: no room for the EXR file.
    """
    file = folder / "pass.exr"
    needed = scene.render.resolution_x * scene.render.resolution_y * _BYTES_PER_PIXEL + 2**20
    if shutil.disk_usage(folder).free < needed:  # Blender would say no more than that it cannot write
        raise UserError(f"{folder}: expected {needed / 1e6:.0f} MB of room for temporary files; "
                        "make room, or name another folder in TMPDIR")
    scene.render.filepath = str(file)
    scene.render.use_file_extension = True
    bpy.ops.render.render(write_still=True, scene=scene.name)
    if not file.exists():
        raise RuntimeError("Blender rendered nothing")
    try:
        layers = read_layers(file)
    finally:
        file.unlink()
    # The name of the view layer comes first, and may hold points itself.
    return {".".join(name.rsplit(".", 2)[-2:]): values for name, values in layers.items()}
