# SPDX-License-Identifier: Apache-2.0
"""From what likeness a region is no longer passed: set on validation plates, with a promise about new ones.

A defect view is a labelled defect on one image that alarms: a predicted region touches it. It is lost where all
regions that touch it are passed as impurities. The promise: of new defect views like those of the validation plates,
at most the share E is lost, with confidence C. `metrics.binomial` says why that holds though the point is chosen on the
same views. It takes views for independent; several of one plate resemble each other, which the stated number of plates
reminds of.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..metrics.binomial import CONFIDENCE, most_seen, trials_needed, upper_limit
from ..runtime.errors import UserError


@dataclass(frozen=True)
class JudgedRegion:
    """A predicted region of a validation plate.

    Attributes:
        image, plate: where it lies.
        likeness: how like a defect its worst neighbourhood is; +inf where it would not be passed anyway.
        defects: (instance number, class) of each defect that it touches.
        impurity: the impurity that it lies on; "" where there is none.
    """

    image: str
    plate: str
    likeness: float
    defects: tuple[tuple[int, str], ...]
    impurity: str


@dataclass(frozen=True)
class OperatingPoint:
    """Where to pass, and what was counted.

    Attributes:
        pass_below: a region of lower likeness is passed; -inf where nothing can be promised.
        promise: JSON-ready: `lost` of `views` defect views on `plates` plates are lost, so that with `confidence` at
            most the share `at_most` of new ones is; `passed` of `other_regions`, which touch no defect; `wanted` the
            share that was asked for, or null; `views_needed` for it, or for half of what is promised, and
            `more_plates` that takes at the rate of these; `curve`: (lost views, regions passed) over the points.
    """

    pass_below: float
    promise: dict


def operating_point(
    regions: Sequence[JudgedRegion], wanted: float | None = None, confidence: float = CONFIDENCE,
) -> OperatingPoint:
    """The highest likeness below which regions may be passed; never above 0, where a defect becomes the likelier.

    Args:
        wanted: the share of defects that may be lost, between 0 and 1; None: no defect view of these plates is lost,
            and what that promises is said.

    Raises:
        UserError: no defect alarms, so that there is nothing to promise from.
    """
    views: dict[tuple[str, int], float] = {}
    for region in regions:
        for number, _ in region.defects:
            key = (region.image, number)
            views[key] = max(views.get(key, -np.inf), region.likeness)
    if not views:
        raise UserError(
            "no defect of the validation plates alarms, so that nothing can be promised about defects; give plates "
            "with labelled defects, or lower the threshold"
        )
    levels = np.sort(np.array(list(views.values())))
    dirty = np.sort(np.array([region.likeness for region in regions if not region.defects]))
    may = 0 if wanted is None else most_seen(len(levels), wanted, confidence)
    # A region that is likelier a defect than an impurity is never passed, however few defects the plates have.
    pass_below = -np.inf if may is None else min(float(levels[may]), 0.0)
    lost = int((levels < pass_below).sum())
    plates = len({region.plate for region in regions if region.defects})
    # The limit is that of the point that the count allows; the cap at 0 only passes less.
    at_most = 0.0 if may is None else upper_limit(may, len(levels), confidence)
    needed = trials_needed(at_most / 2 if wanted is None else wanted, confidence)
    return OperatingPoint(pass_below, {
        "lost": lost, "views": len(levels), "plates": plates, "confidence": confidence, "at_most": at_most,
        "wanted": wanted, "passed": int((dirty < pass_below).sum()), "other_regions": len(dirty),
        "views_needed": needed, "more_plates": int(np.ceil(max(0, needed - len(levels)) * plates / len(levels))),
        "curve": [[k, int((dirty < levels[k]).sum())] for k in range(min(len(levels), 21))],
    })
