# SPDX-License-Identifier: Apache-2.0
"""Between an image's pixels and the grid of its patches; and the number that names a patch."""

from dataclasses import dataclass

import numpy as np

from .extractors.base import Extractor, scaled_size


@dataclass(frozen=True)
class Grid:
    """The patches of one image.

    Attributes:
        size: (H, W) of the image.
        cells: (h, w) of the grid.
        stride, offset: patch (y, x) looks at the scaled image around pixel (y, x) * stride + offset.
        image_scale: scaled over original size.
    """

    size: tuple[int, int]
    cells: tuple[int, int]
    stride: int
    offset: float
    image_scale: float

    @classmethod
    def of(cls, extractor: Extractor, size: tuple[int, int], cells: tuple[int, int]) -> "Grid":
        return cls(size, cells, extractor.stride, extractor.offset, extractor.settings.image_scale)

    def nearest_cells(self) -> tuple[np.ndarray, np.ndarray]:
        """(H,) rows and (W,) columns: the cell that looks nearest to each pixel."""
        scaled = scaled_size(self.size, self.image_scale)
        rows, columns = (
            self._nearest(length, shorter, cells)
            for length, shorter, cells in zip(self.size, scaled, self.cells, strict=True)
        )
        return rows, columns

    def _nearest(self, length: int, scaled: int, cells: int) -> np.ndarray:
        place = (np.arange(length) + 0.5) * (scaled / length) - 0.5
        return np.clip(np.floor((place - self.offset) / self.stride + 0.5), 0, cells - 1).astype(np.int64)

    def touched_by(self, region: np.ndarray) -> np.ndarray:
        """(H, W) bool to (h, w) bool: the cells that at least one pixel of the region belongs to."""
        touched = np.zeros(self.cells, bool)
        rows, columns = self.nearest_cells()
        where_y, where_x = np.nonzero(region)
        touched[rows[where_y], columns[where_x]] = True
        if region.all():
            touched[:] = True  # so do those that look beyond the border
        return touched

    def places(self, up_down: bool = False, left_right: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """(h,) rows and (w,) columns of the patches on the grid of the data set's own image.

        An image that was flipped shows each patch elsewhere; where the grid's offset is not symmetric, the mirrored
        place lies between two cells, and the nearer one is taken.
        """
        scaled = scaled_size(self.size, self.image_scale)
        places = []
        for flip, length, cells in zip((up_down, left_right), scaled, self.cells, strict=True):
            place = np.arange(cells)
            if flip:
                mirrored = (length - 1 - 2 * self.offset) / self.stride - place
                place = np.clip(np.floor(mirrored + 0.5), 0, cells - 1).astype(np.int64)
            places.append(place)
        return places[0], places[1]

    def pixel(self, y: int, x: int) -> tuple[float, float]:
        """Where in the image, (row, column), the patch (y, x) looks."""
        scaled = scaled_size(self.size, self.image_scale)
        row, column = (
            (cell * self.stride + self.offset + 0.5) * length / shorter - 0.5
            for cell, length, shorter in zip((y, x), self.size, scaled, strict=True)
        )
        return row, column


def pack_tags(
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


def unpack_tags(tags: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N,) tags to (N,) uint32 sources and (N, 2) uint16 positions (y, x)."""
    position = np.stack([(tags >> 16) & 0xFFFF, tags & 0xFFFF], 1)
    return (tags >> 32).astype(np.uint32), position.astype(np.uint16)


def tags_of(source: np.ndarray, position: np.ndarray, first_source: int = 0) -> np.ndarray:
    """The inverse of `unpack_tags`, with `first_source` added to each source."""
    source = source.astype(np.int64) + first_source
    return (source << 32) | (position[:, 0].astype(np.int64) << 16) | position[:, 1].astype(np.int64)
