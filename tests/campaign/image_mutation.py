# SPDX-License-Identifier: Apache-2.0
"""PNG, TIFF and JPEG changed by structure: chunks, tags and segments with sound checksums and false contents."""

import io
import random
import struct
import zlib

import numpy as np
from PIL import Image

_SIDES = (0, 1, 2, 3, 63, 65, 4096, 30_000, 65_535, 65_536, 2**24, 2**31 - 1, 2**31, 2**32 - 1)
_MODES = ("1", "L", "P", "LA", "RGB", "RGBA", "CMYK", "I;16", "I", "F", "YCbCr", "LAB", "HSV", "PA")


def mutate(data: bytes, rng: random.Random) -> bytes:
    """One change after the file's form; another picture, in another mode, size or format, at times."""
    act = rng.random()
    if act < 0.2:
        return _another(rng)
    if data[:4] == b"\x89PNG":
        return _png(data, rng)
    return _jpeg(data, rng) if data[:2] == b"\xff\xd8" else _tiff(data, rng)


def _another(rng: random.Random) -> bytes:
    size = rng.choice(((1, 1), (1, 64), (64, 1), (80, 64), (33, 17), (4000, 2)))
    mode = rng.choice(_MODES)
    picture = Image.fromarray(np.random.default_rng(rng.randrange(99)).integers(0, 255, size[::-1], np.uint8))
    out = io.BytesIO()
    try:
        picture = picture.convert(mode) if mode not in ("LAB", "HSV", "PA") else picture.convert("RGB").convert(mode)
        more = [picture] * rng.choice((0, 0, 2))
        name = rng.choice(("PNG", "TIFF", "JPEG", "GIF", "BMP", "WEBP"))
        picture.save(
            out,
            name,
            **({"save_all": True, "append_images": more} if more and name in ("TIFF", "GIF", "WEBP", "PNG") else {}),
        )
    except (OSError, ValueError, KeyError):
        picture.convert("L").save(out, "PNG")
    return out.getvalue()


def _png(data: bytes, rng: random.Random) -> bytes:
    chunks, at = [], 8
    while at + 12 <= len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        chunks.append([data[at + 4 : at + 8], data[at + 8 : at + 8 + length]])
        at += 12 + length
    act, place = rng.randrange(10), rng.randrange(len(chunks))
    if act < 3:
        header = bytearray(chunks[0][1])
        field = rng.randrange(7)
        if field < 2:
            header[4 * field : 4 * field + 4] = struct.pack(">I", rng.choice(_SIDES))
        else:
            header[6 + field] = rng.choice((0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 32, 255))
        chunks[0][1] = bytes(header)
    elif act == 3:
        del chunks[place]
    elif act == 4:
        chunks.insert(rng.randrange(len(chunks) + 1), list(chunks[place]))
    elif act == 5:  # a small stream that grows a thousandfold
        chunks.insert(
            1,
            rng.choice(
                (
                    [b"zTXt", b"a\0\0" + zlib.compress(bytes(50 << 20))],
                    [b"iCCP", b"a\0\0" + zlib.compress(bytes(50 << 20))],
                    [b"IDAT", zlib.compress(bytes(50 << 20))],
                    [b"tEXt", b"a\0" + b"x" * 100_000],
                    [b"acTL", struct.pack(">II", 2**31, 0)],
                    [b"PLTE", bytes(3)],
                    [b"tRNS", bytes(1)],
                    [b"gAMA", bytes(4)],
                    [b"eXIf", b"MM\0*\0\0\0\x08\xff\xff"],
                )
            ),
        )
    elif act == 6:
        chunks[place][0] = rng.choice((b"IDAT", b"PLTE", b"IEND", b"IHDR", b"abCD", b"ABCD"))
    elif act == 7:
        body = chunks[place][1]
        chunks[place][1] = body[: rng.randrange(len(body) + 1)]
    elif act == 8:
        for chunk in chunks:
            if chunk[0] == b"IDAT":
                chunk[1] = zlib.compress(rng.randbytes(rng.choice((0, 10, 5000, 100_000))))
    else:
        rng.shuffle(chunks)
    out = data[:8]
    for name, body in chunks:
        checksum = zlib.crc32(name + body) ^ (rng.random() < 0.03)
        out += struct.pack(">I", len(body)) + name + body + struct.pack(">I", checksum)
    return out


def _tiff(data: bytes, rng: random.Random) -> bytes:
    """Entries of the first directory: tag, type, count or value set to something else."""
    changed = bytearray(data)
    order = "<" if data[:2] == b"II" else ">"
    (start,) = struct.unpack(f"{order}I", data[4:8])
    (count,) = struct.unpack(f"{order}H", data[start : start + 2])
    for _ in range(rng.randint(1, 3)):
        entry = start + 2 + 12 * rng.randrange(count)
        act = rng.randrange(8)
        if act == 0:
            struct.pack_into(
                f"{order}H",
                changed,
                entry,
                rng.choice((254, 256, 257, 258, 259, 262, 273, 277, 278, 279, 317, 320, 322, 330, 34665)),
            )
        elif act == 1:
            struct.pack_into(f"{order}H", changed, entry + 2, rng.randrange(20))
        elif act == 2:
            struct.pack_into(f"{order}I", changed, entry + 4, rng.choice(_SIDES))
        elif act == 3:  # the next directory is this one again
            struct.pack_into(f"{order}I", changed, start + 2 + 12 * count, rng.choice((start, 8, 2**32 - 1)))
        elif act == 4:
            struct.pack_into(f"{order}H", changed, start, rng.choice((0, 1, 65_535)))
        else:
            struct.pack_into(f"{order}I", changed, entry + 8, rng.choice((*_SIDES, 5, 7, 8, 32773, 32946, 50000)))
    return bytes(changed)


def _jpeg(data: bytes, rng: random.Random) -> bytes:
    """Segments: sizes of the frame, lengths, markers; one doubled or gone."""
    places, at = [], 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        (length,) = struct.unpack(">H", data[at + 2 : at + 4])
        places.append((at, at + 2 + length))
        at += 2 + length
    start, end = rng.choice(places)
    frames = [place for place in places if data[place[0] + 1] in (0xC0, 0xC1, 0xC2)]
    act = rng.randrange(7)
    if act < 3 and frames:
        start = frames[0][0] + 5
        changed = bytearray(data)
        struct.pack_into(">H", changed, start + 2 * rng.randrange(2), rng.choice(_SIDES) % 65_536)
        if act == 2:
            changed[start + 4] = rng.choice((0, 1, 2, 4, 255))
        return bytes(changed)
    if act == 3:
        return data[:start] + data[end:]
    if act == 4:
        return data[:end] + data[start:end] * rng.choice((1, 300)) + data[end:]
    if act == 5:
        return (
            data[: start + 1]
            + bytes([rng.choice((0xC2, 0xC9, 0xD8, 0xD9, 0xDB, 0xE1, 0xE2, 0xFE))])
            + data[start + 2 :]
        )
    return data[: start + 2] + struct.pack(">H", rng.choice((0, 1, 2, 65_535))) + data[start + 4 :]
