# SPDX-License-Identifier: GPL-3.0-or-later
"""What all surface features share: a place on the plate, a frame of their own, and a field.

A feature is written once, here in NumPy, as a function of points in its own frame: u along its axis, v across, mm. The
masks are that function at the centres of the pixels; the renderer looks it up in a texture (`texture.py`).
"""

import math
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from ..noise.hashing import white_noise_value
from ..noise.perlin import perlin_4d
from ..parameter import parameter

_NOISE_PLANE = 0.37
"""Perlin noise vanishes at whole coordinates; a plane between them has no such points."""


class FeatureField(NamedTuple):
    """A feature at points of its frame. Arrays of one shape, float64; a None stands for no effect."""

    height_mm: np.ndarray | None
    """Over the plate; its derivatives bend the light."""
    inside: np.ndarray
    """bool: the mask."""
    own: np.ndarray | None = None
    """0 to 1: how much of the surface has the feature's `roughness` and `anisotropy` in place of the brushed ones."""
    loss: np.ndarray | None = None
    """0 to 1: share of the reflected light that a film takes away."""
    cover: np.ndarray | None = None
    """0 to 1: how much of the metal is hidden under something opaque."""
    albedo: np.ndarray | None = None
    """Diffuse reflectance of what covers."""


@dataclass(frozen=True)
class Feature:
    """Place, direction and seed of one feature, in plate space. Subclasses add parameters and the field."""

    centre_x_mm: float
    centre_y_mm: float
    seed: int
    """Of its random shape: in [0, 100,000)."""
    angle_deg: float = parameter(0.0, -180.0, 180.0, "direction of the long axis, from x")

    anisotropy: ClassVar[float] = 0.0
    """Of the feature's own surface, see `FeatureField.own`; along `angle_deg`."""
    roughness: ClassVar[float] = 0.3
    gloss: ClassVar[float] = 0.0
    """Specular share of what covers."""

    @property
    def box_mm(self) -> tuple[float, float, float, float]:
        """Least and greatest u, least and greatest v outside of which the feature does nothing to be seen."""
        raise NotImplementedError

    @property
    def detail_mm(self) -> tuple[float, float]:
        """Size of the finest detail along u and v, which a texture must resolve."""
        raise NotImplementedError

    def field(self, u: np.ndarray, v: np.ndarray) -> FeatureField:
        """The feature at (u, v), mm, of shapes that broadcast against each other."""
        raise NotImplementedError

    def footprint(self) -> tuple[np.ndarray, float]:
        """Points (N, 2) in plate space, mm, and a radius around them that holds the mask."""
        left, right, low, high = self.box_mm
        middle = self.to_plate(np.array([(left + right) / 2.0]), np.array([(low + high) / 2.0]))
        return middle, math.hypot(right - left, high - low) / 2.0

    def to_local(self, points_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Plate space (..., 2) -> (u, v), mm."""
        points = np.asarray(points_mm, dtype=np.float64)
        x, y = points[..., 0] - self.centre_x_mm, points[..., 1] - self.centre_y_mm
        cosine, sine = self.direction
        return cosine * x + sine * y, cosine * y - sine * x

    def to_plate(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """(u, v) -> plate space (..., 2), mm."""
        cosine, sine = self.direction
        return np.stack([self.centre_x_mm + cosine * u - sine * v, self.centre_y_mm + sine * u + cosine * v], axis=-1)

    @property
    def direction(self) -> tuple[float, float]:
        """Cosine and sine of `angle_deg`."""
        angle = math.radians(self.angle_deg)
        return math.cos(angle), math.sin(angle)


def noise(u: np.ndarray, v: np.ndarray, seed: float) -> np.ndarray:
    """Signed Perlin noise over the plane, at most about 1 in magnitude; u and v in units of its lattice."""
    u, v = np.broadcast_arrays(u, v)
    points = np.stack([u, v, np.full_like(u, _NOISE_PLANE)], axis=-1).astype(np.float32)
    return perlin_4d(points.reshape(-1, 3), seed).reshape(u.shape).astype(np.float64)


def kinks(u: np.ndarray, seed: float) -> np.ndarray:
    """A random polyline over a line: uniform in [-1, 1] at whole u, straight between; u float64 of any shape."""
    left = np.floor(u)
    before, after = (2.0 * draws(knot, seed) - 1.0 for knot in (left, left + 1.0))
    return before + (after - before) * (u - left)


def draws(index: np.ndarray | float, seed: float) -> np.ndarray:
    """Uniform in [0, 1], by the hash of a whole number (any shape) and the seed."""
    index = np.asarray(index, dtype=np.float32) + np.float32(0.0)
    zero = np.zeros_like(index)
    return white_noise_value(np.stack([index, zero, zero], axis=-1), np.float32(seed)).astype(np.float64)


def smoothstep(x: np.ndarray) -> np.ndarray:
    """0 below 0, 1 above 1, 3x² - 2x³ between."""
    x = np.clip(x, 0.0, 1.0)
    return x * x * (3.0 - 2.0 * x)
