# SPDX-License-Identifier: Apache-2.0
"""Why a patch is anomalous: the nominal patch that it is compared with, and what that patch looked like."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ..coreset.search import NearestSearch
from .anomaly_map import PatchScores
from .provenance import NominalPatch, Provenance

STRANGEST = 4  # patches of an image that are explained unless others are asked for
_APART = 8  # cells: the neighbours of a strange patch are strange for the same reason


@dataclass(frozen=True)
class Explanation:
    """One patch of an image, and the nominal patch whose vector is nearest to its own.

    Attributes:
        cell: (y, x) on the image's feature grid.
        pixel: (row, column) in the image that the patch looks at.
        map_distance: between the two vectors, as the anomaly map has it before its blur: float32, by a matrix product.
        distance: the same in float64.
        vector: the nominal patch's row in the coreset.
        nominal: where it came from, and what it looked like.
    """

    cell: tuple[int, int]
    pixel: tuple[float, float]
    map_distance: float
    distance: float
    vector: int
    nominal: NominalPatch


def explained(
    scored: PatchScores, cells: Iterable[tuple[int, int]], search: NearestSearch, provenance: Provenance
) -> list[Explanation]:
    """The explanation of each of the cells (y, x) of an image's feature grid."""
    found = []
    for y, x in cells:
        vector, distance = search.nearest_exactly(scored.vectors[y, x])
        found.append(Explanation(
            (y, x), scored.grid.pixel(y, x), float(scored.distances[y, x]), distance, vector,
            provenance.nominal(vector),
        ))
    return found


def cells_at(scored: PatchScores, pixels: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """For pixels (row, column) of the image the cells (y, x) whose value they take in the anomaly map."""
    rows, columns = scored.grid.nearest_cells()
    return [(int(rows[row]), int(columns[column])) for row, column in pixels]


def strangest(distances: np.ndarray, count: int) -> list[tuple[int, int]]:
    """The cells (y, x) of the largest of (h, w) distances, at least `_APART` cells from each other, largest first."""
    left = distances.copy()
    found: list[tuple[int, int]] = []
    while len(found) < count and np.isfinite(left.max()):
        y, x = (int(value) for value in np.unravel_index(int(left.argmax()), left.shape))
        left[max(0, y - _APART) : y + _APART + 1, max(0, x - _APART) : x + _APART + 1] = -np.inf
        found.append((y, x))
    return found
