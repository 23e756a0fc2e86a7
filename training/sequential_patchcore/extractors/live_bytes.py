# SPDX-License-Identifier: Apache-2.0
"""The tensors that are alive at the same time, counted at every operation.

The one module that leans on parts of torch without a promise of stability; where they cannot be imported, `footprint`
makes do with an estimate.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode


class _LiveBytes(TorchDispatchMode):
    """Counts the storages that operations made and that nothing has freed yet."""

    def __init__(self) -> None:
        super().__init__()
        self.peak = 0
        self._alive: dict[StorageWeakRef, int] = {}

    def __torch_dispatch__(
        self, operation: Callable[..., Any], types: Sequence[type], args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = operation(*args, **(kwargs or {}))
        self._alive = {storage: count for storage, count in self._alive.items() if not storage.expired()}
        for tensor in _tensors(result):
            storage = tensor.untyped_storage()
            self._alive.setdefault(StorageWeakRef(storage), storage.nbytes())
        self.peak = max(self.peak, sum(self._alive.values()))
        return result


def _tensors(result: Any) -> Iterator[torch.Tensor]:
    """What an operation returned: a tensor, or tensors in lists and tuples."""
    if isinstance(result, torch.Tensor):
        yield result
    elif isinstance(result, list | tuple):
        for part in result:
            yield from _tensors(part)


@torch.inference_mode()
def peak_live_bytes(action: Callable[[], object]) -> int:
    """The most that lies in tensors at the same time which `action` makes; what an operation takes inside is not seen.

    How near an estimate made of it is to what a process takes: tests/bench/bench_memory.py.
    """
    with _LiveBytes() as counted:
        action()
    return counted.peak
