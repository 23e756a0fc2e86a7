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
