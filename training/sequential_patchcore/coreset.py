# SPDX-License-Identifier: Apache-2.0
"""The sequential coreset: K vectors that cover a stream of patches, in memory that does not grow with the stream.

The rule (Mao, Fulir, Garth, Gospodnetić, arXiv 2501.09579, section IV). M holds K vectors.

1. Fill: the first K patches of the stream enter unseen.
2. Replace: for each further patch p, in order, let d_p be its distance to the nearest vector of M, and d_m the
   smallest distance between two vectors of M, taken by the pair (i, j) that comes first in row-major order.
   If d_p > d_m, p takes the place of the vector min(i, j).
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

Only each vector's distance to its nearest neighbour in M has to live between chunks; the K x K matrix is never formed.

Guarantee
---------
With R the covering radius (the largest distance of a patch to its nearest vector of M), M and the farthest patch are
K + 1 vectors at least min(R, d_m) apart, two of them share a centre of the best possible coreset, hence
R <= 2 max(1, R / d_m) OPT_K. `certified_factor` is that number; at convergence R <= d_m and it is 2.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numba import njit

_UNIT_ROUNDOFF = 2.0**-24  # of float32
_UNDERFLOW = 2.0**-125  # more than a float32 operation loses where its result is too small for a full-length fraction
_LARGEST = 1e15  # beyond it squares of long vectors could overflow float32


@dataclass(frozen=True)
class Coreset:
    """A coreset as it is stored: what a detector needs.

    Attributes:
        features: (K, D) float32.
        tags: (K,) int64, the caller's number of the patch that each vector came from.
    """

    features: np.ndarray
    tags: np.ndarray


class SequentialCoreset:
    """A coreset under construction.

    Args:
        size: K, the number of vectors to keep.
        dimension: D, the length of a patch vector.
        chunk_size: B, patches per matrix product; a matter of memory (B x K float32) and speed, never of the result.
        initial: a coreset to go on from (fine-tuning, melding, resuming); at most `size` vectors.
    """

    def __init__(self, size: int, dimension: int, chunk_size: int = 2048, initial: Coreset | None = None) -> None:
        if size < 2 or dimension < 1 or chunk_size < 1:
            raise ValueError(f"need size >= 2, dimension >= 1, chunk_size >= 1, got {size}, {dimension}, {chunk_size}")
        self.size, self.dimension, self.chunk_size = size, dimension, chunk_size
        self._features = np.zeros((size, dimension), np.float32)
        self._tags = np.full(size, -1, np.int64)
        self._nearest2 = np.full(size, np.inf)  # squared distance to the nearest other vector
        self._neighbour = np.full(size, -1, np.int64)  # which one that is
        self._filled = 0
        self._screen: _Screen | None = None
        if initial is not None:
            if len(initial.features) > size:
                raise ValueError(f"the initial coreset has {len(initial.features)} vectors, more than size {size}")
            if initial.features.shape[1:] != (dimension,):
                raise ValueError(f"the initial coreset is {initial.features.shape}, expected dimension {dimension}")
            self._fill(np.ascontiguousarray(initial.features, np.float32), np.asarray(initial.tags, np.int64))

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
        return float(np.sqrt(self._nearest2.min()))

    def result(self) -> Coreset:
        """A copy of the coreset as it stands."""
        return Coreset(self._features[: self._filled].copy(), self._tags[: self._filled].copy())

    def update(self, patches: torch.Tensor, tags: np.ndarray) -> int:
        """Show the next patches of the stream.

        Args:
            patches: (N, D) float32 on any device, finite, in stream order.
            tags: (N,) int64, one per patch, kept beside the vectors that stay.

        Returns:
            The number of replacements (entries during the fill are not replacements).

        Raises:
            ValueError: wrong shape or dtype, or a value that is not finite.
        """
        patches = _checked(patches, self.dimension)
        tags = np.ascontiguousarray(tags, np.int64)
        if tags.shape != (len(patches),):
            raise ValueError(f"expected {len(patches)} tags, got shape {tags.shape}")
        start = 0
        if not self.full:
            start = min(self.size - self._filled, len(patches))
            self._fill(patches[:start].cpu().numpy(), tags[:start])
        replaced = 0
        for first in range(start, len(patches), self.chunk_size):
            chunk = slice(first, first + self.chunk_size)
            replaced += self._replace(patches[chunk], tags[chunk])
        return replaced

    def farthest(self, patches: torch.Tensor) -> float:
        """The largest distance of these patches to their nearest vector, exactly; the coreset stays as it is.

        The maximum over all patches of a data set is its covering radius.
        """
        patches = _checked(patches, self.dimension)
        if self._filled == 0:
            raise ValueError("the coreset is empty")
        largest2 = 0.0
        for first in range(0, len(patches), self.chunk_size):
            chunk = patches[first : first + self.chunk_size]
            screen = self._screen_on(chunk.device)
            products, norms2 = screen.products(chunk)
            slack = screen.slack(norms2)
            upper = products.amin(1).double() + norms2 + slack
            rows = torch.nonzero(upper > largest2).flatten()
            if len(rows):
                rows = rows[torch.argsort(upper[rows], descending=True)]
                largest2 = _farthest_rows(
                    chunk[rows].cpu().numpy(), products[rows].cpu().numpy(), slack[rows].cpu().numpy(),
                    self._features[: self._filled], largest2,
                )
        return float(np.sqrt(largest2))

    def _fill(self, vectors: np.ndarray, tags: np.ndarray) -> None:
        end = self._filled + len(vectors)
        self._features[self._filled : end] = vectors
        self._tags[self._filled : end] = tags
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
            products, norms2 = screen.products(chunk)
            _nearest_others(
                features, first, products.numpy(), screen.slack(norms2).numpy(), self._nearest2, self._neighbour
            )

    def _replace(self, patches: torch.Tensor, tags: np.ndarray) -> int:
        screen = self._screen_on(patches.device)
        products, norms2 = screen.products(patches)
        slack = screen.slack(norms2)
        candidates = products.amin(1).double() + norms2 + slack > self._nearest2.min()
        if not bool(candidates.any()):
            return 0
        rest = slice(int(torch.argmax(candidates.to(torch.uint8))), None)  # rows before the first one are settled
        least, where = products[rest].min(1)
        replaced = _walk(
            patches[rest].cpu().numpy(), tags[rest], products[rest].cpu().numpy(), norms2[rest].cpu().numpy(),
            slack[rest].cpu().numpy(), least.cpu().numpy(), where.cpu().numpy(),
            self._features, self._tags, self._nearest2, self._neighbour,
        )
        if replaced.any():
            screen.refresh(self._features, np.flatnonzero(replaced))
        return int(replaced.sum())

    def _screen_on(self, device: torch.device) -> "_Screen":
        if self._screen is None or self._screen.device != device:
            self._screen = _Screen(self._features[: self._filled], device, self.chunk_size)
        return self._screen


def certified_factor(covering_radius: float, separation: float) -> float | None:
    """How far from the best possible coreset of this size at most: R <= factor x OPT_K. None if nothing is certain."""
    if separation > 0:
        return 2.0 * max(1.0, covering_radius / separation)
    return 2.0 if covering_radius == 0 else None


class _Screen:
    """Approximate squared distances of a chunk to the coreset by one matrix product, with a bound on their error."""

    def __init__(self, features: np.ndarray, device: torch.device, chunk_size: int) -> None:
        self.device = device
        # |a|² + |b|² - 2ab loses digits when the vectors share a large mean; any fixed centre serves.
        self.centre = torch.from_numpy(features.mean(0, dtype=np.float64).astype(np.float32)).to(device)
        self.vectors = torch.from_numpy(features).to(device) - self.centre
        self.norms2 = self.vectors.square().sum(1)
        self.radius = float(self.norms2.max().sqrt())
        self._out = torch.empty(chunk_size, len(features), device=device)

    def products(self, patches: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, D) patches to (B, K) approximate squared distances less the patch's own squared norm, and that (B,) norm.

        The norm is left out since the row minimum does not need it: one pass less over B x K numbers.
        """
        patches = patches - self.centre
        out = self._out[: len(patches)]
        torch.addmm(self.norms2, patches, self.vectors.T, alpha=-2, out=out)
        return out, patches.square().sum(1)

    def slack(self, norms2: torch.Tensor) -> torch.Tensor:
        """(B,) float64: `products + norms2` errs in each row by at most this.

        In any order of summation a float32 dot product of length D errs by at most gamma_D |a||b| with
        gamma_n = n u / (1 - n u) (Higham, Accuracy and Stability of Numerical Algorithms, section 3.1); the two squared
        norms, the centring and the three additions add a few u more, all of it relative to (|a| + |b|)². Squares of
        very small numbers lose all their digits; what each of the 3 D products loses is added.
        """
        terms = self.vectors.shape[1] + 12
        gamma = terms * _UNIT_ROUNDOFF / (1 - terms * _UNIT_ROUNDOFF)
        return gamma * (norms2.double().sqrt() + self.radius).square() + 4 * terms * _UNDERFLOW

    def refresh(self, features: np.ndarray, rows: np.ndarray) -> None:
        """Take over changed rows of the coreset."""
        where = torch.from_numpy(rows).to(self.device)
        vectors = torch.from_numpy(features[rows]).to(self.device) - self.centre
        self.vectors[where] = vectors
        norms2 = vectors.square().sum(1)
        self.norms2[where] = norms2
        self.radius = max(self.radius, float(norms2.max().sqrt()))


