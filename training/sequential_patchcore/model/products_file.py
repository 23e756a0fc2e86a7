# SPDX-License-Identifier: Apache-2.0
"""The group `products` of a model file: an entry each, numbered in the order of their names."""

import json
from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np

from ..runtime.errors import UserError
from .parts import need, own, read_array, read_json
from .products import MOST_ZONES, Product, Zones
from .threshold import Threshold

PRODUCTS = "products"
_CALIBRATED_ON = {"dataset": str, "fingerprint": str, "split": str}
_LARGEST_SIDE = 65535


def threshold_attributes(threshold: Threshold | None) -> dict[str, Any]:
    """The three attributes that a threshold is kept as."""
    return {
        "threshold": "none" if threshold is None else threshold.value,
        "threshold_method": "none" if threshold is None else threshold.method,
        "calibrated_on": json.dumps({} if threshold is None else threshold.calibrated_on, sort_keys=True),
    }


def read_threshold(attributes: Mapping[str, Any]) -> Threshold | None:
    """The threshold of such attributes.

    Raises:
        UserError: one that is not finite, or whose origin lacks a part.
    """
    value = attributes["threshold"]
    if isinstance(value, str) and value == "none":
        return None
    value = float(value)
    if not np.isfinite(value):
        raise UserError("damaged: the threshold is not finite")
    origin = read_json(attributes, "calibrated_on", dict)
    if origin:
        need(origin, _CALIBRATED_ON, "calibrated_on")
    return Threshold(value, str(attributes["threshold_method"]), origin)


def write_products(file: h5py.File, products: Mapping[str, Product]) -> None:
    for number, (name, product) in enumerate(sorted(products.items())):
        group = file.create_group(f"{PRODUCTS}/{number}")
        group.attrs.update({"name": name, **threshold_attributes(product.threshold)})
        if product.zones is not None:
            group["zones/labels"] = np.ascontiguousarray(product.zones.labels, np.uint8)
            for place, zone in enumerate(product.zones.names, start=1):
                own_group = group.create_group(f"zones/{place}")
                own_group.attrs.update({"name": zone, **threshold_attributes(product.zone_thresholds.get(zone))})


def read_products(file: h5py.File) -> dict[str, Product]:
    """Empty where the file has none.

    Raises:
        UserError: a part that is missing, of another form, or contradicts another.
    """
    found: dict[str, Product] = {}
    if PRODUCTS not in set(file):
        return found
    group = own(file, PRODUCTS)
    if not isinstance(group, h5py.Group):
        raise UserError(f"damaged: {PRODUCTS} should be a group")
    for part in group:
        where = f"{PRODUCTS}/{part}"
        try:
            entry = own(group, part)
            name = _text(entry.attrs, "name")
            if name in found:
                raise UserError(f"damaged: a second entry of the name {name!r}")
            found[name] = _product(entry)
        except UserError as error:
            raise UserError(f"{where}: {error}") from error
        except KeyError as error:
            raise UserError(f"{where}: a part is missing: {error.args[0]}") from error
        except (ValueError, TypeError, RuntimeError, AttributeError) as error:
            raise UserError(f"{where}: damaged: {error}") from error
    return dict(sorted(found.items()))


def _product(entry: h5py.Group) -> Product:
    zones = None
    thresholds: dict[str, Threshold] = {}
    if "zones" in set(entry):
        labels = read_array(entry, "zones/labels", np.uint8, 2)
        if labels.size == 0 or max(labels.shape) > _LARGEST_SIDE:
            raise UserError(f"damaged: labels of zones of shape {labels.shape}")
        count = len(own(entry, "zones")) - 1
        parts = [own(entry, f"zones/{place}") for place in range(1, count + 1)]
        names = tuple(_text(part.attrs, "name") for part in parts)
        if not 1 <= count <= MOST_ZONES or len(set(names)) != count or "" in names or int(labels.max()) > count:
            raise UserError(f"damaged: zones {names}, labels up to {labels.max()}; expected names, each once, for all")
        zones = Zones(names, labels)
        for name, part in zip(names, parts, strict=True):
            threshold = read_threshold(part.attrs)
            if threshold is not None:
                thresholds[name] = threshold
    return Product(read_threshold(entry.attrs), zones, thresholds)


def _text(attributes: Mapping[str, Any], name: str) -> str:
    value = attributes[name]
    if not isinstance(value, str) or "\0" in value:
        raise UserError(f"damaged: {name} should be a text")
    return value
