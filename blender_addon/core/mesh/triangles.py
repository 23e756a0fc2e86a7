# SPDX-License-Identifier: GPL-3.0-or-later
"""A triangle mesh: areas, normals, what is next to what, and where the surface ends or bends sharply. Millimetres."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..errors import UserError

SHARP_DEG = 30.0
"""An edge is sharp where its two faces' normals differ by more; a cylinder of 16 sides has 22.5 degrees."""
_WELD = 1e-6
"""Corners nearer than this share of the mesh's size are one: CAD programs give each face corners of its own."""


@dataclass(frozen=True)
class TriangleMesh:
    """Corners counter-clockwise, seen from outside.

    Args:
        vertices: (V, 3) float64, mm, in the object's own space.
        triangles: (T, 3) whole numbers, rows of `vertices`. Those that are no more than a line are left out.

    Raises:
        UserError: there is no triangle with an area, or the shapes are others.
    """

    vertices: np.ndarray
    triangles: np.ndarray

    def __post_init__(self):
        vertices, triangles = np.asarray(self.vertices, np.float64), np.asarray(self.triangles, np.int64)
        if vertices.ndim != 2 or vertices.shape[1] != 3 or triangles.ndim != 2 or triangles.shape[1] != 3:
            raise UserError(f"mesh: expected vertices (V, 3) and triangles (T, 3), got {vertices.shape} and "
                            f"{triangles.shape}")
        corners = vertices[triangles]
        doubled = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
        welded = _welded(vertices)[triangles]
        triangles = triangles[(doubled > 0) & (welded != np.roll(welded, -1, axis=1)).all(axis=1)]
        if len(triangles) == 0:
            raise UserError("mesh: expected a surface with an area, got none; give an object with faces")
        object.__setattr__(self, "vertices", vertices)
        object.__setattr__(self, "triangles", triangles)

    @cached_property
    def corners(self) -> np.ndarray:
        """(T, 3, 3): triangle, corner, axis."""
        return self.vertices[self.triangles]

    @cached_property
    def _cross(self) -> np.ndarray:
        return np.cross(self.corners[:, 1] - self.corners[:, 0], self.corners[:, 2] - self.corners[:, 0])

    @cached_property
    def areas(self) -> np.ndarray:
        """(T,) mm²."""
        return 0.5 * np.linalg.norm(self._cross, axis=1)

    @cached_property
    def normals(self) -> np.ndarray:
        """(T, 3) unit vectors."""
        return self._cross / (2.0 * self.areas[:, None])

    @cached_property
    def _edges(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Edges (E, 2) of welded corners; the three of each triangle (T, 3); how many triangles each has (E,)."""
        welded = _welded(self.vertices)[self.triangles]
        pairs = np.sort(np.stack([welded, np.roll(welded, -1, axis=1)], axis=-1).reshape(-1, 2), axis=1)
        edges, number, count = np.unique(pairs, axis=0, return_inverse=True, return_counts=True)
        return edges, number.reshape(-1, 3), count

    @cached_property
    def neighbours(self) -> np.ndarray:
        """(N, 2): pairs of triangles that share an edge which is neither sharp nor shared by more than two."""
        return self._pairs[~self._is_sharp]

    @cached_property
    def neighbours_of(self) -> tuple[np.ndarray, np.ndarray]:
        """Where in the second array the neighbours of each triangle begin (T + 1,), and the neighbours one by one."""
        ends = np.concatenate([self.neighbours, self.neighbours[:, ::-1]])
        ends = ends[np.argsort(ends[:, 0], kind="stable")]
        return np.searchsorted(ends[:, 0], np.arange(len(self.triangles) + 1)), ends[:, 1]

    @cached_property
    def limits(self) -> np.ndarray:
        """(L, 2, 3) mm: the edges at which the surface ends, bends sharply, or branches."""
        _, number, count = self._edges
        is_limit = count != 2
        is_limit[self._pair_edges[self._is_sharp]] = True
        _, first = np.unique(number.reshape(-1), return_index=True)
        ends = np.stack([self.corners.reshape(-1, 3), np.roll(self.corners, -1, axis=1).reshape(-1, 3)], axis=1)
        return ends[first[is_limit]]

    @cached_property
    def _pairs(self) -> np.ndarray:
        _, number, count = self._edges
        order = np.argsort(number.reshape(-1), kind="stable")
        pairs = order[np.repeat(count == 2, count)].reshape(-1, 2)
        return pairs // 3

    @cached_property
    def _pair_edges(self) -> np.ndarray:
        return np.flatnonzero(self._edges[2] == 2)

    @cached_property
    def _is_sharp(self) -> np.ndarray:
        one, other = self._pairs[:, 0], self._pairs[:, 1]
        cosine = np.einsum("ij,ij->i", self.normals[one], self.normals[other])
        return cosine < math.cos(math.radians(SHARP_DEG))

    @cached_property
    def middles(self) -> tuple[np.ndarray, np.ndarray]:
        """Of each triangle the middle (T, 3) and the radius (T,) of a ball around it that holds it, mm."""
        return _balls(self.corners)

    @cached_property
    def limit_middles(self) -> tuple[np.ndarray, np.ndarray]:
        """The same of each edge of `limits`."""
        return _balls(self.limits)

    @cached_property
    def _area_sums(self) -> np.ndarray:
        return np.cumsum(self.areas)

    def at_area(self, share: float, first: float, second: float) -> tuple[np.ndarray, int]:
        """A point (3,) of the surface and its triangle; three even draws in [0, 1) give points even over the area."""
        total = self._area_sums
        triangle = int(min(np.searchsorted(total, share * total[-1], side="right"), len(total) - 1))
        root = math.sqrt(first)
        weights = np.array([1.0 - root, root * (1.0 - second), root * second])
        return weights @ self.corners[triangle], triangle


def _balls(shapes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Middles (N, 3) of shapes (N, K, 3), and how far their corners are from them (N,)."""
    middles = shapes.mean(axis=1)
    return middles, np.linalg.norm(shapes - middles[:, None], axis=2).max(axis=1, initial=0.0)


def _welded(vertices: np.ndarray) -> np.ndarray:
    """A number for each place of the vertices (V, 3), the same for those that are one: (V,)."""
    if len(vertices) == 0:
        return np.zeros(0, np.int64)
    size = float(np.ptp(vertices, axis=0).max()) or 1.0
    keys = np.round((vertices - vertices.min(axis=0)) / (size * _WELD)).astype(np.int64)
    return np.unique(keys, axis=0, return_inverse=True)[1].reshape(-1)