def _checked(patches: torch.Tensor, dimension: int) -> torch.Tensor:
    if patches.dtype != torch.float32 or patches.ndim != 2 or patches.shape[1] != dimension:
        raise ValueError(f"expected float32 (N, {dimension}), got {patches.dtype} {tuple(patches.shape)}")
    if len(patches) and not bool(patches.abs().max() < _LARGEST):
        raise ValueError(f"a patch vector holds a value that is not finite, or beyond {_LARGEST:g}")
    return patches.contiguous()


@njit(cache=True)
def squared_distance(a, b):
    """(D,), (D,) float32 to the squared distance, float64: eight running sums, in this order on every machine."""
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = 0.0
    whole = a.size - a.size % 8
    for i in range(0, whole, 8):
        d0 = np.float64(a[i]) - np.float64(b[i])
        d1 = np.float64(a[i + 1]) - np.float64(b[i + 1])
        d2 = np.float64(a[i + 2]) - np.float64(b[i + 2])
        d3 = np.float64(a[i + 3]) - np.float64(b[i + 3])
        d4 = np.float64(a[i + 4]) - np.float64(b[i + 4])
        d5 = np.float64(a[i + 5]) - np.float64(b[i + 5])
        d6 = np.float64(a[i + 6]) - np.float64(b[i + 6])
        d7 = np.float64(a[i + 7]) - np.float64(b[i + 7])
        s0 += d0 * d0
        s1 += d1 * d1
        s2 += d2 * d2
        s3 += d3 * d3
        s4 += d4 * d4
        s5 += d5 * d5
        s6 += d6 * d6
        s7 += d7 * d7
    total = ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7))
    for i in range(whole, a.size):
        d = np.float64(a[i]) - np.float64(b[i])
        total += d * d
    return total


