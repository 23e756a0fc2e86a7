# SPDX-License-Identifier: GPL-3.0-or-later
"""Which pixels show the inspected surface: the plate without its rim, which cutting leaves uneven."""

import numpy as np

from ..recipe.sample import Sample
from ..recipe.view import pixel_centres


def inspected_region(sample: Sample) -> np.ndarray:
    """(H, W) bool, row 0 on top: True where the pixel's centre lies on the plate, `border_mm` within its edge."""
    half = np.array([sample.plate.width_mm, sample.plate.length_mm]) / 2.0 - sample.acquisition.border_mm
    return (np.abs(pixel_centres(sample)) <= half).all(axis=-1)
