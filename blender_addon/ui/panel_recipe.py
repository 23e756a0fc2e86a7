# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel's settings as a recipe: the inspection scene is its sample 0, a data set is all of it."""

from dataclasses import replace
from typing import Any

from ..core.errors import UserError
from ..core.parameter import Range, parameters_of
from ..core.recipe.sample import Sample, draw_sample
from ..core.recipe.settings import SPLITS, Recipe, StainSection
from ..core.stain.parameters import STAIN_SPECS, StainParameters
from .declared import plain
from .properties import GRID, RENDER_NAMES, SECTIONS, in_panel_words, is_used, stain_parameters

_VARIED = ("radius_mm", "noise_frequency_per_mm", "noise_amplitude_mm", "decay", "intensity")


def sample_of(settings, stained: bool) -> Sample:
    """The inspection scene that the panel describes, with its stain or without.

    Raises:
        UserError: the settings contradict each other.
    """
    sample = draw_sample(scene_recipe(settings), 0)
    return replace(sample, stain=stain_parameters(settings) if stained else None)


def scene_recipe(settings) -> Recipe:
    """The clean inspection scene, as sample 0 of a recipe."""
    splits = (("train", 1),)
    return Recipe("inspection", "inspection", "", 1, settings.dataset.seed, splits, _sections(settings))


def dataset_recipe(settings) -> Recipe:
    """The recipe of the data set.

    Raises:
        UserError: it cannot be drawn; the message says what to change.
    """
    sample_of(settings, stained=False)
    dataset = settings.dataset
    name = dataset.title
    if not name.replace("-", "_").isidentifier():
        raise UserError(f"data set: the name {name!r} must be made of letters, digits, _ and -")
    splits = tuple((split, weight) for split in SPLITS if (weight := getattr(dataset, split)))
    if not splits:
        raise UserError("data set: at least one of the weights Train, Val and Test must be more than 0")
    offset, yaw = plain(dataset.offset_mm), plain(dataset.yaw_deg)
    sections = _sections(settings)
    plate = dict(sections["plate"])
    for key, half in (("offset_x_mm", offset), ("offset_y_mm", offset), ("yaw_deg", yaw)):
        plate[key] = _around(plate[key], half, _bounds("plate", key))
    sections |= {"plate": plate, "stain": {**_stain_section(settings), "share": plain(dataset.share)}}
    return Recipe(name, name, "Made with the add-on's panel", dataset.count, dataset.seed, splits, sections)


def dataset_problem(settings) -> str:
    """Why the settings give no data set, or nothing."""
    try:
        dataset_recipe(settings)
    except UserError as error:
        return str(error)
    return ""


def scene_problem(settings) -> str:
    """What is wrong with plate, light and camera, or nothing."""
    try:
        sample_of(settings, stained=False)
    except UserError as error:
        return str(error)
    return ""


def _sections(settings) -> dict[str, dict[str, Any]]:
    sections = {
        section: {name: plain(getattr(getattr(settings, section), name)) for name in parameters_of(kind)}
        for section, kind in SECTIONS.items()
    }
    render = {name: plain(getattr(settings, name)) for name in RENDER_NAMES}
    return {**sections, "render": {**render, "bits": int(settings.depth), "stain_backend": settings.backend}}


def _stain_section(settings) -> dict[str, Any]:
    if settings.distribution != GRID:
        raise UserError("data set: a single stain would lie at the same place in every sample; choose the grid")
    part = plain(settings.dataset.variation)
    values = {
        spec.name: plain(getattr(settings, spec.name))
        for spec in STAIN_SPECS
        if is_used(spec.name, settings) and spec.name != "seed"
    }
    bounds = parameters_of(StainSection)
    for key in _VARIED:
        values[key] = _around(values[key], abs(values[key]) * part, _bounds_of(bounds[key]))
    largest = {key: value.high if isinstance(value, Range) else value for key, value in values.items()}
    try:
        StainParameters(seed=settings.seed, **largest)
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
