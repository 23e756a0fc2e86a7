# SPDX-License-Identifier: GPL-3.0-or-later
"""From the label pass to class mask and instance numbers; the rule for overlaps lives here."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .classes import CLASS_ID


def compose_labels(
    labels: np.ndarray, defect_classes: Sequence[str]
) -> tuple[np.ndarray, np.ndarray, list[dict[str, Any]]]:
    """Class mask, instance numbers and the list of instances.

    Args:
        labels: (H, W, 3) float32, row 0 on top: instance hash of the stain, 1 inside a stain, number of the defect
            (0 for none).
        defect_classes: class of defect 1, 2, ….

    Returns:
        mask (H, W) uint8, instances (H, W) uint16, and `{"id", "class", "pixels"}` per instance. Defects come first,
        in their order, then stains by their hash, which keeps their order over lights and views; a stain also has its
        "hash", by which it is known again in another view. Where both lie, the
        defect owns the pixel; an instance that is covered wholly has 0 pixels. Defects are listed wherever they lie,
        stains if the image touches them.
    """
    hashes, in_stain = labels[..., 0], labels[..., 1] > 0.5
    instances = np.rint(labels[..., 2]).astype(np.int64)
    stain_hashes = np.unique(hashes[in_stain])
    count = len(defect_classes) + len(stain_hashes)
    if count > np.iinfo(np.uint16).max:
        raise ValueError(f"{count} instances in one image do not fit into 16 bits")

    stain_number = 1 + len(defect_classes) + np.searchsorted(stain_hashes, hashes)
    instances = np.where((instances == 0) & in_stain, stain_number, instances).astype(np.uint16)
    classes = [*defect_classes, *["water_stain"] * len(stain_hashes)]
    ids = np.array([0, *(CLASS_ID[name] for name in classes)], dtype=np.uint8)
    pixels = np.bincount(instances.ravel(), minlength=count + 1)
    listed = [{"id": k, "class": name, "pixels": int(pixels[k])} for k, name in enumerate(classes, start=1)]
    for entry, value in zip(listed[len(defect_classes) :], stain_hashes, strict=True):
        entry["hash"] = float(value)
    return ids[instances], instances, listed
