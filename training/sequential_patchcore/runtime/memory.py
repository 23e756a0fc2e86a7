# SPDX-License-Identifier: Apache-2.0
"""How much memory a run will take, said before it starts; a chunk size that fits, or a refusal with advice."""

import re
import resource
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .errors import UserError

if TYPE_CHECKING:
    import torch

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40, "t": 10**12}
_BASE = 0.45 * 2**30  # the process itself with torch and OpenCV loaded and the walk compiled
_BASE_OF_NETWORKS = 0.15 * 2**30  # more with timm, and what building the whole network leaves behind
# Of one image being read, a pixel: the photograph and its copies as the augmentation holds them at the most (as read,
# flipped, and either blurred or the noise with its random bytes), the region twice; without it, the decoded bytes too.
_AUGMENTING, _READING = 3 * 3 * 4 + 3 + 4, 3 * 4 + 3 + 2
_READ = 3 * 4 + 1  # of one that waits: the image and its region
# glibc keeps what is freed of blocks below 32 MiB (M_MMAP_THRESHOLD in mallopt(3)) for the next ones, which rarely
# fit. Found with images of 1.3 megapixels; where the image
# itself is such a large block, as at 5 megapixels, so are most of the activations, and nothing to speak of is kept.
_KEPT_SHARE, _KEPT_AT_MOST, _KEPT_BELOW = 1.0, 5 * 32 * 2**20, 32 * 2**20
_LARGEST_CHUNK = 2048  # the paper's; from 512 on the matrix product runs at full speed
_SMALLEST_CHUNK = 128
_PARTS = ("base", "weights", "image", "loader", "features", "coreset", "all_patches")


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


def plan(
    largest: tuple[int, int], scaled: tuple[int, int], dimension: int, stride: int, activation_bytes: float,
    coreset_size: int, chunk_size: int | None, budget: int, workers: int = 1, all_patches: tuple[int, int] = (0, 0),
    augmented: bool = True, weights: int = 0,
) -> MemoryPlan:
    """The plan for images of at most `largest` (H, W) pixels, `scaled` (H, W) after scaling.

    Args:
        activation_bytes: per scaled pixel, from `activation_bytes_per_pixel`.
        chunk_size: None chooses the largest that fits, up to 2048.
        workers: images that are read ahead.
        all_patches: number and bytes of the patches that the greedy baseline holds.
        augmented: whether the images are changed as they are read.
        weights: bytes, from `weight_bytes`.

    Raises:
        UserError: it cannot fit, with what would help.
    """
    pixels, scaled_pixels = largest[0] * largest[1], scaled[0] * scaled[1]
    patches = -(-scaled[0] // stride) * -(-scaled[1] // stride)
    image = (pixels + 2 * scaled_pixels) * 3 * 4
    # Each thread works on one image while another waits; without threads the work is done in between.
    reading = _AUGMENTING if augmented else _READING
    loader = pixels * (workers * (reading + _READ) if workers else reading)
    activations = int(scaled_pixels * activation_bytes)
    kept = int(min(_KEPT_SHARE * activations, _KEPT_AT_MOST)) if scaled_pixels * 3 * 4 < _KEPT_BELOW else 0
    features = max(activations + kept, 2 * patches * dimension * 4)
    fixed = coreset_size * dimension * 4 * 4
    held, everything = all_patches
    base = int(_BASE + (_BASE_OF_NETWORKS if weights else 0))

    def at(chunk: int) -> MemoryPlan:
        # The matrix, that of the measured coverage, and the shortlist's; of the chunk itself the centred vectors twice,
        # those that are left, and the sample.
        coreset = fixed + chunk * coreset_size * 4 * 3 + 4 * chunk * dimension * 4
        return MemoryPlan(base, weights, image, loader, features, coreset, everything, chunk, budget)

    if chunk_size is not None:
        chosen = at(chunk_size)
    else:
        chunk = _LARGEST_CHUNK
        while chunk > _SMALLEST_CHUNK and at(chunk).total > budget:
            chunk //= 2
        chosen = at(chunk)
    if chosen.total > budget and everything:
        raise UserError(
            f"the greedy coreset holds all {held} patches, {gib(everything)}, and the run would take about "
            f"{gib(chosen.total)}; the budget is {gib(budget)}; leave out --coreset greedy (the sequential coreset "
            f"needs {gib(chosen.total - everything)}), take a part with --shard, or raise --memory-budget"
        )
    if chosen.total > budget:
        raise UserError(
            f"the run would take about {gib(chosen.total)} of memory and the budget is {gib(budget)}: images of "
            f"{largest[1]} x {largest[0]} need {gib(chosen.image + chosen.features)}, the coreset of {coreset_size} "
            f"{gib(chosen.coreset)}; lower --image-scale or --coreset-size, take a smaller backbone, "
            "or raise --memory-budget"
        )
    return chosen


def cap(device: "torch.device | str", budget: int) -> None:
    """On a GPU, let the allocator refuse what goes beyond the budget; a CPU has no such limit to set."""
    if str(device).startswith("cuda"):
        import torch

        whole = torch.cuda.get_device_properties(device).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, budget / whole), device)
        torch.cuda.reset_peak_memory_stats(device)


def peak_resident() -> int:
    """Bytes of the process that were resident at the same time, at the most.

    `ru_maxrss` also counts what the process that started this one held: it outlives the exec (getrusage(2)).
    """
    try:
        with open("/proc/self/status", encoding="ascii") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) * 1024
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux counts in KiB


def peak(device: "torch.device | str") -> str:
    """What was taken at the most: the allocator's peak on a GPU, and the resident memory of the process."""
    text = f"memory: at most {gib(peak_resident())} were resident"
    if str(device).startswith("cuda"):
        import torch

        text += f", {gib(torch.cuda.max_memory_allocated(device))} on the GPU"
    return text
