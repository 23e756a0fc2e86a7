# SPDX-License-Identifier: GPL-3.0-or-later
"""The classes of the paper, their numbers, kinds and colours, and what makes them."""

from typing import NamedTuple

from .bump import Bump
from .dent import Dent
from .feature import Feature
from .fingerprint import Fingerprint
from .scratch import Scratch
from .sticker import Sticker


class SurfaceClass(NamedTuple):
    """One class: `kind` is "defect" (the geometry is wrong) or "impurity" (something lies on the surface).

    `feature` draws one instance; a recipe's section has the class's name. The water stain has none: it is a field over
    the whole plate, with a section of its own.
    """

    id: int
    name: str
    kind: str
    colour: tuple[int, int, int]
    feature: type[Feature] | None


# Colours: Okabe and Ito's palette, told apart by all kinds of colour vision.
SURFACE_CLASSES = (
    SurfaceClass(1, "bump", "defect", (0xE6, 0x9F, 0x00), Bump),
    SurfaceClass(2, "dent", "defect", (0xD5, 0x5E, 0x00), Dent),
    SurfaceClass(3, "fingerprint", "impurity", (0x56, 0xB4, 0xE9), Fingerprint),
    SurfaceClass(4, "scratch", "defect", (0xCC, 0x79, 0xA7), Scratch),
    SurfaceClass(5, "sticker", "impurity", (0x00, 0x9E, 0x73), Sticker),
    SurfaceClass(6, "water_stain", "impurity", (0x00, 0x72, 0xB2), None),
)
CLASS_ID = {surface_class.name: surface_class.id for surface_class in SURFACE_CLASSES}


def _order(surface_class: SurfaceClass) -> tuple[bool, int]:
    return surface_class.kind != "defect", surface_class.id


FEATURE_CLASSES = tuple(
    sorted((surface_class for surface_class in SURFACE_CLASSES if surface_class.feature), key=_order)
)
"""Classes whose instances are placed one by one: defects first, then impurities, each by number."""
CLASS_OF = {surface_class.feature: surface_class for surface_class in FEATURE_CLASSES}
PALETTE = ((0, 0, 0), *(surface_class.colour for surface_class in SURFACE_CLASSES))
"""Colour of each value of a mask, 0 being the background."""
