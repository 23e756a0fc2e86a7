# SPDX-License-Identifier: GPL-3.0-or-later
"""The classes of the paper, their numbers, kinds and colours."""

from typing import NamedTuple


class SurfaceClass(NamedTuple):
    """One class: `kind` is "defect" (the geometry is wrong) or "impurity" (something lies on the surface)."""

    id: int
    name: str
    kind: str
    colour: tuple[int, int, int]


# Colours: Okabe and Ito's palette, told apart by all kinds of colour vision.
CLASSES = (
    SurfaceClass(1, "bump", "defect", (0xE6, 0x9F, 0x00)),
    SurfaceClass(2, "dent", "defect", (0xD5, 0x5E, 0x00)),
    SurfaceClass(3, "fingerprint", "impurity", (0x56, 0xB4, 0xE9)),
    SurfaceClass(4, "scratch", "defect", (0xCC, 0x79, 0xA7)),
    SurfaceClass(5, "sticker", "impurity", (0x00, 0x9E, 0x73)),
    SurfaceClass(6, "water_stain", "impurity", (0x00, 0x72, 0xB2)),
)
CLASS_ID = {entry.name: entry.id for entry in CLASSES}
PALETTE = ((0, 0, 0), *(entry.colour for entry in CLASSES))
"""Colour of each value of a mask, 0 being the background."""
