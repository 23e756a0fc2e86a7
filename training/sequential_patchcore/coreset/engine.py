# SPDX-License-Identifier: Apache-2.0
"""The sequential coreset: K vectors that cover a stream of patches, in memory that does not grow with the stream.

The rule (Mao, Fulir, Garth, Gospodnetić, arXiv 2501.09579, section IV). M holds K vectors.

1. Fill: the first K patches of the stream enter unseen.
2. Replace: for each further patch p, in order, let d_p be its distance to the nearest vector of M, and d_m the
   smallest distance between two vectors of M, taken by the pair (i, j) that comes first in row-major order.
   If d_p > d_m, p takes the place of the vector min(i, j); with the eviction "seeded-random", of i or of j, by a coin.
3. Epochs: go through the stream again; once a whole epoch replaces nothing, M is final ("converged").

What makes it fast, and still exact
-----------------------------------
"Distance" is the squared Euclidean distance of the float32 vectors, differences and sums in float64, summed in an
order that the code fixes. Every decision is made on these numbers, so the result depends on neither the chunk size,
nor the BLAS library, nor the number of threads, nor the device.

Nearly every patch is rejected, and one matrix product for a whole chunk of patches shows it: the product gives every
distance up to a proven bound on its rounding error, and a patch whose approximate distance, plus that bound, is at most
d_m² is rejected for certain (d_m never falls, so a verdict also outlives the replacements inside the chunk, unless the
vector it rests on is evicted). Only the others are walked one by one, by compiled code that looks up the chunk's
products and evaluates exact distances for the few vectors that could be the nearest.

Even that product is mostly spared. A few vectors are near most patches, and a patch that is near enough to one of them
is rejected without the others (shortlist.py).

Of the K x K distances inside M only each vector's least one to a later vector lives between chunks, or a lower bound on
it (see walk); it follows from the vectors, so that nothing but these has to be stored.

Guarantee
---------
With R the covering radius (the largest distance of a patch to its nearest vector of M), M and the farthest patch are
K + 1 vectors at least min(R, d_m) apart, two of them share a centre of the best possible coreset, hence
R <= 2 max(1, R / d_m) OPT_K. `certified_factor` is that number; at convergence R <= d_m and it is 2. OPT_K is the best
radius over a set that holds M too: over the patches alone where M came from them as they are, otherwise (augmentation,
cut borders, fine-tuning on other data) over the patches and M's vectors together.
"""

from dataclasses import dataclass

import numpy as np
import torch

from ..runtime.choices import CHUNK_SIZE, EVICTIONS, LOWER_INDEX, SEEDED_RANDOM
from .arrays import checked
from .coverage import Watch, farthest_sq
from .coverage import bytes_needed as watch_bytes
from .kernels import own_pairs, walk
from .screen import Screen
from .screen import bytes_needed as screen_bytes
from .shortlist import Shortlist
from .shortlist import bytes_needed as shortlist_bytes


def bytes_needed(size: int, dimension: int, chunk_size: int) -> int:
    """What an engine holds at the most, with K vectors of length D and B patches a chunk, while it is watched.

    Its vectors, the screen of them, the watch, the shortlist; and of a chunk the patches that the shortlist has left.
    What is K or B numbers long counts for nothing beside them.
    """
    parts = (screen_bytes, watch_bytes, shortlist_bytes)
    return 4 * (size + chunk_size) * dimension + sum(part(size, dimension, chunk_size) for part in parts)


@dataclass(frozen=True)
class Coreset:
    """A coreset as it is stored: what a detector needs.

    Attributes:
        features: (K, D) float32.
        patch_ids: (K,) int64, the caller's number of the patch that each vector came from.
    """

    features: np.ndarray
    patch_ids: np.ndarray


