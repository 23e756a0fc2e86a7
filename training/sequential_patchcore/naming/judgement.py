# SPDX-License-Identifier: Apache-2.0
"""The rule at work: the patches of an image's regions to a verdict for each region. Arrays in, verdicts out."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..extractors.grid import Grid
from ..model.naming import Naming
from .pooling import worst_neighbourhood
from .regions import Surroundings
from .verdict import DEFECT, UNKNOWN, UNSURE, RegionVerdict

UNKNOWN_WINDOW = 5
"""Side, in cells, of the neighbourhoods over which unknown patches are counted: single ones are chance."""


@dataclass(frozen=True)
class PatchFigures:
    """The patches of an image's regions and of their surroundings, in the order of `Surroundings.cells`.

    Attributes:
        likeness: (n,) float64, log odds of a defect against an impurity.
        impurity: (n,) int64, place in `Naming.impurities` of the one that it would be.
        nominal: (n,) float32, distance to the nominal memory.
        remembered: (n,) float32, distance to the memory of that impurity; of a region's own patches alone, else 0.
    """

    likeness: np.ndarray
    impurity: np.ndarray
    nominal: np.ndarray
    remembered: np.ndarray


def likeness_and_impurity(naming: Naming, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first two of `PatchFigures` of (n, D) float32 patches."""
    scores = class_scores(naming.networks, vectors)
    defect = np.array([kind == "defect" for kind in naming.kinds])
    return _log_sum(scores[:, defect]) - _log_sum(scores[:, ~defect]), scores[:, ~defect].argmax(1)


def class_scores(networks: tuple[np.ndarray, ...], vectors: np.ndarray) -> np.ndarray:
    """(n, D) float32 to (n, G) float64: log probabilities, averaged over the networks of a `Naming`."""
    total = np.zeros((len(vectors), networks[3].shape[1]))
    for hidden_weights, hidden_offsets, weights, offsets in zip(*networks, strict=True):
        hidden = np.maximum(vectors @ hidden_weights.T + hidden_offsets, 0)
        scores = (hidden @ weights.T + offsets).astype(np.float64)
        total += scores - _log_sum(scores)[:, None]
    return total / len(networks[0])


def _log_sum(scores: np.ndarray) -> np.ndarray:
    """(n, G) to (n,) log of the sum of exponentials, without overflow."""
    highest = scores.max(1)
    return highest + np.log(np.exp(scores - highest[:, None]).sum(1))


def judge(
    naming: Naming, regions: Surroundings, figures: PatchFigures, grid: Grid,
    to_memories: Callable[[np.ndarray], list[dict[str, float]]],
) -> list[RegionVerdict]:
    """The verdict of each region of an image, in the order of their numbers.

    How like a defect it is, its surroundings say too, since a defect may alarm in part; what dirt it is, its own
    patches alone.

    Args:
        to_memories: gives of rows of `Surroundings.cells` the distance of each patch to each memory.
    """
    says, far, words = _what_patches_say(naming, figures)
    bounds = np.searchsorted(regions.region, np.arange(regions.count + 1))
    found, deciding = [], []
    for first, last in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        rows = slice(first, last)
        own = first + np.flatnonzero(regions.own[rows])
        likeness, middle = worst_neighbourhood(
            regions.cells[rows], figures.likeness[rows], naming.window, naming.likest
        )
        unknown, _ = worst_neighbourhood(
            regions.cells[own], far[own].astype(np.float64), UNKNOWN_WINDOW, UNKNOWN_WINDOW**2
        )
        votes = np.bincount(says[own], minlength=len(words))
        found.append((*_verdict(naming, likeness, unknown, votes, words), likeness, votes))
        deciding.append(first + middle)
    verdicts = []
    distances = to_memories(np.array(deciding, np.int64))
    for row, (verdict, reason, likeness, votes), to in zip(deciding, found, distances, strict=True):
        y, x = (int(value) for value in regions.cells[row])
        pixel_row, pixel_column = grid.pixel(y, x)
        verdicts.append(RegionVerdict(
            verdict, reason, likeness, {word: int(votes[k]) for k, word in enumerate(words) if votes[k]},
            float(figures.nominal[row]), to, (y, x), (round(pixel_column), round(pixel_row)),
        ))
    return verdicts


def _what_patches_say(naming: Naming, figures: PatchFigures) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """(n,) int64 places in the list of words: "defect" (as like one as a region that is called so), the names of the
    impurities, "unknown"; and (n,) bool, which patches are farther from the memory of the impurity that they would be
    than its own patches were."""
    words = [DEFECT, *naming.impurities, UNKNOWN]
    reach = np.array([reach for reach, kind in zip(naming.reach, naming.kinds, strict=True) if kind == "impurity"])
    far = figures.remembered > reach[figures.impurity]
    dirt = np.where(far, len(words) - 1, 1 + figures.impurity)
    return np.where(figures.likeness >= naming.defect_from, 0, dirt), far, words


def _verdict(
    naming: Naming, likeness: float, unknown: float, votes: np.ndarray, words: list[str]
) -> tuple[str, str]:
    if likeness >= naming.defect_from:
        return DEFECT, "like a defect"
    if likeness >= naming.pass_below:
        return UNSURE, "not unlike a defect" if naming.pass_below > -np.inf else "nothing can be promised"
    if unknown > naming.unknown_share:
        return UNSURE, "far from every memory"
    named = votes[1:-1]
    if not named.any():
        return UNSURE, "no patch says what it is"
    return words[1 + int(named.argmax())], "like no defect, and near the memory"
