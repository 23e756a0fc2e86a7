# SPDX-License-Identifier: Apache-2.0
"""Masks as pictures: which pixels are labelled, also where the mask is not clean."""

from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from ...runtime.errors import UserError
from ..photographs import decode_image
from ..png import read_bytes
from .findings import Findings

HALF = "{count} masks hold values between 0 and their largest (lossy or antialiased): half of the largest value decides"
NUMBERS = "{count} masks hold areas of several values, as numbers of classes: every value but 0 counts as labelled"

_MOST_NUMBERS = 32  # different values of a mask that holds numbers; an antialiased border soon has more


@dataclass(frozen=True)
class MaskFile:
    """An outline: the labelled pixels of a picture. It is read when its image's turn comes."""

    path: Path
    findings: Findings = field(compare=False)

    def pixels(self, size: tuple[int, int], line_width: float) -> np.ndarray:
        data = read_bytes(self.path)
        inside, how = labelled(mask_values(data, self.path, size), is_lossy(data))
        if how:
            self.findings.note(how, str(self.path))
        return inside

    @property
    def bounds(self) -> None:
        """It is as large as its image."""
        return None

    @property
    def flaw(self) -> str:
        """What is wrong with it shows when it is read."""
        return ""


def labelled(values: np.ndarray, lossy: bool) -> tuple[np.ndarray, str]:
    """The labelled pixels of a mask, bool (H, W), and what was done where the mask is not clean: `HALF`, `NUMBERS`, "".

    A clean mask has one value beside 0. In any other, what reaches half of the largest value is labelled, as a blurred
    border's middle; unless whole areas have lower values, which a border has not, so that each value is a label.

    Args:
        values: (H, W) uint8 or uint16.
        lossy: whether the picture's format changes values, so that low ones mean nothing.
    """
    present = np.unique(values)
    present = present[present > 0]
    if len(present) <= 1:
        return values > 0, ""
    half = half_of_largest(values)
    if not lossy and len(present) <= _MOST_NUMBERS and _has_flat_area(values, half):
        return values > 0, NUMBERS
    return values >= half, HALF


def half_of_largest(values: np.ndarray) -> int:
    """The value from which on a pixel of a mask is inside; at least 1."""
    return max((int(values.max()) + 1) // 2, 1)


def mask_values(data: bytes, path: Path, size: tuple[int, int]) -> np.ndarray:
    """A mask as one channel, (H, W) uint8 or uint16; of several channels the largest.

    Raises:
        UserError: no picture, or another size.
    """
    values, _ = decode_image(data, path)
    values = values if values.ndim == 2 else values.max(axis=2)
    if values.shape != size:
        raise UserError(f"{path} is {values.shape[1]} x {values.shape[0]} pixels, its image {size[1]} x {size[0]}")
    return values


def is_lossy(data: bytes) -> bool:
    """Whether a picture's format changes values: JPEG, JPEG 2000, AVIF, and WebP unless it says that it does not."""
    if data[:3] == b"\xff\xd8\xff" or data[4:8] == b"jP  " or data[4:12] == b"ftypavif":
        return True
    return data[:4] == b"RIFF" and data[8:12] == b"WEBP" and b"VP8L" not in data[12:64]


def _has_flat_area(values: np.ndarray, half: int) -> bool:
    """Whether 3 x 3 pixels somewhere have one value above 0 and below half."""
    if min(values.shape) < 3:
        return False
    lowest, highest = (np.asarray(turn(values, np.ones((3, 3), np.uint8))) for turn in (cv2.erode, cv2.dilate))
    inner = np.s_[1:-1, 1:-1]
    return bool(((lowest == highest) & (values > 0) & (values < half))[inner].any())
