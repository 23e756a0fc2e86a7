# SPDX-License-Identifier: Apache-2.0
"""An image as a few numbers that a defect in one place does not move: how light, where, how sharp, how grainy."""

from collections.abc import Mapping

import cv2
import numpy as np

NUMBERS = (
    "score", "brightness", "tilt_x", "tilt_y", "bow_x", "bow_y", "spread", "dark", "grain_1", "grain_2", "grain_3",
    "grain_4",
)
SIGNED = ("tilt_x", "tilt_y", "bow_x", "bow_y")  # the others are positive, and change by factors
_LEAST = 1e-5
_CELLS = (6, 5)  # across and down: fine enough for a plane and a bow, coarse enough for stains not to count


def numbers_of(image: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    """The numbers of an image.

    `score` is the median of the anomaly map, `brightness` that of the grey values. All others are shares of the
    brightness, so that light as a whole does not change them: `tilt` and `bow`, the plane and the parabola that fit the
    logarithm of the grey values best, from the middle to the edge; `spread`, between the quantiles of 5 and 95 %;
    `dark`, the quantile of 1 %; and `grain_1` to `grain_4`, the median difference of a pixel from those around it, in
    the picture and in the picture at half, a quarter and an eighth of its size.

    Args:
        image: (H, W, 3) float32 RGB in [0, 1].
        scores: (H, W) float32.
    """
    grey = image.mean(2, dtype=np.float32)
    brightness = max(float(np.median(grey)), _LEAST)
    low, dark, high = (float(value) for value in np.quantile(grey, [0.05, 0.01, 0.95]))
    found = {
        "score": float(np.median(scores)), "brightness": brightness, **_shape(grey),
        "spread": (high - low) / brightness, "dark": dark / brightness,
    }
    for level in range(1, 5):
        soft = cv2.GaussianBlur(grey, (0, 0), 0.7)
        found[f"grain_{level}"] = float(np.median(np.abs(grey - soft))) / brightness
        if min(grey.shape) >= 8:
            grey = cv2.resize(grey, (grey.shape[1] // 2, grey.shape[0] // 2), interpolation=cv2.INTER_AREA)
    return found


def as_row(numbers: Mapping[str, float]) -> np.ndarray:
    """(12,) float64 in the order of `NUMBERS`, logarithms where numbers change by factors."""
    return np.array([
        numbers[name] if name in SIGNED else np.log(max(numbers[name], 0.0) + _LEAST) for name in NUMBERS
    ])


def _shape(grey: np.ndarray) -> dict[str, float]:
    cells = cv2.resize(grey, _CELLS, interpolation=cv2.INTER_AREA)
    x, y = np.meshgrid(*((2 * np.arange(count) + 1) / count - 1 for count in _CELLS))  # the middles of the cells
    basis = np.stack([np.ones_like(x), x, y, x * x, y * y], -1).reshape(-1, 5)
    fitted = np.linalg.lstsq(basis, np.log(np.maximum(cells, _LEAST)).ravel(), rcond=None)[0]
    return dict(zip(SIGNED, (float(value) for value in fitted[1:]), strict=True))
