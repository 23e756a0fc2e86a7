# SPDX-License-Identifier: Apache-2.0
"""Whether the values in a model file are such as a run could have written; `reading` looks at their kinds."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..runtime.choices import BOUNDS, LARGEST_VALUE, NORMALISATIONS, PRECISIONS
from ..runtime.errors import UserError
from .memory import SMALLEST, Memory

_KINDS = ("impurity", "defect")
_STRIDES = (1, 4096)
_WRITTEN = (
    "backbone", "weights_fingerprint", "layers", "preprocessing", "threshold_method", "calibrated_on", "fingerprint",
)


def check_values(
    attributes: Mapping[str, Any], features: np.ndarray, extractor: Mapping[str, Any], settings: Mapping[str, Any],
    radii: Sequence[float],
) -> None:
    """Refuse what is of the right kind and still cannot be.

    Args:
        attributes: of the file; all that a run writes must be there.
        features: (K, D).
        radii: separations and covering radii of the epochs.

    Raises:
        UserError: the first such value.
    """
    missing = [name for name in _WRITTEN if name not in attributes]
    if missing:
        raise UserError(f"a part is missing: attribute {missing[0]}")
    if not np.abs(features).max() < LARGEST_VALUE:
        raise UserError(f"damaged: coreset/features holds values that are not finite, or beyond {LARGEST_VALUE:g}")
    for name, (least, most) in (BOUNDS | {"stride": _STRIDES}).items():
        where, values = ("settings", settings) if name == "blur_sigma" else ("extractor", extractor)
        if name in values and not (_is_number(values[name]) and least <= values[name] <= most):
            raise UserError(f"damaged: {where} has {name} {values[name]!r}, expected {least:g} to {most:g}")
    offset = extractor.get("offset", 0.0)
    if not (_is_number(offset) and abs(offset) <= 65536):
        raise UserError(f"damaged: extractor has offset {offset!r}, expected a number of pixels")
    if not all(isinstance(layer, str) for layer in extractor["layers"]):
        raise UserError("damaged: extractor has layers that are no names")
    for name, known in (("normalisation", NORMALISATIONS), ("precision", PRECISIONS)):
        if extractor.get(name, known[0]) not in known:
            raise UserError(f"damaged: extractor has {name} {extractor[name]!r}, expected one of {', '.join(known)}")
    weights = settings.get("weights")
    if not isinstance(weights, str | None):
        raise UserError(f"damaged: settings has weights {weights!r}, expected a name or a path")
    if not all(0 <= radius < math.inf for radius in radii):
        raise UserError("damaged: a separation or covering radius of an epoch is negative or not finite")


def check_memory(memory: Memory, dimension: int) -> None:
    """The same of a memory.

    Args:
        dimension: D of the nominal memory.

    Raises:
        UserError: the first such value.
    """
    count, length = memory.vectors.shape
    if length != dimension:
        raise UserError(f"damaged: vectors of length {length}, those of the nominal memory have {dimension}")
    if count < SMALLEST:
        raise UserError(f"damaged: {count} vector, expected at least {SMALLEST}")
    if not np.abs(memory.vectors).max() < LARGEST_VALUE:
        raise UserError(f"damaged: features holds values that are not finite, or beyond {LARGEST_VALUE:g}")
    if memory.kind not in _KINDS:
        raise UserError(f"damaged: kind {memory.kind!r}, expected one of {', '.join(_KINDS)}")
    radii = [memory.separation, 0.0 if memory.covering_radius is None else memory.covering_radius]
    radii += [epoch[name] for epoch in memory.epochs for name in ("separation", "covering_radius") if name in epoch]
    if not all(0 <= radius < math.inf for radius in radii):
        raise UserError("damaged: a separation or covering radius is negative or not finite")
    if not (0 <= memory.coverage_share <= 1 and 0 <= memory.level < math.inf):
        raise UserError(f"damaged: coverage_share {memory.coverage_share}, level {memory.level}")
    if min(memory.seen, memory.images) < 0:
        raise UserError(f"damaged: seen {memory.seen}, images {memory.images}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
