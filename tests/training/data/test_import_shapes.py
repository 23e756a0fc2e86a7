# SPDX-License-Identifier: Apache-2.0
"""Shapes to pixels: against slow per-pixel references and analytic areas."""

import base64
import io
import json
import math

import numpy as np
import pytest
from PIL import Image
from sequential_patchcore.data.importers.labelme_file import read_label_file
from sequential_patchcore.data.importers.shapes import draw_strokes, fill_circle, fill_polygon, paint, paste

SIZE = (40, 50)


def slow_polygon(points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Even-odd by a ray to the left from each pixel's centre, one pixel at a time."""
    inside = np.zeros(size, bool)
    for row in range(size[0]):
        for column in range(size[1]):
            x, y = column + 0.5, row + 0.5
            for i in range(len(points)):
                (xa, ya), (xb, yb) = points[i - 1], points[i]
                if (ya > y) != (yb > y) and x > xa + (y - ya) * (xb - xa) / (yb - ya):
                    inside[row, column] ^= True
    return inside


def slow_stroke(start, end, width: float, size: tuple[int, int]) -> np.ndarray:
    inside = np.zeros(size, bool)
    (x0, y0), (x1, y1) = start, end
    for row in range(size[0]):
        for column in range(size[1]):
            x, y = column + 0.5, row + 0.5
            length2 = (x1 - x0) ** 2 + (y1 - y0) ** 2
            t = 0 if length2 == 0 else max(0, min(1, ((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / length2))
            inside[row, column] = math.hypot(x - x0 - t * (x1 - x0), y - y0 - t * (y1 - y0)) <= width / 2
    return inside


@pytest.fixture
def rasterise(tmp_path):
    """The pixels of a LabelMe shape, by its kind, points and, for a mask, bitmap."""

    def run(kind: str, points, patch=None, line_width: float = 3.0) -> np.ndarray:
        entry = {"label": "a", "shape_type": kind, "points": np.array(points).tolist()}
        if patch is not None:
            buffer = io.BytesIO()
            Image.fromarray(patch.astype(np.uint8)).save(buffer, "PNG")
            entry["mask"] = base64.b64encode(buffer.getvalue()).decode()
        file = tmp_path / "a.json"
        file.write_text(json.dumps({"shapes": [entry]}))
        (shape,) = read_label_file(file).shapes
        return shape.outline.pixels(SIZE, line_width)

    return run


@pytest.mark.parametrize("seed", range(12))
def test_a_polygon_holds_the_pixels_whose_centre_is_inside(seed):
    """Random stars and self-crossing outlines, partly outside the image, several on the half-pixel grid."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(-15, 65, (rng.integers(3, 12), 2))
    if seed % 3 == 0:
        points = np.round(points) + 0.25  # no centre lies on an edge, where the reference's rounding decides
    np.testing.assert_array_equal(fill_polygon(points, SIZE), slow_polygon(points, SIZE))


def test_polygons_that_share_edges_cover_each_pixel_once():
    """A fan of triangles around a point fills the image without gap or overlap, even where edges meet centres."""
    corners = np.array([[0, 0], [25, 0], [50, 0], [50, 20], [50, 40], [25, 40], [0, 40], [0, 20]], float)
    for middle in ([25.0, 20.0], [24.5, 19.5], [10.3, 31.7]):
        total = sum(
            fill_polygon(np.array([middle, corners[i - 1], corners[i]]), SIZE).astype(int) for i in range(len(corners))
        )
        assert (total == 1).all()


def test_a_polygon_far_outside_or_without_area_is_empty():
    assert not fill_polygon(np.array([[100, 100], [120, 100], [110, 130]], float), SIZE).any()
    assert not fill_polygon(np.array([[-9, -9], [-5, -9], [-7, -2]], float), SIZE).any()
    assert not fill_polygon(np.array([[3, 3], [20, 20], [3, 3]], float), SIZE).any()


def test_a_rectangle_has_its_analytic_area_in_any_order_of_corners(rasterise):
    for points in ([[3, 4], [13, 9]], [[13, 9], [3, 4]], [[3, 9], [13, 4]], [[3, 4], [13, 4], [13, 9], [3, 9]]):
        inside = rasterise("rectangle", points)
        assert inside[4:9, 3:13].all() and inside.sum() == 50


def test_a_circle_is_the_pixels_within_its_radius(rasterise):
    centre, edge = np.array([20.3, 18.6]), np.array([20.3 + 9.0, 18.6])
    inside = rasterise("circle", [centre, edge])
    np.testing.assert_array_equal(inside, slow_stroke(centre, centre, 18.0, SIZE))
    assert inside.sum() == pytest.approx(math.pi * 81, rel=0.03)
    assert fill_circle(np.array([-3.0, 20.0]), 2.0, SIZE).sum() == 0


@pytest.mark.parametrize(
    ("start", "end"), [((5, 5), (40, 5)), ((5, 30), (44, 3)), ((-10, 20), (12, 60)), ((7.5, 7.5), (7.5, 7.5))]
)
def test_lines_and_points_are_strokes_three_pixels_wide(start, end, rasterise):
    kind = "point" if start == end else "line"
    inside = rasterise(kind, [start] if kind == "point" else [start, end])
    np.testing.assert_array_equal(inside, slow_stroke(start, end, 3.0, SIZE))
    assert inside.any()


def test_a_line_on_a_row_of_centres_is_exactly_three_rows():
    inside = draw_strokes(np.array([[[10.0, 20.5], [30.0, 20.5]]]), 3.0, SIZE)
    assert inside[19:22, 10:30].all() and not inside[:19].any() and not inside[22:].any()


def test_a_linestrip_is_the_union_of_its_lines_and_points_that_of_points(rasterise):
    corners = [[5, 5], [30, 10], [20, 35]]
    parts = [rasterise("line", pair) for pair in (corners[:2], corners[1:])]
    np.testing.assert_array_equal(rasterise("linestrip", corners), parts[0] | parts[1])
    dots = [rasterise("point", [corner]) for corner in corners]
    np.testing.assert_array_equal(rasterise("points", corners), np.logical_or.reduce(dots))


def test_a_bitmap_is_pasted_at_its_corner_and_cut(rasterise):
    patch = np.random.default_rng(0).random((6, 9)) < 0.5
    np.testing.assert_array_equal(rasterise("mask", [[10, 20], [18, 25]], patch)[20:26, 10:19], patch)
    np.testing.assert_array_equal(paste(patch, -4, -2, SIZE)[:4, :5], patch[2:, 4:])
    np.testing.assert_array_equal(paste(patch, 45, 38, SIZE)[38:, 45:], patch[:2, :5])
    assert paste(patch, -4, -2, SIZE).sum() == patch[2:, 4:].sum() and not paste(patch, 60, 0, SIZE).any()


def test_an_area_without_a_pixel_centre_keeps_the_pixel_under_it(rasterise):
    inside = rasterise("polygon", [[7.6, 9.6], [7.9, 9.6], [7.8, 9.9]])
    assert inside.sum() == 1 and inside[9, 7]
    assert not rasterise("polygon", [[-7.6, 9.6], [-7.9, 9.6], [-7.8, 9.9]]).any()


def test_the_last_painted_owns_the_pixel():
    left, right = np.zeros((2, *SIZE), bool)
    left[:, :30], right[:, 20:] = True, True
    mask, instances = paint([(7, 2, left), (300, 1, right)], SIZE)
    assert (mask[:, :20] == 2).all() and (mask[:, 20:] == 1).all()
    assert (instances[:, :20] == 7).all() and (instances[:, 20:] == 300).all()
