# SPDX-License-Identifier: Apache-2.0
"""Pictures as people have them: grey, RGB, palette or with alpha; 8 or 16 bit; turned or not; of one page."""

import io
import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
from PIL import Image

from ..runtime.errors import UserError
from ..runtime.files import opened
from . import png
from .decoders import decoding
from .pages import pages_of, tiff_directories
from .picture_files import IMAGE_SUFFIXES as IMAGE_SUFFIXES

_EXIF_ORIENTATION = 0x0112
_TIFF_WIDTH, _TIFF_HEIGHT = 256, 257
_TIFF_SAMPLES, _TIFF_EXTRA = 277, 338
_TIFF_BITS, _TIFF_PHOTOMETRIC, _WHITE_IS_ZERO = 258, 262, 0
# Pillow mode -> mode that is stored. Alpha is dropped, a palette is expanded.
_MODES = {"1": "L", "L": "L", "LA": "L", "P": "RGB", "PA": "RGB", "RGB": "RGB", "RGBA": "RGB", "RGBX": "RGB",
          "CMYK": "RGB", "YCbCr": "RGB", "I;16": "I;16", "I;16B": "I;16", "I;16L": "I;16"}
_DEEPEST = 16  # bits a channel
_FEWEST, _CAMERA_BITS = 9, 14  # of a camera whose values are stored in 16
# How files begin that people call pictures, in lower case.
_OTHERS = ((b"%pdf", "a PDF document"), (b"<svg", "an SVG drawing"), (b"<?xml", "XML"), (b"<!doctype", "a web page"),
           (b"<html", "a web page"), (b"pk\x03\x04", "a ZIP archive"), (b"8bps", "a Photoshop drawing"),
           (b"v/1\x01", "floating-point values (OpenEXR)"), (b"#?radiance", "floating-point values (HDR)"),
           (b"version https://git-lfs", "a pointer of Git LFS instead of the file"))


def decode_image(
    data: bytes, name: str | Path, page: int = 0, bit_depth: int | None = None
) -> tuple[np.ndarray, int]:
    """Decode a picture and turn it upright by its EXIF orientation, as viewers and LabelMe do.

    Args:
        data: the file's bytes.
        name: for messages.
        page: counted from 1, of a file that holds several pictures; 0 for one that must hold a single one.
        bit_depth: 9 to 15 for 16-bit files whose values have so many bits; they are scaled to 16.

    Returns:
        uint8 or uint16, (H, W) grey or (H, W, 3) RGB; and the orientation that was applied (1 = none).

    Raises:
        UserError: no picture, a broken or truncated one, several pages, more than 16 bits, values beyond `bit_depth`.
    """
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        png.verify(data, Path(name))
    try:
        with decoding(), Image.open(io.BytesIO(data)) as image:
            frame = _frame(image, page, name)
            orientation = image.getexif().get(_EXIF_ORIENTATION, 1)
            pixels = _decode_frame(image, data, frame, name)
            if image.format == "TIFF":
                return _scaled(np.ascontiguousarray(pixels), bit_depth, name), orientation  # both decoders turn a TIFF
    except Image.UnidentifiedImageError:
        pixels, orientation = _decode_unknown(data, page, name), 1
    except (OSError, SyntaxError, ValueError, TypeError, KeyError, Image.DecompressionBombError) as error:
        raise UserError(f"{name}: broken or truncated picture ({error}); restore it") from error
    if orientation not in range(1, 9):
        orientation = 1
    return _scaled(turn_upright(pixels, orientation), bit_depth, name), orientation


def load_photograph(path: Path, page: int = 0, bit_depth: int | None = None) -> np.ndarray:
    """A picture file as float32 (H, W, 3) RGB in [0, 1], upright.

    Args:
        page, bit_depth: see `decode_image`.

    Raises:
        UserError: see `decode_image`.
    """
    return as_float_rgb(decode_image(png.read_bytes(path), path, page, bit_depth)[0])


def few_bits(pixels: np.ndarray) -> int | None:
    """The bits that the values of a 16-bit picture need, where they are those of a camera that has fewer (at most 14).

    Its upper bits are empty then, so that it looks nearly black beside 8-bit pictures; None for any other picture.
    """
    if pixels.dtype != np.uint16:
        return None
    bits = int(pixels.max()).bit_length()
    return max(bits, _FEWEST) if bits <= _CAMERA_BITS else None


