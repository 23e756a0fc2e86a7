# SPDX-License-Identifier: Apache-2.0
"""A model to its file; docs/model_file.md says how."""

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ..runtime.files import atomic_path
from .contents import Model
from .memory import Memory
from .naming_file import write_naming
from .products_file import threshold_attributes, write_products

FORMAT = "sequential-patchcore model"
FORMAT_VERSION = 1
MEMORIES = "memories"  # the group of the memories, one group each


def save_model(model: Model, path: str | Path) -> None:
    """Write the file beside and rename it.

    Raises:
        UserError: the place cannot be written.
    """
    with atomic_path(path) as beside, h5py.File(beside, "w") as file:
        coreset = file.create_group("coreset")
        _write_vectors(coreset, model.features, model.source, model.position)
        _write_sources(file.create_group("sources"), model.sources)
        file.attrs.update(_attributes(model))
        _write_beside(file, model)


def _write_beside(file: h5py.File, model: Model) -> None:
    """What is kept beside the nominal memory, see `Model.kept_beside`; nothing where there is none."""
    for name, memory in sorted(model.memories.items()):
        _write_memory(file.create_group(f"{MEMORIES}/{group_name(name)}"), memory)
    if model.naming is not None:
        write_naming(file, model.naming)
    write_products(file, model.products)


def group_name(class_name: str) -> str:
    """A class's name as that of a group: what HDF5 takes for a path is written as in addresses of the web.

    `urllib.parse.unquote` gives the name back.
    """
    name = class_name.replace("%", "%25").replace("/", "%2F")
    return name.replace(".", "%2E") if set(name) == {"."} else name


def _write_memory(group: h5py.Group, memory: Memory) -> None:
    _write_vectors(group, memory.vectors, memory.source, memory.position)
    _write_sources(group.create_group("sources"), memory.sources)
    group.attrs.update({
        "kind": memory.kind, "separation": memory.separation, "covering_radius": _or_nan(memory.covering_radius),
        "converged": memory.converged, "epochs": json.dumps(memory.epochs), "seen": memory.seen,
        "images": memory.images, "coverage_share": memory.coverage_share, "level": memory.level,
        "level_from": memory.level_from, "nominal": memory.nominal, "data": json.dumps(memory.data),
        "settings": json.dumps(memory.settings, sort_keys=True),
    })


def _write_vectors(group: h5py.Group, features: np.ndarray, source: np.ndarray, position: np.ndarray) -> None:
    group["features"] = np.ascontiguousarray(features, np.float32)
    group["source"] = np.ascontiguousarray(source, np.uint32)
    group["position"] = np.ascontiguousarray(position, np.uint16)


def _write_sources(group: h5py.Group, sources: tuple[tuple[str, str], ...]) -> None:
    text = h5py.string_dtype()
    group.create_dataset("dataset", data=[name for name, _ in sources], dtype=text)
    group.create_dataset("sample", data=[sample for _, sample in sources], dtype=text)


def _or_nan(radius: float | None) -> float:
    return float("nan") if radius is None else radius


def _attributes(model: Model) -> dict[str, Any]:
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
        "covering_radius": _or_nan(model.covering_radius),
        "converged": model.converged,
        "epochs": json.dumps(model.epochs),
        "parents": json.dumps(model.parents),
        "data": json.dumps(model.data),
        "request": model.request,
        **threshold_attributes(model.threshold),
        "fingerprint": model.fingerprint,
    }
