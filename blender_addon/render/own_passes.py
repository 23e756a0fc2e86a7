# SPDX-License-Identifier: GPL-3.0-or-later
"""The renders of a person's own scene: its picture as it is set up, and what is where, at the pixels' centres.

Whatever is changed for a render is set back when it ends, whether it succeeds or not.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import bpy
import numpy as np

from ..core.errors import UserError
from ..core.files.exr import read_layers
from ..scene import compat
from ..scene.inspected import Part
from ..scene.label_outputs import HITS, add_label_outputs
from ..scene.ledger import IMAGE_SETTINGS, Ledger

_ONE_RAY_A_PIXEL = {
    "samples": 1, "seed": 0, "use_animated_seed": False, "sample_offset": 0, "use_sample_subset": False,
    "time_limit": 0.0, "use_adaptive_sampling": False, "use_denoising": False, "use_layer_samples": "IGNORE",
    "pixel_filter_type": "BOX", "film_exposure": 1.0, "max_bounces": 0, "sample_clamp_direct": 0.0,
    "sample_clamp_indirect": 0.0, "use_guiding": False, "caustics_reflective": False, "caustics_refractive": False,
}
"""Cycles' settings: one sample with a box filter sits on the pixel's centre."""
_PICTURE_ALONE = {
    "use_compositing": False, "use_sequencer": False, "film_transparent": False, "use_motion_blur": False,
    "use_freestyle": False, "dither_intensity": 0.0, "use_multiview": False, "use_file_extension": True,
    "use_stamp": False, "use_single_layer": False,
}
_BYTES_PER_PIXEL = 16


def render_picture(scene: bpy.types.Scene, folder: Path, bits: int) -> np.ndarray:
    """What the scene shows, through its view transform and compositor: (H, W, 3) uint8 or uint16, row 0 on top.

    Raises:
        UserError: no room for temporary files.
    """
    file = folder / "picture.png"
    with Ledger() as changes:
        settings = scene.render.image_settings
        changes.keep(settings, *IMAGE_SETTINGS)
        compat.set_up_png(settings, bits)
        changes.set(scene.render, "use_file_extension", True)
        changes.set(scene.render, "use_multiview", False)
        _render(scene, changes, file)
    return _read_png(file, bits)


class Hits(NamedTuple):
    """Where the rays through the pixels' centres hit: float32, row 0 on top, object space and its units."""

    points: np.ndarray
    """(H, W, 3)"""
    normals: np.ndarray
    """(H, W, 3): the surface's own, towards the ray; 0 where nothing is."""
    copies: np.ndarray
    """(H, W): a number from 0 to 1 for each copy of an object."""


def render_labels(
    scene: bpy.types.Scene, parts: Sequence[Part], stains: Mapping[str, Sequence], numbers: Mapping[str, int],
    folder: Path, emit: Callable | None = None,
) -> np.ndarray:
    """What `scene.label_outputs` emits, at the pixels' centres: (H, W, 3) float32, row 0 on top.

    Args:
        stains: material -> its stains' nodes in its own tree, the lowest layer first.
        numbers: material -> number, for materials that have to be told apart.
        emit: see `add_label_outputs`.
    """
    return _render_labels(scene, parts, stains, numbers, folder, emit, hits=False)["Combined"]


def render_labels_and_hits(
    scene: bpy.types.Scene, parts: Sequence[Part], stains: Mapping[str, Sequence], numbers: Mapping[str, int],
    folder: Path,
) -> tuple[np.ndarray, Hits]:
    """`render_labels`, and where the same rays hit."""
    found = _render_labels(scene, parts, stains, numbers, folder, None, hits=True)
    point, normal, copy = (found[name] for name in HITS)
    return found["Combined"], Hits(point, normal, copy[..., 0])


