# SPDX-License-Identifier: Apache-2.0
"""The scored patches of one image, and the anomaly map that they make."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch

from ..extractors.grid import Grid
from .conditions import BLUR_SIGMA

_BLUR_REACH = 4  # the kernel ends at this many sigmas: 16 pixels wide at sigma 2, as in the paper


@dataclass(frozen=True)
class PatchScores:
    """The patches of one image, on a feature grid of h x w cells.

    Attributes:
        vectors: (h, w, D) float32 on the scorer's device.
        distances: (h, w) float32, of each to its nearest coreset vector, in the features' own unit.
        grid: where in the image they look.
        blur_sigma: of the map's Gaussian, in pixels of the image.
    """

    vectors: torch.Tensor
    distances: np.ndarray
    grid: Grid
    blur_sigma: float = BLUR_SIGMA

    def anomaly_map(self) -> np.ndarray:
        """(H, W) float32, see `anomaly_map`."""
        return anomaly_map(self.distances, self.grid, self.blur_sigma)


def anomaly_map(distances: np.ndarray, grid: Grid, blur_sigma: float) -> np.ndarray:
    """(h, w) patch distances to an (H, W) map: each pixel takes the patch that looks nearest to it, then the blur.

    Args:
        distances: float32.
        grid: where the patches look.
        blur_sigma: in pixels of the image; 0 for none.
    """
    rows, columns = grid.nearest_cells()
    whole = np.ascontiguousarray(distances[rows[:, None], columns[None, :]], dtype=np.float32)
    if blur_sigma <= 0:
        return whole
    width = 2 * round(_BLUR_REACH * blur_sigma) + 1
    return cv2.GaussianBlur(whole, (width, width), blur_sigma, borderType=cv2.BORDER_REPLICATE)