@njit(cache=True)
def _nearest_of(vector, approximate, slack, features, skip):
    """Exact least squared distance of `vector` to the rows of `features` other than `skip`, and its row.

    `approximate` (K,) errs by at most `slack`: a row can be the nearest only within twice the slack of the least.
    """
    least = np.inf
    for c in range(approximate.size):
        if c != skip and approximate[c] < least:
            least = np.float64(approximate[c])
    best, where = np.inf, -1
    for c in range(approximate.size):
        if c != skip and approximate[c] <= least + 2 * slack:
            d = squared_distance(vector, features[c])
            if d < best:
                best, where = d, c
    return best, where


@njit(cache=True)
def _nearest_others(features, first, products, slack, nearest2, neighbour):
    for row in range(products.shape[0]):
        i = first + row
        nearest2[i], neighbour[i] = _nearest_of(features[i], products[row], slack[row], features, i)


@njit(cache=True)
def _farthest_rows(patches, products, slack, features, largest2):
    for row in range(patches.shape[0]):
        d, _ = _nearest_of(patches[row], products[row], slack[row], features, -1)
        if d > largest2:
            largest2 = d
    return largest2


@njit(fastmath=True, cache=True)
def _approximate_distances(vector, features, out):
    """(D,), (K, D) to squared distances (K,) float32, in whatever order of summation is fastest."""
    for c in range(features.shape[0]):
        total = np.float32(0)
        for i in range(vector.size):
            d = vector[i] - features[c, i]
            total += d * d
        out[c] = total


