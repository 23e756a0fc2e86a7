# SPDX-License-Identifier: Apache-2.0
"""Between pixels and patches: every law against a loop over all pixels and cells."""

import math

import numpy as np
import pytest
from sequential_patchcore.extractors.base import scaled_size
from sequential_patchcore.extractors.grid import Grid
from sequential_patchcore.model.patch_ids import pack_patch_ids, patch_ids_of, unpack_patch_ids

GRIDS = [
    # size, stride, offset, scale
    ((33, 47), 8, 0.0, 1.0),
    ((48, 64), 8, 3.5, 1.0),
    ((48, 64), 4, 1.5, 0.5),
    ((30, 100), 8, 7.0, 1.0),
    ((5, 3), 8, 3.0, 1.0),
    ((21, 40), 8, 11.0, 1.7),
]


def grid_of(size, stride, offset, scale):
    cells = tuple(math.ceil(length / stride) for length in scaled_size(size, scale))
    return Grid(size, cells, stride, offset, scale)


def nearest_by_loop(grid, axis):
    """The cell whose centre, brought back to the image, lies nearest; None where two are equally near."""
    length, scaled = grid.size[axis], scaled_size(grid.size, grid.image_scale)[axis]
    centres = [(cell * grid.stride + grid.offset + 0.5) * length / scaled - 0.5 for cell in range(grid.cells[axis])]
    found = []
    for pixel in range(length):
        away = [abs(pixel - centre) for centre in centres]
        near = [cell for cell, one in enumerate(away) if one < min(away) + 1e-9]
        found.append(near)
    return found


@pytest.mark.parametrize("grid", [grid_of(*one) for one in GRIDS], ids=str)
def test_each_pixel_belongs_to_the_cell_that_looks_nearest(grid):
    for axis, found in enumerate(grid.nearest_cells()):
        expected = nearest_by_loop(grid, axis)
        assert len(found) == grid.size[axis]
        assert all(cell in near for cell, near in zip(found, expected, strict=True))


@pytest.mark.parametrize("grid", [grid_of(*one) for one in GRIDS], ids=str)
def test_the_pixel_of_a_cell_belongs_to_that_cell(grid):
    rows, columns = grid.nearest_cells()
    for y in range(grid.cells[0]):
        for x in range(grid.cells[1]):
            row, column = (round(place) for place in grid.pixel(y, x))
            if 0 <= row < grid.size[0] and 0 <= column < grid.size[1]:
                assert (rows[row], columns[column]) == (y, x)


@pytest.mark.parametrize("grid", [grid_of(*one) for one in GRIDS], ids=str)
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 1.0])
def test_a_cell_is_touched_if_one_of_its_pixels_lies_in_the_region(grid, share):
    region = np.random.default_rng(0).random(grid.size) < share
    rows, columns = grid.nearest_cells()
    expected = np.full(grid.cells, share == 1.0)
    for y in range(grid.size[0]):
        for x in range(grid.size[1]):
            if region[y, x]:
                expected[rows[y], columns[x]] = True
    np.testing.assert_array_equal(grid.touched_by(region), expected)


@pytest.mark.parametrize("source", [0, 1, 12345, 2**31 - 1])
def test_patch_ids_name_source_row_and_column(source):
    patch_ids = pack_patch_ids(source, (5, 7))
    assert patch_ids.dtype == np.int64 and len(np.unique(patch_ids)) == 35
    sources, position = unpack_patch_ids(patch_ids)
    assert (sources == source).all() and sources.dtype == np.uint32
    np.testing.assert_array_equal(position, [(y, x) for y in range(5) for x in range(7)])
    np.testing.assert_array_equal(patch_ids_of(sources, position), patch_ids)


def test_patch_ids_hold_the_largest_grid_and_no_larger_one():
    for cells in ((1, 1 << 16), (1 << 16, 1)):
        patch_ids = pack_patch_ids(3, cells)
        sources, position = unpack_patch_ids(patch_ids)
        assert tuple(position[-1]) == (cells[0] - 1, cells[1] - 1) and (sources == 3).all()
    with pytest.raises(ValueError, match="65536"):
        pack_patch_ids(0, (1, (1 << 16) + 1))


def test_sources_can_be_moved_up_without_touching_positions():
    sources, position = unpack_patch_ids(pack_patch_ids(4, (3, 3)))
    moved, same = unpack_patch_ids(patch_ids_of(sources, position, first_source=10))
    assert (moved == 14).all()
    np.testing.assert_array_equal(same, position)


@pytest.mark.parametrize("offset", [3.5, 1.5, 7.0])
def test_a_mirrored_patch_is_looked_for_where_it_came_from(offset):
    grid = Grid((64, 96), (8, 12), 8, offset, 1.0)
    plain, mirrored = grid.places(), grid.places(up_down=True, left_right=True)
    assert plain[0].tolist() == list(range(8)) and plain[1].tolist() == list(range(12))
    for length, cells, rows in zip((64, 96), (8, 12), mirrored, strict=True):
        looks_at = np.arange(cells) * 8 + offset
        for cell, place in enumerate(rows):
            wanted = length - 1 - looks_at[cell]
            assert abs(looks_at[place] - wanted) == np.abs(looks_at - wanted).min()
    assert grid.places(left_right=True)[0].tolist() == list(range(8))


@pytest.mark.parametrize("grid", [grid_of(*one) for one in GRIDS], ids=str)
@pytest.mark.parametrize("density", [0.0, 0.01, 0.5, 1.0])
def test_the_share_of_a_cell_is_counted_over_its_own_pixels(grid, density):
    pixels = np.random.default_rng(1).random(grid.size) < density
    rows, columns = grid.nearest_cells()
    found = grid.share_of(pixels)
    assert found.shape == grid.cells
    for y in range(grid.cells[0]):
        for x in range(grid.cells[1]):
            own = pixels[np.ix_(rows == y, columns == x)]
            assert found[y, x] == (own.sum() / own.size if own.size else 0)
