# SPDX-License-Identifier: Apache-2.0
"""A model file, checked as it is read: no pickle, no links, nothing that is larger than it says."""

from pathlib import Path
from typing import Any
from urllib.parse import unquote

import h5py
import numpy as np

from ..runtime.errors import UserError
from .contents import Model
from .hdf5 import open_hdf5
from .memory import Memory
from .naming import Naming
from .naming_file import NAMING, read_naming
from .parts import need, own, read_json, read_records, read_vectors
from .products_file import read_products, read_threshold
from .values import check_memory, check_values
from .writing import FORMAT, FORMAT_VERSION, MEMORIES, group_name

# What the rest of the program takes from the JSON attributes, and of which kind it must be.
_EXTRACTOR = {
    "backbone": str, "image_scale": (int, float), "pool": int, "unit_maps": bool, "dimension": int, "stride": int,
    "layers": list, "preprocessing": dict, "weights_fingerprint": str, "weights": str,
}
_EXTRACTOR_MAY_HAVE = {"normalisation": str, "projection": int, "precision": str}
_DATA = {"name": str, "path": str, "fingerprint": str, "images": int}
_EPOCH = {"replacements": int, "separation": (int, float)}
_EPOCH_MAY_HAVE = {"covering_radius": (int, float)}


def load_model(path: str | Path) -> Model:
    """Read and check a model file, of this version of the program or an earlier one.

    Raises:
        UserError: no such file, not HDF5, another format, or contents that contradict each other; one line, with the
            path.
    """
    try:
        return read(Path(path))
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def read_request(path: str | Path) -> str | None:
    """The `request` of a model file without reading its vectors; None where there is no readable model."""
    try:
        with open_hdf5(path) as file:
            return str(file.attrs["request"]) if file.attrs.get("format") == FORMAT else None
    except (UserError, OSError, KeyError, ValueError, TypeError, RuntimeError, MemoryError):
        return None


def read(path: Path) -> Model:
    """As `load_model`, but the messages leave out the path."""
    if not path.is_file():
        raise UserError("no such model file; `sequential-patchcore train` makes one")
    try:
        with open_hdf5(path) as file:
            return _parse(file)
    except OSError as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"not a readable HDF5 file, or a truncated one ({reason})") from error
    except KeyError as error:
        raise UserError(f"a part is missing: {error.args[0]}") from error
    except (ValueError, TypeError, RuntimeError, MemoryError) as error:
        raise UserError(f"damaged: {error}") from error


def _parse(file: h5py.File) -> Model:
    attributes = file.attrs
    if attributes.get("format") != FORMAT:
        raise UserError("an HDF5 file, but not a model of sequential-patchcore (its attribute `format` says otherwise)")
    if int(attributes["format_version"]) != FORMAT_VERSION:
        raise UserError(
            f"format version {attributes['format_version']}, this program reads {FORMAT_VERSION}; "
            "update the program, or train anew"
        )
    features, source, position, images = read_vectors(file, "coreset/")
    dimension = features.shape[1]
    extractor = read_json(attributes, "extractor", dict)
    need(extractor, _EXTRACTOR, "extractor")
    need(extractor, {key: kind for key, kind in _EXTRACTOR_MAY_HAVE.items() if key in extractor}, "extractor")
    if extractor.get("dimension") != dimension:
        raise UserError(f"damaged: vectors of length {dimension}, but the extractor gives {extractor.get('dimension')}")
    parents = tuple(read_json(attributes, "parents", list))
    if not all(isinstance(parent, str) for parent in parents):
        raise UserError("damaged: attribute parents should hold fingerprints")
    radius, separation = float(attributes["covering_radius"]), float(attributes["separation"])
    if radius < 0 or np.isinf(radius) or not 0 <= separation < np.inf:
        raise UserError(f"damaged: separation {separation}, covering radius {radius}")
    settings = read_json(attributes, "settings", dict)
    epochs = read_records(attributes, "epochs", _EPOCH, _EPOCH_MAY_HAVE)
    logged = [epoch[name] for epoch in epochs for name in ("separation", "covering_radius") if name in epoch]
    check_values(attributes, features, extractor, settings, logged)
    return Model(
        features=features, source=source, position=position,
        sources=_pairs(images),
        extractor=extractor,
        settings=settings,
        separation=separation,
        covering_radius=None if np.isnan(radius) else radius,
        converged=bool(attributes["converged"]),
        epochs=tuple(epochs),
        parents=parents,
        data=tuple(read_records(attributes, "data", _DATA)),
        request=str(attributes["request"]),
        threshold=read_threshold(attributes),
        created_by=str(attributes["created_by"]),
        **_beside(file, dimension),
    )


def _beside(file: h5py.File, dimension: int) -> dict[str, Any]:
    """What is kept beside the nominal memory, see `Model.kept_beside`; older files have none of it."""
    memories = {}
    if MEMORIES in set(file):  # a link that leads nowhere is there too
        group = own(file, MEMORIES)
        if not isinstance(group, h5py.Group):
            raise UserError(f"damaged: {MEMORIES} should be a group")
        for part in group:
            where = f"{MEMORIES}/{part}"
            name = unquote(part)
            try:
                if group_name(name) != part:
                    raise UserError("damaged: no class has such a group")
                memories[name] = _memory(own(file, where), dimension)
            except UserError as error:
                raise UserError(f"{where}: {error}") from error
            except KeyError as error:
                raise UserError(f"{where}: a part is missing: {error.args[0]}") from error
            except (ValueError, TypeError, RuntimeError, MemoryError) as error:
                raise UserError(f"{where}: damaged: {error}") from error
    return {
        "memories": dict(sorted(memories.items())), "naming": _naming(file, dimension, memories),
        "products": read_products(file),
    }


def _naming(file: h5py.File, dimension: int, memories: dict[str, Memory]) -> Naming | None:
    if NAMING not in set(file):
        return None
    try:
        return read_naming(file, dimension, memories)
    except UserError as error:
        raise UserError(f"{NAMING}: {error}") from error
    except KeyError as error:
        raise UserError(f"{NAMING}: a part is missing: {error.args[0]}") from error
    except (ValueError, TypeError, RuntimeError, MemoryError) as error:
        raise UserError(f"{NAMING}: damaged: {error}") from error


def _memory(group: h5py.Group, dimension: int) -> Memory:
    if not isinstance(group, h5py.Group):
        raise UserError("damaged: expected a group")
    attributes = group.attrs
    vectors, source, position, images = read_vectors(group)
    radius = float(attributes["covering_radius"])
    memory = Memory(
        kind=str(attributes["kind"]), vectors=vectors, source=source, position=position, sources=_pairs(images),
        separation=float(attributes["separation"]), covering_radius=None if np.isnan(radius) else radius,
        converged=bool(attributes["converged"]),
        epochs=tuple(read_records(attributes, "epochs", _EPOCH, _EPOCH_MAY_HAVE)), seen=int(attributes["seen"]),
        images=int(attributes["images"]), coverage_share=float(attributes["coverage_share"]),
        level=float(attributes["level"]), level_from=str(attributes["level_from"]),
        nominal=str(attributes["nominal"]), data=tuple(read_records(attributes, "data", _DATA)),
        settings=read_json(attributes, "settings", dict),
    )
    check_memory(memory, dimension)
    return memory


def _pairs(images: np.ndarray) -> tuple[tuple[str, str], ...]:
    return tuple((str(dataset), str(sample)) for dataset, sample in images)
