# SPDX-License-Identifier: Apache-2.0
"""A graphics processor that is not there: tensors on a device of their own, whose numbers are computed on the CPU.

What a real one refuses is refused: an operation that mixes devices (single numbers and indices apart, as in torch), and
numpy of a tensor that was not brought back. What makes the processor wait for the card is counted: copies to the CPU,
numbers read out of a tensor, and shapes that depend on values.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

GPU = torch.device("meta")  # torch without support for cards refuses to slice a tensor on `cuda`
_aten = torch.ops.aten
_COPIES = (_aten._to_copy.default, _aten.copy_.default)
_MAY_TAKE_INDICES_FROM_THE_CPU = (_aten.index.Tensor, _aten.index_put_.default, _aten._index_put_impl_.default)
_SHAPE_DEPENDS_ON_VALUES = (_aten.nonzero.default, _aten.masked_select.default, _aten._unique2.default)


class GpuTensor(torch.Tensor):
    """A tensor on the card that is not there; `held` has its numbers, on the CPU."""

    held: torch.Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl  # a result on the CPU must not become one of these

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> "GpuTensor":
        made = torch.Tensor._make_wrapper_subclass(
            cls, held.shape, strides=held.stride(), storage_offset=held.storage_offset(), dtype=held.dtype,
            device=GPU, dispatch_device=True,
        )
        made.held = held
        return made

    def __repr__(self) -> str:
        return f"GpuTensor({self.held!r})"

    @classmethod
    def __torch_dispatch__(
        cls, operation: Any, types: Sequence[type], args: tuple = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        return _run(operation, args, dict(kwargs or {}), Counter())


class SimulatedGpu(TorchDispatchMode):
    """While it is entered, tensors can be made on `GPU`; `waits` counts what waits for the card, by operation."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: Counter[str] = Counter()
        self.operations = 0

    def __torch_dispatch__(
        self, operation: Any, types: Sequence[type], args: tuple = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        self.operations += 1
        return _run(operation, args, dict(kwargs or {}), self.waits)


def _run(operation: Any, args: tuple, kwargs: dict[str, Any], waits: Counter[str]) -> Any:
    if operation is torch.ops.prim.device.default:
        return GPU if isinstance(args[0], GpuTensor) else args[0].device
    everything = [part for part in tree_flatten((args, kwargs))[0] if isinstance(part, torch.Tensor)]
    on_gpu = [part for part in everything if isinstance(part, GpuTensor)]
    to = kwargs.get("device")
    wanted = None if to is None else torch.device(to).type
    if operation in _COPIES:
        source = args[1] if operation is _COPIES[1] else args[0]
        target_is_gpu = isinstance(args[0], GpuTensor) if operation is _COPIES[1] else (
            wanted == GPU.type or (wanted is None and isinstance(source, GpuTensor)))
        if isinstance(source, GpuTensor) and not target_is_gpu:
            waits["copy to the CPU"] += 1
    else:
        target_is_gpu = bool(on_gpu) or wanted == GPU.type
        _refuse_mixed_devices(operation, args, everything, on_gpu)
        if on_gpu and operation is _aten._local_scalar_dense.default:
            waits["a number read"] += 1
        if on_gpu and operation in _SHAPE_DEPENDS_ON_VALUES:
            waits[str(operation)] += 1
        if on_gpu and operation in _MAY_TAKE_INDICES_FROM_THE_CPU:
            indices = [part for part in args[1] if isinstance(part, torch.Tensor)]
            if any(part.dtype == torch.bool for part in indices):
                waits["a mask as an index"] += 1
    if to is not None:
        kwargs["device"] = torch.device("cpu")
    held_of: dict[int, GpuTensor] = {id(part.held): part for part in on_gpu}
    found = operation(*tree_map(_held, args), **tree_map(_held, kwargs))

    def placed(part: Any) -> Any:
        if not isinstance(part, torch.Tensor) or not target_is_gpu or operation is _aten._local_scalar_dense.default:
            return part
        return held_of[id(part)] if id(part) in held_of else GpuTensor(part)  # in place: the tensor that was given

    return tree_map(placed, found)


def _held(part: Any) -> Any:
    return part.held if isinstance(part, GpuTensor) else part


def _refuse_mixed_devices(
    operation: Any, args: tuple, everything: list[torch.Tensor], on_gpu: list[GpuTensor]
) -> None:
    if not on_gpu:
        return
    beside = [part for part in everything if not isinstance(part, GpuTensor) and part.dim() > 0]
    if operation in _MAY_TAKE_INDICES_FROM_THE_CPU and isinstance(args[0], GpuTensor):
        beside = [part for part in beside if part.dtype not in (torch.int64, torch.bool, torch.int32)]
    if beside:
        raise RuntimeError(f"expected all tensors on one device: {operation} got some on {GPU} and some on the CPU")


def on_gpu(tensor: torch.Tensor) -> GpuTensor:
    """A copy of a CPU tensor on the card that is not there."""
    return GpuTensor(tensor.clone())
