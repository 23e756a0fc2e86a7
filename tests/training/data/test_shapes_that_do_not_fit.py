# SPDX-License-Identifier: Apache-2.0
"""Shapes outside their image, without extent, with NaN, thinner than a pixel; and all that is wrong named at once."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sequential_patchcore.cli import parser as cli
from sequential_patchcore.data.dataset import open_dataset
from sequential_patchcore.data.importers.outlines import Polygon, box, polyline

HEIGHT, WIDTH = 24, 36


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs `import labelme s --out d`; `s` holds photographs a, b, c, …, one for each list of shapes given before."""
    monkeypatch.chdir(tmp_path)
    Path("s").mkdir()

    def command(*options: str, **images: list) -> int:
        for name, shapes in images.items():
            photograph = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8)
            Image.fromarray(photograph).save(f"s/{name}.png")
            Path(f"s/{name}.json").write_text(json.dumps({"shapes": shapes, "imagePath": f"{name}.png"}))
        return cli.main(["import", "labelme", "s", "--out", "d", *options])

    return command


def shape(kind: str, *points, label: str = "dent", **more) -> dict:
    return {"label": label, "shape_type": kind, "points": [list(point) for point in points]} | more


WRONG = {
    "rectangle right of it": (shape("rectangle", (40, 3), (50, 9)), "outside its image of 36 x 24 pixels: x 40 to 50"),
    "polygon above": (shape("polygon", (3, -9), (9, -2), (5, -1)), "outside its image of 36 x 24 pixels: x 3 to 9, y"),
    "circle below": (shape("circle", (10, 40), (12, 40)), "lies outside"),
    "point left": (shape("point", (-9, 3)), "lies outside"),
    "beside the corner": (shape("polygon", (-8, 3), (3, -8), (-9, -9)), "covers no pixel of its image"),
    "a click": (shape("polygon", (3, 4), (3, 4), (3, 4)), r"all its points are (3, 4), so that it has no extent"),
    "an empty rectangle": (shape("rectangle", (3, 4), (3, 4)), "it has no extent"),
    "no radius": (shape("circle", (9, 9), (9, 9)), "its radius is 0 pixels"),
    "NaN": (shape("polygon", (3, 4), (float("nan"), 5), (6, 6)), "point 2 is [NaN, 5]"),
    "infinity": (shape("polygon", (3, 4), (5, float("inf")), (6, 6)), "point 2 is [5, Infinity]"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_a_label_is_named_with_file_shape_and_value(run, capsys, case):
    wrong, message = WRONG[case]
    assert run(a=[shape("rectangle", (2, 2), (6, 6)), wrong], b=[]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "s/a.json: shape 2 ('dent')" in error and message in error
    assert run("--skip-bad") == 4  # the image goes, not the shape alone
    assert [s.id for s in open_dataset("d").samples] == ["b"]
    assert message in Path("d/left_out.txt").read_text()


def test_all_that_is_wrong_is_named_at_once(run, capsys):
    bad = [entry for entry, _ in WRONG.values()]
    assert run(a=bad, b=[shape("ellipse", (1, 1))], c=[]) == 2
    Path("s/c.png").write_bytes(b"no picture")
    assert run("--check-only") == 2
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert len(lines) == len(WRONG) + 2 and not Path("d").exists()
    for _, message in WRONG.values():
        assert sum(message in line for line in lines) >= 1, message
    assert any("unknown type 'ellipse'" in line for line in lines)
    assert any("s/c.png: expected a picture" in line for line in lines)
    assert f"s: {len(WRONG) + 2} problem(s) found" in said.err.splitlines()[-1]


def test_a_sound_source_has_nothing_to_name(run, capsys):
    assert run("--check-only", a=[shape("rectangle", (2, 2), (6, 6))], b=[]) == 0
    assert capsys.readouterr().out == "s: no problems found\n" and not Path("d").exists()


def test_broken_pictures_are_all_named_and_the_others_imported(run, capsys):
    assert run(a=[], b=[], c=[], d=[]) == 0
    for name in "bd":
        Path(f"s/{name}.png").write_bytes(Path(f"s/{name}.png").read_bytes()[:-30])
    assert run("--overwrite", "--defects", "dent") == 2
    error = capsys.readouterr().err
    assert "s/b.png: broken" in error and "s/d.png: broken" in error
    assert "2 things are wrong with the source, the first: s/b.png" in error.splitlines()[-1]
    assert "--skip-bad" in error.splitlines()[-1]
    assert run("--skip-bad", "--defects", "dent") == 4
    assert [s.id for s in open_dataset("d").samples] == ["a", "c"]
    assert [line.split("\t")[0] for line in Path("d/left_out.txt").read_text().splitlines()] == ["b.png", "d.png"]


def test_with_nothing_left_there_is_no_data_set(run, capsys):
    assert run("--skip-bad", a=[WRONG["NaN"][0]]) == 2
    assert "something is wrong with each of the 1 images" in capsys.readouterr().err and not Path("d").exists()


def test_a_shape_beyond_the_border_is_cut_with_a_word(run, capsys):
    assert run(a=[shape("rectangle", (30, 3), (50, 9)), shape("rectangle", (-0.4, 0), (4, 24.6))]) == 0
    said = capsys.readouterr().err
    assert "1 shapes reach beyond their image and were cut (s/a.json: shape 1 ('dent'): x 30 to 50, y 3 to 9" in said
    assert [i.pixels for i in open_dataset("d").samples[0].instances] == [36, 96]


def slow_touched(points: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Pixels that a closed outline surely crosses, and those that it may, by very many points along it."""
    pad = 40  # outlines may leave the image
    surely, perhaps = np.zeros((2, size[0] + 2 * pad, size[1] + 2 * pad), bool)
    for start, end in zip(points, np.roll(points, -1, axis=0), strict=True):
        along = start + np.linspace(0, 1, 400_000)[:, None] * (end - start) + pad
        inner = along[(np.abs(along - np.rint(along)) > 1e-6).all(axis=1)].astype(int)
        surely[inner[:, 1], inner[:, 0]] = True
        for aside in ((-1e-4, -1e-4), (1e-4, 1e-4), (-1e-4, 1e-4), (1e-4, -1e-4)):
            near = (along + aside).astype(int)
            perhaps[near[:, 1], near[:, 0]] = True
    return surely[pad:-pad, pad:-pad], perhaps[pad:-pad, pad:-pad]


def sliver(seed: int) -> np.ndarray:
    """A four-cornered outline up to 0.6 pixels wide and 10 to 30 long, in any direction."""
    rng = np.random.default_rng(seed)
    angle, length, width = rng.uniform(0, 2 * np.pi), rng.uniform(10, 30), rng.uniform(0.02, 0.6)
    along, across = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
    middle = rng.uniform(8, 20, 2)
    return np.array([middle + i * along * length / 2 + j * across * width / 2
                     for i, j in ((-1, -1), (1, -1), (1, 1), (-1, 1))])


@pytest.mark.parametrize("seed", range(25))
def test_an_area_thinner_than_a_pixel_covers_all_pixels_that_it_touches(seed):
    points = sliver(seed)
    found = Polygon(points).pixels((HEIGHT, WIDTH), 3.0)
    surely, perhaps = slow_touched(points, (HEIGHT, WIDTH))
    assert not (surely & ~found).any() and not (found & ~perhaps).any()


@pytest.mark.parametrize(("outline", "place"), [
    (box(5, 3, 5.5, 13), np.s_[3:13, 5]), (box(5, 3, 5, 13), np.s_[3:13, 5]), (box(3, 7, 30, 7), np.s_[7, 3:30]),
    (box(3.2, 7.2, 3.4, 7.3), np.s_[7, 3]), (box(4, 6.7, 9, 7.2), np.s_[6:8, 4:9]), (box(5, 3, 6, 13), np.s_[3:13, 5]),
    (Polygon(np.array([[2.5, 2], [2.5, 9], [2.5, 4]])), np.s_[2:9, 2]), (box(6, 6, 7, 7), np.s_[6, 6]),
])
def test_thin_boxes_are_whole_rows_and_columns(outline, place):
    expected = np.zeros((HEIGHT, WIDTH), bool)
    expected[place] = True
    np.testing.assert_array_equal(outline.pixels((HEIGHT, WIDTH), 3.0), expected)


def test_an_outline_of_some_width_holds_centres_only():
    """Also one whose signed area cancels out: an eight."""
    for outline in (box(3.4, 3.4, 9.6, 9.6), Polygon(np.array([[2.0, 2], [20, 20], [20, 2], [2, 20]])),
                    Polygon(np.array([[3.1, 3.2], [30.3, 4.1], [17.2, 20.3]]))):
        rows, columns = np.indices((HEIGHT, WIDTH)) + 0.5
        inside = np.zeros((HEIGHT, WIDTH), bool)
        for (xa, ya), (xb, yb) in zip(outline.points, np.roll(outline.points, 1, axis=0), strict=True):
            with np.errstate(divide="ignore", invalid="ignore"):
                inside ^= ((ya > rows) != (yb > rows)) & (columns >= xa + (rows - ya) * (xb - xa) / (yb - ya))
        np.testing.assert_array_equal(outline.pixels((HEIGHT, WIDTH), 3.0), inside)


@pytest.mark.parametrize("width", [0.05, 0.5, 1.0])
def test_a_thin_line_has_no_gaps(width):
    line = polyline(np.array([[2.2, 3.1], [30.7, 17.3], [33.1, 2.2]]))
    found = line.pixels((HEIGHT, WIDTH), width)
    surely, _ = slow_touched(np.array([[2.2, 3.1], [30.7, 17.3]]), (HEIGHT, WIDTH))
    assert not (surely & ~found).any()


def test_a_hairline_is_imported_whole_and_a_flat_one_is_said(run, capsys):
    hairline = shape("polygon", (2, 5.1), (30, 5.1), (30, 5.3), (2, 5.3))
    assert run(a=[hairline, shape("rectangle", (3, 10), (30, 10))]) == 0
    assert [i.pixels for i in open_dataset("d").samples[0].instances] == [28, 27]
    assert "1 areas have no width: the pixels that they touch are labelled (s/a.json: shape 2 ('dent'))" in (
        capsys.readouterr().err)
