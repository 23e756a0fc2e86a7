# SPDX-License-Identifier: GPL-3.0-or-later
"""A dent: an elliptical press mark with a sharp edge, a raised lip and rings of the tool on its floor.

In the dent's own frame (u, v, mm; half axes a, b):

    ρ² = u²/a² + v²/b²,  g = max(1 - ρ², 0)
    h  = -D (1 + k u/a) g  +  L exp(-|ρ - 1| / s)  +  P cos(2π n ρ²) g²
    inside: ρ <= 1 + s max(ln(L / cut), 0)

D depth, k lean of the tool, L and s height and width of the lip (s as a share of the half axis), P and n height and
number of the rings. The mask ends where the lip has fallen to `cut`. `scene/defect_nodes.py` is the same formula as
shader nodes.
"""

import math
from dataclasses import dataclass

import numpy as np

from .height import HeightField, to_local, to_plate
from .parameter import parameter

SMALLEST_RHO = 1e-6
"""Keeps the direction of ρ finite in the very centre, where the lip's part is exp(-1/s) of little anyway."""


@dataclass(frozen=True)
class Dent:
    """One dent, in plate space."""

    centre_x_mm: float
    centre_y_mm: float
    angle_deg: float = parameter(0.0, -180.0, 180.0, "direction of the long axis, from x")
    diameter_mm: float = parameter(3.0, 0.05, 100.0, "length of the long axis, edge to edge")
    aspect: float = parameter(0.8, 0.1, 1.0, "short axis over long axis")
    depth_um: float = parameter(60.0, 0.1, 5000.0, "depth in the middle")
    lean: float = parameter(0.3, -1.0, 1.0, "how far the deepest part moves along the long axis")
    lip_um: float = parameter(6.0, 0.0, 1000.0, "height of the raised lip on the edge")
    lip_width: float = parameter(0.12, 0.01, 1.0, "decay length of the lip, as a share of the half axis")
    ring_um: float = parameter(1.5, 0.0, 100.0, "height of the rings on the floor")
    rings: float = parameter(3.0, 0.0, 50.0, "number of rings")
    cut_um: float = parameter(1.0, 0.001, 100.0, "height of the lip at which the mask ends")

    @property
    def mask_radius(self) -> float:
        """The ρ at which the mask ends."""
        return 1.0 + self.lip_width * max(math.log(max(self.lip_um, 1e-12) / self.cut_um), 0.0)

    def footprint(self) -> tuple[np.ndarray, float]:
        """The centre (1, 2) in plate space, mm, and a radius around it that holds the dent."""
        return np.array([[self.centre_x_mm, self.centre_y_mm]]), self.mask_radius * self.diameter_mm / 2.0

    def circle(self) -> tuple[np.ndarray, float]:
        """Centre (2,) and radius, mm, of a circle outside of which the slopes are too small to be seen."""
        return np.array([self.centre_x_mm, self.centre_y_mm]), self.diameter_mm / 2.0 * (1.0 + 7.0 * self.lip_width)


def dent_field(points_mm: np.ndarray, dent: Dent) -> HeightField:
    """Evaluate `dent` at `points_mm` (N, 2), plate space."""
    a = dent.diameter_mm / 2.0
    b = a * dent.aspect
    depth, lip, ring = dent.depth_um * 1e-3, dent.lip_um * 1e-3, dent.ring_um * 1e-3
    u, v = to_local(points_mm, dent.centre_x_mm, dent.centre_y_mm, dent.angle_deg)

    square = (u / a) ** 2 + (v / b) ** 2
    rho = np.sqrt(square)
    g = np.maximum(1.0 - square, 0.0)
    tilt = 1.0 + dent.lean * u / a
    edge = lip * np.exp(-np.abs(rho - 1.0) / dent.lip_width)
    angle = 2.0 * math.pi * dent.rings * square
    height = -depth * tilt * g + edge + ring * np.cos(angle) * g**2

    # dh/d(ρ²), where g falls by one per unit of ρ², then the lip by way of ρ.
    in_pit = square < 1.0
    floor_s = depth * tilt * in_pit
    ring_s = -ring * (2.0 * math.pi * dent.rings * np.sin(angle) * g**2 + 2.0 * np.cos(angle) * g)
    edge_s = -edge * np.sign(rho - 1.0) / dent.lip_width / (2.0 * np.maximum(rho, SMALLEST_RHO))
    slope_s = floor_s + ring_s + edge_s
    slope_u = slope_s * 2.0 * u / a**2 - depth * dent.lean / a * g
    slope_v = slope_s * 2.0 * v / b**2
    return HeightField(height, *to_plate(slope_u, slope_v, dent.angle_deg), rho <= dent.mask_radius)
