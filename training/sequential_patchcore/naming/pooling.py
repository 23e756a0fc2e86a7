# SPDX-License-Identifier: Apache-2.0
"""Patches judged, then the worst of them: what many patches of a region say becomes one number a region."""

import cv2
import numpy as np


def worst_neighbourhood(cells: np.ndarray, likeness: np.ndarray, window: int) -> tuple[float, int]:
    """The highest mean likeness of a neighbourhood inside a region, and the patch in whose neighbourhood it is found.

    Every patch of the region is the middle of one neighbourhood: the region's own patches within a square of `window`
    cells. So each peak of a region is judged for itself, and a scratch through a stain is not drowned in the stain, as
    it would be in a mean over the region. Where a neighbourhood holds fewer than half the cells of the square, at the
    rim of a region or on a thin one, the region's mean stands for the missing ones, so that no single patch decides a
    region that has more.

    Args:
        cells: (n, 2) int64 (y, x), the patches of one region, n >= 1.
        likeness: (n,) of each.
        window: side of the square, odd.

    Returns:
        the mean, and the row of `cells` in the middle of its neighbourhood; of several equal ones the first.
    """
    least = min(len(cells), (window * window + 1) // 2)
    corner = cells.min(0)
    shape = tuple(cells.max(0) - corner + 1)
    rows, columns = (cells - corner).T
    values, there = np.zeros(shape), np.zeros(shape)
    values[rows, columns], there[rows, columns] = likeness, 1
    sums, counts = (
        cv2.boxFilter(plane, -1, (window, window), normalize=False, borderType=cv2.BORDER_CONSTANT)[rows, columns]
        for plane in (values, there)
    )
    means = (sums + np.maximum(least - counts, 0) * likeness.mean()) / np.maximum(counts, least)
    row = int(means.argmax())
    return float(means[row]), row
