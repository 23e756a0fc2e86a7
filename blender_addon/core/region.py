# SPDX-License-Identifier: GPL-3.0-or-later
"""Which pixels show the inspected surface: the plate without its rim, which cutting leaves uneven."""

import numpy as np

from .sample import Sample


def inspected_region(sample: Sample) -> np.ndarray:
    """(H, W) bool, row 0 on top: True where the pixel's centre lies on the plate, `border_mm` within its edge."""
    columns, rows = sample.size_px
    # Pixels are square, so a rounded number of rows sees a little less or more than the field.
    pitch = sample.camera.field_mm[0] / columns
    x = (np.arange(columns) + 0.5 - columns / 2) * pitch
    y = (rows / 2 - 0.5 - np.arange(rows)) * pitch
    points = sample.plate.from_world(np.stack(np.meshgrid(x, y), axis=-1))
    half = np.array([sample.plate.width_mm, sample.plate.length_mm]) / 2.0 - sample.acquisition.border_mm
    return (np.abs(points) <= half).all(axis=-1)
