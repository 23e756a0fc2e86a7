# SPDX-License-Identifier: Apache-2.0
"""The sequential part of the coreset rule, compiled: exact distances, and the walk through a chunk's candidates."""

import numpy as np
from numba import njit

from .screen import UNDERFLOW, UNIT_ROUNDOFF


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
def nearest_others(features, first, products, slack, nearest2, neighbour):
    for row in range(products.shape[0]):
        i = first + row
        nearest2[i], neighbour[i] = _nearest_of(features[i], products[row], slack[row], features, i)


@njit(cache=True)
def farthest_rows(patches, products, slack, upper, features, largest2):
    """The largest exact squared distance of a patch to its nearest vector; `upper` (B,) are bounds, falling."""
    for row in range(patches.shape[0]):
        if upper[row] <= largest2:
            break
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
    slack = 2 * terms * (UNIT_ROUNDOFF * np.float64(row.min()) + UNDERFLOW)
    nearest2[i], neighbour[i] = _nearest_of(features[i], row, slack, features, i)


@njit(cache=True)
def _mix(value):
    """The finaliser of SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014)."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@njit(cache=True)
def takes_higher(seed, tag, i, j):
    """A coin for the eviction: a hash of the seed, the newcomer's tag and the pair (i, j), i < j.

    No state is carried from one toss to the next, so neither chunks nor a resumption can disturb it.
    """
    step = np.uint64(0x9E3779B97F4A7C15)
    value = _mix(np.uint64(seed) + step)
    value = _mix((value ^ np.uint64(tag)) + step)
    value = _mix((value ^ ((np.uint64(i) << np.uint64(32)) | np.uint64(j))) + step)
    return (value >> np.uint64(63)) == np.uint64(1)


@njit(cache=True)
def walk(patches, tags, products, norms2, slack, least, where, features, feature_tags, nearest2, neighbour, seed):
    """Apply the rule to the patches of a chunk, in order.

    `products` (B, K) + `norms2` (B,) are approximate squared distances to the coreset as it was before the chunk;
    columns that were replaced since are evaluated anew from `features`. `least` and `where` are the row minima of
    `products` and their columns. `nearest2` (K,) and `neighbour` (K,) are each vector's nearest other vector, the first
    of equally near ones. `seed` >= 0 tosses a coin between the two of the closest pair, -1 takes the lower index.

    Returns:
        (K,) int64: how often each coreset vector was replaced.
    """
    size = features.shape[0]
    replaced = np.zeros(size, np.int64)
    changed = np.empty(size, np.int64)
    changes = 0
    row = np.empty(size, np.float32)
    scratch = np.empty(size, np.float32)
    lower = np.argmin(nearest2)
    separation2 = nearest2[lower]
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

        evicted = lower
        if seed >= 0 and takes_higher(seed, tags[k], lower, neighbour[lower]):
            evicted = neighbour[lower]
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
            elif np.float64(row[i]) * (1 - 2 * UNIT_ROUNDOFF) - error <= nearest2[i]:
                # The factor is for vectors that came in this chunk: theirs is an exact distance, rounded to float32.
                d = squared_distance(patch, features[i])
                if d < nearest2[i] or (d == nearest2[i] and evicted < neighbour[i]):
                    nearest2[i], neighbour[i] = d, evicted
        lower = np.argmin(nearest2)
        separation2 = nearest2[lower]
    return replaced
