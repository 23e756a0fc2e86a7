# SPDX-License-Identifier: Apache-2.0
"""An anomaly map and its binary mask as pictures for other programs."""

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from ..runtime.errors import UserError
from ..runtime.files import atomic_path

_STEPS_TO_THRESHOLD = 4096  # of a map of whole numbers: 65535 is then nearly 16 times the threshold


def write_map(kind: str, scores: np.ndarray, threshold: float, path: Path) -> float | None:
    """Write the map; return the score of one step where the file holds whole numbers.

    Args:
        kind: "tiff": float32, the scores themselves. "png": 16 bits, the scores in steps of 1/4096 of the threshold,
            rounded down, so that a pixel is predicted, but for filters, from 4096 on; what lies above the last step
            takes the last.
        scores: (H, W) float32, not negative.
        threshold: in the scores' unit.
    """
    if kind == "tiff":
        with atomic_path(path) as beside:
            Image.fromarray(scores).save(beside, format="TIFF")
        return None
    step = float(threshold) / _STEPS_TO_THRESHOLD if threshold > 0 else 1 / _STEPS_TO_THRESHOLD
    # In float64 the threshold itself is 4096 steps, and the float32 below it is less.
    steps = np.minimum(np.floor(scores.astype(np.float64) / step), 65535).astype(np.uint16)
    _write_png(steps, path)
    return step


def write_mask(predicted: np.ndarray, path: Path) -> None:
    """(H, W) bool as a PNG of 8 bits, 255 where it is predicted."""
    _write_png(predicted.astype(np.uint8) * 255, path)


def _write_png(picture: np.ndarray, path: Path) -> None:
    done, data = cv2.imencode(".png", picture)
    if not done:
        raise UserError(f"cannot encode {path}")
    with atomic_path(path) as beside:
        beside.write_bytes(data.tobytes())
