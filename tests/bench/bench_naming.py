# SPDX-License-Identifier: Apache-2.0
"""What verdicts are worth on plates that nothing was trained or set on: docs/impurities.md holds what it printed.

    python tests/bench/bench_naming.py MODEL.h5 PLATES [--split test] [--set-on val] [--json FILE]

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
from sequential_patchcore import Scorer, load_model, open_dataset
from sequential_patchcore.data.dataset import Dataset
from sequential_patchcore.metrics.binomial import upper_limit
from sequential_patchcore.metrics.bootstrap import draw, interval
from sequential_patchcore.naming.figures import image_verdicts, verdict_figures
from sequential_patchcore.naming.judgement import PatchFigures, judge
from sequential_patchcore.naming.learning import predicted_of
from sequential_patchcore.naming.namer import Namer
from sequential_patchcore.naming.regions import regions_of, surroundings
from sequential_patchcore.naming.truth import region_truths

LOST = (0, 1, 2, 3, 5)
VOTE, RATIO, NOMINAL = "vote of the nearest memory", "ratio of distances", "dirt in the nominal memory"
RULE = "verdicts"


def region_numbers(figures: PatchFigures, kinds: np.ndarray, rows: np.ndarray) -> dict[str, float]:
    """What each of the other rules says of a region; kinds: (M,) bool, which memories are of defects."""
    defect = figures.distances[rows][:, kinds].min(1)
    dirt = figures.distances[rows][:, ~kinds].min(1)
    return {
        VOTE: float((defect < dirt).mean()),
        RATIO: float(np.log(np.maximum(dirt, 1e-9) / np.maximum(defect, 1e-9)).max()),
        NOMINAL: float(np.minimum(figures.nominal[rows], dirt).max()),
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


def regions_of_split(scorer: Scorer, namer: Namer, dataset: Dataset, split: str, kinds: np.ndarray) -> list[dict]:
    """What every rule says of each region of a split."""
    regions = []
    for sample in dataset.split(split):
        scored, predicted = predicted_of(scorer, dataset, sample)
        found = regions_of(predicted, scored.grid)
        if not found.count:
            continue
        truths = region_truths(found.labels, found.count, dataset.mask(sample), dataset.instances(sample),
                               dataset.classes)
        around = surroundings(found, scored.distances, namer.naming.near_from, namer.naming.near_cells)
        figures = namer.figures(scored, around)
        for number, verdict in enumerate(judge(namer.naming, around, figures, scored.grid)):
            rows = np.flatnonzero((around.region == number) & around.own)
            unknown = verdict.reason == "far from every memory"
            regions.append({
                "plate": str(sample.group or sample.id),
                "views": [(sample.id, instance) for instance in truths[number].defects],
                RULE: np.inf if unknown else verdict.defect_likeness, **region_numbers(figures, kinds, rows),
            })
    return regions


def timed(work: Callable[[], object], times: int = 5) -> float:
    """The least seconds of several runs."""
    least = np.inf
    for _ in range(times):
        start = time.perf_counter()
        work()
        least = min(least, time.perf_counter() - start)
    return least


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("plates")
    parser.add_argument("--split", default="test")
    parser.add_argument("--set-on", metavar="SPLIT", help="also compare the rules, each with its point set on this")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    scorer, dataset = Scorer(load_model(chosen.model)), open_dataset(chosen.plates)
    namer, regions, images, soiled = Namer(scorer), [], [], {}
    kinds = np.array([memory.kind == "defect" for memory in scorer.model.memories.values()])
    for sample in dataset.split(chosen.split):
        scored, predicted = predicted_of(scorer, dataset, sample)
        found = regions_of(predicted, scored.grid)
        mask = np.where(dataset.region(sample), dataset.mask(sample), 0).astype(np.uint8)
        truths = region_truths(found.labels, found.count, mask, dataset.instances(sample), dataset.classes)
        plate = str(sample.group or sample.id)
        if not found.count:
            images.append((plate, []))
            continue
        around = surroundings(found, scored.distances, namer.naming.near_from, namer.naming.near_cells)
        figures = namer.figures(scored, around)
        verdicts = judge(namer.naming, around, figures, scored.grid)
        records = image_verdicts(found.labels, np.zeros((found.count + 1, 5)), verdicts, truths,
                                 np.zeros(found.count + 1)).records
        images.append((plate, records))
        for number, (verdict, truth) in enumerate(zip(verdicts, truths, strict=True)):
            rows = np.flatnonzero((around.region == number) & around.own)
            unknown = verdict.reason == "far from every memory"
            regions.append({
                "plate": plate, "views": [(sample.id, instance) for instance in truth.defects],
                RULE: np.inf if unknown else verdict.defect_likeness, **region_numbers(figures, kinds, rows),
            })
            for instance in truth.defects:
                key = (sample.id, instance)
                soiled[key] = soiled.get(key, False) or bool(truth.impurity)
                lost, name = verdict.passed, truth.defects[instance]
                if lost:
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
        at_own_points(regions_of_split(scorer, namer, dataset, chosen.set_on, kinds), regions, rules,
                      namer.naming.pass_below)
    image = dataset.image(dataset.split(chosen.split)[0])
    labels = regions_of(predicted_of(scorer, dataset, dataset.split(chosen.split)[0])[1], scored.grid)
    plain = timed(lambda: scorer.anomaly_map(image))

    def named() -> None:
        patches = scorer.patches(image)
        patches.anomaly_map()
        namer.verdicts(patches, labels.labels, labels.count)

    both = timed(named)
    print(f"an image: {plain * 1e3:.0f} ms scored, {both * 1e3:.0f} ms with verdicts of {labels.count} regions")
    if chosen.json:
        chosen.json.write_text(json.dumps({"figures": report, "curve": table, "lost": LOST}, indent=1) + "\n")


if __name__ == "__main__":
    main()
