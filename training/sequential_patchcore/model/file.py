# SPDX-License-Identifier: Apache-2.0
"""The model file: a coreset and all that is needed to use it, in HDF5, no pickle anywhere; docs/model_file.md says how.

Every vector knows where it came from: /coreset/source is a row of /sources, /coreset/position the patch's (y, x) on
the feature grid of that image.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

import h5py
import numpy as np

from .. import __version__
from ..coreset.guarantee import certified_factor
from ..runtime.errors import UserError
from ..runtime.files import atomic_path
from .values import check_values

FORMAT_VERSION = 1
_FORMAT = "sequential-patchcore model"
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


@dataclass(frozen=True)
class Threshold:
    """Pixels with score >= value are anomalous.

    Attributes:
        value: in the anomaly map's unit.
        method: "max_f1", "nominal_quantile" or "by_hand".
        calibrated_on: data set name, fingerprint, split and counts; empty when set by hand.
    """

    value: float
    method: str
    calibrated_on: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Model:
    """What a model file holds.

    Attributes:
        features: (K, D) float32, the coreset.
        source: (K,) uint32, the row of `sources` that each vector came from.
        position: (K, 2) uint16, (y, x) on the feature grid of its image.
        sources: (data set name, sample id) per row.
        extractor: identity of the feature extractor (`extractors.identity`), with `weights`, a note for people.
        settings: the choices of the run that made the file, JSON-ready.
        separation: smallest distance between two coreset vectors.
        covering_radius: largest distance of a training patch to its nearest vector; None where it was not measured.
        converged: the last epoch replaced nothing.
        epochs: one mapping per epoch with "replacements", "separation" and, where it was measured, "covering_radius".
        parents: fingerprints of the models that went in (fine-tuning, melding).
        data: per data set its name, path, fingerprint and number of images.
        request: fingerprint of the command that made the file, by which finished work is recognised.
        threshold: None until calibrated.
    """

    features: np.ndarray
    source: np.ndarray
    position: np.ndarray
    sources: tuple[tuple[str, str], ...]
    extractor: dict
    settings: dict
    separation: float
    covering_radius: float | None
    converged: bool
    epochs: tuple[dict, ...] = ()
    parents: tuple[str, ...] = ()
    data: tuple[dict, ...] = ()
    request: str = ""
    threshold: Threshold | None = None
    created_by: str = f"sequential-patchcore {__version__}"

    @property
    def fingerprint(self) -> str:
        """Hex digest of the vectors and the extractor; the threshold is not part of it."""
        sha = hashlib.sha256(json.dumps(self.extractor, sort_keys=True).encode())
        sha.update(np.ascontiguousarray(self.features).tobytes())
        return sha.hexdigest()[:16]

    @property
    def certified_factor(self) -> float | None:
        """The covering radius is at most this many times the best possible one; None where nothing is certain."""
        return None if self.covering_radius is None else certified_factor(self.covering_radius, self.separation)

    @property
    def epoch_factors(self) -> tuple[float | None, ...]:
        """The same after each epoch, None where its covering radius was not measured."""
        radii = [epoch.get("covering_radius") for epoch in self.epochs]
        if radii and radii[-1] is None:
            radii[-1] = self.covering_radius
        return tuple(
            None if radius is None else certified_factor(radius, epoch["separation"])
            for radius, epoch in zip(radii, self.epochs, strict=True)
        )

    def with_threshold(self, threshold: Threshold) -> "Model":
        return replace(self, threshold=threshold)


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


def load_model(path: str | Path) -> Model:
    """Read and check a model file.

    Raises:
        UserError: no such file, not HDF5, another format, or contents that contradict each other; one line, with the
            path.
    """
    path = Path(path)
    problems: list[str] = []
    model = _read(path, problems)
    if problems or model is None:
        raise UserError(f"{path}: {problems[0]}")
    return model


def check_model(path: str | Path) -> list[str]:
    """All that is wrong with a model file, in words; empty when it is sound."""
    problems: list[str] = []
    model = _read(Path(path), problems)
    if model is not None and not problems:
        with h5py.File(path, "r") as file:
            recorded = file.attrs.get("fingerprint")
        problems += _contradictions(model, recorded)
    return problems


def read_request(path: str | Path) -> str | None:
    """The `request` of a model file without reading its vectors; None where there is no readable model."""
    try:
        with h5py.File(path, "r") as file:
            return str(file.attrs["request"]) if file.attrs.get("format") == _FORMAT else None
    except (OSError, KeyError, ValueError, TypeError, RuntimeError):
        return None


def _attributes(model: Model) -> dict:
    threshold = model.threshold
    return {
        "format": _FORMAT,
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


def _read(path: Path, problems: list[str]) -> Model | None:
    if not path.is_file():
        problems.append("no such model file; `sequential-patchcore train` makes one")
        return None
    try:
        with h5py.File(path, "r") as file:
            return _parse(file)
    except UserError as error:
        problems.append(str(error))
    except OSError as error:
        problems.append(f"not a readable HDF5 file, or a truncated one ({str(error).splitlines()[0]})")
    except KeyError as error:
        problems.append(f"a part is missing: {error.args[0]}")
    except (ValueError, TypeError, RuntimeError) as error:
        problems.append(f"damaged: {error}")
    return None


def _parse(file: h5py.File) -> Model:
    attributes = file.attrs
    if attributes.get("format") != _FORMAT:
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


def _array(file: h5py.File, name: str, dtype: type, dimensions: int, length: int | None = None) -> np.ndarray:
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


def _json(attributes: Mapping, name: str, kind: type) -> dict | list:
    value = json.loads(attributes[name])
    if not isinstance(value, kind):
        raise UserError(f"damaged: attribute {name} should hold a JSON {kind.__name__}")
    return value


def _records(attributes: Mapping, name: str, fields: Mapping, optional: Mapping = MappingProxyType({})) -> list:
    records = _json(attributes, name, list)
    for record in records:
        _need(record, fields, name)
        _need(record, {key: kind for key, kind in optional.items() if key in record}, name)
    return records


def _need(record: object, fields: Mapping, where: str) -> None:
    """That a JSON object has the fields that the program uses, each of its kind."""
    if not isinstance(record, dict):
        raise UserError(f"damaged: attribute {where} holds {json.dumps(record)[:60]} where an object belongs")
    for key, kind in fields.items():
        if not isinstance(record.get(key), kind):
            raise UserError(f"damaged: attribute {where} lacks a sound {key!r}")


def _threshold(attributes: Mapping) -> Threshold | None:
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


def _contradictions(model: Model, fingerprint: object) -> list[str]:
    """What only a computation shows: the recorded fingerprint and separation against the vectors themselves."""
    from ..coreset.engine import Coreset, CoresetEngine

    problems = []
    if not isinstance(fingerprint, str) or fingerprint != model.fingerprint:
        problems.append(f"fingerprint is recorded as {fingerprint}, vectors and extractor give {model.fingerprint}")
    if len(model.features) > 1:
        size, dimension = model.features.shape
        coreset = CoresetEngine(size, dimension, initial=Coreset(model.features, np.zeros(size, np.int64)))
        if not np.isclose(coreset.separation, model.separation, rtol=1e-9, atol=0):
            problems.append(
                f"separation is recorded as {model.separation:.9g}, the vectors give {coreset.separation:.9g}"
            )
    return problems