class CoresetEngine:
    """A coreset under construction.

    Args:
        size: K, the number of vectors to keep.
        dimension: D, the length of a patch vector.
        chunk_size: B, patches per matrix product; a matter of memory (B x K float32) and speed, never of the result.
        initial: a coreset to go on from (fine-tuning, melding, resuming); at most `size` vectors.
        eviction: which of the closest pair makes room: "lower-index", as in the paper, or "seeded-random".
        seed: of the latter, at least 0.
    """

    def __init__(
        self, size: int, dimension: int, chunk_size: int = CHUNK_SIZE, initial: Coreset | None = None,
        eviction: str = LOWER_INDEX, seed: int = 0,
    ) -> None:
        if size < 2 or dimension < 1 or chunk_size < 1:
            raise ValueError(f"need size >= 2, dimension >= 1, chunk_size >= 1, got {size}, {dimension}, {chunk_size}")
        if eviction not in EVICTIONS or not 0 <= seed < 1 << 62:
            raise ValueError(f"expected an eviction of {EVICTIONS} and a seed from 0 on, got {eviction!r}, {seed}")
        self._coin = seed if eviction == SEEDED_RANDOM else -1
        self.size, self.dimension, self.chunk_size = size, dimension, chunk_size
        self._features = np.zeros((size, dimension), np.float32)
        self._patch_ids = np.full(size, -1, np.int64)
        self._bounds_sq = np.full(size, np.inf)  # of the pairs that each vector owns, see walk
        self._partner = np.full(size, -1, np.int64)
        self._filled = 0
        self._screen: Screen | None = None
        self._shortlist = Shortlist(size, dimension, chunk_size)
        self._watch: Watch | None = None
        if initial is not None:
            if len(initial.features) > size:
                raise ValueError(f"the initial coreset has {len(initial.features)} vectors, more than size {size}")
            if initial.features.shape[1:] != (dimension,):
                raise ValueError(f"the initial coreset is {initial.features.shape}, expected dimension {dimension}")
            self._fill(np.ascontiguousarray(initial.features, np.float32), np.asarray(initial.patch_ids, np.int64))

    @property
    def filled(self) -> int:
        """Number of vectors present, K once the fill is over."""
        return self._filled

    @property
    def full(self) -> bool:
        return self._filled == self.size

    @property
    def separation(self) -> float:
        """d_m, the smallest distance between two vectors; inf until the fill is over, which it has no part in."""
        return float(np.sqrt(self._bounds_sq.min()))

    def result(self) -> Coreset:
        """A copy of the coreset as it stands."""
        return Coreset(self._features[: self._filled].copy(), self._patch_ids[: self._filled].copy())

    def update(self, patches: torch.Tensor, patch_ids: np.ndarray) -> int:
        """Show the next patches of the stream.

        Args:
            patches: (N, D) float32 on any device, finite, in stream order.
            patch_ids: (N,) int64, one per patch, kept beside the vectors that stay.

        Returns:
            The number of replacements (entries during the fill are not replacements).

        Raises:
            ValueError: wrong shape or dtype, or a value that is not finite.
        """
        patches = checked(patches, self.dimension)
        patch_ids = np.ascontiguousarray(patch_ids, np.int64)
        if patch_ids.shape != (len(patches),):
            raise ValueError(f"expected {len(patches)} patch_ids, got shape {patch_ids.shape}")
        start = 0
        if not self.full:
            start = min(self.size - self._filled, len(patches))
            self._fill(patches[:start].cpu().numpy(), patch_ids[:start])
        replaced = 0
        for first in range(start, len(patches), self.chunk_size):
            chunk = slice(first, first + self.chunk_size)
            replaced += self._replace(patches[chunk], patch_ids[chunk])
        return replaced

    def farthest(self, patches: torch.Tensor, known: float = 0.0) -> float:
        """The largest distance of these patches to their nearest vector, exactly; the coreset stays as it is.

        The maximum over all patches of a data set is its covering radius. With what is `known` of it from other patches
        only larger distances are looked for; the result is `known` where there are none.
        """
        patches = checked(patches, self.dimension)
        if self._filled == 0:
            raise ValueError("the coreset is empty")
        largest_sq = known * known * (1 - 1e-15)  # not above what the root was taken of
        for first in range(0, len(patches), self.chunk_size):
            chunk = patches[first : first + self.chunk_size]
            screen = self._screen_on(chunk.device)
            centred, norms_sq = screen.centred(chunk)
            witness = self._shortlist.settle(screen, centred, norms_sq + screen.slack(norms_sq), largest_sq)
            rows = np.flatnonzero(witness < 0)
            if len(rows) < len(chunk):
                chunk = chunk[torch.from_numpy(rows)]
            largest_sq = farthest_sq(chunk, screen, self._features[: self._filled], largest_sq)
        return max(known, float(np.sqrt(largest_sq)))

    @property
    def watched(self) -> Watch | None:
        """The measurement under way, see `watch`."""
        return self._watch

    def watch(self, features: np.ndarray | None = None, largest_sq: float = 0.0) -> None:
        """Measure the covering radius of the coreset as it stands now, over the patches that are shown from here on.

        Args:
            features: (K, D), the coreset as it stood when a measurement began that goes on here.
            largest_sq: what that measurement had found.

        Raises:
            ValueError: the coreset is not full.
        """
        if not self.full:
            raise ValueError("only a full coreset can be watched")
        features = self._features.copy() if features is None else np.ascontiguousarray(features, np.float32)
        if features.shape != self._features.shape:
            raise ValueError(f"expected the watched coreset {self._features.shape}, got {features.shape}")
        self._watch = Watch(features, self.chunk_size, self._features, largest_sq)
        self._shortlist.drop(np.flatnonzero(self._watch.is_changed))

    def unwatch(self) -> float | None:
        """End the measurement: the covering radius that it found; None where none was under way."""
        watch, self._watch = self._watch, None
        return None if watch is None else watch.radius

    def _fill(self, vectors: np.ndarray, patch_ids: np.ndarray) -> None:
        end = self._filled + len(vectors)
        self._features[self._filled : end] = vectors
        self._patch_ids[self._filled : end] = patch_ids
        self._filled = end
        self._screen = None
        if self.full:
            self._find_neighbours()

    def _find_neighbours(self) -> None:
        """All nearest neighbours inside the coreset, exactly, a chunk of rows at a time."""
        features = self._features[: self._filled]
        rows = torch.from_numpy(features)
        screen = self._screen_on(rows.device)
        for first in range(0, len(rows), self.chunk_size):
            chunk = rows[first : first + self.chunk_size]
            centred, norms_sq = screen.centred(chunk)
            distances = screen.products(centred).add_(norms_sq[:, None]).clamp_min_(0).numpy()
            own_pairs(features, first, distances, screen.slack(norms_sq).numpy(), self._bounds_sq, self._partner)

    def _replace(self, patches: torch.Tensor, patch_ids: np.ndarray) -> int:
        screen = self._screen_on(patches.device)
        separation_sq = self._bounds_sq.min()
        if self._shortlist.note(patches):
            self._shortlist.learn(screen, separation_sq, None if self._watch is None else self._watch.is_changed)
        limit_sq = separation_sq if self._watch is None else min(separation_sq, self._watch.largest_sq)
        centred, norms_sq = screen.centred(patches)
        slack = screen.slack(norms_sq)
        witness = self._shortlist.settle(screen, centred, norms_sq + slack, limit_sq)
        rows = np.flatnonzero(witness < 0)
        if len(rows) == 0:
            return 0
        shown = patches
        if len(rows) < len(patches):
            where = torch.from_numpy(rows)
            shown, centred, norms_sq, slack = patches[where], centred[where], norms_sq[where], slack[where]
        products = screen.products(centred)
        least, offset = products.amin(1), norms_sq + slack
        changed = np.empty(0, np.int64)
        replaced = 0
        if bool((least.double() + offset > separation_sq).any()):
            times = walk(
                patches.cpu().numpy(), patch_ids, witness, products.cpu().numpy(), norms_sq.cpu().numpy(),
                slack.cpu().numpy(), least.cpu().numpy(), self._features, self._patch_ids, self._bounds_sq,
                self._partner, self._coin,
            )
            changed, replaced = np.flatnonzero(times), int(times.sum())
        if self._watch is not None:  # after the walk, since it overwrites products
            self._watch.see(shown, products, least, offset)
            self._watch.changed(changed)
        if replaced:
            screen.refresh(self._features, changed)
            self._shortlist.drop(changed)
        return replaced

    def _screen_on(self, device: torch.device) -> "Screen":
        if self._screen is None or self._screen.device != device:
            self._screen = Screen(self._features[: self._filled], device, self.chunk_size)
        return self._screen


def compile_rule() -> None:
    """Have all compiled that an engine compiles at its first patches, by a coreset of two vectors."""
    engine = CoresetEngine(2, 4, 4)
    patches = torch.arange(32, dtype=torch.float32).reshape(8, 4)
    for _ in range(2):
        engine.update(patches, np.arange(8))
        if engine.full:
            engine.watch()
    engine.farthest(patches, 0.0)
