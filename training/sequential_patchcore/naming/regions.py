# SPDX-License-Identifier: Apache-2.0
"""The predicted regions of an image, and which patches lie in each."""

from dataclasses import dataclass

import cv2
import numpy as np

from ..extractors.grid import Grid


@dataclass(frozen=True)
class Regions:
    """The 8-connected predicted regions of one image.

    Attributes:
        labels: (H, W) int32, 0 where nothing is predicted, else 1 ... R.
        count: R.
        cells: (n, 2) int64 (y, x) on the feature grid, the patches of all regions.
        region: (n,) int64 0 ... R - 1, the region of each of `cells`, ascending. A patch on the border of two
            regions is listed with both.
    """

    labels: np.ndarray
    count: int
    cells: np.ndarray
    region: np.ndarray


def regions_of(predicted: np.ndarray, grid: Grid) -> Regions:
    """(H, W) bool to its regions."""
    count, labels = cv2.connectedComponents(predicted.astype(np.uint8), connectivity=8)
    return regions_of_labels(labels, count - 1, grid)


def regions_of_labels(labels: np.ndarray, count: int, grid: Grid) -> Regions:
    """The same of regions that are numbered already.

    The patches of a region are those whose value its pixels take in the anomaly map.
    """
    rows, columns = grid.nearest_cells()
    at_y, at_x = np.nonzero(labels)
    height, width = grid.cells
    keys = np.unique((labels[at_y, at_x].astype(np.int64) * height + rows[at_y]) * width + columns[at_x])
    region, cell = np.divmod(keys, height * width)
    return Regions(labels, count, np.stack(np.divmod(cell, width), 1), region - 1)


@dataclass(frozen=True)
class Surroundings:
    """Regions with the patches near them that are anomalous too, though not enough to be predicted.

    Attributes:
        count: R.
        cells: (n, 2) int64 (y, x) on the feature grid, row by row within a region.
        region: (n,) int64 0 ... R - 1, the region of each of `cells`, ascending. A patch near two regions is listed
            with both.
        own: (n,) bool, which of them are the region's own.
    """

    count: int
    cells: np.ndarray
    region: np.ndarray
    own: np.ndarray


def surroundings(regions: Regions, distances: np.ndarray, near_from: float, near_cells: int) -> Surroundings:
    """The patches that a chain of at most `near_cells` steps leads to from a region, all at least `near_from` away.

    Args:
        distances: (h, w) of each patch to the nominal memory, raw units.
        near_from: the distance from which a patch is anomalous enough.
        near_cells: steps to any of the 8 neighbours of a cell.
    """
    height, width = distances.shape
    bounds = np.searchsorted(regions.region, np.arange(regions.count + 1))
    cells, owns, sizes = [np.zeros((0, 2), np.int64)], [np.zeros(0, bool)], []
    for first, last in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        of_region = regions.cells[first:last]
        top, left = np.maximum(of_region.min(0) - near_cells, 0)
        bottom, right = np.minimum(of_region.max(0) + near_cells + 1, (height, width))
        own = np.zeros((bottom - top, right - left), np.uint8)
        own[of_region[:, 0] - top, of_region[:, 1] - left] = 1
        open_to = own | (distances[top:bottom, left:right] >= near_from)
        grown = own.copy()
        for _ in range(near_cells):
            grown = cv2.dilate(grown, np.ones((3, 3), np.uint8)) & open_to
        y, x = np.nonzero(grown)
        cells.append(np.stack([y + top, x + left], 1))
        owns.append(own[y, x] > 0)
        sizes.append(len(y))
    return Surroundings(
        regions.count, np.concatenate(cells), np.repeat(np.arange(regions.count), np.array(sizes, np.int64)),
        np.concatenate(owns),
    )
