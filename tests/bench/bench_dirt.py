# SPDX-License-Identifier: Apache-2.0
"""Real dirt on real photographs: `bench_dirt.py PHOTOS MODEL DATASET OUT [--weights FILE] [--level 45]`.

PHOTOS is BSData's selection (docs/real_data.md), DATASET its import and MODEL a calibrated model of it. On six clean
photographs of the validation split the dirt that they show was drawn by hand, roughly (`DIRT`); they become LabelMe
files, are imported beside the twenty validation photographs with labelled pits, and make memories of three impurities
and of the pits. Then every region of a test photograph that reaches `--share` of the threshold is given to the memory
that the most anomalous fifth of its patches is nearest to; what the regions lie on, what they are given to, and whether
that is nearer than the nominal memory, is counted. Nothing of the test split is used before.
"""

import argparse
import csv
import json
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from sequential_patchcore import MemorySettings, Scorer, add_impurities, load_model, open_dataset, save_model
from sequential_patchcore.coreset.search import NearestSearch
from sequential_patchcore.data.importers.importing import import_dataset
from sequential_patchcore.data.importers.options import ImportOptions
from sequential_patchcore.model.file import Model
from sequential_patchcore.runtime.progress import track

HEIGHT, WIDTH = 460, 1130
# Photograph -> (label, corners x, y of a polygon). "chip" is a yellowish flake, "grease" a film with particles in it,
# "soil" a brown deposit.
DIRT = {
    "01_200903222349_597500_315_crop_2": [("chip", [305, 25, 315, 10, 350, 12, 352, 22, 340, 33, 312, 35])],
    "01_200903123334_597500_315_crop_2": [("chip", [309, 22, 318, 8, 352, 8, 356, 20, 344, 30, 316, 34])],
    "01_200903122634_305000_090_crop_2": [
        ("grease", [330, 459, 620, 400, 850, 340, 1090, 280, 1110, 320, 900, 400, 800, 440, 760, 459]),
    ],
    "01_200904201120_277500_315_crop_2": [
        ("grease", [500, 459, 760, 380, 1000, 310, 1110, 280, 1110, 330, 900, 410, 760, 440, 640, 459]),
        ("grease", [40, 160, 60, 110, 200, 50, 400, 10, 440, 20, 250, 90, 100, 150]),
    ],
    "01_200902013645_635000_270_crop_2": [
        ("soil", [60, 130, 120, 80, 300, 25, 430, 0, 500, 0, 380, 50, 200, 90, 80, 140]),
    ],
    "01_200902012858_305000_090_crop_2": [
        ("grease", [350, 459, 700, 400, 1000, 300, 1125, 260, 1125, 330, 1000, 400, 830, 440, 740, 459]),
        ("chip", [215, 0, 250, 0, 245, 10, 222, 10]),
    ],
}
_LEAST_PIXELS = 150  # of a region


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--share", type=float, default=0.9)
    chosen = parser.parse_args()
    drawn = draw(chosen.photos, chosen.out / "photographs")
    options = ImportOptions(defects=("Pitting",), impurities=("chip", "grease", "soil"), overwrite=True)
    dirty = open_dataset(import_dataset("labelme", drawn, chosen.out / "dirty", options))
    scorer = Scorer(load_model(chosen.model), weights=chosen.weights)
    settings = MemorySettings(level=chosen.level, with_defects=True)
    knowing = add_impurities(scorer.model, [dirty], scorer.extractor, settings)
    save_model(knowing, chosen.out / "knowing.h5")
    for name, memory in knowing.memories.items():
        print(f"{name}: {len(memory.vectors)} vectors of {memory.seen} patches of {memory.images} photographs")
    counts = Counter(judged(scorer, knowing, chosen.dataset, chosen.share * scorer.threshold.value))
    for (lies_on, name, near), count in sorted(counts.items()):
        known = "and nearer than" if near else "but farther than"
        print(f"{lies_on:36} nearest to {name:8} {known} to the nominal: {count}")


def parser_of(description: str) -> argparse.ArgumentParser:
    """The options of both benches of real dirt."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("model")
    parser.add_argument("dataset")
    parser.add_argument("out", type=Path)
    parser.add_argument("--weights", default=None)
    parser.add_argument("--level", type=float, default=None, help="of the memories; default: the threshold")
    return parser


def draw(photos: Path, folder: Path) -> Path:
    """The six photographs with their forms, and the validation photographs with labelled pits as they are."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, forms in DIRT.items():
        shutil.copy(photos / "images" / f"{name}.jpg", folder)
        shapes = [
            {"label": label, "points": np.reshape(corners, (-1, 2)).tolist(), "shape_type": "polygon", "flags": {}}
            for label, corners in forms
        ]
        (folder / f"{name}.json").write_text(json.dumps({
            "version": "5.4.1", "flags": {}, "shapes": shapes, "imagePath": f"{name}.jpg", "imageData": None,
            "imageHeight": HEIGHT, "imageWidth": WIDTH,
        }), encoding="utf-8")
    with open(photos / "splits.csv", encoding="utf-8") as table:
        for row in csv.DictReader(table):
            if row["split"] == "val" and row["label"]:
                shutil.copy(photos / row["image"], folder)
                shutil.copy(photos / row["label"], folder)
    return folder


def judged(scorer: Scorer, knowing: Model, place: str, threshold: float) -> Iterator[tuple[str, str, bool]]:
    """Of each region of the test photographs: what it lies on, the memory that it is nearest to, and whether that is
    nearer than the nominal one."""
    searches = {name: NearestSearch(memory.vectors) for name, memory in knowing.memories.items()}
    dataset = open_dataset(place)
    samples = dataset.split("test")
    for sample in track(samples, "judging", len(samples)):
        patches, pits = scorer.patches(dataset.image(sample)), dataset.mask(sample) > 0
        predicted = (patches.anomaly_map() >= threshold).astype(np.uint8)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(predicted)
        rows, columns = patches.grid.nearest_cells()
        for number in range(1, count):
            if stats[number, cv2.CC_STAT_AREA] < _LEAST_PIXELS:
                continue
            inside = labels == number
            y, x = np.nonzero(inside)
            cells = sorted(set(zip(rows[y], columns[x], strict=True)), key=lambda cell: -patches.distances[cell])
            cells = cells[: max(1, len(cells) // 5)]
            worst = torch.stack([patches.vectors[cell] for cell in cells])
            away = {name: float(search.distances(worst).mean()) for name, search in searches.items()}
            if pits[inside].any():
                lies_on = "a pit"
            else:
                lies_on = "a photograph without a pit" if not pits.any() else "a photograph with pits, not on one"
            nearest = min(away, key=away.get)
            yield lies_on, nearest, away[nearest] < np.mean([patches.distances[cell] for cell in cells])


if __name__ == "__main__":
    main()
