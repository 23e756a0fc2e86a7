# SPDX-License-Identifier: Apache-2.0
"""Run lengths as label tools pack them, to counts of alternating runs or to values."""

from collections.abc import Sequence

import numpy as np

from ...runtime.errors import UserError


def coco_counts(text: str) -> np.ndarray:
    """COCO's compressed run lengths (`rleToString` in its API's maskApi.c) to int64 (N,).

    Each count is written in digits of five bits from the lowest, as the character 48 + digit, with 32 added where
    another digit follows; a count below 0 has its last digit's highest bit set. From the fourth on it is the difference
    to the count two before.

    Raises:
        UserError: other characters, or an end within a count.
    """
    counts: list[int] = []
    value = shift = 0
    for place, character in enumerate(text):
        digit = ord(character) - 48
        if not 0 <= digit < 64:
            raise UserError(f"its compressed run lengths hold {character!r} at place {place}")
        value |= (digit & 31) << shift
        shift += 5
        if not digit & 32:
            if digit & 16:
                value -= 1 << shift
            counts.append(value + counts[-2] if len(counts) > 2 else value)
            value = shift = 0
    if shift:
        raise UserError("its compressed run lengths end within a count")
    return np.array(counts, np.int64)


def unpack_values(data: Sequence[int]) -> np.ndarray:
    """Values packed by thi.ng's rle-pack, as Label Studio stores its brush: uint8 (N,).

    A stream of bits, the highest first: the number of values (32), the bits of a value - 1 (5), the bits of four sizes
    of counts - 1 (4 each); then blocks: whether it is a run (1), which size (2), the count - 1, and one value for a run
    or `count` of them.

    Raises:
        UserError: bytes out of range, or an end before all values.
    """
    try:
        bits = np.unpackbits(np.array(data, np.int64).astype(np.uint8, casting="unsafe"))
        if any(not 0 <= byte <= 255 for byte in data):
            raise ValueError
    except (TypeError, ValueError, OverflowError) as error:
        raise UserError("its brush strokes are no list of bytes") from error
    position = 0

    def read(width: int) -> int:
        nonlocal position
        if position + width > len(bits):
            raise UserError("its brush strokes end before all pixels are said")
        position += width
        return int(bits[position - width : position].dot(1 << np.arange(width - 1, -1, -1, dtype=np.int64)))

    count, width = read(32), read(5) + 1
    sizes = [read(4) + 1 for _ in range(4)]
    if width > 8:
        raise UserError(f"its brush strokes have {width} bits a value, expected at most 8")
    values = np.zeros(count, np.uint8)
    done = 0
    while done < count:
        is_run = read(1)
        stop = min(done + 1 + read(sizes[read(2)]), count)
        if is_run:
            values[done:stop] = read(width)
        else:
            if position + width * (stop - done) > len(bits):
                raise UserError("its brush strokes end before all pixels are said")
            block = bits[position : position + width * (stop - done)].reshape(-1, width)
            values[done:stop] = block.dot(1 << np.arange(width - 1, -1, -1))
            position += width * (stop - done)
        done = stop
    return values
