# SPDX-License-Identifier: Apache-2.0
"""Thresholds by product and zone in `export.json`, the zones as PNG files beside it; read without HDF5."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..data import png
from ..model.products import MOST_ZONES, Product, Zones
from ..model.threshold import Threshold
from ..runtime.errors import UserError

ZONES = "zones_{}.png"  # a pixel's value is the number of its zone, 0 for none


def is_zones_file(name: str) -> bool:
    return name.startswith("zones_") and name.endswith(".png")


def write_products(products: Mapping[str, Product], folder: Path) -> list[dict[str, Any]]:
    """The records of the products, and their zones into the folder.

    Raises:
        UserError: a file cannot be written.
    """
    found = []
    for number, (name, product) in enumerate(sorted(products.items()), start=1):
        record: dict[str, Any] = {"product": name, **_record(product.threshold)}
        if product.zones is not None:
            file = ZONES.format(number)
            grey = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, 1)
            data = png.encode_indices(np.ascontiguousarray(product.zones.labels, np.uint8), grey.tobytes())
            try:
                (folder / file).write_bytes(data)
            except OSError as error:
                raise UserError(f"cannot write {folder / file}: {error.strerror or error}") from error
            record["zones"] = {
                "file": file, "sha256": hashlib.sha256(data).hexdigest(),
                "names": [{"value": value, "zone": zone, **_record(product.zone_thresholds.get(zone))}
                          for value, zone in enumerate(product.zones.names, start=1)],
            }
        found.append(record)
    return found


def read_products(records: Sequence[Mapping[str, Any]], folder: Path) -> dict[str, Product]:
    """The products of such records.

    Raises:
        UserError: a file of zones that is missing, damaged, or another export's.
    """
    found: dict[str, Product] = {}
    for record in records:
        zones, thresholds = None, {}
        if "zones" in record:
            parts = record["zones"]["names"]
            zones = Zones(tuple(part["zone"] for part in parts), _labels(record["zones"], folder, len(parts)))
            thresholds = {part["zone"]: own for part in parts if (own := _threshold(part)) is not None}
        found[record["product"]] = Product(_threshold(record), zones, thresholds)
    return found


def is_sound(records: object) -> bool:
    """Whether the records are of the form that `read_products` takes."""
    if not isinstance(records, list):
        return False
    return all(_is_sound(record) for record in records) and (
        len({record["product"] for record in records}) == len(records))


def _record(threshold: Threshold | None) -> dict[str, Any]:
    """None: the model's one threshold decides."""
    if threshold is None:
        return {"threshold": None, "threshold_method": None}
    return {"threshold": threshold.value, "threshold_method": threshold.method}


def _threshold(record: Mapping[str, Any]) -> Threshold | None:
    value = record["threshold"]
    return None if value is None else Threshold(float(value), str(record.get("threshold_method") or ""))


def _labels(zones: Mapping[str, Any], folder: Path, count: int) -> np.ndarray:
    path = folder / zones["file"]
    if not path.is_file():
        raise UserError(f"{path} is missing; copy the whole folder of the export")
    data = png.read_bytes(path)
    if hashlib.sha256(data).hexdigest() != zones["sha256"]:
        raise UserError(f"{path} is damaged, or belongs to another export than the export.json beside it")
    labels = png.read_indices(path)
    if labels.max() > count:
        raise UserError(f"{path} holds zones up to {labels.max()}, export.json names {count}; export the model again")
    return labels


def _is_sound(record: object) -> bool:
    if not (isinstance(record, dict) and isinstance(record.get("product"), str) and _is_threshold(record)):
        return False
    if "zones" not in record:
        return True
    zones = record["zones"]
    if not (isinstance(zones, dict) and isinstance(zones.get("file"), str) and isinstance(zones.get("sha256"), str)):
        return False
    parts = zones.get("names")
    return (
        is_zones_file(zones["file"]) and "/" not in zones["file"] and "\\" not in zones["file"]
        and isinstance(parts, list) and 1 <= len(parts) <= MOST_ZONES
        and all(isinstance(part, dict) and isinstance(part.get("zone"), str) and part["zone"] and _is_threshold(part)
                and part.get("value") == value for value, part in enumerate(parts, start=1))
        and len({part["zone"] for part in parts}) == len(parts)
    )


def _is_threshold(record: Mapping[str, Any]) -> bool:
    value = record.get("threshold", "missing")
    return value is None or (type(value) in (int, float) and math.isfinite(value))
