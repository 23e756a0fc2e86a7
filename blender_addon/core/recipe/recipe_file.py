# SPDX-License-Identifier: GPL-3.0-or-later
"""A `Recipe` as TOML: what `settings.load` reads back as the same recipe."""

import contextlib
import json
import os
from pathlib import Path
from typing import Any

from ..errors import UserError
from .settings import OWN_SCENE, Recipe


def recipe_toml(recipe: Recipe, heading: str = "") -> str:
    """The recipe with every parameter spelled out. heading: a comment above it."""
    values = recipe.as_dict()
    if recipe.is_own_scene:  # texts that are not given have no value that could be written
        values["scene"]["file"] = recipe.section("scene").get("file", "")
        values |= {name: {key: value for key, value in values[name].items() if value not in ("", [])}
                   for name in OWN_SCENE if name in values}
    top = {key: value for key, value in values.items() if not isinstance(value, dict) and value != ""}
    lines = [f"# {line}" for line in heading.splitlines()]
    lines += [f"{key} = {_value(value)}" for key, value in {**top, "count": recipe.count}.items()]
    lines.append("splits = { " + ", ".join(f"{name} = {weight}" for name, weight in recipe.splits) + " }")
    for section, table in values.items():
        if isinstance(table, dict) and section != "splits":
            lines += ["", f"[{section}]", *(f"{key} = {_value(value)}" for key, value in table.items())]
    return "\n".join(lines) + "\n"


def write_recipe(recipe: Recipe, path: Path, heading: str = "") -> None:
    """Write the recipe beside `path` and rename it, so that a file is whole or as it was.

    Raises:
        UserError: the place cannot be written.
    """
    beside = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(recipe_toml(recipe, heading), encoding="utf-8")
        os.replace(beside, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise UserError(f"cannot write {path}: {error.strerror or error}; choose another folder") from error


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value, ensure_ascii=False)  # numbers, booleans and basic strings are written alike in TOML
