# SPDX-License-Identifier: Apache-2.0
"""Masks as picture files."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...runtime.errors import UserError
from ..photographs import decode_image
from ..png import read_bytes


@dataclass(frozen=True)
class MaskFile:
    """An outline: the pixels of a picture that are not 0. It is read when its image's turn comes."""

    path: Path

    def pixels(self, size: tuple[int, int], line_width: float) -> np.ndarray:
        return read_mask_values(self.path, size) > 0


def read_mask_values(path: Path, size: tuple[int, int]) -> np.ndarray:
    """A mask as one channel, (H, W) uint8 or uint16; of several channels the largest.

    Raises:
        UserError: no picture, or another size.
    """
    values, _ = decode_image(read_bytes(path), path)
    values = values if values.ndim == 2 else values.max(axis=2)
    if values.shape != size:
        raise UserError(f"{path} is {values.shape[1]} x {values.shape[0]} pixels, its image {size[1]} x {size[0]}")
    return values
