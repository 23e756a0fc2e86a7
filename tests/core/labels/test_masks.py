# SPDX-License-Identifier: GPL-3.0-or-later
import dataclasses
import pathlib

import numpy as np
import pytest

from blender_addon.core.features.bump import Bump
from blender_addon.core.features.dent import Dent
from blender_addon.core.features.fingerprint import Fingerprint
from blender_addon.core.features.scratch import Scratch
from blender_addon.core.features.sticker import Sticker
from blender_addon.core.labels.masks import compose_labels, number_features
from blender_addon.core.recipe.sample import draw_sample
from blender_addon.core.recipe.settings import load

RECIPES = pathlib.Path(__file__).parents[3] / "scenes" / "recipes"
TWO = [{"id": 1, "class": "dent", "feature": 0}, {"id": 2, "class": "scratch", "feature": 1}]


def stain_pass(stains):
    """(1, W, 2) of stain hashes (None: no stain)."""
    return np.array([[[0.0 if h is None else h, float(h is not None)] for h in stains]], dtype=np.float32)


def test_features_own_their_pixels_and_numbers_are_unique():
    stains = stain_pass([None, 0.9, 0.9, 0.2, None, 0.0])
    mask, instances, instance_list = compose_labels(stains, np.array([[0, 0, 1, 0, 2, 0]]), TWO)
    assert mask.tolist() == [[0, 6, 2, 6, 4, 6]]
    assert instances.tolist() == [[0, 5, 1, 4, 2, 3]]
    assert (mask.dtype, instances.dtype) == (np.uint8, np.uint16)
    assert instance_list == [
        {"id": 1, "class": "dent", "pixels": 1, "feature": 0},
        {"id": 2, "class": "scratch", "pixels": 1, "feature": 1},
        {"id": 3, "class": "water_stain", "pixels": 1, "hash": 0.0},
        {"id": 4, "class": "water_stain", "pixels": 1, "hash": float(np.float32(0.2))},
        {"id": 5, "class": "water_stain", "pixels": 1, "hash": float(np.float32(0.9))},
    ]


def test_what_is_covered_wholly_is_listed_with_no_pixels():
    _, instances, instance_list = compose_labels(stain_pass([0.5, None]), np.array([[2, 2]]), TWO)
    assert instances.tolist() == [[2, 2]]
    assert [instance["pixels"] for instance in instance_list] == [0, 2, 0]


def test_a_clean_image():
    mask, instances, instance_list = compose_labels(stain_pass([None] * 3), np.zeros((1, 3), int), [])
    assert not mask.any() and not instances.any() and instance_list == []


def test_more_instances_than_16_bits_hold_are_refused():
    hashes = np.linspace(0, 1, 70000, dtype=np.float32)
    stains = np.stack([hashes, np.ones_like(hashes)], axis=-1)[None]
    with pytest.raises(ValueError, match="16 bits"):
        compose_labels(stains, np.zeros((1, 70000), int), [])


def a_sample(features):
    recipe = load(RECIPES / "acquisition.toml").with_values("render", "x", scale_percent=10.0)
    sample = draw_sample(recipe.with_values("plate", "x", yaw_deg=12.0), 7)
    return dataclasses.replace(sample, features=features)


def slow_numbers(sample):
    """Pixel by pixel: the last of the defects there, or else the last of the impurities."""
    columns, rows = sample.size_px
    pitch = sample.camera.field_mm[0] / columns
    numbers = np.zeros((rows, columns), int)
    for row in range(rows):
        y = np.full(columns, (rows / 2 - 0.5 - row) * pitch)
        points = sample.plate.from_world(np.stack([(np.arange(columns) + 0.5 - columns / 2) * pitch, y], axis=-1))
        for kinds in ((Fingerprint, Sticker), (Bump, Dent, Scratch)):
            for k, feature in enumerate(sample.features, start=1):
                if isinstance(feature, kinds):
                    numbers[row, feature.field(*feature.to_local(points)).inside] = k
    return numbers


def test_the_owner_of_a_pixel_is_the_last_defect_there_or_else_the_last_impurity():
    x, y = a_sample(()).plate.from_world(np.zeros(2))
    features = (
        Bump(x, y, 1, diameter_mm=6.0),
        Dent(x + 2.0, y, 2, diameter_mm=4.0),
        Scratch(x, y, 3, angle_deg=20.0, length_mm=120.0, width_um=900.0, depth_um=20.0),
        Fingerprint(x - 2.0, y + 1.0, 4),
        Sticker(x + 6.0, y - 3.0, 5, angle_deg=30.0),
    )
    sample = a_sample(features)
    numbers, instance_list = number_features(sample)
    np.testing.assert_array_equal(numbers, slow_numbers(sample))
    assert set(np.unique(numbers)) == {0, 1, 2, 3, 4, 5}
    assert [instance["class"] for instance in instance_list] == ["bump", "dent", "scratch", "fingerprint", "sticker"]


def test_covered_features_are_listed_and_those_out_of_view_are_not():
    x, y = a_sample(()).plate.from_world(np.zeros(2))
    sample = a_sample(
        (Dent(x + 300.0, y, 1), Dent(x, y, 2, diameter_mm=6.0), Sticker(x, y, 3, width_mm=3.0, height_mm=2.0))
    )
    numbers, instance_list = number_features(sample)
    assert instance_list == [{"id": 1, "class": "dent", "feature": 1}, {"id": 2, "class": "sticker", "feature": 2}]
    assert set(np.unique(numbers)) == {0, 1}
    assert compose_labels(np.zeros((*numbers.shape, 2)), numbers, instance_list)[2][1]["pixels"] == 0


def test_a_sticker_lies_over_a_fingerprint_and_a_feature_keeps_its_number_in_the_record_in_every_view():
    recipe = load(RECIPES / "inspection_twin.toml").with_values("render", "x", scale_percent=4.0)
    seen = {}
    for index in range(24, 36):
        sample = draw_sample(recipe, index)
        numbers, instance_list = number_features(sample)
        for instance in instance_list:
            record = sample.parameters()["features"][instance["feature"]]
            assert record["class"] == instance["class"]
            seen.setdefault(instance["feature"], set()).add((record["centre_x_mm"], record["centre_y_mm"]))
            assert (numbers == instance["id"]).sum() <= numbers.size / 2
    assert len(seen) > 8 and all(len(places) == 1 for places in seen.values())
