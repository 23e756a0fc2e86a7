# SPDX-License-Identifier: Apache-2.0
"""Pictures as people have them: JPEG, PNG, BMP, TIFF; grey, RGB, palette or with alpha; 8 or 16 bit; turned or not."""

import io
import os
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from ..runtime.errors import UserError
from . import png
from .decoders import quiet_decoders

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")

_EXIF_ORIENTATION = 0x0112
_TIFF_BITS = 258
# Pillow mode -> mode that is stored. Alpha is dropped, a palette is expanded.
_MODES = {"1": "L", "L": "L", "LA": "L", "P": "RGB", "PA": "RGB", "RGB": "RGB", "RGBA": "RGB", "RGBX": "RGB",
          "CMYK": "RGB", "YCbCr": "RGB", "I;16": "I;16", "I;16B": "I;16", "I;16L": "I;16"}


def files_below(root: Path, suffixes: tuple[str, ...], leave_out: Iterable[Path] = ()) -> Iterator[Path]:
    """Files with one of the suffixes below `root`, sorted; hidden ones and what `leave_out` names are skipped."""
    left_out = {path.resolve() for path in leave_out}
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and Path(folder, name).resolve() not in left_out
        )
        for name in sorted(names):
            path = Path(folder, name)
            if name.lower().endswith(suffixes) and not name.startswith(".") and path.resolve() not in left_out:
                yield path


def header_size(path: Path) -> tuple[int, int] | None:
    """(H, W) as a picture file's header says; None where it cannot be read: the decoder will say what is wrong."""
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(path) as header:
            width, height = header.size
    except Exception:  # whatever a file can do to a reader of headers
        return None
    return height, width


def decode_image(data: bytes, name: str | Path) -> tuple[np.ndarray, int]:
    """Decode a picture and turn it upright by its EXIF orientation, as viewers and LabelMe do.

    Returns:
        uint8 or uint16, (H, W) grey or (H, W, 3) RGB; and the orientation that was applied (1 = none).

    Raises:
        UserError: no picture, a broken or truncated one, or more than 16 bits.
    """
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        png.verify(data, Path(name))
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(data)) as image:
            orientation = image.getexif().get(_EXIF_ORIENTATION, 1)
            if _is_deep(image):
                pixels = _decode_deep(data, name)
                if image.mode == "LA" and pixels.ndim == 3:  # OpenCV makes grey with alpha RGB with alpha
                    pixels = pixels[..., 0]
            else:
                pixels = _decode_with_pillow(image, name)
            if image.format == "TIFF":
                return np.ascontiguousarray(pixels), orientation  # both decoders turn a TIFF themselves
    except Image.UnidentifiedImageError:
        pixels, orientation = _decode_deep(data, name), 1
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"{name}: broken or truncated picture ({error}); restore it") from error
    if orientation not in range(1, 9):
        orientation = 1
    return turn_upright(pixels, orientation), orientation


def load_photograph(path: Path) -> np.ndarray:
    """A picture file as float32 (H, W, 3) RGB in [0, 1], upright.

    Raises:
        UserError: see `decode_image`.
    """
    return as_float_rgb(decode_image(png.read_bytes(path), path)[0])


def as_float_rgb(pixels: np.ndarray) -> np.ndarray:
    """uint8 or uint16, (H, W) grey or (H, W, 3) RGB, to float32 (H, W, 3) in [0, 1]; grey gets three equal channels."""
    if pixels.ndim == 2:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB)
    return np.divide(pixels, np.float32(np.iinfo(pixels.dtype).max), dtype=np.float32)


def turn_upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Undo an EXIF orientation 1..8 (TIFF 6.0, tag 274)."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def _is_deep(image: Image.Image) -> bool:
    """Whether Pillow might reduce the depth of this file: it reads 16-bit RGB as 8-bit."""
    if image.format == "TIFF":
        return any(bits != 8 for bits in image.tag_v2.get(_TIFF_BITS, (1,)))
    return image.format == "PNG"


def _decode_with_pillow(image: Image.Image, name: str | Path) -> np.ndarray:
    if image.mode not in _MODES:
        raise UserError(f"{name}: expected grey or RGB with 8 or 16 bits, found mode {image.mode}")
    mode = _MODES[image.mode]
    return np.array(image if mode == image.mode else image.convert(mode))


def _decode_deep(data: bytes, name: str | Path) -> np.ndarray:
    """By OpenCV, which keeps 16 bits in every channel."""
    try:
        with quiet_decoders():
            pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) if data else None
    except cv2.error as error:
        raise UserError(f"{name}: the picture cannot be decoded ({error.err})") from error
    if pixels is None:
        raise UserError(f"{name}: expected a picture (PNG, JPEG, BMP or TIFF), it cannot be decoded")
    if pixels.dtype not in (np.uint8, np.uint16):
        raise UserError(f"{name}: expected 8 or 16 bits a channel, found {pixels.dtype}")
    if pixels.ndim == 2:
        return pixels
    channels = pixels.shape[2]
    if channels == 2:
        return np.ascontiguousarray(pixels[..., 0])
    return cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGB if channels == 4 else cv2.COLOR_BGR2RGB)
