# SPDX-License-Identifier: GPL-3.0-or-later
"""A feature's field over its box, as the texture that the renderer looks up."""

import math
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

from ..parallel import side_by_side
from .feature import Feature, FeatureField

_FINE, _COARSE = 8.0, 5.0
"""Texels to the finest detail: the most that is worth while, and the least that keeps its slopes."""
_TEXELS_PER_PIXEL = 4.0
_MOST_TEXELS = 12_000_000
_STRIP_TEXELS = 1 << 17
"""Evaluated at a time."""
_KEPT_BYTES = 128 * 2**20
"""Of textures, from picture to picture."""


@dataclass(frozen=True)
class FeatureTexture:
    """Row 0 at the least v; texels are point samples at their middles, the outermost ones zero."""

    corner_mm: tuple[float, float]
    """Least u and v, the texels' outer border."""
    size_mm: tuple[float, float]
    shape_values: np.ndarray
    """(rows, columns, 3) float32: slope along x and along y of plate space, share of the feature's own surface."""
    optical_values: np.ndarray | None
    """(rows, columns, 3) float32: loss, cover, albedo; None where the feature has neither film nor cover."""


    @property
    def nbytes(self) -> int:
        optical = 0 if self.optical_values is None else self.optical_values.nbytes
        return self.shape_values.nbytes + optical


_kept: OrderedDict[tuple[Feature, float], FeatureTexture] = OrderedDict()


def bake_feature(feature: Feature, pixel_mm: float) -> FeatureTexture:
    """The feature's texture for images whose pixels see `pixel_mm`; nobody may change it.

    The last ones are kept, as far as they fit: pictures of neighbouring places show the same feature.
    """
    key = feature, pixel_mm
    if key not in _kept:
        _kept[key] = _bake(feature, pixel_mm)
    _kept.move_to_end(key)
    texture = _kept[key]
    while sum(texture.nbytes for texture in _kept.values()) > _KEPT_BYTES:
        _kept.popitem(last=False)
    return texture


def _bake(feature: Feature, pixel_mm: float) -> FeatureTexture:
    """Evaluate the feature. The slopes are the central differences of the heights."""
    left, right, low, high = feature.box_mm
    steps = [min(max(detail / _FINE, pixel_mm / _TEXELS_PER_PIXEL), detail / _COARSE) for detail in feature.detail_mm]
    excess = (right - left) * (high - low) / (steps[0] * steps[1]) / _MOST_TEXELS
    if excess > 1.0:
        steps = [step * math.sqrt(excess) for step in steps]
    columns, rows = (
        math.ceil(extent / step) + 2 for extent, step in zip((right - left, high - low), steps, strict=True)
    )
    corner = (left + right - columns * steps[0]) / 2.0, (low + high - rows * steps[1]) / 2.0
    u = corner[0] + (np.arange(columns) + 0.5) * steps[0]
    v = corner[1] + (np.arange(rows) + 0.5) * steps[1]
    field = _evaluate(feature, u, v)

    shape = np.zeros((rows, columns, 3), dtype=np.float32)
    if field.height_mm is not None:
        across, along = np.gradient(field.height_mm, steps[1], steps[0])
        cosine, sine = feature.direction
        shape[..., 0] = cosine * along - sine * across
        shape[..., 1] = sine * along + cosine * across
    if field.own is not None:
        shape[..., 2] = field.own
    optical = None
    if field.loss is not None or field.cover is not None:
        parts = [0.0 if part is None else part for part in (field.loss, field.cover, field.albedo)]
        optical = np.stack([np.broadcast_to(part, (rows, columns)) for part in parts], axis=-1).astype(np.float32)
    for values in (shape, optical):
        if values is not None:
            values[[0, -1]] = values[:, [0, -1]] = 0.0
            values.setflags(write=False)
    return FeatureTexture(corner, (columns * steps[0], rows * steps[1]), shape, optical)


def _evaluate(feature: Feature, u: np.ndarray, v: np.ndarray) -> FeatureField:
    """The field on the lattice of u (columns,) and v (rows,), strips of rows side by side -> arrays (rows, columns)."""
    rows = max(_STRIP_TEXELS // len(u), 1)

    def strip(start: int) -> FeatureField:
        return feature.field(u[None, :], v[start : start + rows, None])

    # The first alone: what a feature keeps for all of its field, such as the ridges of a finger, is made once.
    parts = zip(strip(0), *side_by_side(strip, range(rows, len(v), rows)), strict=True)
    return FeatureField(*(None if part[0] is None else np.concatenate(part) for part in parts))
