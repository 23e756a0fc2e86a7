# SPDX-License-Identifier: GPL-3.0-or-later
"""A parameter is a dataclass field that knows its unit, its range and its words.

The field feeds the recipe reader, the record of a sample and the panel, so a range or a tooltip is written once.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .errors import UserError
from .seeding import uniform


@dataclass(frozen=True)
class Range:
    """A closed interval that a value is drawn from, uniformly."""

    low: float
    high: float

    def at(self, fraction: float) -> float:
        """The value at `fraction` in [0, 1] of the way from low to high."""
        return self.low + (self.high - self.low) * fraction


@dataclass(frozen=True)
class Choice:
    """Words of which one is drawn, each as likely as the other."""

    words: tuple[str, ...]

    def at(self, fraction: float) -> str:
        """The word at `fraction` in [0, 1)."""
        return self.words[int(fraction * len(self.words))]


def parameter(default: Any, low: float | None, high: float | None, text: str, choices: tuple[str, ...] = ()) -> Any:
    """A dataclass field with its hard range `low` .. `high` (numbers) or its `choices` (words) and a tooltip."""
    return dataclasses.field(default=default, metadata={"low": low, "high": high, "text": text, "choices": choices})


def parameters_of(section: type) -> dict[str, dataclasses.Field]:
    """The fields of `section` that were made by `parameter`, by name; drawn seeds and positions are not among them."""
    return {field.name: field for field in dataclasses.fields(section) if "text" in field.metadata}


def allowed(field: dataclasses.Field) -> str:
    """What the parameter takes, in words."""
    if field.metadata["choices"]:
        return "one of " + ", ".join(field.metadata["choices"]) + ", or a list of such to draw from"
    if isinstance(field.default, bool):
        return "true or false"
    kind = "a whole number" if isinstance(field.default, int) else "a number"
    return f"{kind} from {field.metadata['low']:g} to {field.metadata['high']:g}, or a range [low, high] within"


def parse(value: Any, field: dataclasses.Field, place: str) -> Any:
    """Check one value of a recipe.

    Args:
        value: what TOML gave: a bool, word, number, [low, high], or a list of words.
        field: the parameter.
        place: file and key, for the message.

    Returns:
        bool, str, int, float, Range or Choice.

    Raises:
        UserError: names the place, the value and what is allowed.
    """
    problem = UserError(f"{place} = {value!r}: expected {allowed(field)}")
    if field.metadata["choices"]:
        words = value if isinstance(value, list) else [value]
        if not words or not all(word in field.metadata["choices"] for word in words):
            raise problem
        return Choice(tuple(words)) if len(words) > 1 else words[0]
    if isinstance(field.default, bool):
        if not isinstance(value, bool):
            raise problem
        return value
    ends = value if isinstance(value, list) else [value, value]
    whole = isinstance(field.default, int)
    if len(ends) != 2 or not all(_is_number(end, whole) for end in ends):
        raise problem
    low, high = ends
    if low > high:
        raise UserError(f"{place} = {value!r}: the lower end of a range comes first; expected [{high:g}, {low:g}]?")
    if not (field.metadata["low"] <= low <= high <= field.metadata["high"]):
        raise problem
    if low == high:
        return low if whole else float(low)
    return Range(low, high)


def draw(section: type, table: Mapping[str, Any], master: int, index: int, purpose: str, **fixed: Any) -> Any:
    """Make a `section` from parsed values: ranges are drawn, numbers taken, what is not given keeps its default.

    Each parameter has a purpose of its own, `purpose.name`, so that no draw depends on another.
    `fixed` gives the fields that are not parameters (seeds, positions).
    """
    values = dict(fixed)
    for name, field in parameters_of(section).items():
        value = table.get(name, field.default)
        if isinstance(value, Range):
            fraction = uniform(master, index, f"{purpose}.{name}")
            if isinstance(field.default, int):
                value = int(Range(value.low, value.high + 1).at(fraction))
            else:
                value = round(value.at(fraction), 9)
        elif isinstance(value, Choice):
            value = value.at(uniform(master, index, f"{purpose}.{name}"))
        values[name] = value
    return section(**values)


def _is_number(value: Any, whole: bool) -> bool:
    kinds = (int,) if whole else (int, float)
    return isinstance(value, kinds) and not isinstance(value, bool) and value == value
