# SPDX-License-Identifier: GPL-3.0-or-later
"""What every surface feature with a height gives back, and the frame that its formula is written in."""

import math
from typing import NamedTuple

import numpy as np


class HeightField(NamedTuple):
    """A feature at N points of plate space. Arrays (N,), float64 unless noted."""

    height_mm: np.ndarray
    slope_x: np.ndarray
    """Derivative of the height in x of plate space; no unit."""
    slope_y: np.ndarray
    inside: np.ndarray
    """bool: the footprint, which is the mask."""


def to_local(points_mm: np.ndarray, centre_x_mm: float, centre_y_mm: float, angle_deg: float):
    """Plate space (N, 2) -> (u, v): origin at the centre, u along the feature's axis; mm."""
    points = np.asarray(points_mm, dtype=np.float64)
    x, y = points[:, 0] - centre_x_mm, points[:, 1] - centre_y_mm
    cosine, sine = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    return cosine * x + sine * y, cosine * y - sine * x


def to_plate(slope_u: np.ndarray, slope_v: np.ndarray, angle_deg: float):
    """Slopes along (u, v) -> slopes along (x, y) of plate space."""
    cosine, sine = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    return cosine * slope_u - sine * slope_v, sine * slope_u + cosine * slope_v
