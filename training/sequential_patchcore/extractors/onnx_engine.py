# SPDX-License-Identifier: Apache-2.0
"""A network's feature maps on a CPU by ONNX Runtime: the same values up to rounding, in a fraction of torch's time.

How much faster, and why this engine: docs/deployment.md.
"""

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ..runtime.choices import AUTO, ONNX, TORCH
from ..runtime.errors import UserError
from ..runtime.onnx_session import onnx_session
from ..runtime.progress import say
from .onnx_graph import cached_graph

TOLERANCE = 2e-5
"""Largest difference from torch's maps on a probe image, of the map's largest value: rounding in another order."""

_PROBE_SIZE = (160, 224)  # pixels: whole cells of every usual stride, and not the size that the graph was made with

Maps = Callable[[torch.Tensor], list[torch.Tensor]]


class OnnxEngine:
    """Runs a graph of `onnx_graph` with as many threads as torch is set to at the time.

    Args:
        path: the graph's file.

    Raises:
        Exception: of ONNX Runtime, which has no common class for them: the file is no graph that it can run.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._threads = 0
        self._renew()

    def __call__(self, images: torch.Tensor) -> list[torch.Tensor]:
        """(1, 3, H, W) float32 RGB in [0, 1] on the CPU to its maps, each (1, C, h, w) float32, the finest first."""
        if self._threads != torch.get_num_threads():
            self._renew()
        arrays = self._session.run(None, {"images": images.contiguous().numpy()})
        return [torch.from_numpy(array) for array in arrays]

    def _renew(self) -> None:
        self._threads = torch.get_num_threads()
        self._session = onnx_session(self._path, self._threads)


def engine_on(device: torch.device | str, asked: str) -> str:
    """The engine to build an extractor with that is to work on a device: as asked, but torch for "auto" on a GPU.

    Raises:
        UserError: "onnx" on a GPU.
    """
    if torch.device(device).type == "cpu":
        return asked
    if asked == ONNX:
        raise UserError("the `engine` onnx computes on a CPU alone; take the `device` cpu, or another `engine`")
    return TORCH


def choose_engine(asked: str, precision: str) -> str:
    """The engine for a network's maps on a CPU, unless it turns out to disagree with torch: "torch" or "onnx".

    Args:
        asked: "auto", "torch" or "onnx".

    Raises:
        UserError: "onnx" where it cannot be: in another precision than float32, or it is not installed.
    """
    if asked == TORCH:
        return TORCH
    if precision != "float32":
        reason = f"computes in float32, not in {precision}; take that `precision`, or another `engine`"
    elif find_spec("onnxruntime") is None:
        reason = "is not installed: pip install onnxruntime, or take another `engine`"
    else:
        return ONNX
    if asked == ONNX:
        raise UserError(f"the `engine` onnx {reason}")
    return TORCH


def agreeing_engine(
    network: nn.Module, positions: Sequence[int], preprocessing: dict, fingerprint: str, reference: Maps, asked: str
) -> OnnxEngine | None:
    """The engine for a network where its maps are those of torch, within `TOLERANCE`; else None, and a line says why.

    A graph from the cache that cannot be run or disagrees is made once more.

    Args:
        network, positions, preprocessing, fingerprint: as for `cached_graph`.
        reference: torch's maps of (1, 3, H, W) images.
        asked: "auto" or "onnx", by which a failure is an error.

    Raises:
        UserError: it disagrees or cannot be had, and "onnx" was asked for.
    """
    reason = ""
    for attempt in range(2):
        path = None
        try:
            path = cached_graph(network, positions, preprocessing, fingerprint)
            engine = OnnxEngine(path)
            difference = largest_difference(engine, reference)
            if difference <= TOLERANCE:
                return engine
            reason = f"its maps differ from torch's by {difference:.1e} of their largest value"
        except Exception as error:  # the exporter and the runtime raise classes of their own
            reason = f"{type(error).__name__}: {(str(error).strip() or 'no reason given').splitlines()[0]}"
        if path is None or attempt:
            break
        path.unlink(missing_ok=True)
    if asked != AUTO:
        raise UserError(f"the `engine` onnx cannot be used for this network ({reason}); take the `engine` torch")
    say(f"note: features by torch, since ONNX Runtime cannot be used for this network ({reason})")
    return None


def largest_difference(engine: Maps, reference: Maps) -> float:
    """Between two sources of maps on a probe image of noise, of the largest value of the reference's map."""
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.random((1, 3, *_PROBE_SIZE), np.float32))
    differences = [0.0]
    for ours, theirs in zip(engine(images), reference(images), strict=True):
        if ours.shape != theirs.shape:
            return float("inf")
        largest = float(theirs.abs().max()) or 1.0
        difference = float((ours - theirs).abs().max()) / largest
        differences.append(difference if np.isfinite(difference) else float("inf"))
    return max(differences)
