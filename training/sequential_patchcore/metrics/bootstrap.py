# SPDX-License-Identifier: Apache-2.0
"""Intervals that say how much of a figure is chance: whole plates are drawn again, with replacement.

Images of one plate resemble each other, so an interval over single images or pixels would be far too narrow. All models
of a comparison see the same draws, so that the interval of a difference is that of paired plates.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from .ranking import AUPRO_LIMIT, CoarseHistogram, overlap_area

DRAWS = 2000
LEVEL = 0.95
FEW_GROUPS = 8  # below this many plates an interval is itself little more than a guess
_RANKING_DRAWS = 400  # AUROC, average precision, AUPRO run over histograms: slower, and seldom near a decision

Classes = Sequence[Mapping]  # as in metrics.json: "id", "name", "kind"


def groups_of(samples: Sequence[Mapping]) -> list[str]:
    """The plate of each sample record; an image without one is its own."""
    return [sample["group"] or f"image {sample['id']}" for sample in samples]


def draw(groups: Sequence[str], draws: int = DRAWS, seed: int = 0) -> tuple[list[str], np.ndarray]:
    """The distinct groups, and (draws, G) int64: how often each is in each draw of G groups with replacement."""
    names = sorted(set(groups))
    rng = np.random.default_rng(seed)
    return names, rng.multinomial(len(names), np.full(len(names), 1 / max(len(names), 1)), draws)


def statistics(samples: Sequence[Mapping], model: str, classes: Classes, times: np.ndarray) -> dict[str, np.ndarray]:
    """Each figure in each draw, NaN where it is undefined.

    Args:
        samples: the `samples` of metrics.json.
        model: whose counts.
        classes: the data set's classes.
        times: (draws, G) from `draw`.

    Returns:
        name to (draws,) float64. The names: precision, recall, f1, mean_defect_wise_recall, image_auroc,
        false_positive_regions_per_image, clean_images_alarmed, pixel_recall.CLASS, defect_wise_recall.CLASS.
    """
    names = sorted(set(groups_of(samples)))
    row = {name: k for k, name in enumerate(names)}
    counts: dict[str, np.ndarray] = {}

    def add(key: str, group: str, value: float) -> None:
        counts.setdefault(key, np.zeros(len(names)))[row[group]] += value

    for sample, group in zip(samples, groups_of(samples), strict=True):
        of = sample["models"][model]
        for key in ("true_positive", "false_positive", "false_negative", "false_positive_regions"):
            add(key, group, of[key])
        add("images", group, 1)
        clean = not of["classes"]
        add("clean", group, clean)
        add("alarmed", group, clean and of["false_positive"] > 0)
        for each in of["classes"]:
            add(f"pixels.{each['class_id']}", group, each["pixels"])
            add(f"predicted.{each['class_id']}", group, each["predicted"])
        for each in of["instances"]:
            add(f"instances.{each['class_id']}", group, 1)
            add(f"detected.{each['class_id']}", group, each["detected"])

    def total(key: str) -> np.ndarray:
        return times @ counts.get(key, np.zeros(len(names)))

    def over(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
        return np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)

    tp, fp, fn = total("true_positive"), total("false_positive"), total("false_negative")
    found = {
        "precision": over(tp, tp + fp),
        "recall": over(tp, tp + fn),
        "f1": over(2 * tp, 2 * tp + fp + fn),
        "false_positive_regions_per_image": over(total("false_positive_regions"), total("images")),
        "clean_images_alarmed": over(total("alarmed"), total("clean")),
    }
    recalls = []
    for each in classes:
        found[f"pixel_recall.{each['name']}"] = over(total(f"predicted.{each['id']}"), total(f"pixels.{each['id']}"))
        recall = over(total(f"detected.{each['id']}"), total(f"instances.{each['id']}"))
        found[f"defect_wise_recall.{each['name']}"] = recall
        if each["kind"] == "defect":
            recalls.append(recall)
    table = np.array(recalls).reshape(len(recalls), len(times))
    there = ~np.isnan(table)
    found["mean_defect_wise_recall"] = over(np.where(there, table, 0).sum(0), there.sum(0))
    found["image_auroc"] = _image_auroc(samples, model, times[:, [row[group] for group in groups_of(samples)]])
    return found


def _image_auroc(samples: Sequence[Mapping], model: str, times: np.ndarray) -> np.ndarray:
    """The image-level AUROC of each draw, ties counting half; times: (draws, images), how often each image is drawn."""
    of = [sample["models"][model] for sample in samples]
    kept = [k for k, each in enumerate(of) if each["score"] is not None]
    _, level = np.unique([of[k]["score"] for k in kept], return_inverse=True)
    positive = np.array([of[k]["true_positive"] + of[k]["false_negative"] > 0 for k in kept], bool)
    area = np.full(len(times), np.nan)
    for draw_, chosen in enumerate(times[:, kept]):
        p, n = (np.bincount(level, chosen * side, minlength=1) for side in (positive, ~positive))
        if p.any() and n.any():
            area[draw_] = (p * (np.cumsum(n) - n / 2)).sum() / (p.sum() * n.sum())
    return area


def interval(values: np.ndarray, level: float = LEVEL) -> list[float] | None:
    """The percentile interval of the draws in which the figure is defined; None where it is in fewer than half."""
    defined = values[~np.isnan(values)]
    if not len(defined) or 2 * len(defined) < len(values):
        return None
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return [float(low), float(high)]


def intervals(samples: Sequence[Mapping], model: str, classes: Classes, draws: int = DRAWS, seed: int = 0) -> dict:
    """The interval of every figure of a model, with how it was made; `intervals` is empty for fewer than two groups."""
    names, times = draw(groups_of(samples), draws, seed)
    made = {"level": LEVEL, "draws": draws, "groups": len(names), "seed": seed, "few_groups": len(names) < FEW_GROUPS}
    if len(names) < 2:
        return {**made, "intervals": {}}
    found = statistics(samples, model, classes, times)
    return {**made, "intervals": {name: interval(values) for name, values in found.items()}}


def differences(
    samples: Sequence[Mapping], model: str, reference: str, classes: Classes, draws: int = DRAWS, seed: int = 0
) -> dict[str, list[float] | None]:
    """The interval of each figure of `model` minus that of `reference`, over the same draws of plates."""
    names, times = draw(groups_of(samples), draws, seed)
    if len(names) < 2:
        return {}
    a, b = (statistics(samples, each, classes, times) for each in (model, reference))
    return {name: interval(a[name] - b[name]) for name in a}


def ranking_intervals(
    histograms: Mapping[str, CoarseHistogram], groups: Sequence[str], draws: int = _RANKING_DRAWS, seed: int = 0
) -> dict[str, list[float] | None]:
    """Intervals of AUROC, average precision and AUPRO, from one coarse histogram a group (64 bins to a doubling)."""
    names, times = draw(groups, draws, seed)
    if len(names) < 2:
        return {}
    negative, positive, overlap = CoarseHistogram.stack([histograms[name] for name in names])
    regions = np.array([histograms[name].regions for name in names])
    area, precision, aupro = (np.full(draws, np.nan) for _ in range(3))
    for k, of in enumerate(times):
        n, p = of @ negative, of @ positive
        if not p.any():
            continue
        tp, fp = np.cumsum(p[::-1]), np.cumsum(n[::-1])
        used = p[::-1] > 0
        precision[k] = (p[::-1][used] * tp[used] / (tp[used] + fp[used])).sum() / p.sum()
        if n.any():
            area[k] = (p * (np.cumsum(n) - n / 2)).sum() / (p.sum() * n.sum())
            if of @ regions:
                aupro[k], _ = overlap_area(n, of @ overlap, of @ regions, AUPRO_LIMIT)
    return {"auroc": interval(area), "average_precision": interval(precision), "aupro": interval(aupro)}
