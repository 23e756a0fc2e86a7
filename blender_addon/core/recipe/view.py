# SPDX-License-Identifier: GPL-3.0-or-later
"""Which point of the plate each pixel shows."""

import numpy as np

from ..features.feature import Feature
from .sample import Sample


def pixel_pitch_mm(sample: Sample) -> float:
    """Distance on the plate from pixel to pixel of the image as rendered.

    Pixels are square, so a rounded number of rows sees a little less or more than the field.
    """
    return sample.camera.field_mm[0] / sample.size_px[0]


def pixel_centres(sample: Sample, rows: slice = slice(None), columns: slice = slice(None)) -> np.ndarray:
    """Plate space (H, W, 2), mm, of the pixels' centres, row 0 on top; or of a part of the image."""
    width, height = sample.size_px
    pitch = pixel_pitch_mm(sample)
    x = (np.arange(width)[columns] + 0.5 - width / 2) * pitch
    y = (height / 2 - 0.5 - np.arange(height)[rows]) * pitch
    return sample.plate.from_world(np.stack(np.meshgrid(x, y), axis=-1))


def seen_part(sample: Sample, feature: Feature) -> tuple[slice, slice] | None:
    """Rows and columns of the pixels that may show the feature; None if the image shows nothing of its box."""
    left, right, low, high = feature.box_mm
    corners = feature.to_plate(np.array([left, right, right, left]), np.array([low, low, high, high]))
    world = sample.plate.to_world(corners)
    width, height = sample.size_px
    pixels = world / pixel_pitch_mm(sample) * [1.0, -1.0] + [width / 2, height / 2]
    first = np.clip(np.floor(pixels.min(axis=0)).astype(int), 0, (width, height))
    last = np.clip(np.ceil(pixels.max(axis=0)).astype(int), 0, (width, height))
    if (last <= first).any():
        return None
    return slice(first[1], last[1]), slice(first[0], last[0])