def _stream(data: bytes | Path) -> AbstractContextManager[BinaryIO]:
    return io.BytesIO(data) if isinstance(data, bytes) else opened(data)


def picture_size(data: bytes | Path) -> tuple[int, int] | None:
    """(H, W) in pixels from the header, as stored (not turned); None where the decoder has to say what is wrong."""
    try:
        with decoding(), _stream(data) as stream, Image.open(stream) as image:
            return image.height, image.width
    except (OSError, SyntaxError, ValueError, TypeError, KeyError):
        return None


def upright_size(data: bytes | Path) -> tuple[int, int] | None:
    """(H, W) in pixels as the decoded picture will have it; None where the decoder has to say what is wrong."""
    try:
        with decoding(), _stream(data) as stream, Image.open(stream) as image:
            turned = image.getexif().get(_EXIF_ORIENTATION, 1) in (5, 6, 7, 8)
            width, height = image.size
            if image.format == "TIFF":  # of which some versions of Pillow tell the turned size
                width, height = image.tag_v2[_TIFF_WIDTH], image.tag_v2[_TIFF_HEIGHT]
            return (width, height) if turned else (height, width)
    except (OSError, SyntaxError, ValueError, TypeError, KeyError):
        return None


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


def _frame(image: Image.Image, page: int, name: str | Path) -> int:
    """The frame of a page; the file is put there."""
    try:
        pages = pages_of(image)
    except UserError as error:
        raise UserError(f"{name} {error}") from error
    if page > len(pages):
        raise UserError(f"{name} has no page {page}, it holds {len(pages)}")
    if page == 0 and len(pages) > 1:
        raise UserError(_several(name, len(pages)))
    frame = pages[max(page - 1, 0)]
    image.seek(frame)
    return frame


def _decode_frame(image: Image.Image, data: bytes, frame: int, name: str | Path) -> np.ndarray:
    if image.format == "TIFF":
        _check_channels(image.tag_v2, name)
    if not _is_deep(image, data, name):
        return _decode_with_pillow(image, name)
    pixels = _decode_deep(data, name, frame)
    if image.mode == "LA" and pixels.ndim == 3:  # OpenCV makes grey with alpha RGB with alpha
        pixels = pixels[..., 0]
    if image.format == "TIFF":
        if pixels.dtype == np.uint8:
            raise UserError(f"{name}: a TIFF of this kind would lose some of its bits; save it as grey or RGB")
        return _black_is_zero(pixels, image.tag_v2)
    if image.format == "PPM":
        return _scale(pixels, _largest_value(data))
    return pixels


def _check_channels(tags: Mapping[int, Any], name: str | Path) -> None:
    """Of a TIFF: a second channel that is not said to be alpha is a picture of its own."""
    if tags.get(_TIFF_SAMPLES) == 2 and _TIFF_EXTRA not in tags:
        raise UserError(f"{name}: expected grey or RGB, found 2 channels, of which none is said to be alpha")


def _black_is_zero(pixels: np.ndarray, tags: Mapping[int, Any]) -> np.ndarray:
    """OpenCV turns a TIFF over whose 0 is white where it has 8 bits, not where it has more."""
    if tags.get(_TIFF_PHOTOMETRIC) != _WHITE_IS_ZERO or pixels.dtype != np.uint16:
        return pixels
    bits = min(tags.get(_TIFF_BITS, (_DEEPEST,))[0], _DEEPEST)
    return np.uint16((2**bits - 1) << (_DEEPEST - bits)) - pixels  # OpenCV puts fewer bits to the left


def _is_deep(image: Image.Image, data: bytes, name: str | Path) -> bool:
    """Whether Pillow might reduce the depth of this file: it reads 16-bit RGB as 8-bit."""
    if image.format == "TIFF":
        return any(bits > 8 for bits in image.tag_v2.get(_TIFF_BITS, (1,)))
    if image.format == "AVIF":
        found = re.search(rb"av1C.{2}(.)", data, re.DOTALL)
        if found and found[1][0] & 0x40:  # high_bitdepth, AV1-ISOBMFF 2.3.3
            raise UserError(f"{name}: AVIF with more than 8 bits would lose some; convert it to a 16-bit PNG or TIFF")
    if image.format == "PPM":
        return image.mode == "I" or _largest_value(data) > 255
    return image.format in ("PNG", "JPEG2000")


