# SPDX-License-Identifier: GPL-3.0-or-later
"""Which feature of a mesh owns each surface point: the exact mask, by the rule that the plate's masks follow."""

from collections.abc import Sequence

import numpy as np

from ..features.classes import CLASS_OF
from .placing import MeshFeature


def number_mesh_features(points_mm: np.ndarray, normals: np.ndarray, features: Sequence[MeshFeature]) -> np.ndarray:
    """The number of the feature that owns each point, from 1 in the order of `features`, 0 for none: (...) uint16.

    points_mm, normals: (..., 3), in the object's space; points that are not finite hit nothing. A defect owns a point
    over an impurity, and of two of a kind the later one.
    """
    points = np.asarray(points_mm, np.float64)
    hit = np.isfinite(points).all(axis=-1)
    numbers = np.zeros(points.shape[:-1], np.uint16)
    found = numbers[hit]
    for kind in ("impurity", "defect"):  # the defects last, so that they own their points
        for number, laid in enumerate(features, start=1):
            if CLASS_OF[type(laid.feature)].kind == kind:
                found[laid.field(points[hit], np.asarray(normals)[hit]).inside] = number
    numbers[hit] = found
    return numbers
