# SPDX-License-Identifier: Apache-2.0
"""Patches judged, then the worst of them: what many patches of a region say becomes one number a region."""

import numpy as np


def worst_neighbourhood(cells: np.ndarray, values: np.ndarray, window: int, count: int) -> tuple[float, int]:
    """The highest mean of a neighbourhood's `count` highest values, and the patch in the middle of that neighbourhood.

    Every patch of the region is the middle of one neighbourhood: the region's own patches within a square of `window`
    cells. So each peak of a region is judged for itself, and a scratch through a stain is not drowned in the stain, as
    it would be in a mean over the region: a line through a square of 3 cells covers 3 of them. Where a neighbourhood
    holds fewer than `count` patches, at the rim of a region or on a thin one, the region's mean stands for the missing
    ones, so that no single patch decides a region that has more.

    Args:
        cells: (n, 2) int64 (y, x), the patches of one region, n >= 1.
        values: (n,) of each, such as its defect-likeness.
        window: side of the square, odd.
        count: how many of a neighbourhood's values are averaged, the highest; all of them at window².

    Returns:
        the mean, and the row of `cells` in the middle of its neighbourhood; of several equal ones the first.
    """
    reach = window // 2
    corner = cells.min(0) - reach
    plane = np.full(tuple(cells.max(0) - corner + 1 + reach), -np.inf)
    rows, columns = (cells - corner).T
    plane[rows, columns] = values
    steps = range(-reach, reach + 1)
    around = np.stack([plane[rows + down, columns + right] for down in steps for right in steps], 1)
    kept = min(count, len(cells), window * window)
    around = np.sort(around, 1)[:, ::-1][:, :kept]
    means = np.where(np.isinf(around), values.mean(), around).mean(1)
    row = int(means.argmax())
    return float(means[row]), row
