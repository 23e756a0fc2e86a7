# SPDX-License-Identifier: GPL-3.0-or-later
"""The inspected plate: its size, its pose under the camera, and the brushed surface.

Plate space: origin at the centre of the top face, x along the width, y along the length, z out of the metal; mm.
The camera looks down the world's z axis at the world's origin; the pose moves the plate beneath it.
"""

import math
from dataclasses import dataclass

import numpy as np

from ..parameter import parameter
from . import aluminium


@dataclass(frozen=True)
class Plate:
    """A flat plate and its pose."""

    width_mm: float = parameter(100.0, 1.0, 2000.0, "size along x")
    length_mm: float = parameter(120.0, 1.0, 2000.0, "size along y")
    thickness_mm: float = parameter(1.5, 0.1, 100.0, "thickness of the sheet")
    edge_radius_mm: float = parameter(0.3, 0.0, 10.0, "rounding of the cut edges")
    offset_x_mm: float = parameter(0.0, -500.0, 500.0, "position of the plate's centre, x")
    offset_y_mm: float = parameter(0.0, -500.0, 500.0, "position of the plate's centre, y")
    yaw_deg: float = parameter(0.0, -180.0, 180.0, "turn about the camera's axis")

    def from_world(self, points_mm: np.ndarray) -> np.ndarray:
        """World points (..., 2) in mm on the top face -> plate space (..., 2) in mm."""
        yaw = math.radians(self.yaw_deg)
        cosine, sine = math.cos(yaw), math.sin(yaw)
        x = np.asarray(points_mm)[..., 0] - self.offset_x_mm
        y = np.asarray(points_mm)[..., 1] - self.offset_y_mm
        return np.stack([cosine * x + sine * y, cosine * y - sine * x], axis=-1)

    def to_world(self, points_mm: np.ndarray) -> np.ndarray:
        """Plate space (..., 2) in mm -> world points (..., 2) in mm."""
        yaw = math.radians(self.yaw_deg)
        cosine, sine = math.cos(yaw), math.sin(yaw)
        x, y = np.asarray(points_mm)[..., 0], np.asarray(points_mm)[..., 1]
        return np.stack([cosine * x - sine * y + self.offset_x_mm, sine * x + cosine * y + self.offset_y_mm], axis=-1)


@dataclass(frozen=True)
class Surface:
    """Brushed metal: grooves of random spacing, width, depth and length, superposed; `brushing.py` has the formula.

    Grooves wider than `finest_spacing_um` are drawn one by one and bend the normal; what is finer is the statistics
    of the microfacets (roughness, anisotropy).
    """

    seed: int
    grain_angle_deg: float = parameter(0.0, -180.0, 180.0, "direction of the grooves, from x")
    angle_spread_deg: float = parameter(0.35, 0.0, 2.0, "spread of the directions between the scales")
    finest_spacing_um: float = parameter(60.0, 20.0, 1000.0, "spacing of the finest grooves that are drawn")
    scale_ratio: float = parameter(1.7, 1.2, 5.0, "ratio of spacing from one of the six scales to the next")
    groove_width: float = parameter(0.55, 0.1, 0.95, "mean width of a groove as a share of its spacing")
    groove_length_mm: float = parameter(8.0, 1.0, 100.0, "mean length of the grooves of the finest scale")
    groove_slope: float = parameter(0.035, 0.0, 0.5, "steepest slope of an average groove's flank; gives the depth")
    roughness: float = parameter(0.25, 0.05, 1.0, "microfacet roughness (its square is the GGX width)")
    anisotropy: float = parameter(0.68, 0.0, 0.98, "how much wider the microfacets spread across the grain than along")
    reflectance: float = parameter(
        round(aluminium.reflectance(550.0), 3), 0.2, 0.99, "reflectance at normal incidence; bare aluminium 0.921"
    )
    streak_contrast: float = parameter(0.10, 0.0, 0.5, "variation of reflectance and roughness in bands")
