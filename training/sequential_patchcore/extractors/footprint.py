# SPDX-License-Identifier: Apache-2.0
"""How many bytes of tensors are alive at the same time while something is computed, counted at every operation."""

from collections.abc import Callable

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


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
