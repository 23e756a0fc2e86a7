# SPDX-License-Identifier: GPL-3.0-or-later
"""Presets of the stain. Each is a recipe: the panel takes its `[stain]`, other recipes may extend it.

Those that come with the add-on lie in ``scenes/stains/``, a person's own in Blender's folder of presets.
"""

from pathlib import Path
from typing import NamedTuple

import bpy
import numpy as np

from ..core.errors import UserError
from ..core.parameter import Choice, Range
from ..core.recipe.recipe_file import write_recipe
from ..core.recipe.settings import Recipe, load
from ..core.stain.parameters import STAIN_SPECS
from . import live
from .declared import plain, rescaled
from .properties import CENTRE, GRID
from .scenes_folder import inspection_context, scenes_folder

_NAMES = tuple(spec.name for spec in STAIN_SPECS if spec.name not in ("seed", CENTRE))
"""What a preset holds: all but where the stains happen to lie."""


class Preset(NamedTuple):
    """A preset; `values` is empty and `problem` says why where its file cannot be read."""

    name: str
    path: Path
    own: bool
    description: str
    values: dict[str, float]
    problem: str = ""


_read: list[Preset] = []


def presets() -> list[Preset]:
    """All presets, those of the add-on first. Files are read once; `forget` makes them read again."""
    if not _read:
        folders = ((scenes_folder() / "stains", False), (own_folder(), True))
        _read.extend(_preset(path, own) for folder, own in folders for path in sorted(folder.glob("*.toml")))
    return _read


def forget() -> None:
    _read.clear()


def own_folder() -> Path:
    """Where a person's own presets lie; not made before there is one."""
    return Path(bpy.utils.user_resource("SCRIPTS"), "presets", "surface_impurities")


def find(name: str) -> Preset:
    """Raises UserError where there is no such preset, or its file cannot be read."""
    preset = next((preset for preset in presets() if preset.name == name), None)
    if preset is None:
        raise UserError(f"there is no preset {name!r}; there are {', '.join(preset.name for preset in presets())}")
    if preset.problem:
        raise UserError(preset.problem)
    return preset


def current(settings) -> Preset | None:
    """The preset whose values the panel shows, fitted to an object or not."""
    return next((preset for preset in presets() if preset.values and _equal(settings, preset.values)), None)


def use(settings, preset: Preset) -> None:
    """Set a stain to the preset; seed and fitted scale stay, and so does a single stain's centre."""
    with live.paused():
        settings.distribution = GRID
        for name, value in _fitted(settings, preset.values).items():
            setattr(settings, name, value)


def save(settings, name: str) -> Path:
    """Store the panel's values as a person's own preset; one of that name is replaced.

    Raises:
        UserError: the name cannot name a file, or is that of a preset of the add-on, or the folder cannot be written.
    """
    stem = name.strip().lower().replace(" ", "_")
    if not stem.replace("-", "_").isidentifier():
        raise UserError(f"preset: the name {name!r} must be made of letters, digits, spaces and -")
    if any(preset.path.stem == stem and not preset.own for preset in presets()):
        raise UserError(f"preset: {_title(stem)} comes with the add-on; choose another name")
    if settings.distribution != GRID:
        raise UserError("preset: a preset describes a grid of stains; choose the grid")
    values = {key: plain(getattr(settings, key)) for key in _NAMES}
    context = inspection_context()
    recipe = Recipe(stem, stem, "A preset of the panel", 1, 0, (("train", 1),), {**context.sections, "stain": values})
    path = own_folder() / f"{stem}.toml"
    write_recipe(recipe, path, "A preset of the stain, made with the add-on's panel.")
    forget()
    return path


def remove(preset: Preset) -> None:
    """Delete a person's own preset."""
    try:
        preset.path.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"cannot remove {preset.path}: {error.strerror or error}") from error
    forget()


def _preset(path: Path, own: bool) -> Preset:
    try:
        recipe = load(path)
    except UserError as error:
        return Preset(_title(path.stem), path, own, "", {}, str(error))
    given = recipe.section("stain")
    values = {spec.name: given.get(spec.name, spec.default) for spec in STAIN_SPECS if spec.name in _NAMES}
    values = {key: value.at(0.5) if isinstance(value, Range | Choice) else value for key, value in values.items()}
    return Preset(_title(path.stem), path, own, recipe.description, values)


def _equal(settings, values: dict[str, float]) -> bool:
    fitted = _fitted(settings, values)
    return all(_single(getattr(settings, name)) == _single(value) for name, value in fitted.items())


def _fitted(settings, values: dict[str, float]) -> dict[str, float]:
    """A preset's values at the scale that the stain was fitted to."""
    return values if settings.fitted == 1.0 else rescaled(values, plain(settings.fitted))


def _single(value):
    return np.float32(value)


def _title(stem: str) -> str:
    return stem.replace("_", " ").title()
