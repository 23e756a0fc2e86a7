# SPDX-License-Identifier: GPL-3.0-or-later
"""A feature that has its shape and has no place yet, and what its place has to keep to."""

from typing import NamedTuple

from .feature import Feature


class Wanted(NamedTuple):
    """A feature to be laid; lengths in mm."""

    feature: Feature
    """With its middle at (0, 0)."""
    purpose: str
    """Of the draws of its place (`core/seeding.py`)."""
    border_mm: float = 1.0
    """Between its box and where the surface ends or bends sharply."""
    distance_mm: float = 4.0
    """To other features."""
    on_defect: bool = False
    """Whether it is to lie on a defect, where there is one."""
