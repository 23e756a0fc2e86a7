# SPDX-License-Identifier: Apache-2.0
"""Pictures of brushed metal drawn by code, for measurements that want more than noise."""

import cv2
import numpy as np


def metal(
    rng: np.random.Generator, size: tuple[int, int], length: float = 6.0, angle: float = 0.0, grain: float = 0.6
) -> np.ndarray:
    """(H, W) float32 in [0, 1]: noise drawn out along a direction.

    Args:
        size: (H, W) in pixels.
        length, grain: sigmas of the noise along and across, in pixels.
        angle: of the direction, in degrees.
    """
    height, width = size
    noise = cv2.GaussianBlur(rng.normal(0, 1, (2 * height, 2 * width)).astype(np.float32), (0, 0), length, sigmaY=grain)
    turn = cv2.getRotationMatrix2D((width, height), angle, 1.0)
    turned = cv2.warpAffine(noise, turn, (2 * width, 2 * height))
    part = turned[height // 2 : height // 2 + height, width // 2 : width // 2 + width]
    light = np.linspace(-0.1, 0.1, width) * rng.uniform(-1, 1)
    return np.clip(0.55 + 0.08 * part / part.std() + light, 0, 1).astype(np.float32)


def as_bytes(plate: np.ndarray) -> np.ndarray:
    """(H, W) float32 in [0, 1] to uint8."""
    return np.round(plate * 255).astype(np.uint8)
