# SPDX-License-Identifier: Apache-2.0
"""What has changed, from the numbers of the images before and after (`picture_numbers`): light, focus, noise, surface.

Each cause leaves most numbers alone. *Light* as a whole changes the brightness beyond what goes with the surface, and
no share of it. A lamp that fails in part, or stands elsewhere, lights one side less than the other: a tilt, which a
surface does not show, since it looks the same from both sides. A camera out of *focus* takes contrast away, the more
the finer it is; *noise* adds it in single pixels and hardly beyond. Whatever else changes is the *surface*: dirt
everywhere, or another product.
"""

import math
from collections.abc import Sequence

import numpy as np

from ..metrics.drift import deviations
from ..metrics.strangeness import Beside
from .picture_numbers import NUMBERS

LIGHT = ("brightness", "bow_x", "bow_y", "spread", "dark")
"""The brightness, and what it goes with from plate to plate."""
FINE = ("grain_1", "grain_2", "grain_3")
"""The finest grain, and what it goes with."""

_CLEAR = 5.0  # sigmas over the root of the images since: four times what a median of these varies by
_BESIDE = 0.5  # of the sigmas of a cause: what a number that it leaves alone may show
_TILTED = 0.25  # the same of all others, for the tilt: a dead segment changes brightness and bow as well
_AGAINST, _ALONG = 1.5, 0.5  # of the change of brightness: what contrasts may do, where noise stays or pixels are full
_FINER = 2.0  # times as much in single pixels as in coarser contrasts: noise
_COARSE = 0.75  # of the loss of a finer contrast is more than the coarsest loses: focus
_SLIGHT = math.log(1.04)


def columns(names: Sequence[str]) -> list[int]:
    return [NUMBERS.index(name) for name in names]


def cause_of(before: np.ndarray, after: np.ndarray) -> tuple[str, str, dict[str, float]]:
    """The cause as a word and in words, and by how many sigmas of before each number has moved.

    Args:
        before: (n, 12), n >= 1; after: (m, 12), m >= 1: `as_row` of images.
    """
    moved = np.array([np.median(deviations(after[:, k], before[:, k])) for k in range(len(NUMBERS))])
    shifts = dict(zip(NUMBERS, moved.tolist(), strict=True))
    step = dict(zip(NUMBERS, (np.median(after, 0) - np.median(before, 0)).tolist(), strict=True))
    clear = _CLEAR / math.sqrt(min(len(after), len(before)))
    light, fine = _beyond(before, after, LIGHT), _beyond(before, after, FINE)
    tilt, bow = (max(abs(shifts[f"{what}_{axis}"]) for axis in "xy") for what in ("tilt", "bow"))
    grains = [step[f"grain_{level}"] for level in range(1, 5)]
    coarse = max(abs(shifts["grain_3"]), abs(shifts["grain_4"]))
    if tilt >= clear and tilt >= max(_TILTED * max(bow, abs(light)), coarse):
        return "light", _uneven(step), shifts
    if abs(light) >= clear and max(tilt, bow) < max(clear, _BESIDE * abs(light)) and _contrasts_stay(
        shifts, step, clear
    ):
        more = math.exp(step["brightness"]) - 1
        return "light", f"{abs(more):.0%} {'more' if more > 0 else 'less'} light", shifts
    finest = max(abs(fine), *(abs(shifts[f"grain_{level}"]) for level in (1, 2)))
    if finest >= clear and bow < max(clear, _BESIDE * finest):
        least = min(grains[:3])
        if least <= -_SLIGHT and _COARSE * least < grains[3] < max(_SLIGHT, -_BESIDE * least):
            return "focus", "the images are less sharp: focus, or something on the lens", shifts
        if grains[0] >= _SLIGHT and fine > 0 and _FINER * max(*grains[2:], 0.0) < grains[0]:
            return "noise", "more noise: gain, exposure or cooling", shifts
    return "surface", "the surface looks otherwise: dirt everywhere, or another product", shifts


def _beyond(before: np.ndarray, after: np.ndarray, names: Sequence[str]) -> float:
    """By how many sigmas the first number has moved beyond what goes with the others."""
    known, new = before[:, columns(names)], after[:, columns(names)]
    fit = Beside(len(names))
    for row in known:
        fit.add(row)
    weights = np.array([1.0, *-fit.weights()])
    return float(np.median(deviations(new @ weights, known @ weights)))


def _contrasts_stay(shifts: dict[str, float], step: dict[str, float], clear: float) -> bool:
    """Whether the grain, which is a share of the brightness, does what light alone would do to it."""
    brighter = step["brightness"]
    if brighter == 0:
        return False
    return all(
        -_AGAINST <= step[name] / brighter <= _ALONG
        for name in ("grain_1", "grain_2", "grain_3", "grain_4") if abs(shifts[name]) >= clear
    )


def _uneven(step: dict[str, float]) -> str:
    side = {"x": ("left", "right"), "y": ("upper", "lower")}
    axis = max("xy", key=lambda one: abs(step[f"tilt_{one}"]))
    darker = side[axis][0 if step[f"tilt_{axis}"] > 0 else 1]
    return f"less light on the {darker} side: a part of the lamp, or its place"
