# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of PNG that a data set holds: 8- or 16-bit grey or RGB, 8-bit palette. (PNG, ISO/IEC 15948.)

Blender's own writer adds date and render time and knows no palettes; these files depend on the pixels alone.
"""

import struct
import zlib
from collections.abc import Sequence

import numpy as np

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _RGB, _PALETTE = 0, 2, 3
_FILTER_NONE, _FILTER_SUB = 0, 1


def encode(pixels: np.ndarray, palette: Sequence[tuple[int, int, int]] | None = None) -> bytes:
    """PNG file of `pixels` (H, W) or (H, W, 3), uint8 or uint16: grey or RGB.

    With a `palette` of (r, g, b) the (H, W) uint8 values are its indices.

    Raises:
        ValueError: another shape or type, or an index outside the palette.
    """
    coloured = pixels.ndim == 3 and pixels.shape[-1] == 3 and palette is None
    if not (coloured or pixels.ndim == 2) or pixels.dtype not in (np.uint8, np.uint16) or pixels.size == 0:
        raise ValueError(f"expected (H, W) or (H, W, 3) of uint8 or uint16, got {pixels.shape} of {pixels.dtype}")
    if palette is not None and (pixels.dtype != np.uint8 or int(pixels.max()) >= len(palette)):
        raise ValueError(f"expected uint8 indices below {len(palette)}, got {pixels.dtype} up to {pixels.max()}")
    height, width = pixels.shape[:2]
    step = pixels.dtype.itemsize * (3 if coloured else 1)
    rows = pixels.astype(pixels.dtype.newbyteorder(">")).view(np.uint8).reshape(height, width * step)
    if palette is None:  # neighbours resemble each other: differences compress better; indices do not
        filter_type = _FILTER_SUB
        rows = np.concatenate([rows[:, :step], rows[:, step:] - rows[:, :-step]], axis=1)
    else:
        filter_type = _FILTER_NONE
    lines = np.concatenate([np.full((height, 1), filter_type, np.uint8), rows], axis=1)
    colour_type = _PALETTE if palette is not None else _RGB if coloured else _GREY
    bits = 8 * pixels.dtype.itemsize
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0))]
    if palette is not None:
        chunks.append((b"PLTE", bytes(value for colour in palette for value in colour)))
    chunks += [(b"IDAT", zlib.compress(lines.tobytes(), 6)), (b"IEND", b"")]
    return _SIGNATURE + b"".join(_chunk(name, body) for name, body in chunks)


def decode(data: bytes) -> np.ndarray:
    """Pixels (H, W), uint8 or uint16, of a file that `encode` made; palette images give their indices.

    Raises:
        ValueError: not such a file, or a damaged one.
    """
    chunks = _chunks(data)
    try:
        width, height, bits, colour_type, *rest = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
        lines = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8)
    except (KeyError, struct.error, zlib.error) as error:
        raise ValueError(f"damaged PNG: {error}") from error
    if colour_type not in (_GREY, _PALETTE) or bits not in (8, 16) or any(rest):
        raise ValueError(f"unsupported PNG: colour type {colour_type}, {bits} bits")
    depth = bits // 8
    if lines.size != height * (1 + width * depth):
        raise ValueError("damaged PNG: wrong number of pixels")
    lines = lines.reshape(height, 1 + width * depth)
    kinds = set(np.unique(lines[:, 0]).tolist())
    rows = lines[:, 1:].reshape(height, width, depth)
    if kinds == {_FILTER_SUB}:
        rows = np.cumsum(rows, axis=1, dtype=np.uint8)
    elif kinds != {_FILTER_NONE}:
        raise ValueError(f"unsupported PNG: row filters {sorted(kinds)}")
    rows = np.ascontiguousarray(rows)
    return rows.view(">u2")[..., 0].astype(np.uint16) if depth == 2 else rows[..., 0]


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _chunks(data: bytes) -> dict[bytes, bytes]:
    if data[:8] != _SIGNATURE:
        raise ValueError("not a PNG file")
    found: dict[bytes, bytes] = {}
    offset = 8
    while offset + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, offset)
        name, body = data[offset + 4 : offset + 8], data[offset + 8 : offset + 8 + length]
        if data[offset + 8 + length : offset + 12 + length] != struct.pack(">I", zlib.crc32(name + body)):
            raise ValueError("damaged PNG: wrong checksum")
        found[name] = found.get(name, b"") + body
        offset += 12 + length
    if b"IEND" not in found:
        raise ValueError("damaged PNG: it ends early")
    return found
