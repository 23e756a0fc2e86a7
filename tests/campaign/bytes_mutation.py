# SPDX-License-Identifier: Apache-2.0
"""A file changed without a thought for what it holds."""

import random
import struct

_ODD = (
    b"\0",
    b"\xff" * 8,
    b"\xef\xbb\xbf",
    b"\r\n",
    b"\0" * 64,
    b"%n%s",
    b"\x80",
    b"\x1f\x8b\x08",
    b"PK\3\4",
    b"\x89HDF\r\n\x1a\n",
)


def mutate(data: bytes, rng: random.Random) -> bytes:
    """One to four changes: bits and bytes set, pieces cut out, doubled, swapped, put in."""
    for _ in range(rng.randint(1, 4)):
        data = rng.choice(_CHANGES)(data, rng)
    return data


def _piece(data: bytes, rng: random.Random, most: int = 4096) -> tuple[int, int]:
    start = rng.randrange(len(data) + 1)
    return start, min(len(data), start + rng.randint(1, rng.choice((1, 4, 64, most))))


def _flip(data: bytes, rng: random.Random) -> bytes:
    if not data:
        return b"\0"
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _set(data: bytes, rng: random.Random) -> bytes:
    start, _ = _piece(data, rng)
    number = rng.choice((0, 1, 2**7, 2**8 - 1, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1))
    code = rng.choice(("<Q", ">Q", "<I", ">I", "<H", ">H", "B"))
    put = struct.pack(code, number % 2 ** (8 * struct.calcsize(code)))
    return data[:start] + put + data[start + len(put) :]


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _remove(data: bytes, rng: random.Random) -> bytes:
    start, end = _piece(data, rng)
    return data[:start] + data[end:]


def _double(data: bytes, rng: random.Random) -> bytes:
    start, end = _piece(data, rng)
    return data[:end] + data[start:end] * rng.choice((1, 1, 2, 100)) + data[end:]


def _swap(data: bytes, rng: random.Random) -> bytes:
    (a, b), (c, d) = sorted((_piece(data, rng), _piece(data, rng)))
    return data if b > c else data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]


def _insert(data: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(data) + 1)
    return data[:start] + (rng.choice(_ODD) if rng.random() < 0.5 else rng.randbytes(rng.randint(1, 64))) + data[start:]


def _zero(data: bytes, rng: random.Random) -> bytes:
    start, end = _piece(data, rng)
    return data[:start] + bytes(end - start) + data[end:]


_CHANGES = (_flip, _flip, _flip, _set, _set, _cut, _remove, _double, _swap, _insert, _zero)
