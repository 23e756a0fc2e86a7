# SPDX-License-Identifier: Apache-2.0
"""Which threshold decides about a region that a person decided on: the model's one, its product's, a zone's.

What product a region shows is noted in the journal's line, so that nothing but the line and the base model is needed to
replay it. A region may lie in several zones; the one where its score exceeds the threshold most, or comes closest to
it, speaks for it, as in a prediction.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from ..model.file import Model, Threshold
from ..model.products import Product, shown
from ..runtime.errors import UserError
from ..scoring.limits import NO_ZONE, Limits, Slot, limits_of
from .journal import Entry
from .patches import RegionPatches

PRODUCT = "product"  # in the region of a journal's line


@dataclass(frozen=True)
class Peak:
    """Where a region exceeds its threshold most: its score there, the threshold, and whose that is."""

    score: float
    threshold: float
    slot: Slot = None

    @property
    def alarms(self) -> bool:
        return bool(np.float32(self.score) >= np.float32(self.threshold))


def limits_at(model: Model, product: str, size: tuple[int, int]) -> Limits:
    """The thresholds of an image of (H, W) pixels.

    Raises:
        UserError: a model without a threshold.
    """
    if model.threshold is None:
        raise UserError("the model has no threshold: set one with `sequential-patchcore calibrate`")
    return limits_of(model.products, model.threshold.value, product, size)


def limits_of_entry(model: Model, entry: Entry, patches: RegionPatches) -> Limits:
    """Those of the image that a decision is about."""
    return limits_at(model, str(entry.region.get(PRODUCT, "")), patches.grid.size)


def zone_numbers(limits: Limits, patches: RegionPatches) -> np.ndarray:
    """(n,) which of the limits decides about each pixel of a region, row by row."""
    if limits.labels is None:
        return np.zeros(int(patches.pixels.sum()), np.uint8)
    x, y, width, height = patches.box
    return limits.labels[y : y + height, x : x + width][patches.pixels]


def peak_of(scores: np.ndarray, limits: Limits, numbers: np.ndarray) -> Peak:
    """
    Args:
        scores: (n,) float32 of a region's pixels; numbers: (n,), of `zone_numbers`.
    """
    if len(limits.values) == 1:
        return Peak(float(scores.max()), limits.values[0], limits.slots[0])
    thresholds = np.float32(limits.values)[numbers]
    excess = scores / np.maximum(thresholds, np.float32(1e-30))
    best = int(np.where(scores >= thresholds, np.maximum(excess, np.float32(1)) + 1, excess).argmax())
    number = int(numbers[best])
    return Peak(float(scores[best]), limits.values[number], limits.slots[number])


def highest_by_slot(scores: np.ndarray, limits: Limits, numbers: np.ndarray) -> dict[Slot, float]:
    """The highest score of a region under each of its thresholds."""
    found: dict[Slot, float] = {}
    for number in np.unique(numbers).tolist():
        slot, score = limits.slots[number], float(scores[numbers == number].max())
        found[slot] = max(score, found.get(slot, score))
    return found


def threshold_at(model: Model, slot: Slot) -> Threshold | None:
    """The threshold of a slot."""
    if slot is None:
        return model.threshold
    name, zone = slot
    product = model.products[name]
    return product.zone_thresholds[zone] if zone else product.threshold


def with_thresholds(model: Model, changed: Mapping[Slot, Threshold]) -> Model:
    """The model with other thresholds; a rule of verdicts that was set at others is dropped."""
    products = dict(model.products)
    for slot, threshold in changed.items():
        if slot is None:
            model = model.with_threshold(threshold)
            continue
        name, zone = slot
        own: Product = products[name]
        if zone:
            products[name] = replace(own, zone_thresholds={**own.zone_thresholds, zone: threshold})
        else:
            products[name] = replace(own, threshold=threshold)
    if any(slot is not None for slot in changed):
        model = replace(model, products=products, naming=None)
    return model


def slots_of(model: Model) -> list[Slot]:
    """All thresholds that the model has of its own."""
    found: list[Slot] = [None]
    for name, product in model.products.items():
        found += [(name, "")] * (product.threshold is not None)
        found += [(name, zone) for zone in product.zone_thresholds]
    return found


def slot_in_words(model: Model, slot: Slot) -> str:
    """Such as "the threshold of bracket: rim"; "the threshold" where the model has one."""
    if slot is None:
        return "the model's one threshold" if model.products else "the threshold"
    name, zone = slot
    zoned = model.products[name].zones is not None
    return f"the threshold of {shown(name or 'all products', zone or (NO_ZONE if zoned else ''))}"
