# SPDX-License-Identifier: GPL-3.0-or-later
"""What a render is made of: the inspection scene's sliders, or a copy of the file with a person's own scene."""

from pathlib import Path

import bpy

from ..core.errors import UserError
from ..core.recipe.settings import Recipe
from ..materials import stain_on_material
from ..materials.layers import layers_of
from ..scene.inspected import inspected_parts
from . import inspection_scene, panel_recipe, properties
from .operators import why_not_stain


def why_not_dataset(context) -> str:
    """Why the panel's settings give no data set of this scene, or nothing."""
    scene, settings = context.scene, properties.settings_of(context.scene)
    if inspection_scene.plate_of(scene) is None:
        try:
            dataset_recipe(context, "scene.blend")
        except UserError as error:
            return str(error)
        return own_scene_problem(scene)
    stain = inspection_scene.plate_stain(scene) or settings
    return (panel_recipe.dataset_problem(settings, stain) or inspection_scene.moved(scene)
            or why_not_stain(context, stain))


def dataset_recipe(context, file: str) -> Recipe:
    """The recipe of a data set of this scene. file: where a person's own scene is kept.

    Raises:
        UserError: it cannot be drawn.
    """
    scene, settings = context.scene, properties.settings_of(context.scene)
    if inspection_scene.plate_of(scene) is not None:
        return panel_recipe.dataset_recipe(settings, inspection_scene.plate_stain(scene) or settings)
    cameras = tuple(sorted(item.name for item in scene.objects if item.type == "CAMERA"))
    stained = any(stain_on_material.is_stained(slot.material) for item in scene.objects for slot in item.material_slots)
    return panel_recipe.own_scene_recipe(settings, scene.name, file, cameras, stained)


def own_scene_problem(scene) -> str:
    """Why a person's own scene cannot be rendered with masks, or nothing."""
    if scene.render.engine != "CYCLES":
        return "Choose Cycles as the render engine: masks are exact where the same rays make them"
    if scene.camera is None:
        return "The scene has no camera; add one"
    try:
        parts = inspected_parts(scene, (), stain_on_material.is_stained)
        for material in {slot.material for part in parts for slot in part.object.material_slots if slot.material}:
            layers_of(material)
    except UserError as error:
        return str(error)
    return ""


def save_copy(path: Path) -> None:
    """Save what is open into another file, and go on with the one that is open.

    Raises:
        UserError: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        bpy.ops.wm.save_as_mainfile(filepath=str(path), copy=True, check_existing=False)
    except (OSError, RuntimeError) as error:
        raise UserError(f"cannot write {path}: {str(error).strip()}; choose another folder") from error