def _render_labels(scene, parts, stains, numbers, folder: Path, emit, hits: bool) -> dict[str, np.ndarray]:
    """Layer -> (H, W, 3) float32, row 0 on top."""
    file = folder / "labels.exr"
    with Ledger() as changes:
        for name, value in _ONE_RAY_A_PIXEL.items():
            changes.set(scene.cycles, name, value)
        for name, value in _PICTURE_ALONE.items():
            changes.set(scene.render, name, value)
        changes.keep(scene.cycles, "sampling_pattern")
        compat.use_tabulated_sobol(scene)
        changes.keep(scene.render.image_settings, *IMAGE_SETTINGS)
        compat.set_up_float_exr(scene.render.image_settings, layers=hits)
        changes.set(scene, "world", None)
        layer = _one_layer(scene, changes)
        for name in HITS if hits else ():
            compat.add_shader_layer(layer, name)
            changes.on_undo(lambda name=name: compat.remove_shader_layer(layer, name))
        if scene.camera is not None and isinstance(scene.camera.data, bpy.types.Camera):
            changes.set(scene.camera.data.dof, "use_dof", False)
        by_object = {part.object.name: part.number for part in parts}
        for item in bpy.data.objects:
            number = by_object.get(item.name, 0) if item.library is None else 0
            if item.pass_index != number:
                changes.set(item, "pass_index", number)
            if item.type in ("LIGHT", "VOLUME", "GPENCIL", "GREASEPENCIL") and not item.hide_render:
                changes.set(item, "hide_render", True)
            for name in ("is_shadow_catcher", "is_holdout"):
                if getattr(item, name, False):
                    changes.set(item, name, False)
        add_label_outputs(changes, stains, numbers, emit, hits)
        _render(scene, changes, file)
    try:
        layers = read_layers(file)
    finally:
        file.unlink()
    if not hits:
        return {"Combined": np.stack([layers[channel] for channel in "RGB"], axis=-1)}
    # The name of the view layer comes first, and may hold points itself.
    short = {".".join(name.rsplit(".", 2)[-2:]): values for name, values in layers.items()}
    return {name: np.stack([short[f"{name}.{channel}"] for channel in "RGB"], axis=-1) for name in ("Combined", *HITS)}


def _one_layer(scene: bpy.types.Scene, changes: Ledger):
    """Render the first view layer that is rendered at all, with the materials that objects have."""
    used = [layer for layer in scene.view_layers if layer.use]
    for layer in used[1:]:
        changes.set(layer, "use", False)
    for layer in used[:1]:
        changes.set(layer, "material_override", None)
        changes.set(layer, "use_pass_combined", True)
    return used[0] if used else scene.view_layers[0]


def _render(scene: bpy.types.Scene, changes: Ledger, file: Path) -> None:
    """
    Raises:
        UserError: no room for the file, or Blender refuses the scene: it lacks what its settings ask for.
    """
    render = scene.render
    share = (render.resolution_percentage / 100.0) ** 2
    needed = render.resolution_x * render.resolution_y * share * _BYTES_PER_PIXEL + 2**20
    if shutil.disk_usage(file.parent).free < needed:  # Blender would say no more than that it cannot write
        raise UserError(f"{file.parent}: expected {needed / 1e6:.0f} MB of room for temporary files; "
                        "make room, or name another folder in TMPDIR")
    changes.set(render, "filepath", str(file))
    try:
        bpy.ops.render.render(write_still=True, scene=scene.name)
    except RuntimeError as error:
        said = str(error).strip().splitlines()[-1].removeprefix("Error: ")
        cure = "switch Denoise off in the scene's render settings" if "Denois" in said else "render it once with F12"
        raise UserError(f"scene '{scene.name}': Blender cannot render it: {said}; {cure}") from error
    if not file.exists():
        raise RuntimeError("Blender rendered nothing")


def _read_png(file: Path, bits: int) -> np.ndarray:
    """Pixels of a PNG that Blender wrote, as they are stored."""
    image = bpy.data.images.load(str(file))
    try:
        compat.show_as_numbers(image)
        width, height = image.size
        values = np.empty(width * height * image.channels, np.float32)
        image.pixels.foreach_get(values)
        values = values.reshape(height, width, image.channels)[::-1, :, :3]
    finally:
        bpy.data.images.remove(image)
        file.unlink()
    top = 2**bits - 1
    return np.rint(np.clip(values, 0.0, 1.0).astype(np.float64) * top).astype(np.uint8 if bits == 8 else np.uint16)
