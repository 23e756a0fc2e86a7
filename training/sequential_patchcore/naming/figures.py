# SPDX-License-Identifier: Apache-2.0
"""What verdicts are worth on labelled images: impurities named, passed and left unsure, defects lost, alarms saved.

A region that touches a defect counts for the defect, whatever else it touches; one that touches none counts for the
impurity that most of its labelled pixels carry, or for clean surface. A defect view is a labelled defect on one image
that is touched by a region; it is lost where all regions that touch it are passed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..metrics.binomial import upper_limit
from ..metrics.bootstrap import draw, interval
from ..metrics.counts import ratio
from .truth import CLEAN, ClassLike, RegionTruth
from .verdict import DEFECT, UNSURE, RegionVerdict

NO_CLASS = "no label"
"""In place of an impurity's name, for regions that touch no label."""

DEFINITIONS = {
    "impurities": "Of the predicted regions that touch no defect, by the impurity that most of their labelled pixels "
    "carry: named are those with its own name, passed those with any impurity's name, unsure and defect the others.",
    "defects": "Of the labelled defects that a predicted region touches, on each image: lost are those of which all "
    "such regions are passed. at_most is the exact (Clopper-Pearson) limit of the share, with 95 % confidence.",
    "false_alarms": "Predicted regions that touch no defect, an image: all of them, and those that are not passed.",
    "after": "Pixel and defect figures where passed regions count as not predicted.",
}


@dataclass(frozen=True)
class ImageVerdicts:
    """The regions of one image.

    Attributes:
        records: JSON-ready, a region each: `box` (x, y, width, height), `pixels`, `on_defects` of them, `verdict`,
            `likeness`, `impurity`, `defects` ([instance, class] each).
        passed: (H, W) bool, what of the prediction was passed.
    """

    records: list[dict[str, Any]]
    passed: np.ndarray


def image_verdicts(
    labels: np.ndarray, stats: np.ndarray, verdicts: Sequence[RegionVerdict], truths: Sequence[RegionTruth],
    on_defects: np.ndarray,
) -> ImageVerdicts:
    """
    Args:
        labels: (H, W) int32 numbers of the regions, 0 elsewhere.
        stats: (R + 1, 5) of OpenCV: x, y, width, height, pixels.
        on_defects: (R + 1,) how many pixels of each region lie on a defect.
    """
    records = [
        {
            "box": [int(value) for value in stats[number, :4]], "pixels": int(stats[number, 4]),
            "on_defects": int(on_defects[number]), "verdict": verdict.verdict, "likeness": verdict.defect_likeness,
            "impurity": truth.impurity, "defects": [list(each) for each in truth.defects.items()],
        }
        for number, (verdict, truth) in enumerate(zip(verdicts, truths, strict=True), start=1)
    ]
    passed = np.array([False, *(verdict.passed for verdict in verdicts)])[labels]
    return ImageVerdicts(records, passed)


def is_passed(record: Mapping[str, Any]) -> bool:
    return record["verdict"] not in (DEFECT, UNSURE)


def lost_views(records: Sequence[Mapping[str, Any]]) -> dict[int, tuple[str, bool]]:
    """Of each defect that a region of an image touches: its class, and whether it is lost."""
    views: dict[int, tuple[str, bool]] = {}
    for record in records:
        for number, name in record["defects"]:
            before = views.get(number, (name, True))
            views[number] = before[0], before[1] and is_passed(record)
    return views


def verdict_figures(
    images: Sequence[tuple[str, Sequence[Mapping[str, Any]]]], classes: Sequence[ClassLike],
) -> dict[str, Any]:
    """All figures of one model with their counts and intervals, JSON-ready.

    Args:
        images: (plate, the records of its regions) of each image.
    """
    groups = [plate for plate, _ in images]
    names, times = draw(groups)
    row = {name: k for k, name in enumerate(names)}
    sums: dict[tuple[str, str], np.ndarray] = {}

    def add(what: str, of: str, plate: str, value: int = 1) -> None:
        sums.setdefault((what, of), np.zeros(len(names)))[row[plate]] += value

    verdicts: dict[str, int] = {"normal": 0, "dirty": 0, "anomalous": 0}
    for plate, records in images:
        verdicts[_image_verdict(records)] += 1
        add("images", "", plate)
        for record in records:
            if record["defects"]:
                continue
            of = record["impurity"] if record["impurity"] != CLEAN else NO_CLASS
            add("regions", of, plate)
            add("passed", of, plate, is_passed(record))
            add("named", of, plate, record["verdict"] == of)
            add("unsure", of, plate, record["verdict"] == UNSURE)
            add("defect", of, plate, record["verdict"] == DEFECT)
        for name, lost in lost_views(records).values():
            add("views", name, plate)
            add("lost", name, plate, lost)

    def total(what: str, of: Sequence[str]) -> np.ndarray:
        return sum((sums.get((what, name), np.zeros(len(names))) for name in of), np.zeros(len(names)))

    def share(part: str, whole: str, of: Sequence[str], over: Sequence[str] | None = None) -> dict[str, Any]:
        above, below = total(part, of), total(whole, of if over is None else over)
        drawn = np.divide(times @ above, times @ below, out=np.full(len(times), np.nan), where=(times @ below) > 0)
        return {
            "count": int(above.sum()), "of": int(below.sum()), "share": ratio(int(above.sum()), int(below.sum())),
            "interval": interval(drawn) if len(names) > 1 else None,
        }

    dirt = [info.name for info in classes if info.kind == "impurity"]
    defects = [info.name for info in classes if info.kind == "defect"]

    def of_impurity(of: Sequence[str]) -> dict[str, Any]:
        return {part: share(part, "regions", of) for part in ("named", "passed", "unsure", "defect")}

    def of_defect(of: Sequence[str]) -> dict[str, Any]:
        lost = share("lost", "views", of)
        return lost | {"at_most": upper_limit(lost["count"], lost["of"]) if lost["of"] else None}

    left = {name: total("regions", [name]) - total("passed", [name]) for name in (*dirt, NO_CLASS)}
    for name, values in left.items():
        sums["left", name] = values
    return {
        "definitions": DEFINITIONS,
        "impurities": {name: of_impurity([name]) for name in (*dirt, NO_CLASS)} | {"all": of_impurity(dirt)},
        "defects": {name: of_defect([name]) for name in defects} | {"all": of_defect(defects)},
        "false_alarms": {
            "before": share("regions", "images", [*dirt, NO_CLASS], [""]),
            "after": share("left", "images", [*dirt, NO_CLASS], [""]),
        },
        "image_verdicts": verdicts,
        "plates": len(names),
    }


def _image_verdict(records: Sequence[Mapping[str, Any]]) -> str:
    if not records:
        return "normal"
    return "dirty" if all(is_passed(record) for record in records) else "anomalous"
