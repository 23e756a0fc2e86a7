# SPDX-License-Identifier: GPL-3.0-or-later
"""The drawn labels: borders against a flood fill, simplification within its tolerance, and what a hand does to them."""

import json

import numpy as np
import pytest

from blender_addon.core.labels.human_labels import draw_by_hand, grow, labelme_file, outlines, simplify


def filled(polygon, shape):
    """(H, W) bool: pixel centres within a polygon, by the crossing number."""
    rows, columns = np.mgrid[: shape[0], : shape[1]] + 0.5
    inside = np.zeros(shape, bool)
    for (ax, ay), (bx, by) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if ay != by:
            crosses = (ay > rows) != (by > rows)
            inside ^= crosses & (columns < ax + (rows - ay) / (by - ay) * (bx - ax))
    return inside


def pieces(mask):
    """8-connected pieces of a mask, by flood fill."""
    left = {tuple(p) for p in np.argwhere(mask)}
    found = []
    while left:
        stack, piece = [left.pop()], []
        while stack:
            y, x = stack.pop()
            piece.append((y, x))
            for near in [(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]:
                if near in left:
                    left.remove(near)
                    stack.append(near)
        found.append(frozenset(piece))
    return set(found)


def without_holes(piece, shape):
    """A piece with what it encloses, by flooding the outside over sides only."""
    free = np.pad(np.ones(shape, bool), 1)
    free[0], free[-1], free[:, 0], free[:, -1] = (True,) * 4
    for y, x in piece:
        free[y + 1, x + 1] = False
    stack = [(0, 0)]
    while stack:
        y, x = stack.pop()
        if 0 <= y < free.shape[0] and 0 <= x < free.shape[1] and free[y, x]:
            free[y, x] = False
            stack += [(y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)]
    enclosed = free[1:-1, 1:-1].copy()
    for y, x in piece:
        enclosed[y, x] = True
    return enclosed


@pytest.mark.parametrize("seed", range(8))
def test_outlines_enclose_the_pieces_of_a_mask(seed):
    rng = np.random.default_rng(seed)
    mask = rng.random((24, 31)) < (0.25, 0.5, 0.7, 0.85)[seed % 4]
    expected = sorted(without_holes(piece, mask.shape).tobytes() for piece in pieces(mask))
    # An island in a hole has a border of its own: the fills of all borders are those of all pieces.
    assert sorted(filled(outline, mask.shape).tobytes() for outline in outlines(mask)) == expected


def test_a_slanted_line_of_single_pixels_is_one_piece():
    (outline,) = outlines(np.eye(9, dtype=bool))
    assert len(outline) == 36


def test_simplifying_keeps_the_border_within_its_tolerance():
    y, x = np.mgrid[:80, :90]
    (outline,) = outlines(np.hypot(x - 45, (y - 40) * 1.4) < 30)
    corners = simplify(outline, 1.5)
    assert 8 <= len(corners) < len(outline) / 8
    a, b = corners, np.roll(corners, -1, axis=0)
    share = np.clip(((outline[:, None] - a) * (b - a)).sum(-1) / ((b - a) ** 2).sum(-1), 0, 1)
    away = np.linalg.norm(outline[:, None] - a - share[..., None] * (b - a), axis=-1).min(axis=1)
    assert away.max() <= 1.5 + 1e-9


def test_growing_is_nearly_a_disc_and_stops_at_the_image():
    mask = np.zeros((60, 60), bool)
    mask[30, 30] = mask[0, 0] = True
    grown = grow(mask, 8)
    y, x = np.mgrid[:60, :60]
    distance = np.minimum(np.hypot(y - 30, x - 30), np.hypot(y, x))
    assert grown[distance <= 7].all() and not grown[distance > 12].any()
    assert grow(mask, 0).sum() == 2


def test_a_hand_is_some_pixels_off_and_generous_on_bumps():
    y, x = np.mgrid[:200, :200]
    mask = np.hypot(x - 100, y - 90) < 40
    bias = {}
    for name in ("dent", "bump"):
        drawn = [filled(draw_by_hand(mask, name, np.random.default_rng(k))[0], mask.shape) for k in range(20)]
        assert all(0 < (one ^ mask).mean() < 0.2 for one in drawn) and len({one.tobytes() for one in drawn}) == 20
        bias[name] = np.mean([one.sum() / mask.sum() for one in drawn])
    assert 1.0 < bias["dent"] < 1.2 < bias["bump"] < 1.8


def test_a_labelme_file_holds_every_piece_under_its_instance():
    instances = np.zeros((50, 70), np.uint16)
    instances[5:15, 5:30] = instances[5:15, 40:60] = 1
    instances[30:45, 60:70] = 2
    instance_list = [{"id": 1, "class": "scratch", "pixels": 450}, {"id": 2, "class": "sticker", "pixels": 150},
              {"id": 3, "class": "dent", "pixels": 0}]
    content = json.loads(labelme_file(instances, instance_list, "../images/a.png", 5))
    assert [(shape["label"], shape["group_id"]) for shape in content["shapes"]] == [
        ("scratch", 1), ("scratch", 1), ("sticker", 2)
    ]
    assert (content["imageWidth"], content["imageHeight"], content["imageData"]) == (70, 50, None)
    for shape in content["shapes"]:
        points = np.array(shape["points"])
        assert shape["shape_type"] == "polygon" and len(points) >= 3
        assert (points >= 0).all() and (points <= (70, 50)).all()
    assert labelme_file(instances, instance_list, "../images/a.png", 5) == labelme_file(
        instances, instance_list, "../images/a.png", 5
    )
    assert labelme_file(instances, instance_list, "../images/a.png", 5) != labelme_file(
        instances, instance_list, "../images/a.png", 6
    )
