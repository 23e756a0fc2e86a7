# SPDX-License-Identifier: Apache-2.0
"""What verdicts are worth on plates that nothing was trained or set on: docs/impurities.md holds what it printed.

    python tests/bench/bench_naming.py MODEL.h5 PLATES [--split test] [--set-on val [--set-plates DATA]] [--json FILE]

MODEL.h5 has memories of impurities and of defects (`impurities --with-defects`) and a rule (`verdicts`). Beside the
rule stand three others on the same regions: the vote of the nearest memory, the ratio of the distances to the memories,
and impurities put into the nominal memory. Each gives a region a number that is higher the more it looks like a defect;
a curve says what share of the alarms without a defect lies below the k-th lowest defect view. Intervals draw plates.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from sequential_patchcore import Scorer, load_model, open_dataset
from sequential_patchcore.data.dataset import Dataset, Sample
from sequential_patchcore.metrics.binomial import upper_limit
from sequential_patchcore.metrics.bootstrap import draw, interval
from sequential_patchcore.naming.figures import image_verdicts, verdict_figures
from sequential_patchcore.naming.learning import predicted_of
from sequential_patchcore.naming.namer import Namer
from sequential_patchcore.naming.regions import regions_of
from sequential_patchcore.naming.truth import region_truths

LOST = (0, 1, 2, 3, 5)
VOTE, RATIO, NOMINAL = "vote of the nearest memory", "ratio of distances", "dirt in the nominal memory"
RULE = "verdicts"


def region_numbers(nominal: np.ndarray, distances: np.ndarray, kinds: np.ndarray) -> dict[str, float]:
    """What each of the other rules says of a region.

    Args:
        nominal, distances: (n,) and (n, M), of its patches to the nominal memory and to each other.
        kinds: (M,) bool, which memories are of defects.
    """
    defect, dirt = distances[:, kinds].min(1), distances[:, ~kinds].min(1)
    return {
        VOTE: float((defect < dirt).mean()),
        RATIO: float(np.log(np.maximum(dirt, 1e-9) / np.maximum(defect, 1e-9)).max()),
        NOMINAL: float(np.minimum(nominal, dirt).max()),
    }


def share_below(regions: list[dict], rule: str, lost: int) -> tuple[float, int]:
    """The share of regions without a defect that is passed when so many defect views may be lost, and the views."""
    views: dict[tuple, float] = {}
    for region in regions:
        for key in region["views"]:
            views[key] = max(views.get(key, -np.inf), region[rule])
    dirt = np.array([region[rule] for region in regions if not region["views"]])
    levels = np.sort(list(views.values()))
    if not len(dirt) or lost >= len(levels):
        return np.nan, len(levels)
    return float((dirt < levels[lost]).mean()), len(levels)


def drawn_shares(regions: list[dict], rules: tuple[str, ...], lost: int, draws: int = 400) -> dict[str, np.ndarray]:
    """The same in draws of whole plates, a plate that comes twice counting twice."""
    plates, times = draw([region["plate"] for region in regions], draws)
    by_plate = {name: [region for region in regions if region["plate"] == name] for name in plates}
    found: dict[str, list[float]] = {rule: [] for rule in rules}
    for row in times:
        chosen = [
            region | {"views": [(*view, copy) for view in region["views"]]}
            for name, many in zip(plates, row, strict=True) for copy in range(many) for region in by_plate[name]
        ]
        for rule in rules:
            found[rule].append(share_below(chosen, rule, lost)[0])
    return {rule: np.array(values) for rule, values in found.items()}


def at_own_points(set_on: list[dict], regions: list[dict], rules: tuple[str, ...], pass_below: float) -> None:
    """Each rule with the point below which no defect view of the validation plates lies: passed and lost elsewhere.

    The verdicts' own point, `pass_below`, may lie lower, for the library's sake.
    """
    plates, times = draw([region["plate"] for region in regions])
    passed: dict[str, np.ndarray] = {}
    dirt = np.array([not region["views"] for region in regions])
    at = np.array([plates.index(region["plate"]) for region in regions])
    whole = times @ np.bincount(at[dirt], minlength=len(plates))
    for rule in rules:
        views: dict[tuple, float] = {}
        for region in set_on:
            for key in region["views"]:
                views[key] = max(views.get(key, -np.inf), region[rule])
        point = min(views.values()) if rule != RULE else min(pass_below, *views.values())
        below = np.array([region[rule] < point for region in regions])
        left = {key for region, low in zip(regions, below, strict=True) if not low for key in region["views"]}
        lost = {key for region in regions for key in region["views"]} - left
        passed[rule] = times @ np.bincount(at[dirt & below], minlength=len(plates)) / whole
        print(f"{rule:28} set on validation: {(dirt & below).sum()} of {dirt.sum()} passed "
              f"({(dirt & below).sum() / dirt.sum():.1%}), {len(lost)} of {len(lost | left)} defect views lost")
    for rule in rules[1:]:
        low, high = interval(passed[RULE] - passed[rule])
        print(f"{RULE} less {rule}, each as set on validation: {low:+.3f} to {high:+.3f}")


def regions_of_image(scorer: Scorer, namer: Namer, dataset: Dataset, sample: Sample, kinds: np.ndarray) -> tuple:
    """The regions of an image, what the verdicts say of each, and what each other rule does."""
    scored, predicted = predicted_of(scorer, dataset, sample)
    found = regions_of(predicted, scored.grid)
    mask = np.where(dataset.region(sample), dataset.mask(sample), 0).astype(np.uint8)
    truths = region_truths(found.labels, found.count, mask, dataset.instances(sample), dataset.classes)
    verdicts = namer.verdicts(scored, found.labels, found.count)
    vectors = scored.vectors[tuple(torch.from_numpy(places) for places in found.cells.T)]
    distances = np.array([list(each.values()) for each in namer.to_memories(vectors)])
    nominal = scored.distances[tuple(found.cells.T)]
    regions = [
        {
            "plate": str(sample.group or sample.id), "views": [(sample.id, instance) for instance in truth.defects],
            RULE: np.inf if verdict.reason == "far from every memory" else verdict.defect_likeness,
            **region_numbers(nominal[found.region == number], distances[found.region == number], kinds),
        }
        for number, (verdict, truth) in enumerate(zip(verdicts, truths, strict=True))
    ]
    return found, truths, verdicts, regions


def timed(work: Callable[[], object], times: int = 5) -> float:
    """The least processor seconds of several runs."""
    least = np.inf
    for _ in range(times):
        start = time.process_time()
        work()
        least = min(least, time.process_time() - start)
    return least


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("plates")
    parser.add_argument("--split", default="test")
    parser.add_argument("--set-on", metavar="SPLIT", help="also compare the rules, each with its point set on this")
    parser.add_argument("--set-plates", metavar="DATA", help="where that split is, if not in PLATES")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    scorer, dataset = Scorer(load_model(chosen.model)), open_dataset(chosen.plates)
    namer, regions, images, soiled = Namer(scorer), [], [], {}
    kinds = np.array([memory.kind == "defect" for memory in scorer.model.memories.values()])
    for sample in dataset.split(chosen.split):
        found, truths, verdicts, of_image = regions_of_image(scorer, namer, dataset, sample, kinds)
        regions += of_image
        records = image_verdicts(found.labels, np.zeros((found.count + 1, 5)), verdicts, truths,
                                 np.zeros(found.count + 1)).records
        images.append((str(sample.group or sample.id), records))
        for verdict, truth in zip(verdicts, truths, strict=True):
            for instance, name in truth.defects.items():
                key = (sample.id, instance)
                soiled[key] = soiled.get(key, False) or bool(truth.impurity)
                if verdict.passed:
                    print(f"passed with a defect under it: {sample.id}, {name} {instance}, {verdict.verdict}, "
                          f"likeness {verdict.defect_likeness:.2f}, patches {verdict.patches}")
    report = verdict_figures(images, dataset.classes)
    shown = ("impurities", "defects", "false_alarms", "image_verdicts")
    print(json.dumps({key: report[key] for key in shown}, indent=1))
    lost, views = report["defects"]["all"]["count"], report["defects"]["all"]["of"]
    print(f"{report['plates']} plates, {len(images)} images; {views} defect views, {sum(soiled.values())} of them in a "
          f"region that touches an impurity too; {lost} lost, at most {upper_limit(lost, views):.1%}")
    rules = (RULE, RATIO, VOTE, NOMINAL)
    table = {}
    for rule in rules:
        shares = [share_below(regions, rule, lost)[0] for lost in LOST]
        table[rule] = shares
        print(f"{rule:28}" + "  ".join(f"{lost} lost: {share:6.1%}" for lost, share in zip(LOST, shares, strict=True)))
    for lost in (0, 1, 2):
        drawn = drawn_shares(regions, rules, lost)
        for rule in rules[1:]:
            low, high = interval(drawn[RULE] - drawn[rule])
            print(f"{RULE} less {rule}, at {lost} lost: {low:+.3f} to {high:+.3f}")
    if chosen.set_on:
        plates = open_dataset(chosen.set_plates) if chosen.set_plates else dataset
        set_on = [region for sample in plates.split(chosen.set_on)
                  for region in regions_of_image(scorer, namer, plates, sample, kinds)[3]]
        at_own_points(set_on, regions, rules, namer.naming.pass_below)
    plain, both = 0.0, 0.0
    for sample in dataset.split(chosen.split)[::6]:
        image, (scored, predicted) = dataset.image(sample), predicted_of(scorer, dataset, sample)
        found = regions_of(predicted, scored.grid)
        plain += timed(lambda image=image: scorer.anomaly_map(image))
        both += timed(lambda scored=scored, found=found: namer.verdicts(scored, found.labels, found.count))
    print(f"processor time: scores 1, verdicts {both / plain:.3f} more, over every sixth image")
    if chosen.json:
        chosen.json.write_text(json.dumps({"figures": report, "curve": table, "lost": LOST}, indent=1) + "\n")


if __name__ == "__main__":
    main()
