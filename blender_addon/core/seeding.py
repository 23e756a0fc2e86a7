# SPDX-License-Identifier: GPL-3.0-or-later
"""Every random choice is a pure function of (master seed, index, purpose): no state, no clock, no order.

So sample k is the same alone, in a shard or in the full run, two recipes with one master seed share what they have in
common, and a new parameter never shifts the draws of the old ones.
"""

import hashlib

SEED_LIMIT = 100_000
"""Shaders carry seeds as float32, and Blender's Noise Texture repeats every 100,000 units: seeds stay below."""


def digest(master: int, index: int, purpose: str) -> int:
    """64 bits of SHA-256 over the three, as an unsigned integer."""
    text = f"{master}/{index}/{purpose}".encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big")


def seed(master: int, index: int, purpose: str) -> int:
    """An integer seed in [0, SEED_LIMIT)."""
    return digest(master, index, purpose) % SEED_LIMIT


def uniform(master: int, index: int, purpose: str) -> float:
    """A float in [0, 1), from 53 bits."""
    return (digest(master, index, purpose) >> 11) * 2.0**-53


def spread(position: int, purpose: str) -> float:
    """A float in [0, 1) for the n-th of a series such that every run of the series is spread evenly.

    The golden-ratio sequence (Weyl); `purpose` shifts it, position 0 of the purpose "" gives 0. Used for decisions
    that should hold in small data sets too, such as which plates have defects.
    """
    golden = (5.0**0.5 - 1.0) / 2.0
    shift = 0.5 * uniform(0, 0, purpose) if purpose else 0.0
    return (position * golden + shift) % 1.0
