# SPDX-License-Identifier: Apache-2.0
"""Picture files as `prediction` takes them in: each read whole or told what is wrong with it, by any thread."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..data.photographs import as_float_rgb, decode_image, few_bits
from ..data.png import read_bytes
from ..runtime.errors import UserError
from .folder import Prediction


@dataclass(frozen=True)
class Photograph:
    """A picture file that was looked at.

    Attributes:
        path: as given.
        key: a digest of the file before it was read, and of all that its prediction depends on.
        known: an earlier prediction under the same key; the file was not read then.
        image: (H, W, 3) float32 RGB in [0, 1]; None where it was not read, or could not be.
        few_bits: of a file of 16 bits a channel that uses so few of them that they should be scaled; else None.
        error: why it could not be read, in one line.
    """

    path: Path
    key: str
    known: Prediction | None = None
    image: np.ndarray | None = None
    few_bits: int | None = None
    error: str = ""


def read_photograph(
    path: Path, key: str, check_size: Callable[[Path], None] | None, bit_depth: int | None
) -> Photograph:
    """Read a picture file; whatever is wrong with it is told by the result, since the other files still want theirs.

    Args:
        check_size: called before the file is decoded; raises a UserError for an image that is too large.
        bit_depth: of 16-bit pictures, see `PredictSettings`.
    """
    try:
        if check_size is not None:
            check_size(path)
        pixels, _ = decode_image(read_bytes(path), path, bit_depth=bit_depth)
        bits = few_bits(pixels) if bit_depth is None else None
        return Photograph(path, key, image=as_float_rgb(pixels), few_bits=bits)
    except Exception as error:  # whatever a file can do to a decoder
        return Photograph(path, key, error=said(path, error))


def said(path: Path, error: Exception) -> str:
    """What is wrong with a picture, without its name, which stands beside it."""
    return str(error).removeprefix(f"{path}: ") if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
