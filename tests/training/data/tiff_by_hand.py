# SPDX-License-Identifier: Apache-2.0
"""TIFF files of any kind, byte by byte (TIFF 6.0): what no library at hand writes."""

import struct
from collections.abc import Mapping, Sequence


def tiff(
    pages: Sequence[bytes], size: tuple[int, int], bits: int, photometric: int = 1, samples: int = 1,
    more: Sequence[Mapping[int, int]] = (),
) -> bytes:
    """Little-endian, uncompressed, one strip a page.

    Args:
        pages: rows of each page, packed to whole bytes.
        size: (H, W).
        photometric: 0 white is zero, 1 black is zero, 2 RGB.
        more: further short tags of each page.
    """
    height, width = size
    out = bytearray(b"II*\0" + struct.pack("<I", 8))
    for number, rows in enumerate(pages):
        tags = {256: width, 257: height, 258: bits, 259: 1, 262: photometric, 277: samples, 278: height}
        tags |= dict(more[number]) if number < len(more) else {}
        longs = {273: len(out) + 2 + 12 * (len(tags) + 2) + 4, 279: len(rows)}
        out += struct.pack("<H", len(tags) + len(longs))
        for tag in sorted({**tags, **longs}):
            kind, value = (4, longs[tag]) if tag in longs else (3, tags[tag])
            out += struct.pack("<HHI", tag, kind, 1) + struct.pack("<I" if kind == 4 else "<HH", *(
                (value,) if kind == 4 else (value, 0)))
        end = longs[273] + len(rows) + len(rows) % 2
        out += struct.pack("<I", end if number < len(pages) - 1 else 0) + rows + b"\0" * (len(rows) % 2)
    return bytes(out)