@njit(cache=True)
def _rescan(features, i, nearest2, neighbour, row):
    """Exact nearest neighbour of coreset vector i among all others; `row` (K,) float32 is scratch.

    A sum of squares has no cancellation: each approximate value errs by a small share of itself (gamma_(D+4)).
    """
    _approximate_distances(features[i], features, row)
    row[i] = np.inf
    terms = features.shape[1] + 4
    slack = 2 * terms * (_UNIT_ROUNDOFF * np.float64(row.min()) + _UNDERFLOW)
    nearest2[i], neighbour[i] = _nearest_of(features[i], row, slack, features, i)


@njit(cache=True)
def _walk(patches, tags, products, norms2, slack, least, where, features, feature_tags, nearest2, neighbour):
    """Apply the rule to the patches of a chunk, in order.

    `products` (B, K) + `norms2` (B,) are approximate squared distances to the coreset as it was before the chunk;
    columns that were replaced since are evaluated anew from `features`. `least` and `where` are the row minima of
    `products` and their columns.

    Returns:
        (K,) int64: how often each coreset vector was replaced.
    """
    size = features.shape[0]
    replaced = np.zeros(size, np.int64)
    changed = np.empty(size, np.int64)
    changes = 0
    row = np.empty(size, np.float32)
    scratch = np.empty(size, np.float32)
    evicted = np.argmin(nearest2)
    separation2 = nearest2[evicted]
    for k in range(patches.shape[0]):
        error = slack[k]
        if replaced[where[k]] == 0 and np.float64(least[k]) + norms2[k] + error <= separation2:
            continue
        patch = patches[k]
        row[:] = products[k] + norms2[k]
        for n in range(changes):
            row[changed[n]] = squared_distance(patch, features[changed[n]])
        distance2, _ = _nearest_of(patch, row, error, features, -1)
        if distance2 <= separation2:
            continue

        if replaced[evicted] == 0:
            changed[changes] = evicted
            changes += 1
        replaced[evicted] += 1
        features[evicted] = patch
        feature_tags[evicted] = tags[k]
        nearest2[evicted], neighbour[evicted] = _nearest_of(patch, row, error, features, evicted)
        for i in range(size):
            if i == evicted:
                continue
            if neighbour[i] == evicted:
                _rescan(features, i, nearest2, neighbour, scratch)
            elif np.float64(row[i]) * (1 - 2 * _UNIT_ROUNDOFF) - error < nearest2[i]:
                # The factor is for vectors that came in this chunk: theirs is an exact distance, rounded to float32.
                d = squared_distance(patch, features[i])
                if d < nearest2[i]:
                    nearest2[i], neighbour[i] = d, evicted
        evicted = np.argmin(nearest2)
        separation2 = nearest2[evicted]
    return replaced
