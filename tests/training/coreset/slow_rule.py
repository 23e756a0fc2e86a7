# SPDX-License-Identifier: Apache-2.0
"""The rule read aloud, as the reference for every fast form of it; and the streams that they are compared on."""

import numpy as np


def exact_squares(vector, others):
    """(D,), (N, D) float32 to (N,) float64: the order of summation that the coreset's exact distance is defined by."""
    squares = (vector.astype(np.float64) - others.astype(np.float64)) ** 2
    whole = vector.size - vector.size % 8
    sums = np.zeros((len(others), 8))
    for first in range(0, whole, 8):
        sums += squares[:, first : first + 8]
    s = sums.T
    total = ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]))
    for column in range(whole, vector.size):
        total = total + squares[:, column]
    return total


def coin(seed, patch_id, i, j):
    """The toss of "seeded-random", in whole numbers: SplitMix64's finaliser over seed, newcomer and pair."""
    value = 0
    for word in (seed, patch_id, (i << 32) | j):
        value = ((value ^ word) + 0x9E3779B97F4A7C15) % 2**64
        value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        value = (value ^ (value >> 27)) * 0x94D049BB133111EB % 2**64
        value ^= value >> 31
    return value >> 63 == 1


class SlowCoreset:
    """The rule, read aloud: a full matrix of distances, searched for every patch."""

    def __init__(self, size, seed=None):
        self.size, self.features, self.patch_ids, self.matrix = size, [], [], None
        self.seed = seed

    def epoch(self, patches):
        replaced = 0
        for patch_id, patch in enumerate(patches):
            if len(self.features) < self.size:
                self.features.append(patch.copy())
                self.patch_ids.append(patch_id)
                continue
            if self.matrix is None:
                self.features = np.stack(self.features)
                self.matrix = np.stack([exact_squares(one, self.features) for one in self.features])
                np.fill_diagonal(self.matrix, np.inf)
            distances = exact_squares(patch, self.features)
            i, j = np.unravel_index(np.argmin(self.matrix), self.matrix.shape)  # the first in row-major order
            if distances.min() > self.matrix[i, j]:
                out = min(i, j)
                if self.seed is not None and coin(self.seed, patch_id, int(min(i, j)), int(max(i, j))):
                    out = max(i, j)
                distances[out] = np.inf
                self.features[out], self.patch_ids[out] = patch, patch_id
                self.matrix[out, :] = self.matrix[:, out] = distances
                replaced += 1
        return replaced


def stream(kind, dimension, seed=0, count=300):
    rng = np.random.default_rng(seed)
    normal = rng.normal(size=(count, dimension))
    along = np.linspace(0, 1, count)[:, None] * rng.normal(size=(1, dimension))
    values = {
        "random": lambda: normal,
        "clustered": lambda: 10 * rng.normal(size=(7, dimension))[rng.integers(7, size=count)] + 0.01 * normal,
        "integer grid": lambda: rng.integers(0, 3, (count, dimension)),
        "sorted": lambda: normal[np.argsort(normal[:, 0])],
        "growing": lambda: normal * np.geomspace(1e-3, 1e3, count)[:, None],
        "sliding line": lambda: along,
        "large offset": lambda: 100 + 1e-3 * normal,
        "tiny": lambda: 1e-25 * normal,
        "constant": lambda: np.full((count, dimension), 0.1),
    }[kind]()
    return values.astype(np.float32)


KINDS = (
    "random", "clustered", "integer grid", "sorted", "growing", "sliding line", "large offset", "tiny", "constant",
)
