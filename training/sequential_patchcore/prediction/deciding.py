# SPDX-License-Identifier: Apache-2.0
"""Which product an image shows, which thresholds decide about it, and how a prediction says so."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from ..model.products import Product, entry_of, products_digest
from ..runtime.progress import say
from ..scoring.limits import Limits, limits_of
from .folder import Prediction, Region


class Deciding:
    """The thresholds of images, by their product.

    Args:
        products: the model's; empty where one threshold serves all images.
        threshold: the model's one.
        product_of: tells an image's product by its path; "" where it cannot tell.
        by_hand: a threshold instead of all others.
    """

    def __init__(
        self, products: Mapping[str, Product], threshold: float, product_of: Callable[[Path], str] | None = None,
        by_hand: float | None = None,
    ) -> None:
        self.products, self._threshold, self._by_hand = products, threshold, by_hand
        self._product_of = product_of if products else None
        self._said: set[str] = set()
        if products and product_of is None and any(products):
            say(f"note: the model has thresholds for {', '.join(filter(None, products))}, and nothing tells which of "
                "them an image shows (`product`, `products`, `product_rule`, `product_by`)")

    @property
    def identity(self) -> list:
        """What verdicts depend on beside the model's one threshold, JSON-ready; empty where there is no product."""
        return [products_digest(self.products)] if self.products else []

    def product(self, path: Path) -> str:
        return "" if self._product_of is None else self._product_of(path)

    def limits(self, path: Path, size: tuple[int, int]) -> Limits:
        """The thresholds of an image of (H, W) pixels; what is amiss with its product is said, once for each."""
        name = self.product(path)
        found = limits_of(self.products, self._threshold, name, size, self._by_hand)
        if self._product_of is not None and self._by_hand is None and entry_of(self.products, name) is None:
            what = f"the product {name!r}, which the model has no threshold for" if name else "an unknown product"
            self._say(f"{path} shows {what}: the model's one threshold decides")
        if found.unplaced:
            self._say(f"{path}: the zones were drawn on images of another shape than {size[1]} x {size[0]} pixels: the "
                      "model's one threshold decides")
        return found

    def _say(self, words: str) -> None:
        kind = words.split(": ", 1)[-1] if "zones" in words else words.split(" shows ", 1)[-1]
        if kind not in self._said:
            self._said.add(kind)
            say(f"note: {words} (said once for such images)")


def decided(found: Prediction, limits: Limits, scores: np.ndarray, predicted: np.ndarray) -> Prediction:
    """The prediction with the names of product and zones, and which threshold decided where.

    Args:
        scores: (H, W) float32.
        predicted: (H, W) bool.
    """
    excess = scores / np.maximum(limits.map, np.float32(1e-30))
    labels = cv2.connectedComponents(predicted.astype(np.uint8), connectivity=8)[1] if found.regions else None
    regions = tuple(_decided_region(region, limits, excess, labels) for region in found.regions)
    inside = predicted if predicted.any() else np.ones(predicted.shape, bool)
    zone, threshold, of = _most(limits, np.where(inside, excess, np.float32(-1)), (0, 0))
    return replace(found, regions=regions, product=limits.product, zone=zone, threshold=threshold, threshold_of=of)


def _decided_region(region: Region, limits: Limits, excess: np.ndarray, labels: np.ndarray) -> Region:
    x, y, width, height = region.box
    window = slice(y, y + height), slice(x, x + width)
    number = labels[region.peak_at[1], region.peak_at[0]]
    own = np.where(labels[window] == number, excess[window], np.float32(-1))
    zone, threshold, of = _most(limits, own, (y, x))
    return replace(region, zone=zone, threshold=threshold, threshold_of=of)


def _most(limits: Limits, excess: np.ndarray, corner: tuple[int, int]) -> tuple[str, float, str]:
    """Zone, threshold and whose it is where the (h, w) excess is largest; `corner` is where the window begins."""
    row, column = np.unravel_index(int(excess.argmax()), excess.shape)
    return limits.zone_at(int(row) + corner[0], int(column) + corner[1])
