# SPDX-License-Identifier: GPL-3.0-or-later
"""The jittered grid: space cut into cubes of edge G, one centre in each, drawn by a hash of (cell, seed).

Units: metres. Axis order: x, y, z. Arithmetic: float32, as in the shaders.
"""

from collections.abc import Callable

import numpy as np

from .hashing import white_noise_color

NEIGHBOURS_27 = tuple((x, y, z) for x in (-1, 0, 1) for y in (-1, 0, 1) for z in (-1, 0, 1))
NEIGHBOURS_125 = tuple((x, y, z) for x in range(-2, 3) for y in range(-2, 3) for z in range(-2, 3))
NEIGHBOURS_8 = tuple((x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1))


FAR = np.float32(1e9)
"""Metres; farther than any centre."""

Measure = Callable[[np.ndarray], np.ndarray]


def cell_of(points: np.ndarray, cell_size: np.float32) -> np.ndarray:
    """Index of the cell that holds each point: (N, 3) float32 metres -> (N, 3) float32, whole numbers, never -0.0."""
    return np.floor(points / cell_size) + np.float32(0.0)


def centres_of(cells: np.ndarray, cell_size: np.float32, seed: np.float32) -> np.ndarray:
    """The centre in each cell: (..., 3) float32 cell indices -> (..., 3) float32 metres."""
    return (cells + white_noise_color(cells, seed)) * cell_size


def nearest_centre(
    points: np.ndarray,
    cell_size: np.float32,
    seed: np.float32,
    neighbours: int = 27,
    length: Measure | None = None,
    handicap: Measure | None = None,
    present: Measure | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The centre of the neighbouring cells with the least length(point - centre) - handicap(cell).

    points: (N, 3) float32 metres. Returns that least value, (N,) float32 metres, and (N, 3) float32 cell indices.
    length: (M, 3) -> (M,), Euclid's by default; handicap: (M, 3) float32 cell indices -> (M,) metres, 0 by default;
    present: cell indices -> (M,) bool, whether the cell has a centre. Where no neighbour has one the value is `FAR`.

    ``neighbours=27`` looks through the own cell and all that touch it: a centre that is missed lies at least G away.
    ``neighbours=8`` looks through the 2 x 2 x 2 cells whose common corner is nearest: what is missed lies at least
    G / 2 away, at less than a third of the cost. Within these reaches both give the same bits. ``neighbours=125``
    also finds what is up to 2 G away.
    """
    length = length or vector_length
    if neighbours in (27, 125):
        base, offsets = cell_of(points, cell_size), NEIGHBOURS_27 if neighbours == 27 else NEIGHBOURS_125
    else:
        base, offsets = np.floor(points / cell_size - np.float32(0.5)) + np.float32(0.0), NEIGHBOURS_8
    base = base.astype(np.int32)

    def candidate(cells: np.ndarray) -> np.ndarray:
        """(M, 3) int32 -> (M, 5): centre, handicap, and what an absent centre adds."""
        cells = cells.astype(np.float32)
        table = np.zeros((len(cells), 5), dtype=np.float32)
        table[:, :3] = centres_of(cells, cell_size, seed)
        if handicap is not None:
            table[:, 3] = handicap(cells)
        if present is not None:
            table[:, 4] = np.where(present(cells), np.float32(0.0), FAR)
        return table

    candidate_at = per_cell(base, offsets, candidate)
    least = np.full(len(points), FAR, dtype=np.float32)
    nearest = np.zeros(len(points), dtype=np.int32)
    for index, offset in enumerate(offsets):
        table = candidate_at(offset)
        value = length(points - table[:, :3]) - table[:, 3] + table[:, 4]
        closer = value < least
        least[closer] = value[closer]
        nearest[closer] = index
    return least, (base + np.array(offsets, dtype=np.int32)[nearest]).astype(np.float32)


def vector_length(vectors: np.ndarray) -> np.ndarray:
    """(N, 3) -> (N,), the squares summed in the order x, y, z."""
    x, y, z = vectors[:, 0], vectors[:, 1], vectors[:, 2]
    return np.sqrt(x * x + y * y + z * z)


def per_cell(base: np.ndarray, offsets, function: Callable[[np.ndarray], np.ndarray]) -> Callable:
    """``lookup(offset) -> function(base + offset)``, with the function evaluated once per cell, not once per point.

    base: (N, 3) int32; offsets: all that will be asked for; function: (M, 3) int32 -> (M, ...), pure.
    Points that lie close together share few cells, which are then tabulated over their bounding box. Scattered
    points, whose box would hold more cells than there are look-ups, are evaluated directly.
    """
    if len(base) == 0:
        return lambda offset: function(base)
    # Column by column, and `take`: whole rows of three are ten times slower for NumPy to search, multiply and gather.
    columns = [base[:, axis] for axis in range(3)]
    low = np.array([int(column.min()) for column in columns]) + np.min(offsets, axis=0)
    shape = np.array([int(column.max()) for column in columns]) + np.max(offsets, axis=0) - low + 1
    if float(shape[0]) * float(shape[1]) * float(shape[2]) > len(base) * len(offsets):
        return lambda offset: function(base + np.array(offset, dtype=np.int32))

    cells = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), axis=-1).reshape(-1, 3) + low
    table = function(cells.astype(np.int32))
    strides = np.array([shape[1] * shape[2], shape[2], 1])
    x, y, z = (column - least for column, least in zip(columns, low, strict=True))
    rows = x * strides[0] + y * strides[1] + z
    return lambda offset: np.take(table, rows + int(strides @ offset), axis=0)
