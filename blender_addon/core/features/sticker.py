# SPDX-License-Identifier: GPL-3.0-or-later
"""A sticker: a label of paper or plastic with a number, as thick as it is, with bubbles and perhaps a lifted corner.

In the sticker's own frame (u along the writing, v up, mm), s the signed distance to its rounded rectangle, negative
inside:

    h = H smoothstep(-s / H) + Σ B (1 - d²/r²)²  [d < r]  +  K (max(q, 0) / k)²  +  W noise(u / 2, v / 2)
    inside: s <= 0
    cover = clip(1/2 - s / 0.02, 0, 1)
    albedo = paper (1 - 0.93 ink) (1 + grain)

H thickness, B and r height and radius of the bubbles, K height of the lifted corner and k its size, q how far a point
lies beyond the line that cuts the corner off, W the waviness of the sheet. Ink is within half a stroke of the digits'
polylines (`glyphs.py`), and of a line along the rim where there is one.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..parameter import parameter
from .feature import Feature, FeatureField, draws, noise, smoothstep
from .glyphs import ADVANCE, WIDTH, distance_to_strokes, number_strokes

_SOFT_MM = 0.02
"""Over which the border and the ink fade; a printer's edge."""
_WAVE_UM = 4.0
_INK = 0.93
_MARGIN = 0.16
"""Free share of the label's height above and below the digits."""


@dataclass(frozen=True)
class Sticker(Feature):
    """One sticker, in plate space."""

    width_mm: float = parameter(18.0, 2.0, 200.0, "length along the writing")
    height_mm: float = parameter(10.0, 2.0, 200.0, "extent across the writing")
    corner_mm: float = parameter(1.2, 0.0, 50.0, "radius of the corners")
    thickness_um: float = parameter(90.0, 5.0, 2000.0, "thickness")
    number: int = parameter(17, 0, 99999, "what is written on it")
    writing: str = parameter("printed", None, None, "how the number is written", ("printed", "handwritten"))
    material: str = parameter("paper", None, None, "what it is made of", ("paper", "plastic"))
    albedo: float = parameter(0.8, 0.02, 0.98, "diffuse reflectance of the blank label")
    rim: bool = parameter(False, None, None, "a line printed along the rim")
    bubbles: int = parameter(2, 0, 50, "air bubbles under it")
    bubble_mm: float = parameter(1.6, 0.1, 20.0, "diameter of the largest bubble")
    bubble_um: float = parameter(45.0, 0.0, 1000.0, "height of the largest bubble")
    lift_um: float = parameter(0.0, 0.0, 3000.0, "height of the lifted corner; 0 for none")
    lift_mm: float = parameter(3.5, 0.5, 50.0, "how far the lifted part reaches from its corner")

    anisotropy: ClassVar[float] = 0.0

    @property
    def gloss(self) -> float:
        return 0.5 if self.material == "plastic" else 0.15

    @property
    def roughness(self) -> float:
        return 0.28 if self.material == "plastic" else 0.6

    @property
    def box_mm(self) -> tuple[float, float, float, float]:
        half_width, half_height = self.width_mm / 2.0 + _SOFT_MM, self.height_mm / 2.0 + _SOFT_MM
        return -half_width, half_width, -half_height, half_height

    @property
    def detail_mm(self) -> tuple[float, float]:
        return 0.07, 0.07

    def field(self, u: np.ndarray, v: np.ndarray) -> FeatureField:
        u, v = np.broadcast_arrays(np.asarray(u, dtype=np.float64), np.asarray(v, dtype=np.float64))
        rim = self._signed_distance(u, v)
        height = self.thickness_um * 1e-3 * smoothstep(-rim / (self.thickness_um * 1e-3))
        height = height + self._bubbles(u, v) + self._lifted(u, v)
        height = np.where(rim <= _SOFT_MM, height + _WAVE_UM * 1e-3 * noise(u / 2.0, v / 2.0, self.seed), 0.0)
        grain = 0.03 * noise(u * 9.0, v * 9.0, self.seed + 1) if self.material == "paper" else 0.0
        return FeatureField(
            height_mm=height,
            inside=rim <= 0.0,
            cover=np.clip(0.5 - rim / _SOFT_MM, 0.0, 1.0),
            albedo=self.albedo * (1.0 - _INK * self._ink(u, v, rim)) * (1.0 + grain),
        )

    def _signed_distance(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        radius = min(self.corner_mm, self.width_mm / 2.0, self.height_mm / 2.0)
        du, dv = np.abs(u) - self.width_mm / 2.0 + radius, np.abs(v) - self.height_mm / 2.0 + radius
        outside = np.hypot(np.maximum(du, 0.0), np.maximum(dv, 0.0))
        return outside + np.minimum(np.maximum(du, dv), 0.0) - radius

    def _bubbles(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        height = np.zeros(u.shape)
        for k in range(self.bubbles):
            x, y, size = draws(np.arange(3.0) + 3.0 * k, self.seed)
            radius = 0.5 * self.bubble_mm * (0.35 + 0.65 * size)
            distance_sq = (u - (x - 0.5) * self.width_mm * 0.8) ** 2 + (v - (y - 0.5) * self.height_mm * 0.8) ** 2
            height = height + self.bubble_um * 1e-3 * size * np.maximum(1.0 - distance_sq / radius**2, 0.0) ** 2
        return height

    def _lifted(self, u: np.ndarray, v: np.ndarray) -> np.ndarray | float:
        if not self.lift_um:
            return 0.0
        right, top = draws(np.array([201.0, 202.0]), self.seed) > 0.5
        x, y = (u if right else -u), (v if top else -v)
        beyond = (x - self.width_mm / 2.0 + y - self.height_mm / 2.0) / math.sqrt(2.0) + self.lift_mm
        return self.lift_um * 1e-3 * (np.maximum(beyond, 0.0) / self.lift_mm) ** 2

    def _ink(self, u: np.ndarray, v: np.ndarray, rim: np.ndarray) -> np.ndarray:
        """0 blank, 1 printed."""
        text = str(self.number)
        by_hand = self.writing == "handwritten"
        strokes = number_strokes(text, self.seed + 2, 0.55 if by_hand else 0.0)
        row = ADVANCE * (len(text) - 1) + WIDTH
        size = min(self.height_mm * (1.0 - 2.0 * _MARGIN), self.width_mm * 0.8 / row)
        half_stroke = (0.045 if by_hand else 0.07) * size
        reach = half_stroke + _SOFT_MM
        x, y = u / size + row / 2.0, v / size + 0.5
        ink = _within(distance_to_strokes(x, y, strokes, reach / size) * size, half_stroke)
        if by_hand:  # a pen skips over the fibres
            ink = ink * (0.86 + 0.14 * noise(u * 3.0, v * 3.0, self.seed + 3))
        if self.rim:
            ink = np.maximum(ink, _within(np.abs(rim + 0.08 * self.height_mm), 0.012 * self.height_mm))
        return ink


def _within(distance_mm: np.ndarray, half_mm: float) -> np.ndarray:
    """1 within `half_mm`, fading over the printer's softness."""
    return np.clip(0.5 + (half_mm - distance_mm) / _SOFT_MM, 0.0, 1.0)
