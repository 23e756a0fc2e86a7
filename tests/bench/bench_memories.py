# SPDX-License-Identifier: Apache-2.0
"""What memories are best made of: `bench_memories.py MODEL LIBRARY... --judged DATASET [--weights FILE]`.

Makes memories of the LIBRARY's impurities (data sets of any split) for each coverage, each clearance from defects and
each size, and judges the alarms of DATASET with them: the regions of its pictures (all splits but train) whose map
reaches the level. A region with a pixel of a defect is a defect, one that lies at least half on impurities an impurity.
Printed is how well the ratio of the distances to the nearest memory and to the nominal one, over the fifth of a
region's patches where it is largest, tells defects from impurities (AUC), and how many impurities are nearest to the
memory of their own class. It compares ways to make memories; the verdict that the program gives is another matter.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import cv2
import numpy as np
import torch
from sequential_patchcore import Scorer, SequentialCoreset, load_model, open_dataset
from sequential_patchcore.coreset.search import NearestSearch
from sequential_patchcore.data.dataset import Dataset
from sequential_patchcore.fitting.impurities import level_of
from sequential_patchcore.fitting.settings import MemorySettings
from sequential_patchcore.runtime.progress import track
from sequential_patchcore.scoring.anomaly_map import PatchScores

_LEAST_PIXELS = 64  # of a region
_EPOCHS = 3


@dataclass(frozen=True)
class Judged:
    """An alarm: class of what it lies on, whether that is a defect, its patches (N, D) and distances (N,)."""

    name: str
    defective: bool
    vectors: torch.Tensor
    distances: np.ndarray


@dataclass(frozen=True)
class Labelled:
    """The labelled patches of one picture: vectors (N, D), distances (N,), shares of the cell by class (N,), and how
    many cells away the nearest cell with a defect is (N,), at most 4."""

    vectors: np.ndarray
    distances: np.ndarray
    shares: dict[str, np.ndarray]
    clearance: np.ndarray


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("library", nargs="+")
    parser.add_argument("--judged", required=True)
    parser.add_argument("--weights", default=None)
    parser.add_argument("--level", type=float, default=None)
    parser.add_argument("--coverages", type=float, nargs="+", default=[0, 0.25, 0.5, 0.75, 1])
    parser.add_argument("--clearances", type=int, nargs="+", default=[-1, 0, 1, 2, 3])
    parser.add_argument("--sizes", type=int, nargs="+", default=[128, 512, 2048, 4096, 8192])
    chosen = parser.parse_args()
    model = load_model(chosen.model)
    scorer = Scorer(model, weights=chosen.weights)
    level = level_of(model, MemorySettings(level=chosen.level))[0]
    library = [each for place in chosen.library for each in labelled(scorer, open_dataset(place))]
    alarms = list(judged(scorer, open_dataset(chosen.judged), level))
    defects = sum(alarm.defective for alarm in alarms)
    print(f"{len(library)} pictures; level {level:.4g}; {defects} defects, {len(alarms) - defects} impurities")
    middle = (chosen.coverages[len(chosen.coverages) // 2], 2, chosen.sizes[len(chosen.sizes) // 2])
    ways = dict.fromkeys([
        *product(chosen.coverages, middle[1:2], middle[2:]), *product(middle[:1], chosen.clearances, middle[2:]),
        *product(middle[:1], middle[1:2], chosen.sizes),
    ])
    for coverage, clearance, size in ways:
        memories = made(library, coverage, clearance, size, level)
        figure, right = worth(memories, alarms)
        print(f"coverage {coverage:<5g} clearance {clearance} size {size:<5} AUC {figure:.3f} named right {right} of "
              f"{len(alarms) - defects}; patches " + ", ".join(f"{n} {seen}" for n, (_, seen) in memories.items()),
              flush=True)


def labelled(scorer: Scorer, dataset: Dataset) -> Iterator[Labelled]:
    for sample in track(dataset.samples, f"patches of {dataset.name}", len(dataset.samples)):
        scored, mask = scorer.patches(dataset.image(sample)), dataset.mask(sample) * dataset.region(sample)
        grid = scored.grid
        shares = {info.name: grid.share_of(mask == info.id) for info in dataset.classes if info.kind == "impurity"}
        near = (grid.share_of(np.isin(mask, dataset.defect_ids)) > 0).astype(np.uint8)
        away = sum(1 - cv2.dilate(near, np.ones((2 * cells + 1,) * 2, np.uint8)).astype(int) for cells in range(4))
        some = np.any([share > 0 for share in shares.values()], axis=0)
        yield Labelled(
            scored.vectors.numpy()[some], scored.distances[some],
            {name: share[some] for name, share in shares.items()}, away[some],
        )


def judged(scorer: Scorer, dataset: Dataset, level: float) -> Iterator[Judged]:
    kinds = {info.id: (info.name, info.kind == "defect") for info in dataset.classes}
    samples = [sample for sample in dataset.samples if sample.split != "train"]
    for sample in track(samples, f"alarms of {dataset.name}", len(samples)):
        scored, mask, region = scorer.patches(dataset.image(sample)), dataset.mask(sample), dataset.region(sample)
        predicted = ((scored.anomaly_map() >= level) & region).astype(np.uint8)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(predicted)
        for number in range(1, count):
            inside = labels == number
            if stats[number, cv2.CC_STAT_AREA] < _LEAST_PIXELS:
                continue
            pixels = np.bincount(mask[inside], minlength=256)
            defect = [class_id for class_id in np.flatnonzero(pixels) if class_id and kinds[class_id][1]]
            if defect or pixels[1:].sum() >= 0.5 * inside.sum():
                name = kinds[defect[0] if defect else int(pixels[1:].argmax()) + 1][0]
                yield Judged(name, bool(defect), *patches_in(scored, inside))


def patches_in(scored: PatchScores, inside: np.ndarray) -> tuple[torch.Tensor, np.ndarray]:
    """Vectors and distances of the patches that the pixels (H, W) bool take their value from."""
    rows, columns = scored.grid.nearest_cells()
    y, x = np.nonzero(inside)
    cells = np.unique(rows[y] * scored.grid.cells[1] + columns[x])
    return scored.vectors.reshape(-1, scored.vectors.shape[-1])[cells], scored.distances.reshape(-1)[cells]


def made(
    library: Sequence[Labelled], coverage: float, clearance: int, size: int, level: float
) -> dict[str, tuple[NearestSearch, int]]:
    """Class -> its memory, and the patches that it is of. A clearance of -1 leaves what shows defects in."""
    found = {}
    for name in sorted({name for picture in library for name in picture.shares}):
        patches = np.concatenate([
            picture.vectors[(picture.shares[name] > 0) & (picture.shares[name] >= coverage)
                            & (picture.distances >= level) & (picture.clearance > clearance)]
            for picture in library if name in picture.shares
        ])
        if len(patches) > 1:
            coreset = SequentialCoreset(min(size, len(patches))).fit(patches, max_epochs=_EPOCHS)
            found[name] = NearestSearch(coreset.vectors_), len(patches)
    return found


def worth(memories: dict[str, tuple[NearestSearch, int]], alarms: Sequence[Judged]) -> tuple[float, int]:
    """(AUC, impurities that are nearest to their own memory)."""
    ratios: dict[bool, list[float]] = {False: [], True: []}
    right = 0
    for alarm in alarms:
        away = {name: search.distances(alarm.vectors).numpy() for name, (search, _) in memories.items()}
        ratio = np.sort(np.min(list(away.values()), axis=0) / alarm.distances)
        ratios[alarm.defective].append(float(ratio[-max(1, len(ratio) // 5) :].mean()))
        right += not alarm.defective and min(away, key=lambda name: away[name].mean()) == alarm.name
    defects, impurities = np.array(ratios[True])[:, None], np.array(ratios[False])[None]
    return float((defects > impurities).mean() + 0.5 * (defects == impurities).mean()), right


if __name__ == "__main__":
    main()
