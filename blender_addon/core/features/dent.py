# SPDX-License-Identifier: GPL-3.0-or-later
"""A dent: an elliptical press mark with a sharp edge, a raised lip, and the tool's rings and grain on its floor.

In the dent's own frame (u, v, mm; half axes a, b):

    ρ² = (u²/a² + v²/b²) (1 + i noise(1.5 u/a, 1.5 v/a))²,  g = max(1 - ρ², 0)
    h  = -D (1 + k u/a) g  +  L exp(-|ρ - 1| / s)  +  P cos(2π n ρ²) g²  +  G noise(u/γ, v/γ) g
    inside: ρ <= 1 + s max(ln(L / cut), 0)
    own  = m min(4 g, 1)

D depth, k lean of the tool, i irregularity of the edge, L and s height and width of the lip (s as a share of the half
axis), P and n height and number of the rings, G and γ height and size of the floor's grain, m how far the pressing has
smeared the brushing. The mask ends where the lip has fallen to `cut`.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..parameter import parameter
from .feature import Feature, FeatureField, noise

_LIP_REACH = 7.0
"""In decay lengths: there the lip is a thousandth of its height."""


@dataclass(frozen=True)
class Dent(Feature):
    """One dent, in plate space."""

    diameter_mm: float = parameter(3.0, 0.05, 100.0, "length of the long axis, edge to edge")
    aspect: float = parameter(0.8, 0.1, 1.0, "short axis over long axis")
    depth_um: float = parameter(60.0, 0.1, 5000.0, "depth in the middle")
    lean: float = parameter(0.3, -1.0, 1.0, "how far the deepest part moves along the long axis")
    irregularity: float = parameter(0.0, 0.0, 0.5, "how far the edge departs from an ellipse")
    lip_um: float = parameter(6.0, 0.0, 1000.0, "height of the raised lip on the edge")
    lip_width: float = parameter(0.12, 0.01, 1.0, "decay length of the lip, as a share of the half axis")
    ring_um: float = parameter(1.5, 0.0, 100.0, "height of the rings on the floor")
    rings: float = parameter(3.0, 0.0, 50.0, "number of rings")
    grain_um: float = parameter(0.0, 0.0, 100.0, "height of the floor's own grain")
    grain_size_mm: float = parameter(0.35, 0.02, 20.0, "size of that grain")
    smear: float = parameter(0.0, 0.0, 1.0, "how far the pressing has wiped out the brushing")
    roughness: float = parameter(0.3, 0.05, 1.0, "microfacet roughness of the pressed floor, alike in all directions")
    cut_um: float = parameter(1.0, 0.001, 100.0, "height of the lip at which the mask ends")

    anisotropy: ClassVar[float] = 0.0

    @property
    def mask_radius(self) -> float:
        """The ρ at which the mask ends."""
        return 1.0 + self.lip_width * max(math.log(max(self.lip_um, 1e-12) / self.cut_um), 0.0)

    @property
    def box_mm(self) -> tuple[float, float, float, float]:
        a = self.diameter_mm / 2.0 * (1.0 + _LIP_REACH * self.lip_width) / (1.0 - self.irregularity)
        b = a * self.aspect
        return -a, a, -b, b

    @property
    def detail_mm(self) -> tuple[float, float]:
        a = self.diameter_mm / 2.0
        share = min(self.lip_width, 1.0 / (4.0 * self.rings + 1.0) if self.ring_um else 1.0)
        finest = min(share * a, self.grain_size_mm / 2.0) if self.grain_um else share * a
        return finest, finest * self.aspect

    def footprint(self) -> tuple[np.ndarray, float]:
        radius = self.mask_radius * self.diameter_mm / 2.0 / (1.0 - self.irregularity)
        return np.array([[self.centre_x_mm, self.centre_y_mm]]), radius

    def field(self, u: np.ndarray, v: np.ndarray) -> FeatureField:
        a = self.diameter_mm / 2.0
        b = a * self.aspect
        rho_sq = (u / a) ** 2 + (v / b) ** 2
        if self.irregularity:
            rho_sq = rho_sq * (1.0 + self.irregularity * noise(1.5 * u / a, 1.5 * v / a, self.seed)) ** 2
        rho = np.sqrt(rho_sq)
        g = np.maximum(1.0 - rho_sq, 0.0)
        height = -self.depth_um * (1.0 + self.lean * u / a) * g
        height = height + self.lip_um * np.exp(-np.abs(rho - 1.0) / self.lip_width)
        height = height + self.ring_um * np.cos(2.0 * math.pi * self.rings * rho_sq) * g**2
        if self.grain_um:
            height = height + self.grain_um * noise(u / self.grain_size_mm, v / self.grain_size_mm, self.seed + 1) * g
        own = self.smear * np.minimum(4.0 * g, 1.0) if self.smear else None
        return FeatureField(height * 1e-3, rho <= self.mask_radius, own)
