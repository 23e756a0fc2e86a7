# SPDX-License-Identifier: GPL-3.0-or-later
"""Float textures made of arrays."""

import bpy
import numpy as np


def float_image(values: np.ndarray, name: str) -> bpy.types.Image:
    """An image of numbers, not of colours: values (rows, columns, up to 3) float32, row 0 at the bottom."""
    rows, columns, channels = values.shape
    image = bpy.data.images.new(name, columns, rows, alpha=False, float_buffer=True, is_data=True)
    pixels = np.zeros((rows, columns, 4), dtype=np.float32)
    pixels[..., :channels] = values
    pixels[..., 3] = 1.0
    image.pixels.foreach_set(pixels.ravel())
    return image
