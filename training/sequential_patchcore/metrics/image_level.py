# SPDX-License-Identifier: Apache-2.0
"""Figures of whole images and of whole plates.

An image alarms when a pixel of it is predicted, a plate when one of its images does. They need no masks: it is
enough to know which images have a defect.
"""

from collections.abc import Sequence

from .counts import ImageCounts, ratio
from .ranking import auroc


def image_level(images: Sequence[ImageCounts], groups: Sequence[str]) -> dict:
    """JSON-ready, names as in `counts.DEFINITIONS`; images of which nothing is inspected do not count.

    Args:
        groups: the plate of each image.
    """
    inspected = [(image, group) for image, group in zip(images, groups, strict=True) if image.score is not None]
    plates: dict[str, tuple[float, bool, bool]] = {}
    for image, group in inspected:
        score, defective, alarmed = plates.get(group, (0.0, False, False))
        plates[group] = (
            max(score, image.score or 0.0), defective or image.has_defect, alarmed or image.predicted > 0
        )
    return {
        "images": _figures([(image.score or 0.0, image.has_defect, image.predicted > 0) for image, _ in inspected]),
        "plates": _figures(list(plates.values())),
    }


def _figures(units: Sequence[tuple[float, bool, bool]]) -> dict:
    """Of (highest score, has a defect, alarms) of each unit."""
    tp, fp, fn, tn = (
        sum((defective, alarmed) == kind for _, defective, alarmed in units)
        for kind in ((True, True), (False, True), (True, False), (False, False))
    )
    return {
        "precision": ratio(tp, tp + fp),
        "recall": ratio(tp, tp + fn),
        "f1": ratio(2 * tp, 2 * tp + fp + fn),
        "auroc": auroc([score for score, _, _ in units], [defective for _, defective, _ in units]),
        "counts": {"true_positive": tp, "false_positive": fp, "false_negative": fn, "true_negative": tn},
    }
