# SPDX-License-Identifier: Apache-2.0
"""A convolutional network as an ONNX graph, from pixels to its feature maps, for images of any size.

Making one takes seconds, so the file is kept in the user's cache folder, under a name that holds all that it depends
on. torch's exporter folds batch norms into the convolutions before them.
"""

import io
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from ..runtime.files import atomic_path, remove_leftovers
from ..runtime.requests import digest_of

OPSET = 18
_VERSION = 1  # to be raised when the same network is to become another graph
_PROBE = 256  # pixels of the image that the exporter runs; the graph takes other sizes too


class _Maps(nn.Module):
    """(B, 3, H, W) RGB in [0, 1] to the wanted maps of a network, the finest first."""

    def __init__(self, network: nn.Module, positions: Sequence[int], preprocessing: dict) -> None:
        super().__init__()
        self.network, self._positions = network, tuple(positions)
        self.register_buffer("mean", torch.tensor(preprocessing["mean"])[:, None, None])
        self.register_buffer("std", torch.tensor(preprocessing["std"])[:, None, None])

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        maps = self.network((images - self.mean) / self.std)
        return tuple(maps[position] for position in self._positions)


def network_graph(network: nn.Module, positions: Sequence[int], preprocessing: dict) -> bytes:
    """The graph `images` (1, 3, H, W) float32 RGB in [0, 1] to `map0`, `map1`, ... as a serialised ONNX model.

    Args:
        network: on a CPU, in evaluation mode, returns a list of maps.
        positions: of the wanted maps in that list.
        preprocessing: holds `mean` and `std`, by which images are normalised.

    Raises:
        RuntimeError and others: what torch's exporter raises for a network that it cannot write.
    """
    module = _Maps(network, positions, preprocessing).eval()
    names = [f"map{number}" for number in range(len(positions))]
    sizes = {name: {2: f"{name}_height", 3: f"{name}_width"} for name in names}
    written = io.BytesIO()
    with warnings.catch_warnings(action="ignore"):  # the tracing exporter is deprecated, but needs no further package
        torch.onnx.export(
            module, (torch.rand(1, 3, _PROBE, _PROBE),), written, dynamo=False, opset_version=OPSET,
            input_names=["images"], output_names=names, dynamic_axes={"images": {2: "height", 3: "width"}, **sizes},
        )
    return written.getvalue()


def cached_graph(network: nn.Module, positions: Sequence[int], preprocessing: dict, fingerprint: str) -> Path:
    """The file of `network_graph` in the cache folder; made now if it is not there.

    Args:
        fingerprint: of the weights' values.

    Raises:
        UserError: the file cannot be written.
    """
    depends_on = [_VERSION, OPSET, torch.__version__, list(positions), preprocessing, fingerprint]
    path = cache_folder() / f"{fingerprint}-{digest_of(depends_on)}.onnx"
    if not path.is_file():
        remove_leftovers(path)
        graph = network_graph(network, positions, preprocessing)
        with atomic_path(path) as beside:
            beside.write_bytes(graph)
    return path


def cache_folder() -> Path:
    """Where graphs are kept: `SEQUENTIAL_PATCHCORE_CACHE` if that is set, else the user's cache folder."""
    if given := os.environ.get("SEQUENTIAL_PATCHCORE_CACHE"):
        return Path(given)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "sequential-patchcore" / "graphs"
