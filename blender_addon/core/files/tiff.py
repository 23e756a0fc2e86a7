# SPDX-License-Identifier: GPL-3.0-or-later
"""Float maps as TIFF: one channel, 32-bit float, Deflate (TIFF 6.0 with Adobe's supplement); pixels alone decide."""

import struct
import zlib

import numpy as np

_SHORT, _LONG = 3, 4
_DEFLATE, _BLACK_IS_ZERO, _FLOAT = 8, 1, 3


def encode(pixels: np.ndarray) -> bytes:
    """TIFF file of `pixels` (H, W) float32, row 0 on top.

    Raises:
        ValueError: another shape or type.
    """
    if pixels.ndim != 2 or pixels.dtype != np.float32 or pixels.size == 0:
        raise ValueError(f"expected (H, W) of float32, got {pixels.shape} of {pixels.dtype}")
    height, width = pixels.shape
    strip = zlib.compress(pixels.astype("<f4").tobytes(), 6)
    strip += b"\0" * (len(strip) % 2)  # the directory begins on a word
    tags = [  # in the order of their numbers, as the format asks
        (256, _LONG, width), (257, _LONG, height), (258, _SHORT, 32), (259, _SHORT, _DEFLATE),
        (262, _SHORT, _BLACK_IS_ZERO), (273, _LONG, 8), (277, _SHORT, 1), (278, _LONG, height),
        (279, _LONG, len(strip)), (339, _SHORT, _FLOAT),
    ]
    directory = struct.pack("<H", len(tags))
    directory += b"".join(struct.pack("<HHII", number, kind, 1, value) for number, kind, value in tags)
    return struct.pack("<2sHI", b"II", 42, 8 + len(strip)) + strip + directory + struct.pack("<I", 0)
