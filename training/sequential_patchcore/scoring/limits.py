# SPDX-License-Identifier: Apache-2.0
"""Which threshold decides about an image and each of its pixels: its product's, the zone's, or the model's one."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..model.products import Product, entry_of, shown
from ..model.threshold import Threshold

Slot = tuple[str, str] | None
"""Whose a threshold is: an entry's name and a zone's, "" for what lies in none; None for the model's one."""

MODEL = "model"
BY_HAND = "by hand"
NO_ZONE = "no zone"


@dataclass(frozen=True)
class Limits:
    """The thresholds of one image.

    Attributes:
        product: the name that the image was given; "" where nothing told it.
        size: (H, W).
        values: (Z + 1,) float64: of what lies in no zone, and of each zone.
        origins: (Z + 1,) what each is: the entry, such as "bracket" or "bracket: rim", "model" or "by hand".
        slots: (Z + 1,) the same for programs; None is by hand, too.
        zones: names of the zones 1, 2, ...
        labels: (H, W) uint8, the number of the zone; None where there are none.
        unplaced: the product has zones, and they fit no image of this shape.
    """

    product: str
    size: tuple[int, int]
    values: tuple[float, ...]
    origins: tuple[str, ...]
    slots: tuple[Slot, ...] = (None,)
    zones: tuple[str, ...] = ()
    labels: np.ndarray | None = None
    unplaced: bool = False

    @cached_property
    def map(self) -> float | np.ndarray:
        """What scores are compared with: a number, or (H, W) float32 where zones differ."""
        if self.labels is None:
            return self.values[0]
        return np.float32(self.values)[self.labels]

    @property
    def common(self) -> float:
        """Of what lies in no zone; pictures and steps of a saved map are scaled by it."""
        return self.values[0]

    def scaled(self, scores: np.ndarray) -> np.ndarray:
        """(H, W) float32: scores as if all zones had the common threshold, to be drawn; the same where all have."""
        if self.labels is None or len(set(self.values)) == 1:
            return scores
        factors = [self.common / value if value > 0 else 1.0 for value in self.values]
        return scores * np.float32(factors)[self.labels]

    def zone_at(self, y: int, x: int) -> tuple[str, float, str]:
        """The name of the zone of a pixel, "" for none, its threshold, and what that is."""
        number = 0 if self.labels is None else int(self.labels[y, x])
        return self.zones[number - 1] if number else "", self.values[number], self.origins[number]


def limits_of(
    products: Mapping[str, Product], threshold: float, name: str, size: tuple[int, int], by_hand: float | None = None,
) -> Limits:
    """The thresholds of an image of a product.

    Args:
        products: the model's.
        threshold: the model's one, which decides where there is none of its own.
        size: of the image, (H, W).
        by_hand: instead of all others.
    """
    if by_hand is not None:
        return Limits(name, size, (by_hand,), (BY_HAND,))
    entry = entry_of(products, name)
    product = Product() if entry is None else products[entry]
    if product.zones is None:
        value, origin, slot = _one(product.threshold, threshold, (entry or "", ""), shown(entry or ""))
        return Limits(name, size, (value,), (origin,), (slot,))
    labels = product.zones.at(size)
    if labels is None:  # a threshold of what lies in no zone is none of the whole image
        return Limits(name, size, (threshold,), (MODEL,), unplaced=True)
    each = [_one(product.threshold, threshold, (entry or "", ""), shown(entry or "", NO_ZONE))]
    each += [
        _one(product.zone_thresholds.get(zone), threshold, (entry or "", zone), shown(entry or "", zone))
        for zone in product.zones.names
    ]
    values, origins, slots = zip(*each, strict=True)
    return Limits(name, size, values, origins, slots, product.zones.names, labels)


def _one(own: Threshold | None, common: float, slot: Slot, origin: str) -> tuple[float, str, Slot]:
    return (common, MODEL, None) if own is None else (own.value, origin, slot)
