# SPDX-License-Identifier: GPL-3.0-or-later
"""The piece of a surface under a feature's box, and why a feature may not lie there."""

import math
from typing import NamedTuple

import numpy as np

from ..features.feature import Feature
from .tangent_frame import LEAST_COSINE, TangentFrame, frame_at
from .triangles import TriangleMesh

EDGE, CURVATURE, ANOTHER_SURFACE = "edge", "curvature", "another surface"


class Patch(NamedTuple):
    """Where a feature may lie, and how much lengths on the surface exceed those of the field at most, as a factor."""

    frame: TangentFrame
    stretch: float


def patch_at(
    mesh: TriangleMesh, point_mm: np.ndarray, triangle: int, feature: Feature, border_mm: float
) -> Patch | str:
    """The patch under `feature`, laid with its own origin at a point of a triangle; or the reason why there is none.

    The feature's place is taken as (0, 0) of the frame; its `angle_deg` counts from the frame's U. An edge at which the
    surface ends or bends sharply keeps `border_mm` from the box; all normals under the box are within the bound of
    `tangent_frame`; no other sheet that faces the same way lies so near that the field would print on it too.
    """
    left, right, low, high = feature.box_mm
    reach = math.hypot(max(abs(left), abs(right)), max(abs(low), abs(high)))
    widest = frame_at(point_mm, mesh.normals[triangle], reach + border_mm, LEAST_COSINE)

    def local(points: np.ndarray) -> np.ndarray:
        """(..., 3) mm -> along and across the feature's axis, and the height."""
        uvh = widest.to_frame(points)
        cosine, sine = feature.direction
        u, v = uvh[..., 0], uvh[..., 1]
        return np.stack([cosine * u + sine * v, cosine * v - sine * u, uvh[..., 2]], axis=-1)

    box = np.array([left, low]), np.array([right, high])
    far = math.hypot(reach + border_mm * math.sqrt(2.0), widest.depth_mm)  # nothing further off is in box and depth
    ends = local(mesh.limits[_within(mesh.limit_middles, point_mm, far)])
    near = _meets(ends, widest.depth_mm)
    if overlaps_box(ends[near][..., :2], box[0] - border_mm, box[1] + border_mm).any():
        return EDGE

    under = np.flatnonzero(_within(mesh.middles, point_mm, far))
    corners = local(mesh.corners[under])
    kept = _meets(corners, widest.depth_mm)
    kept[kept] = overlaps_box(corners[kept][..., :2], *box)
    under, corners = under[kept], corners[kept]
    own = _connected(mesh, under, triangle)
    cosines = mesh.normals[under] @ np.array(widest.normal)
    is_own = np.isin(under, own)
    least = float(min(cosines[is_own].min(initial=1.0), mesh.normals[triangle] @ np.array(widest.normal)))
    if least < LEAST_COSINE:
        return CURVATURE
    frame = frame_at(point_mm, mesh.normals[triangle], reach, min(least, 1.0))
    if (_meets(corners[~is_own], frame.depth_mm) & (cosines[~is_own] > 0.0)).any():
        return ANOTHER_SURFACE
    return Patch(frame, 1.0 / least)


def _within(balls: tuple[np.ndarray, np.ndarray], point: np.ndarray, far: float) -> np.ndarray:
    """Which of N balls reach nearer to a point than `far`: (N,) bool."""
    middles, radii = balls
    offset = middles - point
    return np.einsum("ni,ni->n", offset, offset) <= (far + radii) ** 2


def point_under(mesh: TriangleMesh, frame: TangentFrame, u: float, v: float) -> tuple[np.ndarray, int] | None:
    """The point (3,) of the surface over (u, v) of a frame's plane and its triangle, or None where there is none.

    Of several within the frame's depth that face the same way, the one nearest to the plane.
    """
    uvh = frame.to_frame(mesh.corners)
    a, b, c = (uvh[:, k, :2] for k in range(3))
    area = _cross(b - a, c - a)
    spot = np.array([u, v])
    facing = area > 0.0  # seen from the frame's normal
    with np.errstate(divide="ignore", invalid="ignore"):
        second, third = _cross(spot - a, c - a) / area, _cross(b - a, spot - a) / area
        weights = np.stack([1.0 - second - third, second, third], axis=-1)
    height = np.einsum("nk,nk->n", weights, uvh[..., 2])
    over = np.flatnonzero(facing & (weights >= -1e-9).all(axis=1) & (np.abs(height) <= frame.depth_mm))
    if len(over) == 0:
        return None
    triangle = int(over[np.argmin(np.abs(height[over]))])
    return weights[triangle] @ mesh.corners[triangle], triangle


def _cross(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The third component of the cross product of vectors (..., 2)."""
    return one[..., 0] * other[..., 1] - one[..., 1] * other[..., 0]


def _meets(points: np.ndarray, depth: float) -> np.ndarray:
    """Which of N edges or triangles (N, K, 3) reach into the slab of heights up to `depth`: (N,) bool."""
    return (points[..., 2].min(axis=1) <= depth) & (points[..., 2].max(axis=1) >= -depth)


def overlaps_box(shapes: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Which of N convex shapes (N, K, 2), segments or triangles, touch the box from `low` to `high`: (N,) bool.

    By separating axes: two convex shapes are apart where their shadows on a normal of one of their sides are.
    """
    together = ((shapes.min(axis=1) <= high) & (shapes.max(axis=1) >= low)).all(axis=1)
    box = np.array([(x, y) for x in (low[0], high[0]) for y in (low[1], high[1])])
    for k in range(shapes.shape[1]):
        side = shapes[:, (k + 1) % shapes.shape[1]] - shapes[:, k]
        normal = np.stack([-side[:, 1], side[:, 0]], axis=-1)
        own = np.einsum("nka,na->nk", shapes, normal)
        its = normal @ box.T
        together &= (own.min(axis=1) <= its.max(axis=1)) & (own.max(axis=1) >= its.min(axis=1))
    return together


def _connected(mesh: TriangleMesh, under: np.ndarray, start: int) -> np.ndarray:
    """The triangles of `under` that one gets to from `start` without leaving them or crossing a sharp edge."""
    inside = set(under.tolist()) | {start}
    reached, todo = {start}, [start]
    firsts, beside = mesh.neighbours_of
    while todo:
        here = todo.pop()
        for there in beside[firsts[here] : firsts[here + 1]].tolist():
            if there in inside and there not in reached:
                reached.add(there)
                todo.append(there)
    return np.fromiter(sorted(reached), np.int64)
