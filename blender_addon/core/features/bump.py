# SPDX-License-Identifier: GPL-3.0-or-later
"""A bump: metal raised from behind, smooth, with a border so soft that nobody can name its edge.

In the bump's own frame (u, v, mm; half axes a, b):

    ρ = √(u²/a² + v²/b²) (1 + i noise(1.3 u/a, 1.3 v/a))
    h = H (1 + k u/a) 10^(-ρ^p)
    inside: 10^(-ρ^p) H >= cut

so that the height has fallen to a tenth on the ellipse (a, b), whatever the steepness p. The mask ends at the height
`cut`, which the record keeps: another observer may draw it elsewhere.
"""

import math
from dataclasses import dataclass

import numpy as np

from ..parameter import parameter
from .feature import Feature, FeatureField, noise

_SEEN = 4.0
"""Powers of ten by which the height has fallen where the field ends."""


@dataclass(frozen=True)
class Bump(Feature):
    """One bump, in plate space."""

    diameter_mm: float = parameter(3.0, 0.05, 100.0, "long axis of the ellipse on which a tenth of the height is left")
    aspect: float = parameter(0.8, 0.1, 1.0, "short axis over long axis")
    height_um: float = parameter(40.0, 0.1, 5000.0, "height in the middle")
    steepness: float = parameter(2.0, 1.2, 8.0, "exponent of the border: 2 a bell, more a plateau")
    lean: float = parameter(0.0, -0.8, 0.8, "how far the highest part moves along the long axis")
    irregularity: float = parameter(0.15, 0.0, 0.5, "how far the outline departs from an ellipse")
    cut_um: float = parameter(2.0, 0.001, 1000.0, "height at which the mask ends")

    def reach(self, share: float) -> float:
        """The ρ at which this share of the height is left; 0 for shares above 1."""
        return max(-math.log10(share), 0.0) ** (1.0 / self.steepness)

    @property
    def box_mm(self) -> tuple[float, float, float, float]:
        a = self.diameter_mm / 2.0 * self.reach(10.0**-_SEEN) / (1.0 - self.irregularity)
        return -a, a, -a * self.aspect, a * self.aspect

    @property
    def detail_mm(self) -> tuple[float, float]:
        finest = self.diameter_mm / (2.0 * self.steepness)
        return finest, finest * self.aspect

    def footprint(self) -> tuple[np.ndarray, float]:
        radius = self.diameter_mm / 2.0 * self.reach(self.cut_um / self.height_um) / (1.0 - self.irregularity)
        return np.array([[self.centre_x_mm, self.centre_y_mm]]), radius

    def field(self, u: np.ndarray, v: np.ndarray) -> FeatureField:
        a = self.diameter_mm / 2.0
        rho = np.sqrt((u / a) ** 2 + (v / (a * self.aspect)) ** 2)
        if self.irregularity:
            rho = rho * (1.0 + self.irregularity * noise(1.3 * u / a, 1.3 * v / a, self.seed))
        share = 10.0 ** -(rho**self.steepness)
        height = self.height_um * 1e-3 * share
        return FeatureField(height * (1.0 + self.lean * u / a), height >= self.cut_um * 1e-3)
