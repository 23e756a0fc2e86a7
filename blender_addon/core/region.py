# SPDX-License-Identifier: GPL-3.0-or-later
"""Which pixels show the inspected surface: the plate without its rim, which cutting leaves uneven."""

import numpy as np

from .sample import Sample


def inspected_region(sample: Sample) -> np.ndarray:
    """(H, W) bool, row 0 on top: True where the pixel's centre lies on the plate, `border_mm` within its edge."""
    columns, rows = sample.size_px
    width, height = sample.camera.field_mm
    x = ((np.arange(columns) + 0.5) / columns - 0.5) * width
    y = (0.5 - (np.arange(rows) + 0.5) / rows) * height
    points = sample.plate.from_world(np.stack(np.meshgrid(x, y), axis=-1))
    half = np.array([sample.plate.width_mm, sample.plate.length_mm]) / 2.0 - sample.acquisition.border_mm
    return (np.abs(points) <= half).all(axis=-1)
