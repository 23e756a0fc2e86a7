# SPDX-License-Identifier: Apache-2.0
"""From scores to a binary map: the threshold and the filters after it; 8-connected throughout.

Two filters are known in industry: a region below a size is dropped, and a region that reaches the threshold somewhere
is grown down to a lower one (hysteresis).
"""

from dataclasses import dataclass

import cv2
import numpy as np

from ..runtime.errors import UserError


@dataclass(frozen=True)
class Rule:
    """How scores become a binary map, besides the threshold.

    Attributes:
        min_region: regions of fewer pixels are dropped; 0 and 1 drop none.
        hysteresis: a region that reaches the threshold takes in all connected pixels of at least this share of it;
            1 takes in none.
    """

    min_region: int = 0
    hysteresis: float = 1.0

    def __post_init__(self) -> None:
        if self.min_region < 0 or not 0 < self.hysteresis <= 1:
            raise UserError(
                f"expected a smallest region of at least 0 pixels and a hysteresis above 0 and at most 1, got "
                f"{self.min_region} and {self.hysteresis}"
            )

    @property
    def plain(self) -> bool:
        return self.min_region <= 1 and self.hysteresis == 1

    def __str__(self) -> str:
        if self.plain:
            return "score >= threshold"
        parts = []
        if self.hysteresis < 1:
            parts.append(f"grown down to {self.hysteresis:g} of the threshold")
        if self.min_region > 1:
            parts.append(f"regions of fewer than {self.min_region} pixels dropped")
        return "score >= threshold, " + ", ".join(parts)


PLAIN = Rule()


def binary_map(
    scores: np.ndarray, threshold: float | np.ndarray, region: np.ndarray, rule: Rule = PLAIN
) -> np.ndarray:
    """(H, W) bool: what is predicted anomalous inside `region` (H, W) bool. Nothing connects through its outside.

    Args:
        threshold: one for all pixels, or (H, W) float32.
    """
    predicted = (scores >= np.float32(threshold)) & region
    if rule.plain:
        return predicted
    labels, pixels = labelled_regions(scores, threshold, region, rule.hysteresis)
    return (pixels >= rule.min_region)[labels] & (labels > 0)


def labelled_regions(
    scores: np.ndarray, threshold: float | np.ndarray, region: np.ndarray, hysteresis: float
) -> tuple[np.ndarray, np.ndarray]:
    """(H, W) int32 numbers of regions that reach the threshold, 0 elsewhere; and (R + 1,) their pixels, 0 for none."""
    high = (scores >= np.float32(threshold)) & region
    low = high if hysteresis == 1 else (scores >= np.float32(hysteresis * threshold)) & region
    count, labels, stats, _ = cv2.connectedComponentsWithStats(low.astype(np.uint8), connectivity=8)
    pixels = stats[:, cv2.CC_STAT_AREA].astype(np.int64)
    pixels[0] = 0
    if hysteresis < 1:
        reaching = np.zeros(count, bool)
        reaching[np.unique(labels[high])] = True
        reaching[0] = False
        labels = np.where(reaching, np.arange(count), 0).astype(np.int32)[labels]
        pixels[~reaching] = 0
    return labels, pixels
