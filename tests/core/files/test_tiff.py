# SPDX-License-Identifier: GPL-3.0-or-later
import struct
import zlib

import numpy as np
import pytest

from blender_addon.core.files import tiff


def decode(data: bytes) -> np.ndarray:
    """A reader of just this kind, from the tags alone."""
    order, magic, offset = struct.unpack_from("<2sHI", data)
    assert (order, magic, offset % 2) == (b"II", 42, 0)
    (count,) = struct.unpack_from("<H", data, offset)
    entries = [struct.unpack_from("<HHII", data, offset + 2 + 12 * k) for k in range(count)]
    assert [entry[0] for entry in entries] == sorted(entry[0] for entry in entries)
    tags = {number: value for number, _, _, value in entries}
    assert (tags[258], tags[259], tags[277], tags[339]) == (32, 8, 1, 3)
    strip = zlib.decompress(data[tags[273] : tags[273] + tags[279]])
    return np.frombuffer(strip, "<f4").reshape(tags[257], tags[256])


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (64, 31)])
def test_every_bit_comes_back(shape):
    pixels = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    assert np.array_equal(decode(tiff.encode(pixels)), pixels)


@pytest.mark.parametrize("pixels", [np.zeros((2, 2)), np.zeros((2, 2, 1), np.float32), np.zeros((0, 2), np.float32)])
def test_refuses(pixels):
    with pytest.raises(ValueError, match="float32"):
        tiff.encode(pixels)
