# SPDX-License-Identifier: Apache-2.0
"""A model file, checked as it is read: no pickle, no links, nothing that is larger than it says."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import h5py
import numpy as np

from ..runtime.errors import UserError
from .contents import Model, Threshold
from .values import check_values
from .writing import FORMAT, FORMAT_VERSION

_MAX_VECTORS = 10_000_000
_MAX_DIMENSION = 100_000

# What the rest of the program takes from the JSON attributes, and of which kind it must be.
_EXTRACTOR = {
    "backbone": str, "image_scale": (int, float), "pool": int, "unit_maps": bool, "dimension": int, "stride": int,
    "layers": list, "preprocessing": dict, "weights_fingerprint": str, "weights": str,
}
_EXTRACTOR_MAY_HAVE = {"normalisation": str, "projection": int, "precision": str}
_DATA = {"name": str, "path": str, "fingerprint": str, "images": int}
_EPOCH = {"replacements": int, "separation": (int, float)}
_EPOCH_MAY_HAVE = {"covering_radius": (int, float)}
_CALIBRATED_ON = {"dataset": str, "fingerprint": str, "split": str}


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
        with h5py.File(path, "r") as file:
            return str(file.attrs["request"]) if file.attrs.get("format") == FORMAT else None
    except (OSError, KeyError, ValueError, TypeError, RuntimeError):
        return None


def read(path: Path) -> Model:
    """As `load_model`, but the messages leave out the path."""
    if not path.is_file():
        raise UserError("no such model file; `sequential-patchcore train` makes one")
    try:
        with h5py.File(path, "r") as file:
            return _parse(file)
    except OSError as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"not a readable HDF5 file, or a truncated one ({reason})") from error
    except KeyError as error:
        raise UserError(f"a part is missing: {error.args[0]}") from error
    except (ValueError, TypeError, RuntimeError) as error:
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
    features = _array(file, "coreset/features", np.float32, 2)
    vectors, dimension = features.shape
    source = _array(file, "coreset/source", np.uint32, 1, vectors)
    position = _array(file, "coreset/position", np.uint16, 2, vectors)
    if position.shape[1] != 2 or vectors < 1:
        raise UserError(f"damaged: coreset/position has shape {position.shape}, coreset/features {features.shape}")
    names = [_texts(file, f"sources/{part}") for part in ("dataset", "sample")]
    if len(names[0]) != len(names[1]) or (vectors and int(source.max()) >= len(names[0])):
        raise UserError("damaged: coreset/source points outside /sources")
    extractor = _json(attributes, "extractor", dict)
    _need(extractor, _EXTRACTOR, "extractor")
    _need(extractor, {key: kind for key, kind in _EXTRACTOR_MAY_HAVE.items() if key in extractor}, "extractor")
    if extractor.get("dimension") != dimension:
        raise UserError(f"damaged: vectors of length {dimension}, but the extractor gives {extractor.get('dimension')}")
    parents = tuple(_json(attributes, "parents", list))
    if not all(isinstance(parent, str) for parent in parents):
        raise UserError("damaged: attribute parents should hold fingerprints")
    radius, separation = float(attributes["covering_radius"]), float(attributes["separation"])
    if radius < 0 or np.isinf(radius) or not 0 <= separation < np.inf:
        raise UserError(f"damaged: separation {separation}, covering radius {radius}")
    settings, epochs = _json(attributes, "settings", dict), _records(attributes, "epochs", _EPOCH, _EPOCH_MAY_HAVE)
    logged = [epoch[name] for epoch in epochs for name in ("separation", "covering_radius") if name in epoch]
    check_values(attributes, features, extractor, settings, logged)
    return Model(
        features=features, source=source, position=position,
        sources=tuple(zip(map(str, names[0]), map(str, names[1]), strict=True)),
        extractor=extractor,
        settings=settings,
        separation=separation,
        covering_radius=None if np.isnan(radius) else radius,
        converged=bool(attributes["converged"]),
        epochs=tuple(epochs),
        parents=parents,
        data=tuple(_records(attributes, "data", _DATA)),
        request=str(attributes["request"]),
        threshold=_threshold(attributes),
        created_by=str(attributes["created_by"]),
    )


def _array(
    file: h5py.File, name: str, dtype: type[np.generic], dimensions: int, length: int | None = None
) -> np.ndarray:
    """A data set of the file, refused before it is read when its declared form is wrong or absurdly large."""
    array = _own(file, name)
    if not isinstance(array, h5py.Dataset) or array.dtype != dtype or array.ndim != dimensions:
        found = f", is {array.dtype.str} {array.shape}" if isinstance(array, h5py.Dataset) else ""
        expected = f"{np.dtype(dtype).name}, {np.dtype(dtype).str},"
        raise UserError(f"damaged: {name} should be {expected} with {dimensions} dimension(s){found}")
    if array.shape[0] > _MAX_VECTORS or (dimensions == 2 and array.shape[1] > _MAX_DIMENSION):
        raise UserError(f"damaged: {name} declares the shape {array.shape}")
    if length is not None and array.shape[0] != length:
        raise UserError(f"damaged: {name} has {array.shape[0]} rows for {length} vectors")
    return _stored(array, name)[()]


def _texts(file: h5py.File, name: str) -> np.ndarray:
    """A column of texts."""
    array = _own(file, name)
    if not isinstance(array, h5py.Dataset) or h5py.check_string_dtype(array.dtype) is None or array.ndim != 1:
        raise UserError(f"damaged: {name} should be a list of texts")
    texts = _stored(array, name).asstr()[:]
    if any("\0" in text for text in texts):
        raise UserError(f"damaged: {name} holds a text with a NUL, which could not be written again")
    return texts


def _own(file: h5py.File, name: str) -> h5py.Dataset | h5py.Group:
    """What lies under the name in this file: no link leads elsewhere."""
    parts = name.split("/")
    for depth in range(1, len(parts) + 1):
        place = "/".join(parts[:depth])
        if not isinstance(file.get(place, getlink=True), h5py.HardLink | None):
            raise UserError(f"damaged: {place} is a link, and links are not followed")
    return file[name]


def _stored(array: h5py.Dataset, name: str) -> h5py.Dataset:
    """The data set itself, unless the file holds less than it declares: reading would fill the memory with zeros."""
    held = array.id.get_storage_size()
    if array.external or array.is_virtual or held < array.nbytes:
        raise UserError(f"damaged: {name} declares the shape {array.shape}, {array.nbytes} bytes, but holds {held}")
    return array


def _json(attributes: Mapping[str, Any], name: str, kind: type) -> Any:
    value = json.loads(attributes[name])
    if not isinstance(value, kind):
        raise UserError(f"damaged: attribute {name} should hold a JSON {kind.__name__}")
    return value


def _records(
    attributes: Mapping[str, Any], name: str, fields: Mapping[str, Any],
    optional: Mapping[str, Any] = MappingProxyType({}),
) -> list[dict[str, Any]]:
    records = _json(attributes, name, list)
    for record in records:
        _need(record, fields, name)
        _need(record, {key: kind for key, kind in optional.items() if key in record}, name)
    return records


def _need(record: object, fields: Mapping[str, Any], where: str) -> None:
    """That a JSON object has the fields that the program uses, each of its kind."""
    if not isinstance(record, dict):
        raise UserError(f"damaged: attribute {where} holds {json.dumps(record)[:60]} where an object belongs")
    for key, kind in fields.items():
        if not isinstance(record.get(key), kind):
            raise UserError(f"damaged: attribute {where} lacks a sound {key!r}")


def _threshold(attributes: Mapping[str, Any]) -> Threshold | None:
    value = attributes["threshold"]
    if isinstance(value, str) and value == "none":
        return None
    value = float(value)
    if not np.isfinite(value):
        raise UserError("damaged: the threshold is not finite")
    origin = _json(attributes, "calibrated_on", dict)
    if origin:
        _need(origin, _CALIBRATED_ON, "calibrated_on")
    return Threshold(value, str(attributes["threshold_method"]), origin)
