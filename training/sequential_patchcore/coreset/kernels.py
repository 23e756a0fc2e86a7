# SPDX-License-Identifier: Apache-2.0
"""The sequential part of the coreset rule, compiled: exact distances, the closest pair, the walk through a chunk.

The closest pair of vectors that change one at a time is kept with few distances computed anew. Each pair belongs to its
lower index: `bounds_sq[i]` (K,) float64 is about the pairs (i, j) with j > i, `partner[i]` (K,) int64 is the j of the
nearest, the first of equally near ones. The pair that comes first in row-major order is then (i, partner[i]) for the
first i of the least entry. When partner[i] leaves, what remains is no nearer: the entry stays as a lower bound, marked
by partner[i] = -1, and is computed anew only if it ever is the least. The lower index of a pair, which the paper's rule
evicts, takes its entry along, so that most replacements compute nothing anew. The last vector owns no pair, and its
entry is infinite.

"Approximate" distances are squared ones in float32, not negative, and err in each entry by at most the share `relative`
of it plus `slack`.

Compiled code, here and in any other module, calls functions and reads constants of its own file alone: numba drops what
it has cached of a function when that file changes, but not when another one does.
"""

import numpy as np
from numba import njit

UNIT_ROUNDOFF = 2.0**-24  # of float32
UNDERFLOW = 2.0**-125  # more than a float32 operation loses where its result is too small for a full-length fraction


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


@njit(fastmath=True, cache=True)
def _float32_distance(a, b):
    """(D,), (D,) to the squared distance, float32, in whatever order of summation is fastest."""
    total = np.float32(0)
    for i in range(a.size):
        d = a[i] - b[i]
        total += d * d
    return total


@njit(cache=True)
def _relative_error(dimension):
    """`_float32_distance` errs by at most this share of itself, and by `_underflow`.

    A sum of squares has no cancellation: it errs by gamma_(D+4) of the truth, hence at most twice that of itself.
    """
    return 2 * (dimension + 4) * UNIT_ROUNDOFF


@njit(cache=True)
def _underflow(dimension):
    """What the squares of very small differences lose at most, all together."""
    return 4 * (dimension + 12) * UNDERFLOW


@njit(cache=True)
def _least_of(values):
    """The least of a vector that is not empty; eight running minima, since each waits for the one before."""
    a = b = c = d = e = f = g = h = values[0]
    whole = values.size - values.size % 8
    for i in range(0, whole, 8):
        a = min(a, values[i])
        b = min(b, values[i + 1])
        c = min(c, values[i + 2])
        d = min(d, values[i + 3])
        e = min(e, values[i + 4])
        f = min(f, values[i + 5])
        g = min(g, values[i + 6])
        h = min(h, values[i + 7])
    least = min(min(min(a, b), min(c, d)), min(min(e, f), min(g, h)))
    for i in range(whole, values.size):
        least = min(least, values[i])
    return least


@njit(cache=True)
def _any_sum_within(a, b, limit):
    """Whether one of the sums a + b, of two float32 vectors, is at most `limit`; without a branch for each."""
    found = False
    for i in range(a.size):
        found |= np.float64(a[i] + b[i]) <= limit
    return found


@njit(cache=True)
def _any_within(values, limit):
    """Whether one of the float32 values is at most `limit`."""
    found = False
    for i in range(values.size):
        found |= np.float64(values[i]) <= limit
    return found


@njit(cache=True)
def _nearest_of(vector, approximate, relative, slack, features, first):
    """Exact least squared distance of `vector` to the rows of `features` from `first` on, and the first such row."""
    best, where = np.inf, -1
    if first >= approximate.size:
        return best, where
    upper = np.float64(_least_of(approximate[first:])) * (1 + relative) + slack
    limit = (upper + slack) / (1 - relative) * (1 + 1e-12)  # beyond it an entry's lower bound exceeds the upper one
    for c in range(first, approximate.size):
        if approximate[c] <= limit:
            d = squared_distance(vector, features[c])
            if d < best:
                best, where = d, c
    return best, where


@njit(cache=True)
def farthest_rows(patches, products, slack, upper, features, largest_sq):
    """The largest exact squared distance of a patch to its nearest vector; `upper` (B,) are bounds, falling.

    `products` (B, K) + the patch's squared norm would be the approximate distances; the norm decides nothing here.
    """
    for row in range(patches.shape[0]):
        if upper[row] <= largest_sq:
            break
        limit = np.float64(_least_of(products[row])) + 2 * slack[row]
        best = np.inf
        for c in range(features.shape[0]):
            if products[row, c] <= limit:
                best = min(best, squared_distance(patches[row], features[c]))
        if best > largest_sq:
            largest_sq = best
    return largest_sq


@njit(cache=True)
def own_pairs(features, first, approximate, slack, bounds_sq, partner):
    """Fill the entries from `first` on; `approximate` (B, K) err by at most `slack` (B,) in each row."""
    for row in range(approximate.shape[0]):
        i = first + row
        bounds_sq[i], partner[i] = _nearest_of(features[i], approximate[row], 0.0, slack[row], features, i + 1)


@njit(cache=True)
def _closest(features, bounds_sq, partner, scratch):
    """The lower index of the closest pair; its entry is exact afterwards. `scratch` (K,) float32."""
    while True:
        least = _least_of(bounds_sq)
        i = 0
        while bounds_sq[i] != least:
            i += 1
        if partner[i] >= 0:
            return i
        for c in range(i + 1, features.shape[0]):
            scratch[c] = _float32_distance(features[i], features[c])
        dimension = features.shape[1]
        bounds_sq[i], partner[i] = _nearest_of(
            features[i], scratch, _relative_error(dimension), _underflow(dimension), features, i + 1
        )


