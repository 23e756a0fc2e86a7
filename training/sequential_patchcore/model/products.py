# SPDX-License-Identifier: Apache-2.0
"""What a model knows about several products: thresholds of their own, and by zone.

What a product is, its maker says: a part, a camera's view of it, a light, or all of these in one name, such as
"bracket/left". Where no entry has a name, that of the name up to its last "/" stands in: "bracket". The entry of the
name "" is that of all images beside.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from .threshold import Threshold

ANY = ""
MOST_ZONES = 255


@dataclass(frozen=True)
class Zones:
    """Places of an image that have names: a layout that all images of a product share.

    Attributes:
        names: of the zones 1, 2, ...; each once, not empty.
        labels: (H, W) uint8, the number of the zone that a pixel lies in; 0 in none.
    """

    names: tuple[str, ...]
    labels: np.ndarray

    def at(self, size: tuple[int, int]) -> np.ndarray | None:
        """(H, W) uint8 labels for images of `size`, (H, W): scaled where the shape is the same, to the nearest pixel.

        None where images have another shape, so that nobody knows where the zones lie.
        """
        (height, width), (rows, columns) = size, self.labels.shape
        if (height, width) == (rows, columns):
            return self.labels
        # One shape is the other's scaled, and rounded to whole pixels: half a pixel of the smaller one on each side.
        if 2 * abs(height * columns - width * rows) > max(height + width, rows + columns):
            return None
        nearest = [((np.arange(new) + 0.5) * (old / new)).astype(np.int64) for new, old in
                   ((height, rows), (width, columns))]
        return self.labels[nearest[0][:, None], nearest[1]]


@dataclass(frozen=True)
class Product:
    """One entry.

    Attributes:
        threshold: of what lies in no zone; None: the model's.
        zones: None where the product has none.
        zone_thresholds: name of a zone to its threshold; the model's for the others.
    """

    threshold: Threshold | None = None
    zones: Zones | None = None
    zone_thresholds: Mapping[str, Threshold] = field(default_factory=dict)


def entry_of(products: Mapping[str, Product], name: str) -> str | None:
    """The name of the entry that decides for images of a product; None where there is none."""
    at = name
    while at:
        if at in products:
            return at
        at = at.rpartition("/")[0]
    return ANY if ANY in products else None


def shown(product: str, zone: str = "") -> str:
    """Such as "bracket: rim"; "" where neither has a name."""
    return ": ".join(part for part in (product, zone) if part)


def products_digest(products: Mapping[str, Product]) -> str:
    """Of all that decides by product and zone."""
    sha = hashlib.sha256()
    for name, product in sorted(products.items()):
        own = None if product.threshold is None else product.threshold.value
        zones = () if product.zones is None else product.zones.names
        by_zone = {zone: threshold.value for zone, threshold in product.zone_thresholds.items()}
        sha.update(json.dumps([name, own, zones, by_zone], sort_keys=True).encode())
        if product.zones is not None:
            sha.update(repr(product.zones.labels.shape).encode() + np.ascontiguousarray(product.zones.labels).tobytes())
    return sha.hexdigest()[:16]
