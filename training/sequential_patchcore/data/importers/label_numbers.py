# SPDX-License-Identifier: Apache-2.0
"""Numbers that label files hold: finite, and somewhere near an image."""

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...runtime.errors import UserError

_FARTHEST = 1e6  # pixels; beyond it the crossings of a polygon's edges lose their exactness


def points_of(value: Any, fewest: int, what: str, where: str) -> np.ndarray:
    """Points of a label file as float64 (N, 2) in (x, y).

    Args:
        fewest: so many make one of `what`.
        where: names file and shape.

    Raises:
        UserError: no list of pairs of numbers, one that is NaN or far outside any image, or too few.
    """
    try:
        points = np.array(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UserError(f"{where}: its points are no list of [x, y]") from error
    if points.ndim != 2 or points.shape[1] != 2:
        raise UserError(f"{where}: its points are no list of [x, y]")
    if not np.isfinite(points).all():
        wrong = int(np.flatnonzero(~np.isfinite(points).all(axis=1))[0])
        said = json.dumps(list(value)[wrong], default=str)
        raise UserError(f"{where}: its points are no list of [x, y]: point {wrong + 1} is {said}")
    if np.abs(points).max(initial=0) > _FARTHEST:
        raise UserError(f"{where}: its points are far outside any image (up to {np.abs(points).max():g} pixels)")
    if len(points) < fewest:
        raise UserError(f"{where}: {what} needs {fewest} points, found {len(points)}")
    return points


def numbers_of(values: Sequence[Any], where: str) -> list[float]:
    """Numbers of a label file, finite and not far outside any image.

    Raises:
        UserError: one is none.
    """
    numbers = []
    for value in values:
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not abs(number) <= _FARTHEST:
            raise UserError(f"{where}: expected a number of pixels, found {value!r}")
        numbers.append(number)
    return numbers