@njit(cache=True)
def _replace(features, i, vector, approximate, relative, slack, bounds_sq, partner):
    """Put `vector` in the place of vector i; `approximate` (K,) are its distances to all vectors, that to i ignored."""
    features[i] = vector
    bounds_sq[i], partner[i] = _nearest_of(vector, approximate, relative, slack, features, i + 1)
    for k in range(i):
        if partner[k] == i:
            partner[k] = -1
        if np.float64(approximate[k]) * (1 - relative) - slack <= bounds_sq[k]:
            d = squared_distance(vector, features[k])
            if d < bounds_sq[k]:
                bounds_sq[k], partner[k] = d, i
            elif d == bounds_sq[k] and i < partner[k]:  # where only a bound is known, another may be as near, and first
                partner[k] = i


@njit(cache=True)
def _mix(value):
    """The finaliser of SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014)."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@njit(cache=True)
def takes_higher(seed, patch_id, i, j):
    """A coin for the eviction: a hash of the seed, the newcomer's patch id and the pair (i, j), i < j.

    No state is carried from one toss to the next, so neither chunks nor a resumption can disturb it.
    """
    step = np.uint64(0x9E3779B97F4A7C15)
    value = _mix(np.uint64(seed) + step)
    value = _mix((value ^ np.uint64(patch_id)) + step)
    value = _mix((value ^ ((np.uint64(i) << np.uint64(32)) | np.uint64(j))) + step)
    return (value >> np.uint64(63)) == np.uint64(1)


@njit(cache=True)
def _one_is_near(patch, approximate, relative, slack, features, limit_sq):
    """Whether the exact squared distance of one of the vectors to the patch is at most `limit_sq`."""
    limit = (limit_sq + slack) / (1 - relative) * (1 + 1e-12)  # beyond it the lower bound exceeds limit_sq
    if _any_within(approximate, limit):
        for c in range(approximate.size):
            if approximate[c] <= limit and squared_distance(patch, features[c]) <= limit_sq:
                return True
    return False


@njit(cache=True)
def _finds_one_near(patch, features, relative, slack, limit_sq):
    """Whether a vector is certainly within `limit_sq`, by approximate distances; stops at the first."""
    for c in range(features.shape[0]):
        if np.float64(_float32_distance(patch, features[c])) * (1 + relative) + slack <= limit_sq:
            return True
    return False


@njit(cache=True)
def walk(patches, patch_ids, witness, products, norms_sq, slack, least, features, vector_ids, bounds_sq, partner, seed):
    """Apply the rule to the patches of a chunk, in order.

    `witness` (B,) int64 is a coreset vector that settles the patch as long as it stays, or -1 where the patch is open.
    Of the U open ones `products` (U, K) + `norms_sq` (U,) are approximate squared distances to the coreset as it was
    before the chunk, off by at most `slack` (U,); those of vectors that came since are evaluated anew from `features`.
    `least` (U,) are the row minima of `products`. `bounds_sq` (K,) and `partner` (K,) are as above, with an exact least
    entry afterwards. `seed` >= 0 tosses a coin between the two of the closest pair, -1 takes the lower index.

    Returns:
        (K,) int64: how often each coreset vector was replaced.
    """
    size, dimension = features.shape
    relative, tiny = _relative_error(dimension), _underflow(dimension)
    replaced = np.zeros(size, np.int64)
    changed = np.empty(size, np.int64)
    changes = 0
    gone = np.zeros(size, np.float32)  # infinite in the columns of `products` whose vector has been replaced
    distances = np.empty(size, np.float32)
    scratch = np.empty(size, np.float32)
    lower = _closest(features, bounds_sq, partner, scratch)
    separation_sq = bounds_sq[lower]
    u = -1  # of the open ones
    for k in range(patches.shape[0]):
        patch = patches[k]
        if witness[k] < 0:
            u += 1
            error = slack[u]
            norm_sq = norms_sq[u]
            limit = separation_sq - error - norm_sq
            if np.float64(least[u]) <= limit and (changes == 0 or _any_sum_within(products[u], gone, limit)):
                continue
            for c in range(size):
                distances[c] = max(products[u, c] + norm_sq, np.float32(0))  # no truth is negative
            for n in range(changes):
                distances[changed[n]] = _float32_distance(patch, features[changed[n]])
        else:
            if replaced[witness[k]] == 0 or _finds_one_near(patch, features, relative, tiny, separation_sq):
                continue
            error = tiny
            for c in range(size):
                distances[c] = _float32_distance(patch, features[c])
        if _one_is_near(patch, distances, relative, error, features, separation_sq):
            continue

        evicted = lower
        if seed >= 0 and takes_higher(seed, patch_ids[k], lower, partner[lower]):
            evicted = partner[lower]
        if replaced[evicted] == 0:
            changed[changes] = evicted
            changes += 1
            gone[evicted] = np.inf
        replaced[evicted] += 1
        _replace(features, evicted, patch, distances, relative, error, bounds_sq, partner)
        vector_ids[evicted] = patch_ids[k]
        lower = _closest(features, bounds_sq, partner, scratch)
        separation_sq = bounds_sq[lower]
    return replaced
