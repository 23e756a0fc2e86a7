# SPDX-License-Identifier: GPL-3.0-or-later
"""The hexagonal ring light: flat, emissive, around the camera's axis, facing the plate."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import UserError
from ..parameter import parameter

VARIANTS = ("as_built", "rot90", "x2")
SEGMENTS = 6


def segment_brightness(spread: float, dead: int, draws: Sequence[float]) -> tuple[float, ...]:
    """Six brightnesses from six `draws` in [0, 1): 1 within `spread`; segment `dead` (from 1, 0 for none) is dark."""
    return tuple(0.0 if k == dead else 1.0 + spread * (2.0 * draw - 1.0) for k, draw in enumerate(draws, start=1))


@dataclass(frozen=True)
class RingLight:
    """A hexagonal ring of Lambertian emitters.

    `variant` perturbs the light as in the paper: `rot90` turns it by 90 degrees about the axis (a hexagon turned by 90
    degrees looks turned by 30: corners and flats change places), `x2` doubles its lateral size with emitters of the
    same radiance, so that the power is four times as high.
    """

    variant: str = parameter("as_built", None, None, "perturbation of the light", VARIANTS)
    outer_radius_mm: float = parameter(66.0, 1.0, 1000.0, "centre to outer corner")
    inner_radius_mm: float = parameter(14.0, 0.0, 999.0, "centre to inner corner: the hole for the lens")
    height_mm: float = parameter(272.0, 10.0, 5000.0, "height over the plate")
    angle_deg: float = parameter(0.0, -180.0, 180.0, "direction of the first corner, from x")
    power_w: float = parameter(12.0, 0.0, 10000.0, "radiant power of the light as built")
    shift_x_mm: float = parameter(0.0, -500.0, 500.0, "centre of the ring from the camera's axis, x")
    shift_y_mm: float = parameter(0.0, -500.0, 500.0, "centre of the ring from the camera's axis, y")
    tilt_x_deg: float = parameter(0.0, -45.0, 45.0, "turn of the ring about the x axis")
    tilt_y_deg: float = parameter(0.0, -45.0, 45.0, "turn of the ring about the y axis")
    segment_spread: float = parameter(0.0, 0.0, 1.0, "largest relative error of a segment's brightness")
    dead_segment: int = parameter(0, 0, 6, "number of the segment that is dark, from the first corner on; 0 for none")
    ambient: float = parameter(0.01, 0.0, 1.0, "radiance of the surroundings as a share of the light's")
    segments: tuple[float, ...] = (1.0,) * SEGMENTS
    """Brightness of each segment over the nominal one; drawn within `segment_spread`, 0 where it is dead."""

    def __post_init__(self) -> None:
        if self.inner_radius_mm >= self.outer_radius_mm:
            raise UserError(f"light: the inner radius (inner_radius_mm = {self.inner_radius_mm:g}) must be smaller "
                            f"than the outer radius (outer_radius_mm = {self.outer_radius_mm:g})")

    @property
    def size_factor(self) -> float:
        return 2.0 if self.variant == "x2" else 1.0

    @property
    def area_mm2(self) -> float:
        """Emitting area as built: a hexagon of circumradius R has 3√3/2 R²."""
        return 1.5 * math.sqrt(3.0) * (self.outer_radius_mm**2 - self.inner_radius_mm**2)

    @property
    def radiance_w_m2_sr(self) -> float:
        """L = P / (π A), for a one-sided Lambertian emitter; of a nominal segment, the same in all variants."""
        return self.power_w / (math.pi * self.area_mm2 * 1e-6)

    @property
    def segment_radiances_w_m2_sr(self) -> tuple[float, ...]:
        """Radiance of each segment, from the first corner on, counter-clockwise."""
        return tuple(self.radiance_w_m2_sr * brightness for brightness in self.segments)

    @property
    def total_power_w(self) -> float:
        """Radiant power with the variant, which grows with the area, and with the segments as they are."""
        return self.power_w * self.size_factor**2 * sum(self.segments) / SEGMENTS

    def corners_mm(self) -> tuple[np.ndarray, np.ndarray]:
        """Outer and inner corners, each (6, 2) in mm, counter-clockwise, variant applied, before shift and tilt."""
        turn = self.angle_deg + (90.0 if self.variant == "rot90" else 0.0)
        angles = np.radians(turn + 60.0 * np.arange(6))
        unit = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
        return unit * self.outer_radius_mm * self.size_factor, unit * self.inner_radius_mm * self.size_factor
