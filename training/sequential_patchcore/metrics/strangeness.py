# SPDX-License-Identifier: Apache-2.0
"""How strange each row of a table is among all of them; the same whatever the order of the rows.

What a conformal test (`drift`) ranks may be any number that treats the rows alike: what one column is beyond what goes
with the others by least squares, or how far a row lies from the middle of all. A number that varies much, but together
with others, is known much better beside them: the brightness of a plate beside how its surface spreads the light.
"""

from typing import Protocol

import numpy as np

_PRIOR = 2.0  # rows' worth of belief that columns do not go together: few rows show little else than chance


class Strangeness(Protocol):
    """Rows (d,) are added one by one; `of_all` gives a number for each, in the order of their coming."""

    def add(self, row: np.ndarray) -> None: ...

    def of_all(self) -> np.ndarray: ...


class _Rows:
    """Rows as they come, with their sum and their sum of outer products, so that a fit costs nothing more.

    Args:
        columns: d.
    """

    def __init__(self, columns: int) -> None:
        self._held = np.zeros((64, columns))
        self._origin = np.zeros(columns)
        self.count = 0
        self._sum, self._products = np.zeros(columns), np.zeros((columns, columns))

    def add(self, row: np.ndarray) -> None:
        given = np.asarray(row, np.float64)
        if not self.count:
            self._origin = given.copy()  # sums of differences from it lose no digits
        if self.count == len(self._held):
            self._held = np.concatenate([self._held, np.zeros_like(self._held)])
        moved = given - self._origin
        self._held[self.count] = moved
        self.count += 1
        self._sum += moved
        self._products += np.outer(moved, moved)

    @property
    def rows(self) -> np.ndarray:
        """(n, d) float64, from the first row on."""
        return self._held[: self.count]

    def middle_and_scatter(self) -> tuple[np.ndarray, np.ndarray]:
        """(d,) the mean, and (d, d) the sum of outer products about it."""
        middle = self._sum / self.count
        return middle, self._products - self.count * np.outer(middle, middle)


class Beside(_Rows):
    """What the first column is beyond what goes with the others: the rest of a ridge regression on them."""

    def of_all(self) -> np.ndarray:
        return self.rows[:, 0] - self.rows[:, 1:] @ self.weights()

    def weights(self) -> np.ndarray:
        """(d - 1,) of the other columns."""
        _, scatter = self.middle_and_scatter()
        own = _shrunk(scatter, self.count)
        return np.linalg.solve(own[1:, 1:], own[1:, 0])


class Apart(_Rows):
    """The squared distance of a row from the mean, in standard deviations (Mahalanobis)."""

    def of_all(self) -> np.ndarray:
        middle, scatter = self.middle_and_scatter()
        moved = self.rows - middle
        return (moved @ np.linalg.inv(_shrunk(scatter, self.count)) * moved).sum(1)


def _shrunk(scatter: np.ndarray, count: int) -> np.ndarray:
    """With the prior on its diagonal, and never singular."""
    diagonal = np.maximum(np.diag(scatter), 0.0)
    return scatter + np.diag(diagonal * (_PRIOR / count) + 1e-12 * (1.0 + diagonal.max()))
