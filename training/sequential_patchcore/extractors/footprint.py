# SPDX-License-Identifier: Apache-2.0
"""What a network takes: its weights, and the tensors that are alive at the same time, counted at every operation."""

from collections.abc import Callable

import torch
from torch import nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_PROBE = 256  # pixels of the test image that activations are measured on
_BYTES_OF_FILTERS = 60.0  # per pixel: the filter bank works in bands; measured as in docs/real_data.md


class _LiveBytes(TorchDispatchMode):
    """Counts the storages that operations made and that nothing has freed yet."""

    def __init__(self) -> None:
        super().__init__()
        self.peak = 0
        self._alive: dict[int, tuple[StorageWeakRef, int]] = {}

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        result = operation(*args, **(kwargs or {}))
        self._alive = {address: each for address, each in self._alive.items() if not each[0].expired()}
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                self._alive.setdefault(storage._cdata, (StorageWeakRef(storage), storage.nbytes()))
        self.peak = max(self.peak, sum(count for _, count in self._alive.values()))
        return result


@torch.inference_mode()
def peak_live_bytes(action: Callable[[], object]) -> int:
    """The most that lies in tensors at the same time which `action` makes; what an operation takes inside is not seen.

    How near an estimate made of it is to what a process takes: tests/bench/bench_memory.py.
    """
    with _LiveBytes() as counted:
        action()
    return counted.peak


def weight_bytes(extractor: object) -> int:
    """What the network's parameters and buffers take; 0 for the filter bank."""
    network = getattr(extractor, "network", None)
    if not isinstance(network, nn.Module):
        return 0
    return sum(each.numel() * each.element_size() for each in (*network.parameters(), *network.buffers()))


def activation_bytes_per_pixel(extractor: object) -> float:
    """Peak of the activations and patches, counted on a small image."""
    network = getattr(extractor, "network", None)
    if not isinstance(network, nn.Module):
        return _BYTES_OF_FILTERS
    image = torch.zeros(1, 3, _PROBE, _PROBE, device=next(network.parameters()).device)
    return peak_live_bytes(lambda: extractor(image)) / _PROBE**2
