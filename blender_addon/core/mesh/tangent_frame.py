# SPDX-License-Identifier: GPL-3.0-or-later
"""A plane laid on a surface at a point: how a field over a plane is carried onto the surface, along the normal.

For a surface point p with normal n, and the frame's origin o, axes U, V and normal N:

    u = (p - o).U,  v = (p - o).V,  h = (p - o).N
    the point belongs to the patch where |h| <= depth and n.N > 0

Distortion: where the surface's normals are within an angle θ of N, the surface is a graph over the plane of slope at
most tan θ. A curve on it is as long as its projection at least and 1 / cos θ times that at most, and so is an area. The
bound is `MOST_STRETCH`: a feature is laid only where 1 / cos θ is at most that over all of its box.
"""

import math
from dataclasses import dataclass

import numpy as np

MOST_STRETCH = 1.1
"""Lengths on the surface exceed those of the field by at most a tenth: normals within 24.6 degrees; on a sphere or
around a cylinder, features of a radius up to 0.416 of its own."""
LEAST_COSINE = 1.0 / MOST_STRETCH
_RAISED = 0.01
"""What the depth has over the bound, as a share of the patch's radius: rounding must not cut a flat patch."""


@dataclass(frozen=True)
class TangentFrame:
    """All in the object's own space; lengths in mm."""

    origin_mm: tuple[float, float, float]
    u_axis: tuple[float, float, float]
    v_axis: tuple[float, float, float]
    normal: tuple[float, float, float]
    depth_mm: float
    """How far from the plane, along the normal, the surface still belongs to the patch."""

    def to_frame(self, points_mm: np.ndarray) -> np.ndarray:
        """(..., 3) -> (..., 3): u, v and the height over the plane, mm."""
        return (np.asarray(points_mm, np.float64) - self.origin_mm) @ self.axes.T

    def holds(self, points_mm: np.ndarray, normals: np.ndarray) -> np.ndarray:
        """Which surface points (..., 3) with normals (..., 3) belong to the patch: (...) bool."""
        height = self.to_frame(points_mm)[..., 2]
        return (np.abs(height) <= self.depth_mm) & (np.asarray(normals, np.float64) @ np.array(self.normal) > 0.0)

    @property
    def axes(self) -> np.ndarray:
        """(3, 3): rows U, V, N."""
        return np.array([self.u_axis, self.v_axis, self.normal])


def frame_at(origin_mm: np.ndarray, normal: np.ndarray, radius_mm: float, cosine: float) -> TangentFrame:
    """The frame at a point, U the object's x as far as it lies in the plane, or y where x hardly does.

    radius_mm: how far from the origin the field goes; cosine: the least n.N over it, which bounds the depth.
    """
    normal = normal / np.linalg.norm(normal)
    reference = np.array([1.0, 0.0, 0.0]) if abs(normal[0]) < 0.9 else np.array([0.0, 1.0, 0.0])
    u_axis = reference - normal * (reference @ normal)
    u_axis /= np.linalg.norm(u_axis)
    depth = radius_mm * (math.sqrt(max(1.0 / cosine**2 - 1.0, 0.0)) + _RAISED)
    axes = (origin_mm, u_axis, np.cross(normal, u_axis), normal)
    return TangentFrame(*(tuple(round(float(x), 9) for x in axis) for axis in axes), depth_mm=round(depth, 6))
