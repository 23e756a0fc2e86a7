# SPDX-License-Identifier: GPL-3.0-or-later
import struct
import zlib

import numpy as np
import pytest

from blender_addon.core.features.classes import PALETTE
from blender_addon.core.files.png import decode, encode


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 1), (33, 47)])
def test_grey_round_trip(dtype, shape):
    pixels = np.random.default_rng(1).integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)
    back = decode(encode(pixels))
    assert back.dtype == dtype
    np.testing.assert_array_equal(back, pixels)


def test_palette_round_trip_and_colours():
    pixels = np.arange(7, dtype=np.uint8).reshape(1, 7).repeat(3, axis=0)
    data = encode(pixels, PALETTE)
    np.testing.assert_array_equal(decode(data), pixels)
    at = data.index(b"PLTE") + 4
    assert data[at : at + 6] == bytes([0, 0, 0, 0xE6, 0x9F, 0x00])


def test_blender_reads_the_same_values(tmp_path):
    bpy = pytest.importorskip("bpy", reason="needs the bpy module")
    pixels = np.random.default_rng(2).integers(0, 256, (9, 11)).astype(np.uint8)
    (tmp_path / "a.png").write_bytes(encode(pixels))
    image = bpy.data.images.load(str(tmp_path / "a.png"))
    image.colorspace_settings.name = "Non-Color"
    values = np.array(image.pixels[:]).reshape(9, 11, 4)[::-1, :, 0]
    bpy.data.images.remove(image)
    np.testing.assert_array_equal(np.rint(values * 255), pixels)


def test_every_chunk_has_its_checksum():
    data = encode(np.zeros((4, 4), np.uint8))
    at = 8
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        body = data[at + 4 : at + 8 + length]
        assert struct.unpack_from(">I", data, at + 8 + length)[0] == zlib.crc32(body)
        at += 12 + length


@pytest.mark.parametrize("spoil", [lambda d: d[:-20], lambda d: b"JPEG" + d[4:], lambda d: d[:50] + b"?" + d[51:]])
def test_damage_is_noticed(spoil):
    with pytest.raises(ValueError):
        decode(spoil(encode(np.arange(64, dtype=np.uint8).reshape(8, 8))))


@pytest.mark.parametrize("pixels", [np.zeros((2, 2)), np.zeros((2, 2, 4), np.uint8), np.zeros((0, 3), np.uint8)])
def test_other_arrays_are_refused(pixels):
    with pytest.raises(ValueError, match="expected"):
        encode(pixels)


def test_an_index_outside_the_palette_is_refused():
    with pytest.raises(ValueError, match="indices below 7"):
        encode(np.full((2, 2), 7, np.uint8), PALETTE)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_coloured_pixels_are_stored_as_the_format_says(kind):
    """Read back by hand: each row is a filter of 1 (Sub) and bytes that add to those of the pixel before."""
    pixels = np.random.default_rng(3).integers(0, np.iinfo(kind).max, (3, 5, 3), endpoint=True).astype(kind)
    data = encode(pixels)
    assert data[24:26] == bytes([8 * pixels.itemsize, 2]), "depth, and colour type RGB"
    start = data.index(b"IDAT")
    size = int.from_bytes(data[start - 4 : start], "big")
    rows = np.frombuffer(zlib.decompress(data[start + 4 : start + 4 + size]), np.uint8).reshape(3, -1)
    assert (rows[:, 0] == 1).all()
    stored = np.cumsum(rows[:, 1:].reshape(3, 5, 3 * pixels.itemsize), axis=1, dtype=np.uint8)
    assert (np.ascontiguousarray(stored).view(f">u{pixels.itemsize}") == pixels).all()
