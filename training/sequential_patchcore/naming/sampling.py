# SPDX-License-Identifier: Apache-2.0
"""A fair sample of any number of patches, in memory that does not grow with them."""

import numpy as np

LARGEST_BYTES = 24 << 20
"""Of one sample: 41,000 patches of length 152, or 4,000 of 1,536."""


class Sample:
    """A uniform random sample without replacement of all vectors that were added, by reservoir sampling (algorithm R:
    J. Vitter, "Random sampling with a reservoir", 1985).

    Args:
        length: D of a vector.
        seed: of the choice.
    """

    def __init__(self, length: int, seed: int, largest_bytes: int = LARGEST_BYTES) -> None:
        self.seen = 0
        self._most = max(1, largest_bytes // (4 * length))
        self._kept: list[np.ndarray] = []
        self._rng = np.random.default_rng(seed)

    def add(self, vectors: np.ndarray) -> None:
        """Add (n, D) float32 vectors."""
        free = min(len(vectors), max(0, self._most - self.seen))
        self._kept += list(np.array(vectors[:free], np.float32))
        for number, vector in enumerate(vectors[free:], self.seen + free):
            place = int(self._rng.integers(0, number + 1))
            if place < self._most:
                self._kept[place] = np.array(vector, np.float32)
        self.seen += len(vectors)

    @property
    def vectors(self) -> np.ndarray:
        """(k, D) float32."""
        return np.stack(self._kept)
