# SPDX-License-Identifier: GPL-3.0-or-later
"""A fingerprint: a thin film of grease, printed by the ridges of a finger, smeared and partial.

In the print's own frame (u across the finger, v towards its tip, mm; half axes a, b of the contact):

    e = min(1 - |u/a|^2.4 - |v/b|^2.4, 1 - 2 partial - n·(u/a, v/b)) + 0.35 noise(3 u/a, 3 v/b)
    contact = smoothstep(e / 0.35)
    ridge   = the finger's ridges, drawn out over the smear's length where the finger slipped
    film    = contact (0.18 + 0.82 ridge) (1 - dryness speckle)
    own     = grease film,  loss = absorption film
    inside: contact >= cut

The second part of e, with a random direction n, is there for partial prints only. The film is tenths of a micrometre
high: it bends no light, it scatters. Where its microfacets replace those of the metal the highlight widens: ridges are
dark on bright metal and bright on dark metal. The mask is the touched area, valleys included.
"""

import math
from dataclasses import dataclass

import numpy as np

from ..parameter import parameter
from .feature import Feature, FeatureField, draws, noise, smoothstep
from .ridges import PATTERNS, SAMPLES_PER_PERIOD, between, ridges, slipped_ridges

_BORDER = 0.35
_VALLEY = 0.18
"""Share of the film that the valleys leave."""
_SPECKLES_PER_MM = 4.0
_SLIP_STEPS = 24


@dataclass(frozen=True)
class Fingerprint(Feature):
    """One fingerprint, in plate space; `angle_deg` is the direction across the finger."""

    pattern: str = parameter("loop", None, None, "flow of the ridges", PATTERNS)
    width_mm: float = parameter(14.0, 2.0, 60.0, "width of the contact")
    length_mm: float = parameter(19.0, 2.0, 80.0, "length of the contact")
    ridge_um: float = parameter(460.0, 150.0, 1500.0, "distance from ridge to ridge")
    grease: float = parameter(0.35, 0.0, 1.0, "share of the surface that the film on a ridge makes its own")
    absorption: float = parameter(0.06, 0.0, 0.9, "share of the reflected light that the film on a ridge takes")
    dryness: float = parameter(0.35, 0.0, 1.0, "how far the film breaks up into speckles")
    partial: float = parameter(0.0, 0.0, 0.8, "share of the contact that is cut off along a line")
    smear_mm: float = parameter(0.0, 0.0, 30.0, "how far the finger slipped")
    smear_deg: float = parameter(60.0, -180.0, 180.0, "direction of the slip, from u")
    roughness: float = parameter(0.5, 0.05, 1.0, "microfacet roughness of the grease")
    cut: float = parameter(0.1, 0.001, 0.9, "contact at which the mask ends")

    @property
    def box_mm(self) -> tuple[float, float, float, float]:
        half_width, half_length = (0.5 * size * 1.35 ** (1.0 / 2.4) for size in (self.width_mm, self.length_mm))
        return -half_width, half_width, -half_length, half_length

    @property
    def detail_mm(self) -> tuple[float, float]:
        return self.ridge_um * 0.4e-3, self.ridge_um * 0.4e-3

    def field(self, u: np.ndarray, v: np.ndarray) -> FeatureField:
        u, v = np.broadcast_arrays(np.asarray(u, dtype=np.float64), np.asarray(v, dtype=np.float64))
        s, t = 2.0 * u / self.width_mm, 2.0 * v / self.length_mm
        contact = smoothstep(self._contact(s, t) / _BORDER)
        film = contact * (_VALLEY + (1.0 - _VALLEY) * self._ridge(u, v))
        if self.dryness:
            speckle = smoothstep(0.5 + 1.6 * noise(u * _SPECKLES_PER_MM, v * _SPECKLES_PER_MM, self.seed + 1)
                                 + 0.8 * noise(s * 1.7, t * 1.7, self.seed + 2))
            film = film * (1.0 - self.dryness * speckle)
        return FeatureField(None, contact >= self.cut, own=self.grease * film, loss=self.absorption * film)

    def _contact(self, s: np.ndarray, t: np.ndarray) -> np.ndarray:
        rim = 1.0 - np.abs(s) ** 2.4 - np.abs(t) ** 2.4
        if self.partial:
            angle = 2.0 * math.pi * float(draws(0.0, self.seed))
            rim = np.minimum(rim, 1.0 - 2.0 * self.partial - math.cos(angle) * s - math.sin(angle) * t)
        return rim + 0.35 * noise(3.0 * s, 3.0 * t, self.seed)

    def _ridge(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """The ridges, and where the finger slipped their mean along the slip."""
        period = self.ridge_um * 1e-3
        _, half_width, _, half_length = self.box_mm
        finger = (self.pattern, self.seed, period, half_width, half_length)
        grid = ridges(*finger)
        step = period / SAMPLES_PER_PERIOD
        x, y = u / step + grid.shape[1] / 2 - 0.5, v / step + grid.shape[0] / 2 - 0.5
        sharp = between(grid, x, y)
        if not self.smear_mm:
            return sharp
        angle = math.radians(self.smear_deg)
        along = math.cos(angle), math.sin(angle)
        slip = (along[0] * self.smear_mm, along[1] * self.smear_mm)
        drawn = between(slipped_ridges(*finger, slip, _SLIP_STEPS), x, y)
        share = smoothstep(0.5 + (u * along[0] / self.width_mm + v * along[1] / self.length_mm) * 2.0)
        return sharp + share * (drawn - sharp)
