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
_RANKING_BLOCK = 50  # draws at a time: a few MB
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
        image_precision, image_recall, image_f1, false_positive_regions_per_image, clean_images_alarmed,
        pixel_recall.CLASS, defect_wise_recall.CLASS.
    """
    groups = groups_of(samples)
    names = sorted(set(groups))
    counts = _group_counts(samples, model, names)
    weights = times.astype(np.float64)

    def total(key: str) -> np.ndarray:
        return _sums(weights, counts.get(key, np.zeros(len(names))))

    tp, fp, fn = total("true_positive"), total("false_positive"), total("false_negative")
    hits, misses = total("image_tp"), total("image_fn")
    found = {
        "precision": _over(tp, tp + fp),
        "recall": _over(tp, tp + fn),
        "f1": _over(2 * tp, 2 * tp + fp + fn),
        "false_positive_regions_per_image": _over(total("false_positive_regions"), total("images")),
        "clean_images_alarmed": _over(total("alarmed"), total("clean")),
        "image_precision": _over(hits, hits + total("image_fp")),
        "image_recall": _over(hits, hits + misses),
        "image_f1": _over(2 * hits, 2 * hits + total("image_fp") + misses),
    }
    recalls = []
    for info in classes:
        found[f"pixel_recall.{info['name']}"] = _over(total(f"predicted.{info['id']}"), total(f"pixels.{info['id']}"))
        recall = _over(total(f"detected.{info['id']}"), total(f"instances.{info['id']}"))
        found[f"defect_wise_recall.{info['name']}"] = recall
        if info["kind"] == "defect":
            recalls.append(recall)
    table = np.array(recalls).reshape(len(recalls), len(times))
    there = ~np.isnan(table)
    found["mean_defect_wise_recall"] = _over(np.where(there, table, 0).sum(0), there.sum(0))
    if not (tp + fn).any() and any(sample.get("whole") == "defect" for sample in samples):
        # Defects are known of, but of no pixel: clean images alone would make a precision of 0.
        found["precision"] = found["f1"] = np.full(len(times), np.nan)
    found["image_auroc"] = _image_auroc(samples, model, times[:, [names.index(group) for group in groups]])
    return found


def _over(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)


def _group_counts(samples: Sequence[Mapping], model: str, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Sums over the images of each group, (G,) float64 in the order of `names`; keys such as `pixels.CLASS_ID`."""
    row = {name: k for k, name in enumerate(names)}
    counts: dict[str, np.ndarray] = {}

    def add(key: str, group: str, value: float) -> None:
        counts.setdefault(key, np.zeros(len(names)))[row[group]] += value

    for sample, group in zip(samples, groups_of(samples), strict=True):
        result = sample["models"][model]
        for key in ("true_positive", "false_positive", "false_negative", "false_positive_regions"):
            add(key, group, result[key])
        whole = sample.get("whole")
        clean = not result["classes"] and whole is None
        add("images", group, whole is None)
        add("clean", group, clean)
        add("alarmed", group, clean and result["false_positive"] > 0)
        if result["score"] is not None:
            defective, alarmed = _has_defect(sample, model), _alarms(result)
            add("image_tp", group, defective and alarmed)
            add("image_fp", group, alarmed and not defective)
            add("image_fn", group, defective and not alarmed)
        for label in result["classes"]:
            add(f"pixels.{label['class_id']}", group, label["pixels"])
            add(f"predicted.{label['class_id']}", group, label["predicted"])
        for instance in result["instances"]:
            add(f"instances.{instance['class_id']}", group, 1)
            add(f"detected.{instance['class_id']}", group, instance["detected"])
    return counts


def _has_defect(sample: Mapping, model: str) -> bool:
    result = sample["models"][model]
    return sample.get("whole") == "defect" or result["true_positive"] + result["false_negative"] > 0


def _alarms(result: Mapping) -> bool:
    return result.get("alarmed", result["true_positive"] + result["false_positive"] > 0)  # older records lack it


def _image_auroc(samples: Sequence[Mapping], model: str, times: np.ndarray) -> np.ndarray:
    """The image-level AUROC of each draw, ties counting half; times: (draws, images), how often each image is drawn."""
    results = [sample["models"][model] for sample in samples]
    kept = [k for k, result in enumerate(results) if result["score"] is not None]
    _, level = np.unique([results[k]["score"] for k in kept], return_inverse=True)
    positive = np.array([_has_defect(samples[k], model) for k in kept], bool)
    area = np.full(len(times), np.nan)
    for number, chosen in enumerate(times[:, kept]):
        p, n = (np.bincount(level, chosen * side, minlength=1) for side in (positive, ~positive))
        if p.any() and n.any():
            area[number] = (p * (np.cumsum(n) - n / 2)).sum() / (p.sum() * n.sum())
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
    a, b = (statistics(samples, name, classes, times) for name in (model, reference))
    return {name: interval(a[name] - b[name]) for name in a}


def ranking_intervals(
    histograms: Mapping[str, CoarseHistogram], groups: Sequence[str], draws: int = _RANKING_DRAWS, seed: int = 0
) -> dict[str, list[float] | None]:
    """Intervals of AUROC, average precision and AUPRO, from one coarse histogram a group (64 bins to a doubling)."""
    names, times = draw(groups, draws, seed)
    if len(names) < 2:
        return {}
    tables = CoarseHistogram.stack([histograms[name] for name in names])
    regions = times @ np.array([histograms[name].regions for name in names])
    area, precision, aupro = (np.full(draws, np.nan) for _ in range(3))
    for first in range(0, draws, _RANKING_BLOCK):
        block = times[first : first + _RANKING_BLOCK].astype(np.float64)
        drawn = (_sums(block, table) for table in tables)
        for k, (n, p, overlap) in enumerate(zip(*drawn, strict=True), start=first):
            if not p.any():
                continue
            tp, fp = np.cumsum(p[::-1]), np.cumsum(n[::-1])
            used = p[::-1] > 0
            precision[k] = (p[::-1][used] * tp[used] / (tp[used] + fp[used])).sum() / p.sum()
            if n.any():
                area[k] = (p * (np.cumsum(n) - n / 2)).sum() / (p.sum() * n.sum())
                if regions[k]:
                    aupro[k], _ = overlap_area(n, overlap, regions[k], AUPRO_LIMIT)
    return {"auroc": interval(area), "average_precision": interval(precision), "aupro": interval(aupro)}


def _sums(times: np.ndarray, table: np.ndarray) -> np.ndarray:
    """(draws, G) float64 @ (G, ...) float64 without BLAS.

    BLAS wakes its threads for every small product, which beside another process on the same cores costs many times the
    product itself; and where shares are summed, its last bits hang on the number of threads. These sums do not.
    """
    return np.einsum("dg,g...->d...", times, table, optimize=False)
