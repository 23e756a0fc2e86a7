# SPDX-License-Identifier: GPL-3.0-or-later
"""From the label pass of a person's own scene to class mask, instances and inspected region."""

from collections.abc import Mapping, Sequence
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
    """"id", "class", "object" and "pixels" of each; of a stain "layer" and "hash", of a feature its number "feature" in
    the list of those that are laid."""
    region: np.ndarray
    """bool: where an inspected surface is."""


class FeatureLabel(NamedTuple):
    """A feature that is laid on an inspected object."""

    surface_class: str
    part: int
    """The object's number."""


def compose_scene_labels(
    labels: np.ndarray, parts: Mapping[int, PartLabel], materials: int, features: Sequence[FeatureLabel] = (),
    numbers: np.ndarray | None = None, copies: np.ndarray | None = None,
) -> SceneLabels:
    """Sort the pixels of a label pass.

    Args:
        labels: (H, W, 3) float32: instance hash; 2 x layer + a number that tells copies apart, 0 outside all stains;
            `materials` x the object's number + the material's number.
        parts: number -> inspected object. Other numbers are the scene's other objects.
        features: what is laid on the parts.
        numbers: (H, W) whole numbers: which of the features owns each pixel, from 1; 0 for none.
        copies: (H, W) float32: a number that tells copies of an object apart.

    A stain on one object is another instance than the same stain on another object or copy, and a feature on a copy is
    another than that on the object itself. Instances are in the order of features and their copies, then of objects,
    layers, copies and hashes of stains; those that no pixel shows are left out. A stain owns the pixels that no feature
    owns.

    Raises:
        UserError: more instances than an image can number.
    """
    packed = np.rint(labels[..., 2]).astype(np.int64)
    owners, material = packed // materials, packed % materials
    region = np.zeros(owners.shape, bool)
    for number, part in parts.items():
        region |= (owners == number) & ~np.isin(material, list(part.left_out))
    covered = np.zeros(owners.shape, bool) if numbers is None else region & (numbers > 0)
    inside = region & (labels[..., 1] > 1.0) & ~covered
    keys = np.empty(int(inside.sum()), dtype=[("part", np.int64), ("place", np.float32), ("hash", np.float32)])
    keys["part"], keys["place"], keys["hash"] = owners[inside], labels[inside, 1], labels[inside, 0]
    found, which = np.unique(keys, return_inverse=True)
    feature_keys = np.empty(int(covered.sum()), dtype=[("feature", np.int64), ("copy", np.float32)])
    if covered.any():
        feature_keys["feature"], feature_keys["copy"] = numbers[covered], copies[covered]
    laid, owner = np.unique(feature_keys, return_inverse=True)
    if len(laid) + len(found) > np.iinfo(np.uint16).max:
        raise UserError(f"{len(laid) + len(found)} stains and features in one image do not fit into 16 bits; let the "
                        "stains be larger or fewer")
    instances = np.zeros(owners.shape, np.uint16)
    instances[covered] = owner.ravel() + 1
    instances[inside] = len(laid) + which.ravel() + 1
    pixels = np.bincount(instances.ravel(), minlength=1 + len(laid) + len(found))
    entries = []
    for key in laid:
        feature = features[int(key["feature"]) - 1]
        entries.append({"class": feature.surface_class, "feature": int(key["feature"]) - 1,
                        "object": parts[feature.part].name})
    entries += [{"class": "water_stain", "hash": float(key["hash"]), "object": parts[int(key["part"])].name,
                 "layer": int(key["place"] // 2)} for key in found]
    instance_list = [{"id": k, **entry, "pixels": int(pixels[k])} for k, entry in enumerate(entries, start=1)]
    ids = np.array([0, *(CLASS_ID[entry["class"]] for entry in entries)], np.uint8)
    return SceneLabels(ids[instances], instances, instance_list, region)
