# SPDX-License-Identifier: GPL-3.0-or-later
"""From the fields to class mask and instance numbers; the rule for overlaps lives here."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..features.classes import CLASS_ID, CLASS_OF
from ..features.feature import Feature
from ..parallel import side_by_side
from ..recipe.sample import Sample
from ..recipe.view import pixel_centres, seen_part


def number_features(sample: Sample) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """Which feature owns each pixel, by its field at the pixel's centre.

    Returns:
        numbers (H, W) uint16, row 0 on top, 0 for none, and `{"id", "class", "feature"}` of the features whose place
        the image shows, in the order of `sample.features`, "feature" being the index in it: defects, then impurities.
        Where several lie, a defect owns the pixel, and among defects or impurities the one that comes later.
    """
    seen = [(index, feature, seen_part(sample, feature)) for index, feature in enumerate(sample.features)]
    seen = [(index, feature, part) for index, feature, part in seen if part is not None]
    classes = [CLASS_OF[type(feature)] for _, feature, _ in seen]

    def inside(place: tuple[int, Feature, tuple[slice, slice]]) -> np.ndarray:
        _, feature, part = place
        return feature.field(*feature.to_local(pixel_centres(sample, *part))).inside

    insides = side_by_side(inside, seen)
    width, height = sample.size_px
    numbers = np.zeros((height, width), dtype=np.uint16)
    for kind in ("impurity", "defect"):  # the defects last, so that they own their pixels
        for number, (surface_class, (_, _, part), mask) in enumerate(zip(classes, seen, insides, strict=True), start=1):
            if surface_class.kind == kind:
                numbers[part][mask] = number
    instance_list = [
        {"id": number, "class": surface_class.name, "feature": index}
        for number, (surface_class, (index, _, _)) in enumerate(zip(classes, seen, strict=True), start=1)
    ]
    return numbers, instance_list


def compose_labels(
    stains: np.ndarray, numbers: np.ndarray, features: Sequence[dict[str, Any]]
) -> tuple[np.ndarray, np.ndarray, list[dict[str, Any]]]:
    """Class mask, instance numbers and the list of instances.

    Args:
        stains: (H, W, C) float32, row 0 on top: instance hash of the stain, 1 inside a stain.
        numbers: (H, W), of `number_features`.
        features: the entries of `number_features`.

    Returns:
        mask (H, W) uint8, instances (H, W) uint16, and the entries with their "pixels". Features come first, then
        stains by their hash, which keeps their order over lights and views; a stain's entry has its "hash", by which
        it is known again in another view. A stain owns the pixels that no feature owns; an instance that is covered
        wholly has 0 pixels.
    """
    hashes, in_stain = stains[..., 0], stains[..., 1] > 0.5
    instances = numbers.astype(np.int64)
    stain_hashes = np.unique(hashes[in_stain])
    count = len(features) + len(stain_hashes)
    if count > np.iinfo(np.uint16).max:
        raise ValueError(f"{count} instances in one image do not fit into 16 bits")

    stain_number = 1 + len(features) + np.searchsorted(stain_hashes, hashes)
    instances = np.where((instances == 0) & in_stain, stain_number, instances).astype(np.uint16)
    found = [
        {"id": 1 + len(features) + k, "class": "water_stain", "hash": float(h)} for k, h in enumerate(stain_hashes)
    ]
    pixels = np.bincount(instances.ravel(), minlength=count + 1)
    instance_list = [{**instance, "pixels": int(pixels[instance["id"]])} for instance in (*features, *found)]
    ids = np.array([0, *(CLASS_ID[instance["class"]] for instance in instance_list)], dtype=np.uint8)
    return ids[instances], instances, instance_list
