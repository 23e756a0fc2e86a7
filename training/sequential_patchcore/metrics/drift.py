# SPDX-License-Identifier: Apache-2.0
"""Whether a sequence of numbers still looks like one that was drawn all the same: a conformal test, image by image.

The rank of each number among all before it, made a p-value with a random share of its ties, is uniform on (0, 1) and
independent of the ranks before, where the sequence is exchangeable; whatever the distribution (Vovk, Gammerman, Shafer,
"Algorithmic Learning in a Random World", 2005). A bet against that multiplies a stake by f(p), with f >= 0 of integral
1: f(p) = e p^(e - 1) gains by small p, its mirror by large ones. The Shiryaev-Roberts statistic sums the stakes of bets
that began at every image, R <- (1 + R) f(p). R less the number of images is a martingale, so that the mean number of
images until R reaches c is at least c (Vovk and others, "Retrain or not retrain: conformal test martingales for
change-point detection", COPA 2021). Several bets are averaged, which keeps the bound. Since the mean of R after n
images is n, the chance that it has reached c by then is at most n / c (Doob); so for K tests of one sequence with the
same c it is at most n K / c that one of them has, whatever they have to do with each other.

Where several numbers belong to each image, what is ranked is how strange its row is among all (`strangeness`).
"""

import bisect
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .strangeness import Strangeness

_FAR = 6.0
SHARPNESS = (0.1, 0.2, 0.4, 0.7)  # e of the bets: small for a sudden change, large for a slight one


@dataclass(frozen=True)
class Change:
    """What a test found.

    Attributes:
        since: number of the image, from 0 on, with which the change probably began.
        up: whether the numbers became larger.
        contrast: by how much the means before and after differ, in sigmas over the root of how many there are.
    """

    since: int
    up: bool
    contrast: float = 0.0


class ChangeTest:
    """A sequence of numbers, tested as it comes.

    Args:
        run_length: least mean number of images until a false alarm.
        seed: of the random shares of ties.
        strangeness: of rows of numbers; without it each image has one number.
    """

    def __init__(self, run_length: float, seed: int = 0, strangeness: Strangeness | None = None) -> None:
        if not run_length > 1:
            raise ValueError(f"expected a run length above 1, got {run_length}")
        self._limit, self._rng = run_length, np.random.default_rng(seed)
        self._exponents = np.array(SHARPNESS)
        self._ordered: list[float] = []
        bets = (2, len(SHARPNESS))  # small p-values, large ones
        self._sums = np.zeros(bets)
        self._values: list[float] = []  # in the order of the sequence
        self._strangeness = strangeness
        self.count = 0

    @property
    def evidence(self) -> float:
        """The statistic; an alarm is at `run_length`."""
        return float(self._sums.mean())

    def see(self, value: float | Sequence[float]) -> Change | None:
        """The next number, or the next row of them; what has changed, where the test alarms now.

        Raises:
            ValueError: not a finite number.
        """
        if not np.isfinite(value).all():
            raise ValueError(f"expected a finite number, got {value}")
        above, equal = self._rank(value)
        number = self.count
        self.count += 1
        share = 1.0 - self._rng.random()  # in (0, 1]
        p = min(max((above + share * (equal + 1)) / (number + 1), 1e-12), 1 - 1e-12)
        factors = self._exponents * np.array([[p], [1 - p]]) ** (self._exponents - 1)
        self._sums = (1 + self._sums) * factors
        if self._sums.mean() < self._limit:
            return None
        return likeliest_change(self._values if self._strangeness is None else self._strangeness.of_all())

    def _rank(self, value: float | Sequence[float]) -> tuple[int, int]:
        """How many of those before are larger, or stranger, and how many alike."""
        if self._strangeness is not None:
            self._strangeness.add(np.asarray(value, np.float64))
            found = self._strangeness.of_all()
            return int((found[:-1] > found[-1]).sum()), int((found[:-1] == found[-1]).sum())
        number = float(value)  # type: ignore[arg-type]
        below, upto = bisect.bisect_left(self._ordered, number), bisect.bisect_right(self._ordered, number)
        bisect.insort(self._ordered, number)
        self._values.append(number)
        return len(self._ordered) - 1 - upto, upto - below


def likeliest_change(values: Sequence[float] | np.ndarray) -> Change:
    """Where to cut a sequence of at least two numbers in two, so that the two means differ most for their numbers.

    In units of the median deviation, and at most `_FAR` of them, so that a single stray number decides nothing.
    """
    scores = np.clip(deviations(values, values), -_FAR, _FAR)
    after = np.arange(len(scores) - 1, 0, -1)  # how many numbers lie from image 1, 2, ... on
    sums = np.cumsum((scores - scores.mean())[::-1])[::-1][1:]
    contrast = sums / np.sqrt(after * (len(scores) - after))
    cut = int(np.abs(contrast).argmax())
    return Change(cut + 1, bool(contrast[cut] > 0), float(abs(contrast[cut]) * np.sqrt(len(scores))))


def deviations(values: Sequence[float] | np.ndarray, reference: Sequence[float] | np.ndarray) -> np.ndarray:
    """(n,) how far values lie from the reference's median, in its median absolute deviations scaled to sigmas."""
    known = np.asarray(reference, np.float64)
    centre = np.median(known)
    spread = 1.4826 * np.median(np.abs(known - centre))
    return (np.asarray(values, np.float64) - centre) / max(spread, 1e-9 * max(1.0, abs(centre)))
