# SPDX-License-Identifier: GPL-3.0-or-later
"""The inspection as a scene of its own, beside the person's scenes, and the pair of pictures that it gives."""

import os
import tempfile
from dataclasses import replace
from pathlib import Path

import bpy

from ..core.errors import UserError
from ..core.sample import Sample, draw_sample
from ..core.settings import load
from ..render import session
from ..render.one_sample import render_sample
from ..scene import compat
from ..scene.inspection import NAME, InspectionScene, build_inspection
from . import properties, stain_on_material

_RECIPE = "panel.toml"


def scenes_folder() -> Path:
    """``scenes/`` inside the installed add-on, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "scenes", package.parent / "scenes"):
        if (folder / _RECIPE).is_file():
            return folder
    raise UserError(f"{_RECIPE} is missing in {package / 'scenes'}; install the add-on again")


def sample_of(settings, stained: bool) -> Sample:
    """The sample that the panel describes: plate, light and camera by `scenes/panel.toml`, the rest by the settings.

    Raises:
        UserError: the settings contradict each other.
    """
    sample = draw_sample(load(scenes_folder() / _RECIPE), 0)
    scale = properties.plain(settings.scale_percent)
    render = replace(
        sample.render, samples=settings.samples, scale_percent=scale, stain_backend=settings.backend
    )  # fmt: skip
    return replace(sample, render=render, stain=properties.stain_parameters(settings) if stained else None)


def set_up(scene: bpy.types.Scene) -> tuple[bpy.types.Scene, InspectionScene]:
    """Build the clean inspection scene with the settings of `scene`; the one that is there already is built anew."""
    target = bpy.data.scenes.get(NAME)
    if target is None:
        target = bpy.data.scenes.new(NAME)
    if target != scene:
        properties.copy_settings(scene, target)
        target.cycles.device = scene.cycles.device
    return target, _build(target, sample_of(properties.settings_of(target), stained=False))


def plate_of(scene: bpy.types.Scene) -> bpy.types.Object | None:
    """The plate of an inspection scene; None in any other scene."""
    collection = scene.collection.children.get(NAME)
    objects = collection.objects if collection else ()
    return next((item for item in objects if item.name.startswith(f"{NAME} Plate")), None)


def is_stained(plate: bpy.types.Object) -> bool:
    material = stain_on_material.material_of(plate)
    return material is not None and stain_on_material.stain_node(material) is not None


def device_of(scene: bpy.types.Scene) -> str:
    """What Cycles renders this scene on: CPU, or the kind of GPU that the preferences name."""
    addon = bpy.context.preferences.addons.get("cycles")
    if scene.cycles.device == "CPU" or addon is None or addon.preferences.compute_device_type == "NONE":
        return "CPU"
    return addon.preferences.compute_device_type


def render_pair(scene: bpy.types.Scene, folder: Path) -> list[Path]:
    """Render image, class mask and instances of the scene's plate, clean or stained, as the headless renderer does.

    The scene is built anew from the settings. Files get the next free number in `folder`.

    Raises:
        UserError: the settings contradict each other, or the folder cannot be written.
    """
    settings = properties.settings_of(scene)
    stained = is_stained(plate_of(scene))
    sample = sample_of(settings, stained)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="surface_impurities_") as scratch:
            _, files = render_sample(scene, sample, device_of(scene), Path(scratch))
        written = _write(folder, files)
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error.strerror or error}; choose another folder") from error
    finally:
        built = _build(scene, replace(sample, stain=None))
        if stained:
            stain_on_material.apply_stain(built.beauty, sample.stain, sample.render.stain_backend)
    return written


def _build(scene: bpy.types.Scene, sample: Sample) -> InspectionScene:
    """The scene of `sample`, with the settings under which F12 shows what the camera sees."""
    built = build_inspection(scene, sample, to_keep=True)
    session.configure(scene)
    scene.render.resolution_x, scene.render.resolution_y = sample.size_px
    scene.cycles.samples = sample.render.samples
    scene.cycles.film_exposure = sample.camera.full_wells_per_radiance
    compat.use_osl(scene, sample.render.stain_backend == "osl")
    scene.view_layers[0].objects.active = built.plate
    built.plate.select_set(True, view_layer=scene.view_layers[0])
    return built


def _write(folder: Path, files: dict[str, bytes]) -> list[Path]:
    number = 1
    while any(folder.glob(f"pair_{number:04d}_*.png")):
        number += 1
    written = []
    for kind, data in files.items():
        path = folder / f"pair_{number:04d}_{kind}.png"
        beside = path.with_name(f".{path.name}.part")
        try:
            beside.write_bytes(data)
            os.replace(beside, path)
        finally:
            beside.unlink(missing_ok=True)
        written.append(path)
    return written
