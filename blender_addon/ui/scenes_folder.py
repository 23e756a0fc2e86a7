# SPDX-License-Identifier: GPL-3.0-or-later
"""The recipes that come with the add-on: the panel's inspection context, and the presets of the stain."""

from functools import cache
from pathlib import Path

from ..core.errors import UserError
from ..core.parameter import Choice, Range
from ..core.recipe.settings import Recipe, load

CONTEXT = "panel.toml"


def scenes_folder() -> Path:
    """``scenes/`` inside the installed add-on, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "scenes", package.parent / "scenes"):
        if (folder / CONTEXT).is_file():
            return folder
    raise UserError(f"{CONTEXT} is missing in {package / 'scenes'}; install the add-on again")


@cache
def inspection_context() -> Recipe:
    """What the panel's plate, light and camera are before anybody changes them."""
    return load(scenes_folder() / CONTEXT)


def default_of(section: str, name: str, declared):
    """The value of the inspection context, the middle of it where that is a range, or else the declared default."""
    value = inspection_context().section(section).get(name, declared)
    return value.at(0.5) if isinstance(value, Range | Choice) else value
