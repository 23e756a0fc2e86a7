# SPDX-License-Identifier: Apache-2.0
"""The parts of a model file, each refused where its declared form is wrong, before anything large is read."""

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import h5py
import numpy as np

from ..runtime.errors import UserError

_MAX_VECTORS = 10_000_000
_MAX_DIMENSION = 100_000


def read_array(
    file: h5py.Group, name: str, dtype: type[np.generic], dimensions: int, length: int | None = None
) -> np.ndarray:
    """A data set of the file, refused before it is read when its declared form is wrong or absurdly large."""
    array = own(file, name)
    if not isinstance(array, h5py.Dataset) or array.dtype != dtype or array.ndim != dimensions:
        found = f", is {array.dtype.str} {array.shape}" if isinstance(array, h5py.Dataset) else ""
        expected = f"{np.dtype(dtype).name}, {np.dtype(dtype).str},"
        raise UserError(f"damaged: {name} should be {expected} with {dimensions} dimension(s){found}")
    if array.shape[0] > _MAX_VECTORS or (dimensions == 2 and array.shape[1] > _MAX_DIMENSION):
        raise UserError(f"damaged: {name} declares the shape {array.shape}")
    if length is not None and array.shape[0] != length:
        raise UserError(f"damaged: {name} has {array.shape[0]} rows for {length} vectors")
    return _stored(array, name)[()]


def read_texts(file: h5py.Group, name: str) -> np.ndarray:
    """A column of texts."""
    array = own(file, name)
    if not isinstance(array, h5py.Dataset) or h5py.check_string_dtype(array.dtype) is None or array.ndim != 1:
        raise UserError(f"damaged: {name} should be a list of texts")
    texts = _stored(array, name).asstr()[:]
    if any("\0" in text for text in texts):
        raise UserError(f"damaged: {name} holds a text with a NUL, which could not be written again")
    return texts


def read_vectors(file: h5py.Group, prefix: str = "") -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(K, D) float32 vectors with (K,) uint32 sources, (K, 2) uint16 positions and (N, 2) texts, the images.

    Args:
        prefix: of the names of the first three.
    """
    features = read_array(file, f"{prefix}features", np.float32, 2)
    vectors = len(features)
    source = read_array(file, f"{prefix}source", np.uint32, 1, vectors)
    position = read_array(file, f"{prefix}position", np.uint16, 2, vectors)
    if position.shape[1] != 2 or vectors < 1:
        raise UserError(
            f"damaged: {prefix}position has shape {position.shape}, {prefix}features {features.shape}"
        )
    names = [read_texts(file, f"sources/{part}") for part in ("dataset", "sample")]
    if len(names[0]) != len(names[1]) or (vectors and int(source.max()) >= len(names[0])):
        raise UserError(f"damaged: {prefix}source points outside {'/' if prefix else ''}sources")
    return features, source, position, np.stack(names, 1)


def own(file: h5py.Group, name: str) -> h5py.Dataset | h5py.Group:
    """What lies under the name in this file or group: no link leads elsewhere."""
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


def read_json(attributes: Mapping[str, Any], name: str, kind: type) -> Any:
    value = json.loads(attributes[name])
    if not isinstance(value, kind):
        raise UserError(f"damaged: attribute {name} should hold a JSON {kind.__name__}")
    return value


def read_records(
    attributes: Mapping[str, Any], name: str, fields: Mapping[str, Any],
    optional: Mapping[str, Any] = MappingProxyType({}),
) -> list[dict[str, Any]]:
    records = read_json(attributes, name, list)
    for record in records:
        need(record, fields, name)
        need(record, {key: kind for key, kind in optional.items() if key in record}, name)
    return records


def need(record: object, fields: Mapping[str, Any], where: str) -> None:
    """That a JSON object has the fields that the program uses, each of its kind."""
    if not isinstance(record, dict):
        raise UserError(f"damaged: attribute {where} holds {json.dumps(record)[:60]} where an object belongs")
    for key, kind in fields.items():
        if not isinstance(record.get(key), kind):
            raise UserError(f"damaged: attribute {where} lacks a sound {key!r}")
