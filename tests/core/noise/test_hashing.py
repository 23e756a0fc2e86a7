# SPDX-License-Identifier: GPL-3.0-or-later
import struct

import numpy as np

from blender_addon.core.noise.hashing import hash_float4, hash_uint4, white_noise_color, white_noise_value

MASK = 0xFFFFFFFF


def lookup3(key: tuple[int, ...]) -> int:
    """hashword of lookup3.c with initval 13 for four words, in plain integers."""

    def rot(x, k):
        return ((x << k) | (x >> (32 - k))) & MASK

    a = b = c = (0xDEADBEEF + (len(key) << 2) + 13) & MASK
    a, b, c = (a + key[0]) & MASK, (b + key[1]) & MASK, (c + key[2]) & MASK
    for k in (4, 6, 8, 16, 19, 4):  # mix: the roles of a, b, c turn by one each step
        a = ((a - c) & MASK) ^ rot(c, k)
        c = (c + b) & MASK
        a, b, c = b, c, a
    a = (a + key[3]) & MASK
    for k in (14, 11, 25, 16, 4, 14, 24):  # final
        c = ((c ^ b) - rot(b, k)) & MASK
        a, b, c = b, c, a
    return b  # the c of the last step, after the turn


def bits(x: float) -> int:
    return struct.unpack("<I", struct.pack("<f", x))[0]


def test_words_hash_as_lookup3():
    keys = np.random.default_rng(0).integers(0, 2**32, (500, 4), dtype=np.uint32)
    expected = [lookup3(tuple(int(word) for word in key)) for key in keys]
    assert hash_uint4(*keys.T).tolist() == expected


def test_floats_hash_by_their_bits():
    for key in [(0.0, 0.0, 0.0, 0.0), (-3.0, 2.0, 0.0, 17.0), (0.1, -1e-20, 1e20, 16777216.0)]:
        expected = np.float32(lookup3(tuple(bits(x) for x in key))) / np.float32(MASK)
        assert hash_float4(*key) == expected


def test_values_that_blender_gave():
    """Read from White Noise Texture (4D, Value) in Blender 4.5 at the cell and W given."""
    cells = np.array([(0, 0, 0), (-3, 2, 0), (5, -7, 11)], dtype=np.float32)
    assert white_noise_value(cells, np.float32(8)).tolist() == [
        0.4441618323326111,
        0.5506223440170288,
        0.14102372527122498,
    ]


def test_color_is_the_hash_of_three_orders_of_the_key():
    x, y, z, w = -4.0, 9.0, 1.0, 6.0
    expected = [hash_float4(x, y, z, w), hash_float4(z, x, w, y), hash_float4(w, z, y, x)]
    assert white_noise_color(np.array([x, y, z]), w).tolist() == expected


def test_shape_dtype_and_range():
    cells = np.random.default_rng(1).integers(-50, 50, (40, 25, 3)).astype(np.float32)
    color = white_noise_color(cells, np.float32(3))
    assert color.shape == (40, 25, 3) and color.dtype == np.float32
    assert color.min() >= 0.0 and color.max() <= 1.0
    assert white_noise_value(cells, np.float32(3)).shape == (40, 25)


def test_uniform_and_uncorrelated_over_neighbouring_cells_and_seeds():
    cells = np.stack(np.meshgrid(*[np.arange(-16, 16)] * 3, indexing="ij"), axis=-1).reshape(-1, 3).astype(np.float32)
    color = white_noise_color(cells, np.float32(0))
    counts = np.stack([np.histogram(channel, bins=16, range=(0, 1))[0] for channel in color.T])
    assert abs(counts / len(cells) * 16 - 1).max() < 0.12  # five standard deviations
    columns = np.column_stack([color, white_noise_color(cells, np.float32(1)), cells])
    correlation = np.corrcoef(columns.T) - np.eye(9)
    assert abs(correlation).max() < 0.03


def test_negative_zero_is_another_key():
    assert hash_float4(0.0, 0.0, 0.0, 0.0) != hash_float4(-0.0, 0.0, 0.0, 0.0)
