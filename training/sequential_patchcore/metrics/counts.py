# SPDX-License-Identifier: Apache-2.0
"""What one image contributes, and how the contributions of all images become ratios: arrays in, numbers out.

`count_image` turns one predicted image into a few integers, `summarise` adds them up; every interval or selection over
images or plates can be made from these records alone. A ratio whose denominator is zero is None, never 0.
The ranking measures over all pixels (AUROC, average precision) are in `ranking.py`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..runtime.choices import COVERAGE_PERCENT

DEFINITIONS = {
    "region": "Only pixels of the inspected region count; pixels masked out enter no number.",
    "prediction": "A pixel is predicted anomalous when its score is at least the threshold. Scores are distances in "
    "feature space, in raw units of the model's extractor: they compare within a model, not between extractors.",
    "positive": "A pixel is positive when its label is a defect class. All others are negative, impurities included.",
    "precision": "Positive pixels among the predicted ones: TP / (TP + FP).",
    "recall": "Predicted pixels among the positive ones: TP / (TP + FN).",
    "f1": "Harmonic mean of precision and recall: 2 TP / (2 TP + FP + FN).",
    "auroc": "Probability that a positive pixel scores higher than a negative one, ties counting half. From a "
    "histogram of 2^20 bins; auroc_error bounds the difference from the value over all distinct scores.",
    "average_precision": "Sum over distinct scores of precision times the gain in recall. From the same histogram; "
    "average_precision_error bounds the difference.",
    "aupro": "Area under the per-region-overlap curve for false-positive rates from 0 to 0.3, over 0.3. The overlap is "
    "the mean over the 8-connected regions of defect pixels, in the inspected region, of the share that is predicted; "
    "the rate is over all other inspected pixels of all images, impurities included. From the same histogram; "
    "aupro_error bounds the difference.",
    "pixel_recall": "Share of a class's pixels that is predicted, for defects and impurities. For an impurity this is "
    "a share of false alarms: lower is better.",
    "defect_wise_recall": "Share of a class's instances that is detected. An instance is detected when at least one "
    "of its pixels in the region is predicted, and at least detection_coverage_percent of them. Instances without a "
    "pixel in the region do not count.",
    "mean_defect_wise_recall": "Mean of the defect-wise recall over the defect classes that have instances.",
    "coverage_sweep": "Defect-wise recall when detection asks for more: at p % at least p percent of the instance's "
    "pixels in the region; at 0 % at least one pixel.",
    "image_auroc": "AUROC of the highest score in the region of an image; positive are images with a defect pixel, or "
    "labelled as a whole as defective.",
    "image_level": "Precision, recall, F1 and AUROC of whole images and of whole plates. An image has a defect when a "
    "pixel of its region does, or when it is labelled so as a whole; it alarms when a pixel is predicted; its score is "
    "the highest. A plate has a defect or alarms when one of its images does. Images without a region do not count.",
    "labelled_as_a_whole": "Images of which it is known that they have a defect (or an impurity), but not where. No "
    "pixel of them enters a figure of pixels, regions or instances.",
    "false_positive_regions": "8-connected regions of predicted pixels, inside the inspected region, that touch no "
    "defect pixel. A region that leaks out of a defect is not among them; its pixels lower the precision.",
    "interval": "The middle 95 % of the figure over draws of whole plates (groups of images), with replacement, as "
    "many as there are. With few plates it is itself uncertain.",
    "clean_images": "Images without any labelled pixel in the region, neither defect nor impurity.",
}


class ClassLike(Protocol):
    """A class of the data set; kind is "defect" or "impurity"."""

    @property
    def id(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...


@dataclass(frozen=True)
class InstanceCount:
    """One labelled instance: its pixels in the region, and how many of them are predicted."""

    id: int
    class_id: int
    pixels: int
    predicted: int

    def detected(self, percent: float = 0) -> bool:
        """At least one pixel is predicted, and at least `percent` of all."""
        return self.predicted > 0 and 100 * self.predicted >= percent * self.pixels


@dataclass(frozen=True)
class ImageCounts:
    """One image at one threshold: pixels of the region only.

    Attributes:
        tp, fp, fn, tn: positive is a pixel of a defect class.
        fp_on_impurities: the part of `fp` that lies on impurities.
        class_pixels: class id to (pixels, predicted pixels), for the classes in the image.
        instances: those with at least one pixel in the region.
        score: the highest score; None when the region is empty.
        predicted: how many pixels are predicted.
        whole: "defect" or "impurity" where the image is labelled as a whole, so that it is not known where; then it has
            no pixel counts and no instances.
    """

    tp: int
    fp: int
    fn: int
    tn: int
    fp_on_impurities: int
    class_pixels: dict[int, tuple[int, int]]
    instances: tuple[InstanceCount, ...]
    score: float | None
    predicted: int = 0
    whole: str | None = None

    @property
    def pixels(self) -> int:
        return self.tp + self.fp + self.fn + self.tn

    @property
    def has_defect(self) -> bool:
        return self.tp + self.fn > 0 or self.whole == "defect"

    @property
    def clean(self) -> bool:
        return not self.class_pixels and self.whole is None

    def missed(self, defect_ids: Iterable[int], coverage: float = 0) -> int:
        """Instances of the given classes that are not detected; of an image labelled as a whole, 1 without an alarm."""
        wanted = set(defect_ids)
        if self.whole is not None:
            return int(self.has_defect and not self.predicted)
        return sum(not i.detected(coverage) for i in self.instances if i.class_id in wanted)


def count_image(
    scores: np.ndarray,
    threshold: float,
    mask: np.ndarray,
    instances: np.ndarray,
    region: np.ndarray,
    classes: Sequence[ClassLike],
    predicted: np.ndarray | None = None,
    whole: str | None = None,
) -> ImageCounts:
    """Count one image.

    Args:
        scores: (H, W) float32 anomaly map, raw units.
        threshold: predicted are pixels with scores >= threshold.
        mask: (H, W) uint8 class ids, 0 = background.
        instances: (H, W) unsigned instance numbers, 0 = none. An instance's class is the one that most of its
            labelled pixels in the region carry.
        region: (H, W) bool, True = counts.
        classes: the data set's classes; ids not among them count as background.
        predicted: (H, W) bool instead of the comparison with the threshold, where a filter follows it.
        whole: "defect" or "impurity" for an image that is labelled as a whole: its pixels are not counted.
    """
    if predicted is None:
        predicted = scores >= np.float32(threshold)
    shapes = {array.shape for array in (scores, mask, instances, region, predicted)}
    if len(shapes) != 1:
        raise ValueError(f"scores, mask, instances and region must have one shape, got {sorted(shapes)}")
    predicted, mask, instances = predicted[region], mask[region], instances[region]
    alarms, highest = int(predicted.sum()), float(scores[region].max()) if len(mask) else None
    if whole is not None:
        return ImageCounts(0, 0, 0, 0, 0, {}, (), highest, alarms, whole)

    per_class = np.bincount(mask, minlength=256)
    per_class_predicted = np.bincount(mask[predicted], minlength=256)
    class_pixels = {c.id: (int(per_class[c.id]), int(per_class_predicted[c.id])) for c in classes if per_class[c.id]}
    positives = sum(class_pixels[c.id][0] for c in classes if c.kind == "defect" and c.id in class_pixels)
    tp = sum(class_pixels[c.id][1] for c in classes if c.kind == "defect" and c.id in class_pixels)
    on_impurities = sum(class_pixels[c.id][1] for c in classes if c.kind == "impurity" and c.id in class_pixels)
    fp = alarms - tp
    return ImageCounts(
        tp, fp, positives - tp, len(mask) - positives - fp, on_impurities, class_pixels,
        _instances(predicted, mask, instances), highest, alarms,
    )


def _instances(predicted: np.ndarray, mask: np.ndarray, instances: np.ndarray) -> tuple[InstanceCount, ...]:
    labelled = instances > 0
    numbers, labels, hits = instances[labelled].astype(np.int64), mask[labelled], predicted[labelled]
    pixels, covered = np.bincount(numbers), np.bincount(numbers, hits)
    pairs, votes = np.unique((numbers * 256 + labels)[labels > 0], return_counts=True)
    class_of: dict[int, tuple[int, int]] = {}
    for pair, count in zip(pairs.tolist(), votes.tolist(), strict=True):
        number, label = divmod(pair, 256)
        class_of[number] = max(class_of.get(number, (0, 0)), (count, -label))
    return tuple(InstanceCount(n, -class_of[n][1], int(pixels[n]), int(covered[n])) for n in sorted(class_of))


def ratio(part: float, whole: float) -> float | None:
    """part / whole, or None when there is nothing to divide."""
    return part / whole if whole else None


def summarise(images: Sequence[ImageCounts], classes: Sequence[ClassLike], coverage: float = 0) -> dict:
    """Ratios over all images, each with its counts, as a JSON-ready dict; names as in DEFINITIONS.

    `coverage` is the percentage of an instance's pixels that must be predicted for its detection; 0 asks for one pixel.

    The ranking measures are not here: `ranking.py` adds them.
    """
    tp, fp, fn, tn = (sum(getattr(i, name) for i in images) for name in ("tp", "fp", "fn", "tn"))
    per_class = {c.name: _class_summary(images, c, coverage) for c in classes}
    found = [
        values["defect_wise_recall"] for values in per_class.values()
        if values["kind"] == "defect" and values["instances"]
    ]
    sweep = coverage_sweep(images, classes)
    clean = [i for i in images if i.clean]
    with_defect = sum(i.has_defect for i in images)
    # Where no defect is located, clean images alone would give a precision of 0, which says nothing.
    located = tp + fn > 0 or not any(i.whole == "defect" for i in images)
    return {
        "images": len(images),
        "images_labelled_as_a_whole": sum(i.whole is not None for i in images),
        "images_by_content": {
            "with_defects": with_defect,
            "with_impurities_only": len(images) - with_defect - len(clean),
            "clean": len(clean),
        },
        "pixel": {
            "precision": ratio(tp, tp + fp) if located else None,
            "recall": ratio(tp, tp + fn),
            "f1": ratio(2 * tp, 2 * tp + fp + fn) if located else None,
            "counts": {
                "true_positive": tp,
                "false_positive": fp,
                "false_negative": fn,
                "true_negative": tn,
                "false_positive_on_impurities": sum(i.fp_on_impurities for i in images),
                "positives": tp + fn,
                "predicted": tp + fp,
                "pixels": tp + fp + fn + tn,
            },
        },
        "classes": per_class,
        "mean_defect_wise_recall": ratio(sum(found), len(found)),
        "detection_coverage_percent": coverage,
        "mean_defect_wise_recall_classes": [
            c.name for c in classes if c.kind == "defect" and per_class[c.name]["instances"]
        ],
        "clean_images": {
            "images": len(clean),
            "images_with_false_positives": sum(i.fp > 0 for i in clean),
            "pixels": sum(i.pixels for i in clean),
            "false_positive_pixels": sum(i.fp for i in clean),
            "false_positive_share": ratio(sum(i.fp for i in clean), sum(i.pixels for i in clean)),
        },
        "coverage_sweep": sweep,
    }


def _class_summary(images: Sequence[ImageCounts], class_info: ClassLike, coverage: float) -> dict:
    found = [i.class_pixels.get(class_info.id, (0, 0)) for i in images]
    pixels, predicted = (sum(column) for column in zip(*found, strict=True)) if found else (0, 0)
    instances = [n for i in images for n in i.instances if n.class_id == class_info.id]
    detected = sum(n.detected(coverage) for n in instances)
    return {
        "kind": class_info.kind,
        "pixel_recall": ratio(predicted, pixels),
        "pixels": pixels,
        "predicted_pixels": predicted,
        "defect_wise_recall": ratio(detected, len(instances)),
        "instances": len(instances),
        "detected_instances": detected,
    }


def coverage_sweep(images: Sequence[ImageCounts], classes: Sequence[ClassLike]) -> dict:
    """Defect-wise recall per class, and its mean over the defect classes, at each of COVERAGE_PERCENT."""
    by_class: dict[str, dict] = {}
    means: list[float | None] = []
    for class_info in classes:
        instances = [n for i in images for n in i.instances if n.class_id == class_info.id]
        detected = [sum(n.detected(percent) for n in instances) for percent in COVERAGE_PERCENT]
        by_class[class_info.name] = {
            "kind": class_info.kind,
            "instances": len(instances),
            "detected_instances": detected,
            "recall": [ratio(count, len(instances)) for count in detected],
        }
    defects = [entry for entry in by_class.values() if entry["kind"] == "defect" and entry["instances"]]
    for k in range(len(COVERAGE_PERCENT)):
        means.append(ratio(sum(entry["recall"][k] for entry in defects), len(defects)))
    return {"percent": list(COVERAGE_PERCENT), "classes": by_class, "mean_over_defect_classes": means}
