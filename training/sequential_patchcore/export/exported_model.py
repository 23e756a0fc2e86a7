# SPDX-License-Identifier: Apache-2.0
"""An exported graph at work: images to anomaly maps without torch, for `prediction`."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ..data.photographs import picture_size
from ..runtime.errors import UserError
from ..runtime.memory import gib, parse_size
from .products_record import read_products
from .record import ExportRecord, read_record

_BASE = 0.25 * 2**30  # the process with OpenCV and the engine, and the graph's constants


@dataclass(frozen=True)
class ExportedThreshold:
    """The threshold of an export; pixels with a score of at least `value` are anomalous."""

    value: float
    method: str


class ExportedModel:
    """Takes the place of a `Scorer` and of its model in `prediction`.

    Args:
        folder: of an export.
        threads: of the engine; None for all cores.

    Attributes:
        record: of the export.
        fingerprint: of the model and of the graph's files.
        threshold: as the model had it at the export; None without.
        products: thresholds by product and zone, as the model had them.

    Raises:
        UserError: no export, a damaged or foreign one, or its engine is not installed.
    """

    def __init__(self, folder: str | Path, threads: int | None = None) -> None:
        self.folder = Path(folder)
        self.record: ExportRecord = read_record(self.folder)
        self.conditions = {"blur_sigma": self.record.blur_sigma}
        self.fingerprint = "-".join([self.record.model, *(digest[:16] for digest in self.record.files.values())])
        self.data: tuple[dict, ...] = ()  # of the training images an export says nothing
        self.threshold: ExportedThreshold | None = None
        if self.record.threshold is not None:
            self.threshold = ExportedThreshold(self.record.threshold, self.record.threshold_method or "")
        self.products = read_products(self.record.products, self.folder)
        graph = self.folder / next(iter(self.record.files))
        self._run = runner(self.record.kind, graph, threads)

    def size_check(self, budget: str) -> Callable[[Path], None]:
        """A check of picture files against a budget such as "12GiB", by their headers, before they are decoded."""
        limit = parse_size(budget)

        def check(path: Path) -> None:
            size = picture_size(path)
            if size is not None and _BASE + size[0] * size[1] * self.record.bytes_per_pixel > limit:
                raise UserError(
                    f"{size[1]} x {size[0]} pixels would not fit into the memory budget of {gib(limit)}; cut the image "
                    "into parts, or raise `memory_budget`"
                )

        return check

    def anomaly_map(self, image: np.ndarray) -> np.ndarray:
        """(H, W, 3) float32 RGB in [0, 1] to (H, W) float32.

        Raises:
            UserError: an image of another size than the export was made for, or scores that are no finite numbers.
        """
        if self.record.size is not None and image.shape[:2] != self.record.size:
            height, width = self.record.size
            raise UserError(
                f"the export takes images of {width} x {height} pixels alone, this one has "
                f"{image.shape[1]} x {image.shape[0]}"
            )
        scores = self._run(np.ascontiguousarray(image, np.float32))
        if not np.isfinite(scores).all():
            raise UserError("the anomaly map holds values that are no finite numbers; check the model and the weights")
        return scores


def runner(kind: str, graph: Path, threads: int | None) -> Any:
    """A function from (H, W, 3) float32 images to (H, W) float32 maps, by the engine of that kind.

    Raises:
        UserError: the engine is not installed, or cannot run the graph.
    """
    package = {"onnx": "onnxruntime", "openvino": "openvino"}[kind]
    if find_spec(package) is None:
        raise UserError(f"an export of the kind {kind} needs the package {package}: pip install {package}")
    try:
        return _onnx_runner(graph, threads) if kind == "onnx" else _openvino_runner(graph, threads)
    except Exception as error:  # both engines raise classes of their own
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"{graph} cannot be run by {package}: {reason}") from error


def _onnx_runner(graph: Path, threads: int | None) -> Any:
    from ..runtime.onnx_session import onnx_session

    session = onnx_session(graph, threads or 0)
    name = session.get_inputs()[0].name
    return lambda image: session.run(None, {name: image})[0]


def _openvino_runner(graph: Path, threads: int | None) -> Any:
    import openvino

    settings = {"INFERENCE_PRECISION_HINT": "f32"} | ({"INFERENCE_NUM_THREADS": threads} if threads else {})
    compiled = openvino.Core().compile_model(graph, "CPU", settings)
    request = compiled.create_infer_request()
    return lambda image: np.array(request.infer([image])[compiled.output(0)])
