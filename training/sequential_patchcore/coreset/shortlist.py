# SPDX-License-Identifier: Apache-2.0
"""The few coreset vectors that are near most patches, tried before all others.

To reject a patch one vector within the separation is enough, whichever it is, and some vectors are near a great share
of all patches. They are found by greedy set cover over a sample of the stream, and stand in the order in which the
cover took them. A verdict rests on the screen's proven bound, so the list is of influence on the time alone.
"""

import numpy as np
import torch
from numba import njit

from .screen import Screen

_LEARN_AT = (1, 4, 16, 64)  # lessons after so many chunks, since the coreset changes fast at first
_LEARN_EVERY = 128  # chunks; the sample is spread over as many
_STAGES = (32, 16, 8, 4)  # a stage ends at a 32nd of the coreset, at a 16th, …
_WORTH = 2.0  # a stage must save this many times what it costs on the sample, which flatters it
_SMALLEST = 64  # vectors; for fewer the whole product costs next to nothing


def bytes_needed(size: int, dimension: int, chunk_size: int) -> int:
    """What a shortlist holds: its sample; and while it is at work a chunk's products with the listed vectors, or which
    of all K vectors are near the sample, neither of which is more than a chunk's products with all."""
    return 4 * (chunk_size * dimension + chunk_size * size)


class Shortlist:
    """Which vectors to try first, learnt from the patches that go by.

    Args:
        size: K, of the coreset.
        dimension: D.
        chunk_size: B; also the size of the sample.
    """

    def __init__(self, size: int, dimension: int, chunk_size: int) -> None:
        self._size = size
        self._sample = np.empty((chunk_size if size >= _SMALLEST else 0, dimension), np.float32)
        self._filled = self._next = self._chunks = 0
        self._columns = np.empty(0, np.int64)  # the list
        self._ends: list[int] = []  # of its stages

    def settle(self, screen: Screen, centred: torch.Tensor, offset: torch.Tensor, limit_sq: float) -> np.ndarray:
        """Find for each patch a listed vector that is certainly within `limit_sq`.

        Args:
            centred: (B, D) from the screen.
            offset: (B,) float64, each patch's squared norm plus the bound on the error of its products.
            limit_sq: a squared distance.

        Returns:
            (B,) int64: the number of that vector in the coreset, -1 where none was found.
        """
        witness = np.full(len(centred), -1)
        if screen.device.type != "cpu":  # on a GPU asking for the rows that are left costs more than the whole product
            return witness
        rows = np.arange(len(centred))
        first = 0
        for end in self._ends:
            columns = self._columns[first:end]
            products = screen.products_with(centred, columns)
            left = _witnesses(products.numpy(), offset.numpy(), limit_sq, columns, rows, witness)
            if len(left) == 0:
                break
            rows, kept = rows[left], torch.from_numpy(left)
            centred, offset = centred[kept], offset[kept]
            first = end
        return witness

    def drop(self, changed: np.ndarray) -> None:
        """Take these rows of the coreset off the list: they are other vectors now."""
        keep = ~np.isin(self._columns, changed)
        if not keep.all():
            self._ends = [int(keep[:end].sum()) for end in self._ends]
            self._columns = self._columns[keep]

    def note(self, patches: torch.Tensor) -> bool:
        """Take some of a chunk into the sample; whether it is time to learn from it."""
        if len(self._sample) == 0 or patches.device.type != "cpu":
            return False
        self._chunks += 1
        # The first chunk wholly, half of the second, a third of the third: a sample of all that went by lately.
        wanted = max(1, len(self._sample) // min(self._chunks, _LEARN_EVERY))
        taken = patches[:: max(1, len(patches) // wanted)][:wanted].numpy()
        places = (self._next + np.arange(len(taken))) % len(self._sample)
        self._sample[places] = taken
        self._next = int(places[-1] + 1) % len(self._sample)
        self._filled = min(len(self._sample), self._filled + len(taken))
        return self._chunks in _LEARN_AT or self._chunks % _LEARN_EVERY == 0

    def learn(self, screen: Screen, limit_sq: float, excluded: np.ndarray | None = None) -> None:
        """Make the list anew for `limit_sq`, without the `excluded` (K,) vectors."""
        centred, norms_sq = screen.centred(torch.from_numpy(self._sample[: self._filled]))
        products = screen.products(centred)
        products += (norms_sq + screen.slack(norms_sq)).float()[:, None]  # rounded: a guess is good enough here
        near = (products <= limit_sq).numpy()
        if excluded is not None:
            near[:, excluded] = False
        self._columns, covered = _set_cover(near, self._size // _STAGES[-1])
        self._ends = _stages_worth_it(covered, self._filled, self._size)
        self._columns = self._columns[: self._ends[-1] if self._ends else 0]


def _stages_worth_it(covered: np.ndarray, rows: int, size: int) -> list[int]:
    """Ends of the stages; `covered` (n,) counts the rows that the first 1, 2, … n vectors cover together."""
    ends: list[int] = []
    first, before = 0, 0
    for share in _STAGES:
        end = min(size // share, len(covered))
        if end <= first:
            break
        if (covered[end - 1] - before) * size < _WORTH * (end - first) * (rows - before):
            break
        ends.append(end)
        first, before = end, covered[end - 1]
    return ends


@njit(cache=True)
def _witnesses(products, offset, limit_sq, columns, rows, witness):
    """Write the first sufficient column of each row of `products` into witness[rows]; the rows that have none."""
    left = np.empty(products.shape[0], np.int64)
    count = 0
    for row in range(products.shape[0]):
        found = -1
        for c in range(products.shape[1]):
            if np.float64(products[row, c]) + offset[row] <= limit_sq:
                found = columns[c]
                break
        if found < 0:
            left[count] = row
            count += 1
        else:
            witness[rows[row]] = found
    return left[:count]


@njit(cache=True)
def _set_cover(near, limit):
    """Greedy set cover of the rows of `near` (S, K) by at most `limit` columns, and how many rows the first n cover.

    When all are covered it begins anew with the columns that are left, for patches that are not in the sample.
    """
    columns, covered = np.empty(limit, np.int64), np.empty(limit, np.int64)
    taken = np.zeros(near.shape[1], np.bool_)
    done = np.zeros(near.shape[0], np.bool_)
    count = total = rounds = 0
    while count < limit:
        gains = np.zeros(near.shape[1], np.int64)
        for row in range(near.shape[0]):
            for c in range(near.shape[1]):
                gains[c] += near[row, c]
        gains[taken] = 0
        if gains.max() == 0:
            break
        done[:] = False
        while count < limit:
            best = np.argmax(gains)
            if gains[best] == 0:
                break
            if rounds == 0:
                total += gains[best]
            columns[count], covered[count], taken[best] = best, total, True
            count += 1
            for row in range(near.shape[0]):
                if near[row, best] and not done[row]:
                    done[row] = True
                    for c in range(near.shape[1]):
                        gains[c] -= near[row, c]
            gains[best] = 0
        rounds += 1
    return columns[:count], covered[:count]
