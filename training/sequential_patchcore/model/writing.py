# SPDX-License-Identifier: Apache-2.0
"""A model to its file; docs/model_file.md says how."""

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ..runtime.files import atomic_path
from .contents import Model

FORMAT = "sequential-patchcore model"
FORMAT_VERSION = 1


def save_model(model: Model, path: str | Path) -> None:
    """Write the file beside and rename it.

    Raises:
        UserError: the place cannot be written.
    """
    with atomic_path(path) as beside, h5py.File(beside, "w") as file:
        coreset = file.create_group("coreset")
        coreset["features"] = np.ascontiguousarray(model.features, np.float32)
        coreset["source"] = np.ascontiguousarray(model.source, np.uint32)
        coreset["position"] = np.ascontiguousarray(model.position, np.uint16)
        sources = file.create_group("sources")
        text = h5py.string_dtype()
        sources.create_dataset("dataset", data=[name for name, _ in model.sources], dtype=text)
        sources.create_dataset("sample", data=[sample for _, sample in model.sources], dtype=text)
        file.attrs.update(_attributes(model))


def _attributes(model: Model) -> dict[str, Any]:
    threshold = model.threshold
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "created_by": model.created_by,
        "settings": json.dumps(model.settings, sort_keys=True),
        "backbone": model.extractor["backbone"],
        "weights_fingerprint": model.extractor["weights_fingerprint"],
        "layers": json.dumps(model.extractor["layers"]),
        "preprocessing": json.dumps(model.extractor["preprocessing"], sort_keys=True),
        "extractor": json.dumps(model.extractor, sort_keys=True),
        "separation": model.separation,
        "covering_radius": float("nan") if model.covering_radius is None else model.covering_radius,
        "converged": model.converged,
        "epochs": json.dumps(model.epochs),
        "parents": json.dumps(model.parents),
        "data": json.dumps(model.data),
        "request": model.request,
        "threshold": "none" if threshold is None else threshold.value,
        "threshold_method": "none" if threshold is None else threshold.method,
        "calibrated_on": json.dumps({} if threshold is None else threshold.calibrated_on, sort_keys=True),
        "fingerprint": model.fingerprint,
    }
