# SPDX-License-Identifier: Apache-2.0
"""XML of label tools: parsed, and its numbers checked."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

from ...runtime.errors import UserError
from ..png import read_bytes
from .label_numbers import numbers_of

_DEEPEST = 100
"""Elements within elements; no label tool writes more than a few."""


def parse_xml(path: Path) -> ElementTree.Element:
    """The root of an XML file.

    Raises:
        UserError: it cannot be read.
    """
    try:
        root = ElementTree.fromstring(read_bytes(path))
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise UserError(f"{path}: broken XML ({error})") from error
    level, depth = [root], 0
    while level:
        level, depth = [below for element in level for below in element], depth + 1
        if depth > _DEEPEST:
            raise UserError(f"{path}: broken XML (nested deeper than {_DEEPEST} elements)")
    return root


def text_of(element: ElementTree.Element, place: str) -> str:
    """The text of an element below, without blanks around it; "" where there is none."""
    return (element.findtext(place) or "").strip()


def number_of(element: ElementTree.Element, place: str, where: str) -> float:
    """The number in an element below.

    Raises:
        UserError: none is there.
    """
    return numbers_of([text_of(element, place)], f"{where}, {place}")[0]


def size_of(element: ElementTree.Element, height: str, width: str) -> tuple[float | None, float | None]:
    """(H, W) as an element says it; None for what is missing or 0, as some tools write for an unknown size."""
    sides = []
    for place in (height, width):
        text = text_of(element, place)
        sides.append(float(text) if text.replace(".", "", 1).isdigit() and float(text) > 0 else None)
    return sides[0], sides[1]
