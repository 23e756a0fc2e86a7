# SPDX-License-Identifier: Apache-2.0
"""How much a threshold hangs on the plate that it was set on.

For each model the threshold of best pixel F1 is found on each plate with defects alone, on the validation split and on
the test split as a whole, and precision, recall and F1 of the test split are counted at each of these.

    .venv/bin/python tests/bench/bench_threshold_plate.py DATASET MODEL.h5 [...] [--weights FILE] [--json FILE]

With `--table TABLE_2.csv` of `make reproduce` each row of that is compared with the first model: how many points of
precision it has over that model where that has the same recall, read off between the points found here.
"""

import argparse
import csv
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from sequential_patchcore import Scorer, load_model, open_dataset
from sequential_patchcore.data.dataset import Dataset


def best_f1(scores: np.ndarray, positive: np.ndarray) -> tuple[float, float]:
    """The threshold of largest F1 and that F1; scores (n,), positive (n,) bool with at least one True."""
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(positive[order])
    last = np.append(scores[order][1:] != scores[order][:-1], True)  # equal scores are predicted together
    f1 = np.where(last, 2 * hits / (np.arange(1, len(order) + 1) + positive.sum()), 0)
    best = int(f1.argmax())
    return float(scores[order][best]), float(f1[best])


def counts_at(threshold: float, scores: np.ndarray, positive: np.ndarray) -> dict[str, float]:
    predicted = scores >= threshold
    hits = int((predicted & positive).sum())
    return {"precision": hits / max(int(predicted.sum()), 1), "recall": hits / max(int(positive.sum()), 1),
            "f1": 2 * hits / max(int(predicted.sum() + positive.sum()), 1)}


def pixels_of_plates(scorer: Scorer, dataset: Dataset, split: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Plate to scores (n,) float32 and whether they are of a defect (n,) bool, over its pictures' regions."""
    found = defaultdict(list)
    for sample in dataset.split(split):
        region = dataset.region(sample)
        positive = np.isin(dataset.mask(sample), dataset.defect_ids)[region]
        found[sample.group or sample.id].append((scorer.anomaly_map(dataset.image(sample))[region], positive))
    return {plate: tuple(np.concatenate(part) for part in zip(*pairs, strict=True)) for plate, pairs in found.items()}


def at_equal_recall(points: list[dict], table: str) -> None:
    """Precision of each row of a table II over that of the points, in points, at the row's recall."""
    recalls, precisions = zip(*sorted({(point["recall"], point["precision"]) for point in points}), strict=True)
    print(f"precision over that of {points[0]['model']} at equal recall, between {len(recalls)} points:")
    with open(table, encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["precision"]:
                recall, precision = float(row["recall"]), float(row["precision"])
                print(f"{row['name']:36} {100 * (precision - np.interp(recall, recalls, precisions)):+.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset")
    parser.add_argument("model", nargs="+")
    parser.add_argument("--weights")
    parser.add_argument("--json")
    parser.add_argument("--table", help="table_2.csv of a plan")
    parsed = parser.parse_args()
    torch.set_num_threads(1)
    dataset, rows = open_dataset(parsed.dataset), []
    print("| model | plate | split | threshold | its own F1 | precision | recall | F1 on the test split |")
    print("|---|---|---|---|---|---|---|---|")
    for file in parsed.model:
        scorer = Scorer(load_model(file), weights=parsed.weights)
        val, test = (pixels_of_plates(scorer, dataset, split) for split in ("val", "test"))
        whole = tuple(np.concatenate(part) for part in zip(*test.values(), strict=True))
        all_val = tuple(np.concatenate(part) for part in zip(*val.values(), strict=True))
        kinds = [*(("val", *item) for item in val.items()), ("val", "all of them", all_val),
                 *(("test", *item) for item in test.items()), ("test", "all of them", whole)]
        for split, plate, (scores, positive) in kinds:
            if not positive.any():
                continue
            threshold, own = best_f1(scores, positive)
            row = {"model": Path(file).stem, "plate": plate, "split": split, "threshold": threshold, "own_f1": own}
            row |= counts_at(threshold, *whole)
            rows.append(row)
            print(f"| {row['model']} | {plate} | {split} | {threshold:.1f} | {100 * own:.1f} | "
                  f"{100 * row['precision']:.1f} | {100 * row['recall']:.1f} | {100 * row['f1']:.1f} |", flush=True)
    if parsed.table:
        at_equal_recall([row for row in rows if row["model"] == Path(parsed.model[0]).stem], parsed.table)
    if parsed.json:
        Path(parsed.json).write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
