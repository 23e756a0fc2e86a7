# SPDX-License-Identifier: Apache-2.0
"""How much memory a run will take, said before it starts; a chunk size that fits, or a refusal with advice."""

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .choices import CHUNK_SIZE
from .errors import UserError

if TYPE_CHECKING:
    import torch

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40, "t": 10**12}
_BASE = int(0.45 * 2**30)  # the process itself with torch and OpenCV loaded and the walk compiled
_LEAST = int(0.38 * 2**30)  # of these whatever is resident: the system may have taken pages back meanwhile
# What a run adds to a process that has its network and its coreset rule at hand: what is imported late.
_TO_COME = int(0.04 * 2**30)
_SMALLEST_CHUNK = 128
_PARTS = ("base", "weights", "image", "loader", "features", "coreset", "all_patches")


@dataclass(frozen=True)
class Needs:
    """What the parts of a run say that they need, in bytes.

    Attributes:
        image: the largest image, scaled and as a tensor.
        features: the network's activations and the patches of that image.
        coreset: by the number of patches per matrix product.
        loader: images that are read ahead.
        libraries: those that not every run loads.
        weights: of the network.
        all_patches: all patches of the data, with the greedy baseline.
        image_size: (H, W) of the largest image, for messages.
        coreset_size: vectors of the coreset, for messages.
        patches: how many all patches are, for messages.
        advice: what would make the sequential run smaller, for messages.
    """

    image: int
    features: int
    coreset: Callable[[int], int]
    loader: int = 0
    libraries: int = 0
    weights: int = 0
    all_patches: int = 0
    image_size: tuple[int, int] = (0, 0)
    coreset_size: int = 0
    patches: int = 0
    advice: str = "lower `image_scale` or `coreset_size`, take a smaller `backbone`"


@dataclass(frozen=True)
class MemoryPlan:
    """What is expected to lie in memory at the same time, in bytes, and the chunk size chosen.

    Attributes:
        base: the interpreter and its libraries.
        weights: of the network.
        image: the photograph, scaled and as a tensor.
        loader: images that are read and augmented ahead.
        features: the network's activations, with what the allocator keeps of them, and the patches of one image.
        coreset: its vectors and the matrix of one chunk.
        all_patches: every patch of the data, with the greedy baseline; else 0.
        chunk_size: patches per matrix product.
        budget: what must not be exceeded.
    """

    base: int
    weights: int
    image: int
    loader: int
    features: int
    coreset: int
    all_patches: int
    chunk_size: int
    budget: int

    @property
    def total(self) -> int:
        return sum(getattr(self, name) for name in _PARTS)

    def __str__(self) -> str:
        parts = ", ".join(
            f"{name.replace('_', ' ')} {gib(getattr(self, name))}" for name in _PARTS if getattr(self, name)
        )
        return f"memory: about {gib(self.total)} of {gib(self.budget)} ({parts}; chunks of {self.chunk_size} patches)"


def gib(count: float) -> str:
    return f"{count / 2**30:.2f} GiB"


def parse_size(text: str) -> int:
    """"12GiB", "800 MB", "2e9" to bytes.

    Raises:
        UserError: not a size.
    """
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]*)?(?:e[0-9]{1,2})?)\s*([kmgt]?i?)b?\s*", text.lower())
    if match is None or match[2] not in _UNITS:
        raise UserError(f"{text!r} is not a size; expected a number and a unit, such as 12GiB or 800MB")
    return int(float(match[1]) * _UNITS[match[2]])


def plan(needs: Needs, budget: int, chunk_size: int | None = None, *, resident: int = 0) -> MemoryPlan:
    """Add up what the parts need.

    Args:
        budget: bytes that must not be exceeded.
        chunk_size: patches per matrix product; None chooses the largest that fits, up to `CHUNK_SIZE`.
        resident: bytes that the process holds already, with the network loaded and the coreset rule compiled, from
            `resident`; 0 where they are not known. The libraries of one build of torch take several times what those
            of another do.

    Raises:
        UserError: it cannot fit, with what would help.
    """
    if chunk_size is not None:
        chosen = _sum(needs, budget, chunk_size, resident)
    else:
        chunk_size = CHUNK_SIZE
        while (chosen := _sum(needs, budget, chunk_size, resident)).total > budget and chunk_size > _SMALLEST_CHUNK:
            chunk_size //= 2
    if chosen.total > budget:
        raise UserError(_refusal(needs, chosen))
    return chosen


def _sum(needs: Needs, budget: int, chunk_size: int, resident: int) -> MemoryPlan:
    base = _BASE + needs.libraries
    if resident:
        base = max(_LEAST + needs.libraries, resident - needs.weights + _TO_COME)
    return MemoryPlan(
        base, needs.weights, needs.image, needs.loader, needs.features, needs.coreset(chunk_size),
        needs.all_patches, chunk_size, budget,
    )


def _refusal(needs: Needs, chosen: MemoryPlan) -> str:
    if needs.all_patches:
        return (
            f"the greedy coreset holds all {needs.patches} patches, {gib(needs.all_patches)}, and the run would take "
            f"about {gib(chosen.total)}; the budget is {gib(chosen.budget)}; take another `coreset` (the sequential "
            f"coreset needs {gib(chosen.total - needs.all_patches)}), a part of the images with `shard`, or raise "
            "`memory_budget`"
        )
    height, width = needs.image_size
    return (
        f"the run would take about {gib(chosen.total)} of memory and the budget is {gib(chosen.budget)}: images of "
        f"{width} x {height} need {gib(chosen.image + chosen.features)}, the coreset of {needs.coreset_size} "
        f"{gib(chosen.coreset)}; {needs.advice}, or raise `memory_budget`"
    )


def cap(device: "torch.device | str", budget: int) -> None:
    """On a GPU, let the allocator refuse what goes beyond the budget; a CPU has no such limit to set."""
    if str(device).startswith("cuda"):
        import torch

        whole = torch.cuda.get_device_properties(device).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, budget / whole), device)
        torch.cuda.reset_peak_memory_stats(device)


def peak_resident() -> int | None:
    """Bytes of the process that were resident at the same time, at the most; None where the system does not say.

    `ru_maxrss` also counts what the process that started this one held: it outlives the exec (getrusage(2)).
    """
    try:
        return _of_this_process("VmHWM")
    except (OSError, StopIteration):
        pass  # no Linux
    try:
        import resource
    except ModuleNotFoundError:  # Windows has none
        return None
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else largest * 1024  # macOS counts in bytes, the others in KiB


def resident() -> int:
    """Bytes of the process that are resident now; 0 where the system does not say."""
    try:
        return _of_this_process("VmRSS")
    except (OSError, StopIteration):
        return 0


def _of_this_process(name: str) -> int:
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(f"{name}:")) * 1024


def peak(device: "torch.device | str") -> str:
    """What was taken at the most: the allocator's peak on a GPU, and the resident memory of the process."""
    resident_at_most = peak_resident()
    if resident_at_most is None:
        text = "memory: what was resident at the most this system does not say"
    else:
        text = f"memory: at most {gib(resident_at_most)} were resident"
    if str(device).startswith("cuda"):
        import torch

        text += f", {gib(torch.cuda.max_memory_allocated(device))} on the GPU"
    return text
