# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np

from blender_addon.core.labels.own_scene import FeatureLabel, PartLabel, compose_scene_labels

PARTS = {1: PartLabel("Nut", frozenset()), 2: PartLabel("Plate", frozenset({1}))}


def test_features_own_their_pixels_over_stains_and_copies_are_apart():
    """Columns: a stain, stain and sticker, sticker on a copy, scratch, bare, left out, another object."""
    labels = np.array([[[0.5, 2.3, 1024.0], [0.5, 2.3, 1024.0], [0.0, 0.0, 1024.0], [0.7, 2.1, 512.0],
                        [0.0, 0.0, 512.0], [0.5, 2.3, 1025.0], [0.0, 0.0, 0.0]]], np.float32)
    features = [FeatureLabel("scratch", 1), FeatureLabel("sticker", 2)]
    numbers = np.array([[0, 2, 2, 1, 0, 2, 0]], np.uint16)
    copies = np.array([[0.3, 0.3, 0.6, 0.1, 0.1, 0.3, 0.0]], np.float32)
    found = compose_scene_labels(labels, PARTS, 512, features, numbers, copies)
    assert found.instances.tolist() == [[4, 2, 3, 1, 0, 0, 0]]
    assert found.mask.tolist() == [[6, 5, 5, 4, 0, 0, 0]]
    assert found.region.tolist() == [[True] * 5 + [False] * 2]
    assert found.instance_list == [
        {"id": 1, "class": "scratch", "feature": 0, "object": "Nut", "pixels": 1},
        {"id": 2, "class": "sticker", "feature": 1, "object": "Plate", "pixels": 1},
        {"id": 3, "class": "sticker", "feature": 1, "object": "Plate", "pixels": 1},
        {"id": 4, "class": "water_stain", "hash": 0.5, "object": "Plate", "layer": 1, "pixels": 1},
    ]
