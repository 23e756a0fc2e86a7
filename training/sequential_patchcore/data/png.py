# SPDX-License-Identifier: Apache-2.0
"""PNG in and out, strictly: whole files only, nothing converted silently.

OpenCV decodes pixels, since Pillow reduces 16-bit RGB to 8 bits; Pillow reads palette indices, since OpenCV expands
a palette to colours. OpenCV also returns a half-black picture for a truncated file, so the chunks are checked first.
"""

import io
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from ..runtime import files
from ..runtime.errors import UserError
from .decoders import decoding

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOUR_TYPES = {0: "grey", 2: "RGB", 3: "palette", 4: "grey with alpha", 6: "RGB with alpha"}  # PNG 1.2, 4.1.1
_COMPRESSION = 3  # zlib level: within a few percent of the size at level 6, in half the time


@dataclass(frozen=True)
class PngHeader:
    """Size in pixels, bits per channel, and one of `_COLOUR_TYPES`."""

    width: int
    height: int
    bit_depth: int
    colour: str


def read_header(path: Path) -> PngHeader:
    """The IHDR chunk of a PNG, without decoding the picture."""
    try:
        with files.opened(path) as file:
            return _parse_header(file.read(33), path)
    except OSError as error:
        raise _unreadable(path, error) from error


def read_image(path: Path) -> np.ndarray:
    """The pixels of an inspection image.

    Returns:
        uint8 or uint16, (H, W) when grey, (H, W, 3) in RGB order otherwise.

    Raises:
        UserError: missing, no PNG, broken, or neither grey nor RGB at 8 or 16 bits.
    """
    data = read_bytes(path)
    header = verify(data, path)
    if header.colour not in ("grey", "RGB") or header.bit_depth not in (8, 16):
        raise UserError(
            f"{path}: expected a PNG in grey or RGB with 8 or 16 bits, "
            f"found {header.colour} with {header.bit_depth} bits"
        )
    return decode(data, path)


def read_indices(path: Path) -> np.ndarray:
    """A palette PNG (or an 8-bit grey one) as its uint8 (H, W) indices, never as colours."""
    data = read_bytes(path)
    header = verify(data, path)
    if header.colour not in ("palette", "grey") or header.bit_depth > 8:
        raise UserError(
            f"{path}: expected an 8-bit palette PNG of class ids, found {header.colour} with {header.bit_depth} bits"
        )
    if header.colour == "grey":
        if header.bit_depth != 8:
            raise UserError(f"{path}: expected 8 bits of grey, found {header.bit_depth}; a class id would be rescaled")
        return decode(data, path)
    try:
        with decoding(), Image.open(io.BytesIO(data)) as image:
            return np.array(image, dtype=np.uint8)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise _broken(path, str(error)) from error


def read_grey(path: Path, bit_depths: tuple[int, ...]) -> np.ndarray:
    """A one-channel PNG with one of the given bit depths: uint8 or uint16 (H, W)."""
    data = read_bytes(path)
    header = verify(data, path)
    if header.colour != "grey" or header.bit_depth not in bit_depths:
        expected = " or ".join(str(depth) for depth in bit_depths)
        raise UserError(
            f"{path}: expected a grey PNG with {expected} bits, found {header.colour} with {header.bit_depth} bits"
        )
    return decode(data, path)


def read_bytes(path: Path) -> bytes:
    try:
        return files.read_bytes(path)
    except OSError as error:
        raise _unreadable(path, error) from error


def verify(data: bytes, path: Path) -> PngHeader:
    """Walk the chunks: signature, lengths, checksums, IEND. Raises UserError for a broken or truncated file."""
    header = _parse_header(data, path)
    position, end = len(_SIGNATURE), len(data)
    while position + 12 <= end:
        (length,) = struct.unpack_from(">I", data, position)
        stop = position + 12 + length
        if stop > end:
            break
        (stored,) = struct.unpack_from(">I", data, stop - 4)
        if zlib.crc32(memoryview(data)[position + 4 : stop - 4]) != stored:
            raise _broken(path, f"the checksum of a chunk at byte {position} is wrong")
        if data[position + 4 : position + 8] == b"IEND":
            return header
        position = stop
    raise _broken(path, f"it ends after {end} bytes, in the middle")


def decode(data: bytes, path: Path) -> np.ndarray:
    """Decode verified PNG bytes; colours in RGB order, transparency dropped."""
    try:
        with decoding():
            pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise _broken(path, str(error.err)) from error
    if pixels is None:
        raise _broken(path, "its pixels cannot be decoded")
    if pixels.ndim == 2:
        return pixels
    return cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGB if pixels.shape[2] == 4 else cv2.COLOR_BGR2RGB)


def encode_image(pixels: np.ndarray) -> bytes:
    """PNG bytes of uint8 or uint16, (H, W) grey or (H, W, 3) RGB."""
    if pixels.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"expected uint8 or uint16, got {pixels.dtype}")
    if pixels.ndim == 3:
        pixels = cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(".png", np.ascontiguousarray(pixels), [cv2.IMWRITE_PNG_COMPRESSION, _COMPRESSION])
    return encoded.tobytes()


def encode_indices(indices: np.ndarray, palette: bytes) -> bytes:
    """Palette PNG bytes of uint8 (H, W) indices; `palette` holds 256 RGB triples, so the file has 8 bits a pixel."""
    height, width = indices.shape
    image = Image.frombytes("P", (width, height), np.ascontiguousarray(indices, dtype=np.uint8).tobytes())
    image.putpalette(palette)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=_COMPRESSION)
    return buffer.getvalue()


def _parse_header(data: bytes, path: Path) -> PngHeader:
    if data[:8] != _SIGNATURE:
        raise UserError(f"{path}: expected a PNG, the file begins with {data[:8]!r}")
    if len(data) < 33 or data[12:16] != b"IHDR":
        raise _broken(path, "its header is cut off")
    width, height, bit_depth, colour_type = struct.unpack_from(">IIBB", data, 16)
    if colour_type not in _COLOUR_TYPES or width == 0 or height == 0:
        raise _broken(path, "its header makes no sense")
    return PngHeader(width, height, bit_depth, _COLOUR_TYPES[colour_type])


def _broken(path: Path, why: str) -> UserError:
    return UserError(f"{path}: broken or truncated PNG ({why}); restore it or make it again")


def _unreadable(path: Path, error: OSError) -> UserError:
    if isinstance(error, FileNotFoundError):
        return UserError(f"missing file {path}")
    return UserError(f"cannot read {path}: {error.strerror or error}")
