# SPDX-License-Identifier: Apache-2.0
"""What the texts of options must be: each function turns one into its value, or says what was expected."""

import argparse
from collections.abc import Callable
from typing import TypeVar

from ..runtime.choices import BOUNDS
from ..runtime.errors import UserError

N = TypeVar("N", int, float)


def _number(text: str, kind: Callable[[str], N], fits: Callable[[N], bool], expected: str) -> N:
    try:
        value = kind(text)
    except ValueError:
        value = None
    if value is None or not fits(value):
        raise argparse.ArgumentTypeError(f"expected {expected}, got {text!r}")
    return value


def positive(text: str) -> float:
    return _number(text, float, lambda value: 0 < value < float("inf"), "a number above 0")


def not_negative(text: str) -> float:
    return _number(text, float, lambda value: 0 <= value < float("inf"), "a number of at least 0")


def within(name: str, kind: Callable[[str], N]) -> Callable[[str], N]:
    least, most = BOUNDS[name]
    return lambda text: _number(text, kind, lambda value: least <= value <= most, f"{least:g} to {most:g}")


def share(text: str) -> float:
    return _number(text, float, lambda value: 0 < value <= 1, "a number above 0 and at most 1")


def rate(text: str) -> float:
    return _number(text, float, lambda value: 0 < value < 1, "a number above 0 and below 1, such as 0.01")


def share_or_none(text: str) -> float:
    return _number(text, float, lambda value: 0 <= value <= 1, "a number from 0 to 1")


def whole(text: str) -> int:
    return _number(text, int, lambda value: value >= 0, "a whole number of at least 0")


def count(text: str) -> int:
    return _number(text, int, lambda value: value >= 1, "a whole number of at least 1")


def size(text: str) -> int:
    return _number(text, int, lambda value: value >= 2, "a whole number of at least 2")


def seed(text: str) -> int:
    return _number(text, int, lambda value: value >= 0, "a whole number of at least 0")


def chunk(text: str) -> int | None:
    return None if text == "auto" else count(text)


def names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def rule(text: str) -> tuple[str, str]:
    """A pattern and the name that it stands for."""
    pattern, equals, name = text.rpartition("=")
    if not (pattern and equals and name):
        raise argparse.ArgumentTypeError(f"expected PATTERN=NAME, such as '*_cam2_*=left', got {text!r}")
    return pattern, name


def zones_file(text: str) -> tuple[str, str]:
    """The product and the file of its zones; "" for the product where it is for all."""
    product, equals, place = text.partition("=")
    return (product, place) if equals and place else ("", text)


def zone_names(text: str) -> dict[int, str]:
    """Values of a picture and the names of the zones that they stand for."""
    found = {}
    for part in names(text):
        value, equals, name = part.partition("=")
        if not (equals and name and value.isdigit() and 0 < int(value) < 256 and int(value) not in found):
            raise argparse.ArgumentTypeError(f"expected VALUE=NAME, each value once, such as 1=rim,2=face: {text!r}")
        found[int(value)] = name
    return found


def shares(text: str) -> list[float]:
    return [not_negative(part) for part in text.split(",")]


def length(text: str) -> tuple[float, str]:
    """A number with its unit, px or mm."""
    unit = text[-2:].lower()
    if unit not in ("px", "mm"):
        raise argparse.ArgumentTypeError(f"expected a length in mm or px, such as 2mm or 40px, got {text!r}")
    return not_negative(text[:-2]), unit


def in_pixels(margin: tuple[float, str] | None, pixel_size_um: float | None) -> float:
    """A `length` of --margin in pixels of an edge of so many µm; 0 for none.

    Raises:
        UserError: it is in mm, and nobody knows how large a pixel is.
    """
    if margin is None:
        return 0.0
    value, unit = margin
    if unit == "px":
        return value
    if pixel_size_um is None:
        raise UserError(f"--margin {value:g}mm needs --pixel-size-um, the edge of a pixel; or give it in px")
    return value * 1000 / pixel_size_um


def image_size(text: str) -> tuple[int, int]:
    """(height, width)."""
    width, cross, height = text.partition("x")
    if cross and width.isdigit() and height.isdigit() and int(width) and int(height):
        return int(height), int(width)
    raise argparse.ArgumentTypeError(f"expected a size such as 2448x2050, got {text!r}")


def shard(text: str) -> tuple[int, int]:
    part, slash, parts = text.partition("/")
    if slash and part.isdigit() and parts.isdigit() and 1 <= int(part) <= int(parts):
        return int(part), int(parts)
    raise argparse.ArgumentTypeError(f"expected I/N with 1 <= I <= N, such as 1/4, got {text!r}")
