# SPDX-License-Identifier: Apache-2.0
"""From what likeness a region is no longer passed: set on validation plates, with a promise about new ones.

A defect view is a labelled defect on one image that alarms: a predicted region touches it. It is lost where all
regions that touch it are passed as impurities. The promise: of new defect views like those of the validation plates,
at most the share E is lost, with confidence C. `metrics.binomial` says why that holds though the point is chosen on the
same views. It takes views for independent; several of one plate resemble each other, which the stated number of plates
reminds of. A few views may all be plain ones, so the library has a say, too: the point never lies above its hardest
defects, judged by networks that have not seen their plates.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..metrics.binomial import CONFIDENCE, most_seen, trials_needed, upper_limit
from ..runtime.errors import UserError

LIBRARY_LOST = 0.01
"""Share of the library's defect views that may be passed: some are drawn so faint that nothing can be told of them."""


@dataclass(frozen=True)
class JudgedRegion:
    """A predicted region of a validation plate.

    Attributes:
        image, plate: where it lies.
        likeness: how like a defect its worst neighbourhood is.
        defects: (instance number, class) of each defect that it touches.
        impurity: the impurity that it lies on; "" where there is none.
        passable: whether it would be passed at a low enough likeness: it has a name, and is not far from its memory.
            The point does not trust a defect to be far from a memory, so it looks at the likeness alone.
    """

    image: str
    plate: str
    likeness: float
    defects: tuple[tuple[int, str], ...]
    impurity: str
    passable: bool = True


@dataclass(frozen=True)
class OperatingPoint:
    """Where to pass, and what was counted.

    Attributes:
        pass_below: a region of lower likeness is passed; -inf where nothing can be promised.
        promise: JSON-ready: `lost` of `views` defect views on `plates` plates are lost, so that with `confidence` at
            most the share `at_most` of new ones is; `passed` of `other_regions`, which touch no defect; `wanted` the
            share that was asked for, or null; `views_needed` for it, or for half of what is promised, and
            `more_plates` that takes at the rate of these; `curve`: (lost views, regions passed) over the points; of the
            library, where it was looked at, `library_lost` of `library_views`.
    """

    pass_below: float
    promise: dict


def operating_point(
    regions: Sequence[JudgedRegion], wanted: float | None = None, confidence: float = CONFIDENCE,
    library: Sequence[JudgedRegion] = (), highest: float = np.inf,
) -> OperatingPoint:
    """The likeness below which regions are passed: as many as may be, and no higher than that takes.

    Args:
        wanted: the share of defects that may be lost, between 0 and 1; None: no defect view of these plates is lost,
            and what that promises is said.
        library: regions of the library. At most `LIBRARY_LOST` of its defect views may lie below the point.
        highest: the point never lies above it.

    Raises:
        UserError: no defect alarms, so that there is nothing to promise from.
    """
    views = _defect_views(regions)
    if not views:
        raise UserError(
            "no defect of the validation plates alarms, so that nothing can be promised about defects; give plates "
            "with labelled defects, or lower the threshold"
        )
    levels = np.sort(np.array(list(views.values())))
    others = [region for region in regions if not region.defects]
    dirty = np.array([region.likeness if region.passable else np.inf for region in others])
    may = 0 if wanted is None else most_seen(len(levels), wanted, confidence)
    of_library = np.sort(np.array(list(_defect_views(library).values())))
    cap = float(of_library[int(LIBRARY_LOST * len(of_library))]) if len(of_library) else np.inf
    pass_below = -np.inf if may is None else min(_between(min(float(levels[may]), cap), dirty), highest)
    lost = int((levels < pass_below).sum())
    plates = len({region.plate for region in regions if region.defects})
    # The limit is that of the point that the count allows; the library's cap only passes less.
    at_most = 0.0 if may is None else upper_limit(may, len(levels), confidence)
    needed = trials_needed(at_most / 2 if wanted is None else wanted, confidence)
    seen = {"library_lost": int((of_library < pass_below).sum()), "library_views": len(of_library)}
    return OperatingPoint(pass_below, (seen if len(of_library) else {}) | {
        "lost": lost, "views": len(levels), "plates": plates, "confidence": confidence, "at_most": at_most,
        "wanted": wanted, "passed": int((dirty < pass_below).sum()), "other_regions": len(dirty),
        "views_needed": needed, "more_plates": int(np.ceil(max(0, needed - len(levels)) * plates / len(levels))),
        "curve": [[k, int((dirty < levels[k]).sum())] for k in range(min(len(levels), 21))],
    })


def _between(level: float, dirty: np.ndarray) -> float:
    """Half way from the level down to the next region without a defect, so that a defect which is a little less like
    one is not lost for nothing; where no region lies below, at most 0, where an impurity is as likely."""
    below = dirty[dirty < level]
    return (level + float(below.max())) / 2 if len(below) else min(level, 0.0)


def _defect_views(regions: Sequence[JudgedRegion]) -> dict[tuple[str, int], float]:
    """Of each defect view the highest likeness of the regions that touch it."""
    views: dict[tuple[str, int], float] = {}
    for region in regions:
        for number, _ in region.defects:
            key = (region.image, number)
            views[key] = max(views.get(key, -np.inf), region.likeness)
    return views
