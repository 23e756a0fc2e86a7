# SPDX-License-Identifier: Apache-2.0
"""The strongest false alarms of an image: where they are, what is there, and the nominal patch it was compared with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from ..metrics.tally import Labelled
from ..metrics.threshold_sweep import ThresholdSweep
from ..scoring.nearest_nominal import Explanation
from ..scoring.provenance import crop
from . import overlays

_QUALITY = 72
_LEAST = 0.5  # of the threshold: weaker ones no one would turn the slider down to
_MARGIN = 1 / 40  # of the longer side, around defects: scores leak over their borders
_APART = 0.08  # of the longer side, between two alarms


@dataclass(frozen=True)
class Alarm:
    """A local peak of the scores outside the defects.

    Attributes:
        x, y: in pixels of the image.
        code: it is predicted at the levels of the threshold below this number.
        score: raw units.
        picture: what is there, as JPEG.
        explanation: what it was compared with.
        nominal_picture: of that, as JPEG; None where it cannot be shown.
    """

    x: int
    y: int
    code: int
    score: float
    picture: bytes
    explanation: Explanation
    nominal_picture: bytes | None


def find(
    scores: np.ndarray, codes: np.ndarray, sweep: ThresholdSweep, image: Labelled,
    explain: Callable[[Sequence[tuple[int, int]]], list[Explanation]] | None, most: int = 3,
) -> tuple[Alarm, ...]:
    """At most `most` peaks, the highest first; none without `explain`.

    Pixels next to a defect are left out: what leaks over its border is no alarm of its own.

    Args:
        scores: (H, W) float32.
        codes: (H, W) uint8, at how many levels of the sweep each pixel is predicted.
        explain: for pixels (row, column) the nominal patches they were compared with.
    """
    if explain is None:
        return ()
    height, width = scores.shape
    margin = max(4, round(_MARGIN * max(height, width)))
    defects = (np.isin(image.mask, image.defect_ids) & image.region).astype(np.uint8)
    near = cv2.dilate(defects, np.ones((2 * margin + 1, 2 * margin + 1), np.uint8)) if defects.any() else defects
    left = np.where(image.region & (near == 0), scores, np.float32(-1))
    least = _LEAST * float(sweep.levels[sweep.at])
    apart = max(1, round(_APART * max(height, width)))
    peaks: list[tuple[int, int]] = []
    while len(peaks) < most:
        y, x = (int(v) for v in np.unravel_index(int(left.argmax()), left.shape))
        if left[y, x] < max(least, 0):
            break
        peaks.append((y, x))
        left[max(0, y - apart) : y + apart + 1, max(0, x - apart) : x + apart + 1] = -1
    return tuple(
        Alarm(
            x, y, int(codes[y, x]), float(scores[y, x]), _jpeg(crop(image.image, y, x)), explanation,
            None if explanation.nominal.picture is None else _jpeg(explanation.nominal.picture),
        )
        for (y, x), explanation in zip(peaks, explain(peaks) if peaks else (), strict=True)
    )


def _jpeg(picture: np.ndarray) -> bytes:
    return overlays.jpeg(overlays.photograph(picture), _QUALITY)
