# SPDX-License-Identifier: Apache-2.0
"""`export.json`: all that is to be known about an exported graph beside it; read without torch."""

import hashlib
import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ..runtime.errors import UserError
from ..runtime.files import opened, read_bytes, write_text
from . import products_record

RECORD = "export.json"
_FORMAT = "sequential-patchcore export"
_VERSION, _VERSION_OF_PRODUCTS = 1, 2  # a program that knows no products would take the one threshold unasked
FILES = {"onnx": ("anomaly_map.onnx",), "openvino": ("anomaly_map.xml", "anomaly_map.bin")}

_NUMBERS = ("min_region", "hysteresis", "blur_sigma", "bytes_per_pixel")


@dataclass(frozen=True)
class ExportRecord:
    """What stands in `export.json`.

    Attributes:
        kind: "onnx" or "openvino".
        files: SHA-256 of each file of the graph, by its name.
        model: fingerprint of the model.
        weights: fingerprint of the backbone's weights.
        backbone: its name.
        created_by: program and version.
        threshold: pixels with a score of at least this are anomalous; None for a model without.
        threshold_method: how it was found.
        min_region, hysteresis: the filters after it, see `metrics.binarize.Rule`.
        blur_sigma: pixels; already in the graph.
        image_scale: already in the graph.
        bytes_per_pixel: that the work on an image takes, about.
        size: [H, W] that all images must have, or None for any.
        classes: name and kind of each class of the training data, where the data set is still there.
        input, output: names, shapes and ranges of the graph's two tensors, in words.
        proof: on how many images the graph was compared with the model, and the largest relative difference.
        products: thresholds by product and zone, as `products_record.write_products` makes them; without any the record
            has no such part.
    """

    kind: str
    files: dict[str, str]
    model: str
    weights: str
    backbone: str
    created_by: str
    threshold: float | None
    threshold_method: str | None = None
    min_region: int = 0
    hysteresis: float = 1.0
    blur_sigma: float = 2.0
    image_scale: float = 1.0
    bytes_per_pixel: float = 0.0
    size: tuple[int, int] | None = None
    classes: list[dict] = field(default_factory=list)
    input: str = "image: (height, width, 3) float32, RGB, 0 to 1"
    output: str = "anomaly_map: (height, width) float32"
    proof: dict = field(default_factory=dict)
    products: list[dict] = field(default_factory=list)

    def write(self, folder: Path) -> None:
        content = asdict(self)
        if not self.products:
            del content["products"]
        write_text(folder / RECORD, json.dumps(_sealed(content), indent=2) + "\n")


def file_digest(path: Path) -> str:
    """SHA-256 of a file.

    Raises:
        UserError: it cannot be read.
    """
    sha = hashlib.sha256()
    try:
        with opened(path) as file:
            while part := file.read(1 << 20):
                sha.update(part)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    return sha.hexdigest()


def read_record(folder: Path) -> ExportRecord:
    """The record of an export whose files are whole and belong together.

    Raises:
        UserError: no export, another version's, or a file that is missing, damaged or another export's.
    """
    path = folder / RECORD
    if not path.is_file():
        raise UserError(f"{folder} holds no {RECORD}; expected a model file, or the folder of an export")
    try:
        content = json.loads(read_bytes(path).decode("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path} cannot be read as JSON ({reason}); export the model again") from error
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise UserError(f"{path} is not the record of an export of sequential-patchcore")
    if content.get("format_version") not in (_VERSION, _VERSION_OF_PRODUCTS):
        raise UserError(
            f"{path} has the format version {content.get('format_version')!r}, this program reads {_VERSION} and "
            f"{_VERSION_OF_PRODUCTS}; update the program, or export the model again"
        )
    values = {name: content.get(name) for name in ExportRecord.__dataclass_fields__ if name in content}
    if content.get("record_sha256") != _seal(content) or not _is_sound(values):
        raise UserError(f"{path} was changed or damaged after the export; export the model again")
    record = ExportRecord(**values | {"size": tuple(values["size"]) if values.get("size") else None})
    for name, recorded in record.files.items():
        if not (folder / name).is_file():
            raise UserError(f"{folder / name} is missing; copy the whole folder of the export")
        if file_digest(folder / name) != recorded:
            raise UserError(f"{folder / name} is damaged, or belongs to another export than {RECORD} beside it")
    return record


def _is_sound(values: dict) -> bool:
    """Whether the values that the program uses are of their kinds: the seal may be another program's."""
    number = int | float
    threshold, size = values.get("threshold"), values.get("size")
    return (
        values.get("kind") in FILES
        and isinstance(values.get("files"), dict) and tuple(values["files"]) == FILES[values["kind"]]
        and all(isinstance(values.get(name), str) for name in ("model", "weights", "backbone", "created_by"))
        and (threshold is None or (isinstance(threshold, number) and math.isfinite(threshold)))
        and all(isinstance(values.get(name), number) for name in _NUMBERS)
        and products_record.is_sound(values.get("products", []))
        and (size is None or (isinstance(size, list) and len(size) == 2 and all(isinstance(n, int) for n in size)))
    )


def _sealed(content: dict) -> dict:
    version = _VERSION_OF_PRODUCTS if "products" in content else _VERSION
    content = {"format": _FORMAT, "format_version": version, **content}
    return content | {"record_sha256": _seal(content)}


def _seal(content: dict) -> str:
    text = json.dumps({name: value for name, value in content.items() if name != "record_sha256"}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
