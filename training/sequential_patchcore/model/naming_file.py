# SPDX-License-Identifier: Apache-2.0
"""The group `naming` of a model file: plain arrays and JSON, checked as they are read."""

import json
from collections.abc import Mapping

import h5py
import numpy as np

from ..runtime.choices import LARGEST_VALUE
from ..runtime.errors import UserError
from .memory import Memory
from .naming import Naming
from .parts import own, read_array, read_json, read_texts

NAMING = "naming"
_KINDS = ("impurity", "defect")
_LARGEST_WINDOW = 99
_PROMISE = ("lost", "views", "plates", "passed", "other_regions", "views_needed", "more_plates")


def write_naming(file: h5py.File, naming: Naming) -> None:
    group = file.create_group(NAMING)
    text = h5py.string_dtype()
    group.create_dataset("names", data=list(naming.names), dtype=text)
    group.create_dataset("kinds", data=list(naming.kinds), dtype=text)
    for name in ("hidden_weights", "hidden_offsets", "weights", "offsets", "reach"):
        group[name] = np.ascontiguousarray(getattr(naming, name), np.float32)
    group.attrs.update({
        "pass_below": naming.pass_below, "defect_from": naming.defect_from, "window": naming.window,
        "likest": naming.likest, "near_from": naming.near_from, "near_cells": naming.near_cells,
        "unknown_share": naming.unknown_share, "threshold": naming.threshold,
        "promise": json.dumps(naming.promise, sort_keys=True),
        "learnt_from": json.dumps(naming.learnt_from, sort_keys=True),
    })


def read_naming(file: h5py.File, dimension: int, memories: Mapping[str, Memory]) -> Naming:
    """
    Args:
        dimension: D of the nominal memory.
        memories: of the same file; a region can get the names of impurities only.

    Raises:
        UserError: a part that is missing, of another form, or contradicts another.
    """
    group = own(file, NAMING)
    if not isinstance(group, h5py.Group):
        raise UserError("damaged: expected a group")
    attributes = group.attrs
    if "weights" in group and "hidden_weights" not in group:
        raise UserError("the rule of verdicts is of an earlier form, linear; set it anew with the command `verdicts`")
    names, kinds = (tuple(map(str, read_texts(group, part))) for part in ("names", "kinds"))
    naming = Naming(
        names=names, kinds=kinds, hidden_weights=read_array(group, "hidden_weights", np.float32, 3),
        hidden_offsets=read_array(group, "hidden_offsets", np.float32, 2),
        weights=read_array(group, "weights", np.float32, 3), offsets=read_array(group, "offsets", np.float32, 2),
        reach=read_array(group, "reach", np.float32, 1, len(names)),
        pass_below=float(attributes["pass_below"]), defect_from=float(attributes["defect_from"]),
        window=int(attributes["window"]), likest=int(attributes["likest"]),
        near_from=float(attributes["near_from"]), near_cells=int(attributes["near_cells"]),
        unknown_share=float(attributes["unknown_share"]),
        threshold=float(attributes["threshold"]), promise=read_json(attributes, "promise", dict),
        learnt_from=read_json(attributes, "learnt_from", dict),
    )
    _check(naming, dimension, memories)
    return naming


def _check(naming: Naming, dimension: int, memories: Mapping[str, Memory]) -> None:
    names, kinds = naming.names, naming.kinds
    if len(names) != len(kinds) or len(set(names)) != len(names) or set(kinds) != set(_KINDS):
        raise UserError(f"damaged: names {names} of kinds {kinds}; expected impurities and defects, each once")
    count, hidden = naming.hidden_weights.shape[:2]
    shapes = (count, hidden, dimension), (count, hidden), (count, len(names), hidden), (count, len(names))
    if not count or not hidden or tuple(part.shape for part in naming.networks) != shapes:
        raise UserError(f"damaged: weights and offsets of the shapes {[part.shape for part in naming.networks]}; "
                        f"expected {list(shapes)}")
    for part in (*naming.networks, naming.reach):
        if not np.abs(part).max() < LARGEST_VALUE:
            raise UserError(f"damaged: weights, offsets or reach are not finite, or beyond {LARGEST_VALUE:g}")
    unknown = [name for name in naming.impurities if name not in memories or memories[name].kind != "impurity"]
    if unknown:
        raise UserError(f"damaged: the rule gives the name {unknown[0]}, and there is no such memory of an impurity")
    # -inf passes nothing; what is passed must never be what is called a defect.
    if not -np.inf <= naming.pass_below <= naming.defect_from < np.inf or np.isinf(naming.defect_from):
        raise UserError(f"damaged: pass_below {naming.pass_below}, defect_from {naming.defect_from}")
    if not 1 <= naming.window <= _LARGEST_WINDOW or naming.window % 2 == 0:
        raise UserError(f"damaged: window {naming.window}, expected an odd number up to {_LARGEST_WINDOW}")
    if not 1 <= naming.likest <= naming.window**2:
        raise UserError(f"damaged: likest {naming.likest}, expected 1 to the square of the window {naming.window}")
    if not (0 <= naming.near_from < np.inf and 0 <= naming.near_cells <= _LARGEST_WINDOW):
        raise UserError(f"damaged: near_from {naming.near_from}, near_cells {naming.near_cells}")
    if not (0 <= naming.unknown_share <= 1 and 0 <= naming.threshold < np.inf):
        raise UserError(f"damaged: unknown_share {naming.unknown_share}, threshold {naming.threshold}")
    counts = [naming.promise.get(part) for part in _PROMISE]
    if not all(isinstance(count, int) and not isinstance(count, bool) and count >= 0 for count in counts):
        raise UserError("damaged: the promise lacks a sound count")
    for part in ("confidence", "at_most"):
        share = naming.promise.get(part)
        if not isinstance(share, int | float) or not 0 <= share <= 1:
            raise UserError(f"damaged: the promise lacks a sound {part!r}")