def _decode_with_pillow(image: Image.Image, name: str | Path) -> np.ndarray:
    if image.mode not in _MODES:
        raise UserError(f"{name}: expected grey or RGB with 8 or 16 bits, found mode {image.mode}")
    mode = _MODES[image.mode]
    return np.array(image if mode == image.mode else image.convert(mode))


def _no_picture(data: bytes, name: str | Path) -> UserError:
    found = _other(data)
    return UserError(f"{name}: expected a picture (PNG, JPEG, BMP or TIFF), "
                     + (f"found {found}" if found else "it cannot be decoded"))


def _other(data: bytes) -> str:
    """What a file is by its first bytes, where that is no picture that could be read; else an empty text."""
    found = next((what for start, what in _OTHERS if data[:64].lstrip().lower().startswith(start)), "")
    return found or ("a HEIC photograph" if data[4:8] == b"ftyp" else "an empty file" if not data else "")


def _decode_deep(data: bytes, name: str | Path, frame: int = 0) -> np.ndarray:
    """By OpenCV, which keeps 16 bits in every channel."""
    buffer = np.frombuffer(data, np.uint8)
    try:
        if frame:
            _, found = cv2.imdecodemulti(buffer, cv2.IMREAD_UNCHANGED, range=(frame, frame + 1))
            pixels = found[0] if found else None
        else:
            pixels = cv2.imdecode(buffer, cv2.IMREAD_UNCHANGED) if data else None
    except cv2.error as error:
        if _other(data):  # OpenCV 4 has an error for OpenEXR, later ones no picture
            raise _no_picture(data, name) from error
        raise UserError(f"{name}: the picture cannot be decoded ({error.err})") from error
    if pixels is None:
        raise _no_picture(data, name)
    if pixels.dtype not in (np.uint8, np.uint16):
        raise UserError(f"{name}: expected 8 or 16 bits a channel, found {pixels.dtype}")
    if pixels.ndim == 2:
        return pixels
    channels = pixels.shape[2]
    if channels == 2:
        return np.ascontiguousarray(pixels[..., 0])
    if channels not in (3, 4):
        raise UserError(f"{name}: expected grey or RGB, found {channels} channels")
    return cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGB if channels == 4 else cv2.COLOR_BGR2RGB)


def _decode_unknown(data: bytes, page: int, name: str | Path) -> np.ndarray:
    """A file that Pillow does not know, and OpenCV may: a TIFF of 12 bits whose 0 is white is one."""
    directories = tiff_directories(data)
    if len(directories) > 1 and not page:
        raise UserError(_several(name, len(directories)))
    if directories:
        _check_channels(directories[max(page - 1, 0)], name)
    with decoding():
        pixels = _decode_deep(data, name, max(page - 1, 0))
    return _black_is_zero(pixels, directories[max(page - 1, 0)]) if directories else pixels


def _several(name: str | Path, count: int) -> str:
    return (f"{name} holds {count} pictures (pages, an animation or a stack), and one is expected: save them as single "
            "files, or take each page as an image with `pages`")


def _largest_value(data: bytes) -> int:
    """What a PGM or PPM file calls white; 0 where it does not say."""
    header = re.sub(rb"#[^\n]*", b" ", data[:1000]).split(None, 4)
    return int(header[3]) if len(header) > 3 and header[3].isdigit() else 0


def _scaled(pixels: np.ndarray, bit_depth: int | None, name: str | Path) -> np.ndarray:
    if bit_depth is None or bit_depth >= _DEEPEST or pixels.dtype != np.uint16:
        return pixels
    largest, allowed = int(pixels.max()), 2**bit_depth - 1
    if largest > allowed:
        raise UserError(f"{name}: the value {largest} needs {largest.bit_length()} bits, `bit_depth` says {bit_depth}")
    return _scale(pixels, allowed)


def _scale(pixels: np.ndarray, white: int) -> np.ndarray:
    """uint16 of values up to `white` to uint16 of the whole range, rounded; 8 bits stay."""
    if pixels.dtype != np.uint16 or not 0 < white < 65535:
        return pixels
    table = np.rint(np.arange(65536) * (65535 / white)).clip(0, 65535).astype(np.uint16)
    return table[pixels]
