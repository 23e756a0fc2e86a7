# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
import pytest

from blender_addon.core.labels import compose_labels


def make(stains, defects):
    """Label pass (1, W, 3) of stain hashes (None: no stain) and defect numbers."""
    rows = [[0.0 if h is None else h, float(h is not None), float(d)] for h, d in zip(stains, defects, strict=True)]
    return np.array([rows], dtype=np.float32)


def test_defects_own_their_pixels_and_numbers_are_unique():
    labels = make([None, 0.9, 0.9, 0.2, None, 0.0], [0, 0, 1, 0, 2, 0])
    mask, instances, listed = compose_labels(labels, ["dent", "scratch"])
    assert mask.tolist() == [[0, 6, 2, 6, 4, 6]]
    assert instances.tolist() == [[0, 5, 1, 4, 2, 3]]
    assert (mask.dtype, instances.dtype) == (np.uint8, np.uint16)
    assert listed == [
        {"id": 1, "class": "dent", "pixels": 1},
        {"id": 2, "class": "scratch", "pixels": 1},
        {"id": 3, "class": "water_stain", "pixels": 1, "hash": 0.0},
        {"id": 4, "class": "water_stain", "pixels": 1, "hash": float(np.float32(0.2))},
        {"id": 5, "class": "water_stain", "pixels": 1, "hash": float(np.float32(0.9))},
    ]


def test_what_is_covered_wholly_is_listed_with_no_pixels():
    _, instances, listed = compose_labels(make([0.5, None], [2, 2]), ["dent", "scratch"])
    assert instances.tolist() == [[2, 2]]
    assert [entry["pixels"] for entry in listed] == [0, 2, 0]


def test_a_clean_image():
    mask, instances, listed = compose_labels(make([None] * 3, [0] * 3), [])
    assert not mask.any() and not instances.any() and listed == []


def test_more_instances_than_16_bits_hold_are_refused():
    hashes = np.linspace(0, 1, 70000, dtype=np.float32)
    labels = np.stack([hashes, np.ones_like(hashes), np.zeros_like(hashes)], axis=-1)[None]
    with pytest.raises(ValueError, match="16 bits"):
        compose_labels(labels, [])
