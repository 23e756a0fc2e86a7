# SPDX-License-Identifier: Apache-2.0
"""Verdicts on real photographs: `bench_dirt_verdicts.py PHOTOS MODEL DATASET OUT --weights FILE [--level 45]`.

PHOTOS, MODEL and DATASET as in bench_dirt.py. The library is the six photographs whose dirt was drawn by hand, and
every other validation photograph with labelled pits; the operating point is set on the rest of the validation split;
what the verdicts say of the test split's alarms is counted. Nothing of the test split is used before.
"""

import csv
import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
from bench_dirt import DIRT, draw, parser_of
from sequential_patchcore import MemorySettings, Scorer, add_impurities, load_model, open_dataset, save_model
from sequential_patchcore.data.importers.importing import import_dataset
from sequential_patchcore.data.importers.options import ImportOptions
from sequential_patchcore.naming.figures import image_verdicts, verdict_figures
from sequential_patchcore.naming.learning import predicted_of
from sequential_patchcore.naming.namer import Namer
from sequential_patchcore.naming.regions import regions_of
from sequential_patchcore.naming.setting import set_verdicts
from sequential_patchcore.naming.truth import region_truths


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--lost-defects", type=float, default=None)
    chosen = parser.parse_args()
    library, plates = parts(chosen.photos, chosen.out)
    scorer = Scorer(load_model(chosen.model), weights=chosen.weights)
    settings = MemorySettings(level=chosen.level, with_defects=True)
    knowing = add_impurities(scorer.model, [library], scorer.extractor, settings)
    scorer = Scorer(knowing, weights=chosen.weights)
    rule = set_verdicts(scorer, [library], plates, lost_defects=chosen.lost_defects)
    knowing = replace(knowing, naming=rule)
    save_model(knowing, chosen.out / "naming.h5")
    scorer = Scorer(knowing, weights=chosen.weights)
    namer, dataset, images, reasons = Namer(scorer), open_dataset(chosen.dataset), [], Counter()
    for sample in dataset.split("test"):
        scored, predicted = predicted_of(scorer, dataset, sample)
        found = regions_of(predicted, scored.grid)
        truths = region_truths(found.labels, found.count, dataset.mask(sample), dataset.instances(sample),
                               dataset.classes)
        verdicts = namer.verdicts(scored, found.labels, found.count)
        pits = "a photograph with pits" if any(sample.instances) else "a photograph without"
        reasons.update(("on a pit" if truth.defects else pits, verdict.verdict, verdict.reason)
                       for verdict, truth in zip(verdicts, truths, strict=True))
        records = image_verdicts(found.labels, np.zeros((found.count + 1, 5)), verdicts, truths,
                                 np.zeros(found.count + 1)).records
        images.append((str(sample.group or sample.id), records))
    for (where, verdict, reason), count in sorted(reasons.items()):
        print(f"{where:24} {verdict:10} {reason:28} {count}")
    report = verdict_figures(images, dataset.classes)
    shown = ("impurities", "defects", "false_alarms", "image_verdicts")
    print(json.dumps({key: report[key] for key in shown}, indent=1))


def parts(photos: Path, out: Path) -> tuple:
    """The library, and the photographs for the operating point: both of the validation split, none in both."""
    drawn = draw(photos, out / "photographs")
    with open(photos / "splits.csv", encoding="utf-8") as table:
        rows = [row for row in csv.DictReader(table) if row["split"] == "val"]
    pitted = sorted(Path(row["image"]).stem for row in rows if row["label"])
    for name in pitted[1::2]:
        for file in drawn.glob(f"{name}.*"):
            file.unlink()
    library = import_dataset("labelme", drawn, out / "library", ImportOptions(
        defects=("Pitting",), impurities=("chip", "grease", "soil"), overwrite=True))
    taken = {*DIRT, *pitted[0::2]}
    rest = out / "rest"
    shutil.rmtree(rest, ignore_errors=True)
    rest.mkdir()
    for row in rows:
        if Path(row["image"]).stem not in taken:
            for file in (row["image"], row["label"]):
                if file:
                    shutil.copy(photos / file, rest)
    plates = import_dataset("labelme", rest, out / "plates", ImportOptions(
        defects=("Pitting",), default_split="val", overwrite=True))
    return open_dataset(library), open_dataset(plates)


if __name__ == "__main__":
    main()
