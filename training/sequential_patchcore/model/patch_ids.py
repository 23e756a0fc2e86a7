# SPDX-License-Identifier: Apache-2.0
"""The number that names a patch: its image and its place on the feature grid, in one int64."""

import numpy as np


def pack_patch_ids(
    source: int, cells: tuple[int, int], places: tuple[np.ndarray, np.ndarray] | None = None
) -> np.ndarray:
    """(h * w,) int64, one number per patch of an image: source in the upper bits, then 16 bits each of y and x.

    Args:
        cells: (h, w) of the grid.
        places: `Grid.places`, where a patch's place in the data set's image is another than in the one at hand.

    Raises:
        ValueError: a grid side beyond 65536, which the model file's positions cannot hold.
    """
    if max(cells) > 1 << 16:
        raise ValueError(f"a grid of {cells[0]} x {cells[1]} patches is too large: at most 65536 on a side")
    rows, columns = (np.arange(cells[0]), np.arange(cells[1])) if places is None else places
    y, x = np.meshgrid(rows.astype(np.int64), columns.astype(np.int64), indexing="ij")
    return ((np.int64(source) << 32) | (y << 16) | x).reshape(-1)


def unpack_patch_ids(patch_ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N,) patch ids to (N,) uint32 sources and (N, 2) uint16 positions (y, x)."""
    position = np.stack([(patch_ids >> 16) & 0xFFFF, patch_ids & 0xFFFF], 1)
    return (patch_ids >> 32).astype(np.uint32), position.astype(np.uint16)


def patch_ids_of(source: np.ndarray, position: np.ndarray, first_source: int = 0) -> np.ndarray:
    """The inverse of `unpack_patch_ids`, with `first_source` added to each source."""
    source = source.astype(np.int64) + first_source
    return (source << 32) | (position[:, 0].astype(np.int64) << 16) | position[:, 1].astype(np.int64)
