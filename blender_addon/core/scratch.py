# SPDX-License-Identifier: GPL-3.0-or-later
"""A scratch: a ploughed groove with raised shoulders along a bowed path, tapered at its ends, pressed unevenly.

In the scratch's own frame (u along, v across, mm; l half the length, w half the width):

    c(u) = B (1 - u²/l²) + W sin(3 (π u / λ + φ))         the path: a bow of height B that wavers
    t    = (v - c(u)) / w
    T(u) = max(1 - u²/l², 0)² (1 - q sin²(π u / λ + φ))     taper and pressure
    h    = -D T(u) (1 - b t²) exp(-t²/2)
    inside: D T(u) (1 + b t²) exp(-t²/2) >= cut
    ploughed = min(2 T(u) exp(-t²/2), 1)                  how much of the bottom's roughness shows

The profile (1 - t²) exp(-t²/2) moves material without losing any: what is ploughed out of the groove stands in the
shoulders; b < 1 leaves part of it cut away. Its envelope, without the sign change, decides the mask, so that the
mask has no holes where the flank crosses the surface. `scene/defect_nodes.py` is the same formula as shader nodes.
"""

import math
from dataclasses import dataclass

import numpy as np

from .height import HeightField, to_local, to_plate
from .parameter import parameter


@dataclass(frozen=True)
class Scratch:
    """One scratch, in plate space."""

    centre_x_mm: float
    centre_y_mm: float
    angle_deg: float = parameter(60.0, -180.0, 180.0, "direction, from x")
    length_mm: float = parameter(15.0, 0.1, 500.0, "length of the path")
    width_um: float = parameter(120.0, 5.0, 5000.0, "width of the groove between its crossings of the surface")
    depth_um: float = parameter(6.0, 0.01, 1000.0, "greatest depth")
    shoulder: float = parameter(0.7, 0.0, 1.0, "share of the ploughed material that stands in the shoulders")
    bow_mm: float = parameter(0.5, -100.0, 100.0, "height of the path's bow over the chord")
    waver_um: float = parameter(25.0, 0.0, 1000.0, "how far the path wavers")
    unevenness: float = parameter(0.5, 0.0, 1.0, "how far the pressure falls along the path: 1 interrupts it")
    pressure_period_mm: float = parameter(6.0, 0.1, 500.0, "length of one rise and fall of the pressure")
    phase_deg: float = parameter(0.0, 0.0, 360.0, "where the pressure starts")
    roughness: float = parameter(0.35, 0.05, 1.0, "microfacet roughness at the bottom, alike in all directions")
    cut_um: float = parameter(0.3, 0.001, 100.0, "envelope of the height at which the mask ends")

    def footprint(self) -> tuple[np.ndarray, float]:
        """Points (9, 2) along the path in plate space, mm, and a radius around them that holds the scratch."""
        u = np.linspace(-0.5, 0.5, 9) * self.length_mm
        v = self.bow_mm * (1.0 - (2.0 * u / self.length_mm) ** 2)
        x, y = to_plate(u, v, self.angle_deg)
        radius = self.length_mm / 16.0 + (2.0 * self.width_um + self.waver_um) * 1e-3
        return np.stack([self.centre_x_mm + x, self.centre_y_mm + y], axis=-1), radius

    def circle(self) -> tuple[np.ndarray, float]:
        """Centre (2,) and radius, mm, of a circle outside of which the slopes are too small to be seen."""
        points, _ = self.footprint()
        centre = points.mean(axis=0)
        reach = np.linalg.norm(points - centre, axis=1).max()
        return centre, float(reach + (2.5 * self.width_um + self.waver_um) * 1e-3)


def scratch_field(points_mm: np.ndarray, scratch: Scratch) -> HeightField:
    """Evaluate `scratch` at `points_mm` (N, 2), plate space."""
    half, width = scratch.length_mm / 2.0, scratch.width_um * 0.5e-3
    depth, cut, waver = scratch.depth_um * 1e-3, scratch.cut_um * 1e-3, scratch.waver_um * 1e-3
    u, v = to_local(points_mm, scratch.centre_x_mm, scratch.centre_y_mm, scratch.angle_deg)

    end = np.maximum(1.0 - (u / half) ** 2, 0.0)
    wave = math.pi * u / scratch.pressure_period_mm + math.radians(scratch.phase_deg)
    pressure = 1.0 - scratch.unevenness * np.sin(wave) ** 2
    taper = end**2 * pressure
    taper_u = (
        -4.0 * u / half**2 * end * pressure
        - end**2 * scratch.unevenness * math.pi / scratch.pressure_period_mm * np.sin(2.0 * wave)
    )

    path = scratch.bow_mm * (1.0 - (u / half) ** 2) + waver * np.sin(3.0 * wave)
    wave_u = math.pi / scratch.pressure_period_mm
    path_u = -2.0 * scratch.bow_mm * u / half**2 + 3.0 * wave_u * waver * np.cos(3.0 * wave)
    t = (v - path) / width
    bell = np.exp(-0.5 * t**2)
    b = scratch.shoulder
    profile = (1.0 - b * t**2) * bell
    profile_t = -t * (1.0 + 2.0 * b - b * t**2) * bell

    slope_u = -depth * (taper_u * profile + taper * profile_t * -path_u / width)
    slope_v = -depth * taper * profile_t / width
    inside = depth * taper * (1.0 + b * t**2) * bell >= cut
    return HeightField(-depth * taper * profile, *to_plate(slope_u, slope_v, scratch.angle_deg), inside)
