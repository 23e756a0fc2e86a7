# SPDX-License-Identifier: Apache-2.0
"""Arrays at the door of the package: numpy or torch in, float32 tensors inside, the same kind and device out."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from ..runtime.choices import LARGEST_VALUE

_ROWS = 1 << 16  # of an array that goes by in pieces, so that a conversion holds a piece and not a second whole


@dataclass(frozen=True)
class ArrayKind:
    """What a caller handed in, and hence gets back.

    Attributes:
        device: of a torch tensor; None stands for numpy.
    """

    device: torch.device | None = None

    @classmethod
    def of(cls, array: object) -> "ArrayKind":
        return cls(array.device if isinstance(array, torch.Tensor) else None)

    def give(self, array: np.ndarray | torch.Tensor) -> np.ndarray | torch.Tensor:
        """The same numbers as an array of this kind."""
        if self.device is None:
            return array.cpu().numpy() if isinstance(array, torch.Tensor) else array
        return (torch.from_numpy(array) if isinstance(array, np.ndarray) else array).to(self.device)


def as_vectors(X: object, dimension: int | None = None) -> torch.Tensor:
    """An array of N vectors of length D as the package takes it.

    Args:
        X: (N, D), numpy, torch or what numpy makes an array of; real numbers, taken as float32.
        dimension: the D that is expected; None takes any.

    Returns:
        (N, D) float32 without gradient, on the device that X is on.

    Raises:
        TypeError: not an array of real numbers.
        ValueError: another shape. The values are not looked at.
    """
    if isinstance(X, torch.Tensor):
        is_real = not (X.is_complex() or X.dtype == torch.bool)
    else:
        X = np.asarray(X)
        is_real = X.dtype.kind in "fiu"
    if not is_real:
        raise TypeError(f"expected vectors of real numbers, got an array of {X.dtype}")
    if X.ndim != 2 or X.shape[1] == 0:
        raise ValueError(f"expected vectors of shape (N, D), got {tuple(X.shape)}; for one vector x give x[None]")
    if dimension not in (None, X.shape[1]):
        raise ValueError(f"expected vectors of {dimension} numbers, as in the first batch, got {tuple(X.shape)}")
    if isinstance(X, torch.Tensor):
        return X.detach().to(torch.float32)
    with np.errstate(over="ignore"):  # what is too large for float32 becomes infinite and is refused as such
        vectors = np.ascontiguousarray(X, np.float32)
    return torch.from_numpy(vectors if vectors.flags.writeable else vectors.copy())  # torch warns of the others


def checked(vectors: torch.Tensor, dimension: int) -> torch.Tensor:
    """(N, D) float32 in one piece of memory, after a check of shape, dtype and values.

    Raises:
        ValueError: one of them is another than expected.
    """
    if vectors.dtype != torch.float32 or vectors.ndim != 2 or vectors.shape[1] != dimension:
        raise ValueError(f"expected float32 (N, {dimension}), got {vectors.dtype} {tuple(vectors.shape)}")
    if len(vectors) and not bool(torch.stack(vectors.aminmax()).abs().max() < LARGEST_VALUE):
        raise ValueError(f"a patch vector holds a value that is not finite, or beyond {LARGEST_VALUE:g}")
    return vectors.contiguous()


def as_ids(ids: object, count: int) -> np.ndarray:
    """(count,) int64.

    Raises:
        TypeError: not whole numbers.
        ValueError: another shape.
    """
    array = ids.detach().cpu().numpy() if isinstance(ids, torch.Tensor) else np.asarray(ids)
    if array.shape != (count,):
        raise ValueError(f"expected one id for each of the {count} vectors, got an array of shape {array.shape}")
    if array.dtype.kind not in "iu" and array.size:
        raise TypeError(f"expected whole numbers as ids, got {array.dtype}")
    return np.ascontiguousarray(array, np.int64)


def passes_over(X: object) -> Callable[[], Iterable[object]]:
    """A function that yields the batches of X, anew each time it is called.

    Args:
        X: (N, D), or such a function already.

    Raises:
        TypeError: neither; an iterator has one pass only.
        ValueError: an array of another shape.
    """
    if callable(X):
        return X
    if isinstance(X, Iterator) or not (isinstance(X, list | tuple) or hasattr(X, "__array__")):
        raise TypeError(
            f"expected an array (N, D) or a function that yields batches anew in each epoch, got {type(X).__name__}; "
            "wrap what can be iterated again and again in a function: `lambda: loader`"
        )
    array = X if isinstance(X, torch.Tensor) else np.asarray(X)
    if array.ndim != 2:
        raise ValueError(f"expected vectors of shape (N, D), got {tuple(array.shape)}")
    return lambda: (array[first : first + _ROWS] for first in range(0, len(array), _ROWS))
