# SPDX-License-Identifier: GPL-3.0-or-later
"""From the label pass of a person's own scene to class mask, instances and inspected region."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ..errors import UserError
from ..features.classes import CLASS_ID


class PartLabel(NamedTuple):
    """An inspected object as the label pass numbers it."""

    name: str
    left_out: frozenset[int]
    """Numbers of materials that are not inspected on it."""


class SceneLabels(NamedTuple):
    """What an image shows where; arrays (H, W), row 0 on top."""

    mask: np.ndarray
    """uint8: class ids."""
    instances: np.ndarray
    """uint16: 0 for none."""
    instance_list: list[dict[str, Any]]
    """"id", "class", "object", "layer", "hash" and "pixels" of each."""
    region: np.ndarray
    """bool: where an inspected surface is."""


def compose_scene_labels(labels: np.ndarray, parts: Mapping[int, PartLabel], materials: int) -> SceneLabels:
    """Sort the pixels of a label pass.

    Args:
        labels: (H, W, 3) float32: instance hash; 2 x layer + a number that tells copies apart, 0 outside all stains;
            `materials` x the object's number + the material's number.
        parts: number -> inspected object. Other numbers are the scene's other objects.

    A stain on one object is another instance than the same stain on another object or copy. Instances are in the order
    of objects, layers, copies and hashes.

    Raises:
        UserError: more stains than an image can number.
    """
    packed = np.rint(labels[..., 2]).astype(np.int64)
    numbers, material = packed // materials, packed % materials
    region = np.zeros(numbers.shape, bool)
    for number, part in parts.items():
        region |= (numbers == number) & ~np.isin(material, list(part.left_out))
    inside = region & (labels[..., 1] > 1.0)
    keys = np.empty(int(inside.sum()), dtype=[("part", np.int64), ("place", np.float32), ("hash", np.float32)])
    keys["part"], keys["place"], keys["hash"] = numbers[inside], labels[inside, 1], labels[inside, 0]
    found, which = np.unique(keys, return_inverse=True)
    if len(found) > np.iinfo(np.uint16).max:
        raise UserError(f"{len(found)} stains in one image do not fit into 16 bits; let the stains be larger or fewer")
    instances = np.zeros(numbers.shape, np.uint16)
    instances[inside] = which.ravel() + 1
    pixels = np.bincount(which.ravel(), minlength=len(found))
    instance_list = [
        {"id": k + 1, "class": "water_stain", "hash": float(key["hash"]), "object": parts[int(key["part"])].name,
         "layer": int(key["place"] // 2), "pixels": int(pixels[k])}
        for k, key in enumerate(found)
    ]
    mask = inside.astype(np.uint8) * np.uint8(CLASS_ID["water_stain"])
    return SceneLabels(mask, instances, instance_list, region)
