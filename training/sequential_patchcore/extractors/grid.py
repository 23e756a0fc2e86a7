# SPDX-License-Identifier: Apache-2.0
"""Between an image's pixels and the grid of its patches."""

from dataclasses import dataclass

import numpy as np

from .base import Extractor, scaled_size


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
        if region.all():
            return np.ones(self.cells, bool)  # those that look beyond the border too
        rows, columns = self.nearest_cells()
        touched = np.zeros(self.cells, bool)
        # Neighbouring pixels share their cell, so that each cell is a run of rows and columns.
        first = [np.flatnonzero(np.diff(places, prepend=-1)) for places in (rows, columns)]
        within = np.logical_or.reduceat(np.logical_or.reduceat(region, first[0], axis=0), first[1], axis=1)
        touched[np.ix_(rows[first[0]], columns[first[1]])] = within
        return touched

    def share_of(self, pixels: np.ndarray) -> np.ndarray:
        """(H, W) bool to (h, w) float64: which share of each cell's pixels is True.

        A cell's pixels are those that it looks at more nearly than any other cell; one beyond the border has none, and
        its share is 0.
        """
        rows, columns = self.nearest_cells()
        first_rows, first_columns = (np.flatnonzero(np.diff(line, prepend=-1)) for line in (rows, columns))
        counts = np.add.reduceat(np.add.reduceat(pixels, first_rows, 0, np.int32), first_columns, 1)
        whole = np.outer(*(np.bincount(line) for line in (rows, columns)))
        shares = np.zeros(self.cells)
        seen = np.ix_(rows[first_rows], columns[first_columns])
        shares[seen] = counts / whole[seen]
        return shares

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
