# SPDX-License-Identifier: GPL-3.0-or-later
"""A scratch: a ploughed groove with raised shoulders along a path, tapered at its ends, pressed unevenly.

In the scratch's own frame (u along, v across, mm; l half the length, w half the width):

    c(u) = B (1 - u²/l²) + W sin(3 (π u / λ + φ)) + J kinks(u / j)      the path: bow, waver, jags
    t    = (v - c(u)) / (w √(1 + c'²))                                  across the path
    T(u) = max(1 - u²/l², 0)² (1 - q sin²(π u / λ + φ)) lift(u)         taper, pressure, parts where the tool was off
    lift = clip(1 + (n(u) - gaps) / 0.1, 0, 1),  n = (1 + kinks(u / λ)) / 2
    h    = -D T(u) C(u) (1 - b t²) exp(-t²/2)
    C(u) = 1 - k (1 + cos(2π u / m)) / 2                                chatter of the tool
    inside: D T(u) (1 + b t²) exp(-t²/2) >= cut
    own  = min(2 T(u) exp(-t²/2), 1)                                    how much of the bottom's surface shows

The profile (1 - t²) exp(-t²/2) moves material without losing any: what is ploughed out of the groove stands in the
shoulders; b < 1 leaves part of it cut away. Its envelope, without the sign change and the chatter, decides the mask,
so that the mask has no holes where the flank crosses the surface.
"""

import math
from dataclasses import dataclass

import numpy as np

from ..parameter import parameter
from .feature import Feature, FeatureField, kinks

_REACH = 4.5
"""In half widths: there the profile's slope is a hundredth of its steepest."""
_LIFT_RAMP = 0.1
_STEP_MM = 1e-4
"""For the slope of the path."""


@dataclass(frozen=True)
class Scratch(Feature):
    """One scratch, in plate space."""

    angle_deg: float = parameter(60.0, -180.0, 180.0, "direction, from x")
    length_mm: float = parameter(15.0, 0.1, 500.0, "length of the path")
    width_um: float = parameter(120.0, 5.0, 5000.0, "width of the groove between its crossings of the surface")
    depth_um: float = parameter(6.0, 0.01, 1000.0, "greatest depth")
    shoulder: float = parameter(0.7, 0.0, 1.0, "share of the ploughed material that stands in the shoulders")
    bow_mm: float = parameter(0.5, -100.0, 100.0, "height of the path's bow over the chord")
    waver_um: float = parameter(25.0, 0.0, 1000.0, "how far the path wavers")
    jag_um: float = parameter(0.0, 0.0, 10000.0, "how far the path jumps at its kinks; 0 for a smooth one")
    jag_length_mm: float = parameter(1.5, 0.05, 100.0, "distance from kink to kink")
    unevenness: float = parameter(0.5, 0.0, 1.0, "how far the pressure falls along the path")
    pressure_period_mm: float = parameter(6.0, 0.1, 500.0, "length of one rise and fall of the pressure")
    phase_deg: float = parameter(0.0, 0.0, 360.0, "where the pressure starts")
    gaps: float = parameter(0.0, 0.0, 0.95, "share of the path on which the tool was lifted")
    chatter: float = parameter(0.0, 0.0, 1.0, "how far the depth falls between the marks of a chattering tool")
    chatter_mm: float = parameter(0.4, 0.02, 20.0, "distance of the chatter marks")
    roughness: float = parameter(0.3, 0.05, 1.0, "microfacet roughness at the bottom")
    anisotropy: float = parameter(0.4, 0.0, 0.98, "how much wider the bottom's microfacets spread across its path")
    cut_um: float = parameter(0.3, 0.001, 100.0, "envelope of the height at which the mask ends")

    @property
    def box_mm(self) -> tuple[float, float, float, float]:
        half = self.length_mm / 2.0
        u = np.linspace(-half, half, 513)
        path, width = self._path(u), self._reach(u)
        return -half, half, float((path - width).min()), float((path + width).max())

    @property
    def detail_mm(self) -> tuple[float, float]:
        along = [self.jag_length_mm] if self.jag_um else []
        along += [self.chatter_mm / 2.0] if self.chatter else []
        steep = float(np.abs(self._path_slope(np.linspace(-0.5, 0.5, 513) * self.length_mm)).max())
        across = self.width_um * 0.5e-3
        return min(*along, self.pressure_period_mm / 6.0, across / max(steep, 1e-6)), across

    def footprint(self) -> tuple[np.ndarray, float]:
        u = np.linspace(-0.5, 0.5, 33) * self.length_mm
        return self.to_plate(u, self._path(u)), float(self.length_mm / 64.0 + self._reach(u).max())

    def field(self, u: np.ndarray, v: np.ndarray) -> FeatureField:
        half, period = self.length_mm / 2.0, self.pressure_period_mm
        depth = self.depth_um * 1e-3
        u = np.asarray(u, dtype=np.float64)

        end = np.maximum(1.0 - (u / half) ** 2, 0.0)
        pressure = 1.0 - self.unevenness * np.sin(self._wave(u)) ** 2
        force = 0.5 * (1.0 + kinks(u / period, self.seed + 1))
        lift = np.clip(1.0 + (force - self.gaps) / _LIFT_RAMP, 0.0, 1.0)
        taper = end**2 * pressure * lift
        mark = 1.0 - self.chatter * 0.5 * (1.0 + np.cos(2.0 * math.pi * u / self.chatter_mm))

        t = (v - self._path(u)) / (self.width_um * 0.5e-3 * np.sqrt(1.0 + self._path_slope(u) ** 2))
        t_sq = t * t
        bell = np.exp(-0.5 * t_sq)
        return FeatureField(
            height_mm=-depth * taper * mark * (1.0 - self.shoulder * t_sq) * bell,
            inside=depth * taper * (1.0 + self.shoulder * t_sq) * bell >= self.cut_um * 1e-3,
            own=np.minimum(2.0 * taper * bell, 1.0),
        )

    def _wave(self, u: np.ndarray) -> np.ndarray:
        return math.pi * u / self.pressure_period_mm + math.radians(self.phase_deg)

    def _path(self, u: np.ndarray) -> np.ndarray:
        path = self.bow_mm * (1.0 - (2.0 * u / self.length_mm) ** 2)
        path = path + self.waver_um * 1e-3 * np.sin(3.0 * self._wave(u))
        return path + self.jag_um * 1e-3 * kinks(u / self.jag_length_mm, self.seed) if self.jag_um else path

    def _path_slope(self, u: np.ndarray) -> np.ndarray:
        return (self._path(u + _STEP_MM) - self._path(u - _STEP_MM)) / (2.0 * _STEP_MM)

    def _reach(self, u: np.ndarray) -> np.ndarray:
        return _REACH * self.width_um * 0.5e-3 * np.sqrt(1.0 + self._path_slope(u) ** 2)
