# SPDX-License-Identifier: GPL-3.0-or-later
"""The one stateless hash: Bob Jenkins' lookup3 over the bits of four floats.

It is what OSL calls ``noise("hash", p, w)`` and Blender's node *White Noise Texture* in 4D, bit for bit, so that the
NumPy field, the OSL shader and the node group place every stain at the same spot. Source of the constants:
http://burtleburtle.net/bob/c/lookup3.c (public domain).
"""

import numpy as np

_FOUR_WORDS = np.uint32(0xDEADBEEF + (4 << 2) + 13)  # lookup3's start value for a key of four words
_TO_UNIT = np.float32(2.0**-32)  # 1 / 0xFFFFFFFF in float32


def hash_uint4(x, y, z, w) -> np.ndarray:
    """lookup3 of four 32-bit words; uint32 arrays that broadcast against each other -> uint32."""
    x, y, z, w = np.broadcast_arrays(*(np.asarray(word, dtype=np.uint32) for word in (x, y, z, w)))
    # Wrap-around is the point: arrays wrap in silence, 0-d results would warn, hence at least 1-d inside.
    a, b, c = (np.atleast_1d(word) + _FOUR_WORDS for word in (x, y, z))

    a = (a - c) ^ _rotate(c, 4)
    c = c + b
    b = (b - a) ^ _rotate(a, 6)
    a = a + c
    c = (c - b) ^ _rotate(b, 8)
    b = b + a
    a = (a - c) ^ _rotate(c, 16)
    c = c + b
    b = (b - a) ^ _rotate(a, 19)
    a = a + c
    c = (c - b) ^ _rotate(b, 4)
    b = b + a

    a = a + w

    c = (c ^ b) - _rotate(b, 14)
    a = (a ^ c) - _rotate(c, 11)
    b = (b ^ a) - _rotate(a, 25)
    c = (c ^ b) - _rotate(b, 16)
    a = (a ^ c) - _rotate(c, 4)
    b = (b ^ a) - _rotate(a, 14)
    c = (c ^ b) - _rotate(b, 24)
    return c.reshape(x.shape)


def hash_float4(x, y, z, w) -> np.ndarray:
    """Hash four floats (taken as float32, broadcast) to float32 in [0, 1].

    The key is the bits, not the value: -0.0 and 0.0 differ. Add 0.0 to a cell index after ``floor``.
    """
    return hash_uint4(*(_bits(value) for value in (x, y, z, w))).astype(np.float32) * _TO_UNIT


def white_noise_value(cell, w) -> np.ndarray:
    """Output *Value* of White Noise 4D: cell (..., 3) float32, w float32 (...) -> (...) float32 in [0, 1]."""
    x, y, z = _components(cell)
    return hash_float4(x, y, z, w)


def white_noise_color(cell, w) -> np.ndarray:
    """Output *Color* of White Noise 4D: cell (..., 3) float32, w float32 (...) -> (..., 3) float32 in [0, 1].

    The three channels are the hash of three orders of the key, as in Cycles' ``hash_float4_to_float3``.
    """
    x, y, z = _components(cell)
    return np.stack([hash_float4(x, y, z, w), hash_float4(z, x, w, y), hash_float4(w, z, y, x)], axis=-1)


def _rotate(word: np.ndarray, bits: int) -> np.ndarray:
    return (word << np.uint32(bits)) | (word >> np.uint32(32 - bits))


def _bits(value) -> np.ndarray:
    return np.asarray(value, dtype=np.float32).view(np.uint32)


def _components(cell):
    cell = np.asarray(cell, dtype=np.float32)
    return cell[..., 0], cell[..., 1], cell[..., 2]
