# SPDX-License-Identifier: Apache-2.0
"""One image in the report: its small pictures, what came of it with each model, and its place in the order."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt

from ..metrics.counts import ImageCounts
from .alarms import Alarm

# Worst first: the order of the filter buttons too.
OUTCOMES = {
    "missed": "defect missed",
    "alarm": "false alarm",
    "found": "all defects found",
    "passed": "correctly passed",
}

_REPORT_BYTES = 28e6  # for all small pictures together, so that the page opens in seconds
_ALARM_BYTES = 8e6  # for the pieces of image beside false alarms
_ONE_ALARM = 9e3  # two of them as base64: 3e3 measured on brushed plates, three times that on noise
_PHOTOGRAPH = 0.45  # bytes a pixel as base64, JPEG at QUALITY: 0.17 measured on brushed plates, 0.73 on pure noise
_CODES = 0.90  # a map of the threshold's levels as PNG, of patches that are pure noise
_SIDES = (160, 760)
QUALITY = 82


@dataclass(frozen=True)
class Tile:
    """What one model made of the image: counts, pictures of levels as PNG (`tally.Scored`), its false alarms.

    `codes` is None where no filter acts, so that it would be `reached`. `named` are the boxes (x, y, width, height) of
    the regions at the model's threshold with their verdicts, `passed` is a PNG, 1 where something was passed under an
    impurity's name; None of a model that does not name.
    """

    counts: ImageCounts
    outcome: str
    false_regions: int
    reached: bytes
    codes: bytes | None
    alarms: tuple[Alarm, ...]
    named: tuple[tuple[int, int, int, int, str], ...] | None = None
    passed: bytes | None = None


@dataclass(frozen=True)
class Card:
    """One image, its labels (`overlays.label_codes` as PNG), and a tile per model in the order of the comparison."""

    id: str
    group: str
    width: int
    height: int
    content: dict[str, int]  # class name to number of instances
    photograph: bytes
    labels: bytes
    tiles: tuple[Tile, ...]
    defect_ids: tuple[int, ...]
    whole: str | None = None  # "defect" or "impurity" where the image is labelled as a whole

    @property
    def outcomes(self) -> list[str]:
        """The distinct outcomes over the models, worst first."""
        return [name for name in OUTCOMES if any(tile.outcome == name for tile in self.tiles)]

    @property
    def badness(self) -> tuple[int, int]:
        """Missed defects, then wrong pixels, over all models."""
        missed = sum(tile.counts.missed(self.defect_ids) for tile in self.tiles)
        return missed, sum(tile.counts.fp + tile.counts.fn for tile in self.tiles)


def outcome(counts: ImageCounts, defect_ids: Iterable[int], coverage: float = 0) -> str:
    """A key of OUTCOMES. On images with a defect false alarms beside it do not change the outcome."""
    if counts.has_defect:
        found = counts.predicted if counts.whole is not None else counts.tp
        return "missed" if counts.missed(defect_ids, coverage) or not found else "found"
    return "alarm" if counts.predicted else "passed"


def worst_first(cards: Iterable[Card]) -> list[Card]:
    return sorted(cards, key=lambda card: (*(-n for n in card.badness), card.id))


def picture_side(images: int, maps: int, aspect: float) -> int:
    """The longer side of the report's pictures, such that all of them fit into the page's budget.

    Args:
        images: how many.
        maps: pictures of levels for each of them.
        aspect: the shorter side of the images over the longer.
    """
    side = sqrt(_REPORT_BYTES / max(1, images) / (_PHOTOGRAPH + maps * _CODES) / aspect)
    return int(min(max(side, _SIDES[0]), _SIDES[1]))


def alarms_each(images: int, models: int) -> int:
    """How many false alarms an image and model can be shown, from 1 to 3."""
    return int(min(max(_ALARM_BYTES / _ONE_ALARM / max(1, images * models), 1), 3))
