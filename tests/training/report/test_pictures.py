# SPDX-License-Identifier: Apache-2.0
"""Overlays and maps pixel by pixel, and the way the page writes numbers."""

from collections import namedtuple

import cv2
import numpy as np
import pytest
from sequential_patchcore.metrics.counts import count_image
from sequential_patchcore.report import cards, overlays, page, palette

Class = namedtuple("Class", "id name kind")
CLASSES = (Class(1, "dent", "defect"), Class(6, "stain", "impurity"))


def nearest_kind(pixel):
    """Which of the overlay's colours has this pixel's hue; None for grey."""
    if np.ptp(pixel) < 40:
        return None
    colours = {"tp": palette.TRUE_POSITIVE, "fp": palette.FALSE_POSITIVE, "fn": palette.FALSE_NEGATIVE,
               "impurity": palette.IMPURITY_OUTLINE}

    def direction(colour):
        colour = np.array(colour, float) - np.min(colour)
        return colour / np.linalg.norm(colour)

    return max(colours, key=lambda name: direction(colours[name]) @ direction(pixel))


def test_overlay_colours_each_kind_of_pixel():
    image = np.full((1, 5, 3), 0.5, np.float32)
    mask = np.array([[1, 1, 0, 0, 1]], np.uint8)
    predicted = np.array([[True, False, True, False, True]])
    region = np.array([[True, True, True, True, False]])
    picture = overlays.overlay(image, predicted, mask, region, CLASSES)
    assert [nearest_kind(p) for p in picture[0]] == ["tp", "fn", "fp", None, None]
    assert picture[0, 4].max() < picture[0, 3].max()  # outside the region: darker


def test_impurities_are_outlined_and_not_filled():
    mask = np.zeros((21, 21), np.uint8)
    mask[8:13, 8:13] = 6
    nothing, everywhere = np.zeros(mask.shape, bool), np.ones(mask.shape, bool)
    picture = overlays.overlay(np.full((21, 21, 3), 0.5, np.float32), nothing, mask, everywhere, CLASSES)
    assert nearest_kind(picture[10, 10]) is None
    assert nearest_kind(picture[10, 7]) == "impurity"
    assert nearest_kind(picture[10, 3]) is None


@pytest.mark.parametrize("kind", ["tp", "fp", "fn"])
def test_a_single_pixel_survives_in_a_small_picture(kind):
    mask, predicted = np.zeros((400, 600), np.uint8), np.zeros((400, 600), bool)
    mask[201, 333] = 1 if kind in ("tp", "fn") else 0
    predicted[201, 333] = kind in ("tp", "fp")
    image, everywhere = np.full((400, 600, 3), 0.5, np.float32), np.ones(mask.shape, bool)
    picture = overlays.overlay(image, predicted, mask, everywhere, CLASSES, side=75)
    assert picture.shape == (50, 75, 3)
    assert kind in {nearest_kind(p) for p in picture.reshape(-1, 3)}


def test_pictures_are_never_enlarged():
    assert overlays.photograph(np.zeros((10, 30, 3), np.float32), 600).shape == (10, 30, 3)
    assert overlays.picture_size((1, 5000), 100) == (1, 100)


def test_the_map_has_the_threshold_in_the_middle_of_its_scale():
    scores = np.array([[0.0, 3.0, 6.0, 60.0]], np.float32)
    table = overlays.colour_table()
    picture = overlays.anomaly_map(scores, 3.0, np.ones((1, 4), bool))
    assert np.array_equal(picture[0, 1:], table[[127, 255, 255]])
    assert (picture[0, 0] > 200).all()  # the white line just below the threshold


def test_the_colour_bar_stands_beside_the_map():
    picture = overlays.anomaly_map(np.zeros((200, 300), np.float32), 0.5, np.ones((200, 300), bool))
    with_bar = overlays.with_colour_bar(picture, 0.5)
    assert with_bar.shape[0] == 200
    assert np.array_equal(with_bar[:, :300], picture)
    assert (with_bar[:, 300:] < 255).any()


def test_jpeg_is_read_back_nearly_the_same():
    picture = np.zeros((32, 32, 3), np.uint8)
    picture[:, :16] = (200, 40, 30)
    back = cv2.imdecode(np.frombuffer(overlays.jpeg(picture, 92), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert np.abs(back.astype(int) - picture).max() < 25


def counts(mask, scores):
    mask = np.array([mask], np.uint8)
    return count_image(np.array([scores], np.float32), 1.0, mask, mask.astype(np.uint16), mask < 255, CLASSES)


@pytest.mark.parametrize(
    ("mask", "scores", "outcome"),
    [([1, 0], [1, 1], "found"), ([1, 0], [0, 1], "missed"), ([6, 0], [1, 0], "alarm"), ([6, 0], [0, 0], "passed"),
     ([0, 0], [0, 1], "alarm")],
)
def test_outcomes(mask, scores, outcome):
    assert cards.outcome(counts(mask, scores), [1]) == outcome


def test_worst_images_come_first():
    def card(name, *cases):
        tiles = tuple(cards.Tile(counts(*case), cards.outcome(counts(*case), [1]), 0, b"", None, ()) for case in cases)
        return cards.Card(name, "", 2, 1, {}, b"", b"", tiles, (1,))

    good, noisy, missed = card("a", ([1, 0], [1, 0])), card("b", ([0, 0], [1, 1])), card("c", ([1, 0], [0, 0]))
    assert [c.id for c in cards.worst_first([good, noisy, missed])] == ["c", "b", "a"]
    assert card("d", ([1, 0], [1, 0]), ([1, 0], [0, 0])).outcomes == ["missed", "found"]


def test_many_images_get_small_pictures_and_few_get_large_ones():
    sides = [cards.picture_side(n, 2, 0.8) for n in (1, 50, 200, 10_000)]
    assert sides == sorted(sides, reverse=True)
    assert sides[0] > sides[2] > sides[3]
    assert [cards.alarms_each(n, m) for n, m in ((1, 1), (200, 1), (200, 4), (10_000, 4))] == [3, 3, 1, 1]


def test_percentages_do_not_claim_what_the_counts_do_not_say():
    assert [page.percent(v) for v in (None, 0.0, 1.0, 0.357, 0.00001, 0.99999)] == [
        "–", "0.0", "100.0", "35.7", "< 0.1", "> 99.9",
    ]
    assert page.count(1234567) == "1\u202f234\u202f567"
