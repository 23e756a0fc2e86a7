# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel's settings as a recipe: the inspection scene is its sample 0, a data set is all of it."""

from dataclasses import replace
from typing import Any

from ..core.errors import UserError
from ..core.features.classes import FEATURE_CLASSES
from ..core.parameter import Range, parameters_of
from ..core.recipe.own_scene import VARIED
from ..core.recipe.sample import Sample, draw_sample
from ..core.recipe.settings import SPLITS, Recipe, StainSection
from ..core.stain.parameters import STAIN_SPECS, StainParameters
from .declared import plain
from .properties import GRID, RENDER_NAMES, SECTIONS, in_panel_words, is_used, stain_parameters

_BORDER_MM = 1.0
"""Between a feature and the edges of a part, whose faces are often smaller than a plate."""


def sample_of(settings, stain=None) -> Sample:
    """The inspection scene that the panel describes, with a stain of these settings or without.

    Raises:
        UserError: the settings contradict each other.
    """
    sample = draw_sample(scene_recipe(settings, stain), 0)
    return replace(sample, stain=None if stain is None else stain_parameters(stain))


def scene_recipe(settings, stain=None) -> Recipe:
    """The clean inspection scene, as sample 0 of a recipe."""
    splits = (("train", 1),)
    return Recipe("inspection", "inspection", "", 1, settings.dataset.seed, splits,
                  _sections(settings, stain or settings))


def dataset_recipe(settings, stain) -> Recipe:
    """The recipe of the data set of plates with a stain of these settings.

    Raises:
        UserError: it cannot be drawn; the message says what to change.
    """
    sample_of(settings)
    dataset = settings.dataset
    name, splits = _name_and_splits(dataset)
    offset, yaw = plain(dataset.offset_mm), plain(dataset.yaw_deg)
    sections = _sections(settings, stain)
    plate = dict(sections["plate"])
    for key, half in (("offset_x_mm", offset), ("offset_y_mm", offset), ("yaw_deg", yaw)):
        plate[key] = _around(plate[key], half, _bounds("plate", key))
    sections |= {"plate": plate, "stain": {**_stain_section(settings, stain), "share": plain(dataset.share)}}
    return Recipe(name, name, "Made with the add-on's panel", dataset.count, dataset.seed, splits, sections)


def own_scene_recipe(settings, scene_name: str, file: str, cameras: tuple[str, ...], has_stain: bool) -> Recipe:
    """The recipe of a data set of a person's own scene, which lies in this .blend file.

    Raises:
        UserError: a name or weights that no data set can have.
    """
    dataset = settings.dataset
    name, splits = _name_and_splits(dataset)
    turn, move = plain(dataset.turn_deg), plain(dataset.move_mm)
    scene = {"file": file, "name": scene_name}
    if dataset.every_camera:
        scene["cameras"] = cameras
    sections: dict[str, Any] = {"scene": scene, "render": {"bits": int(settings.depth)}}
    if has_stain:
        scene["stain_variation"] = plain(dataset.variation)
        sections["stain"] = {"share": plain(dataset.share)}
    if turn or move or dataset.turntable > 1:
        around = {key: Range(-half, half) for key, half in
                  (("rotation_z_deg", turn), ("shift_x_mm", move), ("shift_y_mm", move)) if half}
        sections["pose"] = {"turntable_steps": dataset.turntable, **around}
    for surface_class in FEATURE_CLASSES:
        if section := features_on_parts(dataset).get(surface_class.name):
            share = {"share": plain(dataset.defective)} if surface_class.kind == "defect" else {}
            sections[surface_class.name] = {**section, **share}
    return Recipe(name, name, "Made with the add-on's panel", dataset.count, dataset.seed, splits, sections)


def features_on_parts(dataset) -> dict[str, dict[str, Any]]:
    """What is laid on each part of a person's own scene: sections of a recipe."""
    numbers = {surface_class.name: getattr(dataset, surface_class.name) for surface_class in FEATURE_CLASSES}
    return {name: {"count": number, "border_mm": _BORDER_MM} for name, number in numbers.items() if number}


def _name_and_splits(dataset) -> tuple[str, tuple[tuple[str, int], ...]]:
    name = dataset.title
    if not name.replace("-", "_").isidentifier():
        raise UserError(f"data set: the name {name!r} must be made of letters, digits, _ and -")
    splits = tuple((split, weight) for split in SPLITS if (weight := getattr(dataset, split)))
    if not splits:
        raise UserError("data set: at least one of the weights Train, Val and Test must be more than 0")
    return name, splits


def dataset_problem(settings, stain) -> str:
    """Why the settings give no data set of plates, or nothing."""
    try:
        dataset_recipe(settings, stain)
    except UserError as error:
        return str(error)
    return ""


def scene_problem(settings) -> str:
    """What is wrong with plate, light and camera, or nothing."""
    try:
        sample_of(settings)
    except UserError as error:
        return str(error)
    return ""


def _sections(settings, stain) -> dict[str, dict[str, Any]]:
    sections = {
        section: {name: plain(getattr(getattr(settings, section), name)) for name in parameters_of(kind)}
        for section, kind in SECTIONS.items()
    }
    render = {name: plain(getattr(settings, name)) for name in RENDER_NAMES}
    return {**sections, "render": {**render, "bits": int(settings.depth), "stain_backend": stain.backend}}


def _stain_section(settings, stain) -> dict[str, Any]:
    if stain.distribution != GRID:
        raise UserError("data set: a single stain would lie at the same place in every sample; choose the grid")
    part = plain(settings.dataset.variation)
    values = {
        spec.name: plain(getattr(stain, spec.name))
        for spec in STAIN_SPECS
        if is_used(spec.name, stain) and spec.name != "seed"
    }
    bounds = parameters_of(StainSection)
    for key in VARIED:
        values[key] = _around(values[key], abs(values[key]) * part, _bounds_of(bounds[key]))
    largest = {key: value.high if isinstance(value, Range) else value for key, value in values.items()}
    try:
        StainParameters(seed=stain.seed, **largest)
    except UserError as error:
        said = in_panel_words(str(error))
        raise UserError(f"data set: with stains that vary by {part:.0%}, {said}, or let them vary less") from error
    return values


def _around(value: float, half: float, bounds: tuple[float, float]) -> float | Range:
    if half == 0:
        return value
    low, high = bounds
    return Range(round(max(value - half, low), 9), round(min(value + half, high), 9))


def _bounds(section: str, name: str) -> tuple[float, float]:
    return _bounds_of(parameters_of(SECTIONS[section])[name])


def _bounds_of(field) -> tuple[float, float]:
    return field.metadata["low"], field.metadata["high"]
