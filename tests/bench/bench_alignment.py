# SPDX-License-Identifier: Apache-2.0
"""What the measured alignment is worth: `bench_alignment.py DATASET WEIGHTS [--scale 0.68] [--pool 2]`.

Trains on every second image and scores the test split twice, with the offsets that `extractors/alignment.py` measures
and with the usual assumption that a patch looks at the middle of its cell; prints pixel AUROC and average precision,
and how far below and right of dark spots that are painted on the data set's own images the middle of the red is.
`--shifts` adds the average precision of the measured map moved down by so many pixels: what labels and defects, not the
alignment, have to do with it. WEIGHTS may be `filters`.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sequential_patchcore.coreset.engine import CoresetEngine
from sequential_patchcore.data.dataset import Dataset, Sample, open_dataset
from sequential_patchcore.extractors.base import Extractor, ExtractorSettings, to_tensor
from sequential_patchcore.extractors.builder import extractor_of
from sequential_patchcore.extractors.timm_backbone import TimmBackbone
from sequential_patchcore.metrics.ranking import ScoreHistogram
from sequential_patchcore.model.patch_ids import pack_patch_ids
from sequential_patchcore.runtime.choices import FILTERS
from sequential_patchcore.runtime.progress import track
from sequential_patchcore.scoring.scorer import Scorer

_SHIFTS = (-8, -4, 0, 4, 8, 12, 16)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset")
    parser.add_argument("weights", help="a file named after its timm model")
    parser.add_argument("--scale", type=float, default=0.68)
    parser.add_argument("--pool", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--shifts", action="store_true")
    chosen = parser.parse_args()
    dataset = open_dataset(chosen.dataset)
    settings = ExtractorSettings(Path(chosen.weights).stem, chosen.scale, chosen.pool)
    print(f"{'alignment':10} {'offset px':>9} {'AUROC':>8} {'AP':>8} {'below px':>9} {'right px':>9}")
    filters = chosen.weights == FILTERS
    for name in ("measured",) if filters else ("measured", "assumed"):
        extractor = extractor_of(settings, "none" if filters else chosen.weights)
        if name == "assumed":
            assume_middles(extractor)
        samples = dataset.split("train")[::2]
        scorer = trained(extractor, dataset, samples, chosen.epochs, name)
        histograms = scored(scorer, dataset, _SHIFTS if chosen.shifts and name == "measured" else (0,), name)
        values = histograms[0].auroc()[0], histograms[0].average_precision()[0]
        below, right = np.mean([away(scorer, dataset.image(sample), k) for k, sample in enumerate(samples[:20])], 0)
        line = f"{name:10} {extractor.offset:9.1f} {values[0]:8.4f} {values[1]:8.4f} {below:9.2f} {right:9.2f}"
        print(line, flush=True)
        if len(histograms) > 1:
            moved = {down: round(histogram.average_precision()[0], 3) for down, histogram in histograms.items()}
            print("moved down", moved)


def assume_middles(extractor: TimmBackbone) -> None:
    """Let every cell of every feature map look at the middle of its own square of pixels."""
    middles = [(stride - 1) / 2 for stride in extractor.strides]
    extractor.offset = middles[0]
    starts = [(extractor.offset - middle) / stride for middle, stride in zip(middles, extractor.strides, strict=True)]
    if len(extractor.starts) != len(starts):
        raise AttributeError("TimmBackbone no longer resamples its maps by `starts`")
    extractor.starts = starts


def trained(extractor: Extractor, dataset: Dataset, samples: Sequence[Sample], epochs: int, name: str) -> Scorer:
    """A scorer over the coreset of the samples' patches."""
    coreset = CoresetEngine(2048, extractor.dimension)
    for _ in range(epochs):
        for number, sample in enumerate(track(samples, f"{name}: training", len(samples))):
            patches = extractor(to_tensor(dataset.image(sample), extractor.settings.image_scale, "cpu"))[0]
            patch_ids = pack_patch_ids(number, tuple(patches.shape[:2]))
            coreset.update(patches.reshape(-1, extractor.dimension), patch_ids)
    return Scorer.of_vectors(extractor, coreset.result().features)


def scored(scorer: Scorer, dataset: Dataset, shifts: Sequence[int], name: str) -> dict[int, ScoreHistogram]:
    """The pixels of the test split, with the map moved down by each of so many pixels."""
    histograms = {down: ScoreHistogram() for down in shifts}
    samples = dataset.split("test")
    for sample in track(samples, f"{name}: scoring", len(samples)):
        positive = np.isin(dataset.mask(sample), dataset.defect_ids)
        scores = scorer.anomaly_map(dataset.image(sample))
        for down, histogram in histograms.items():
            histogram.add(np.roll(scores, down, 0).ravel(), positive.ravel())
    return histograms


def away(scorer: Scorer, image: np.ndarray, seed: int) -> tuple[float, float]:
    """Pixels by which the red lies below and right of a dark spot of sigma 4 px, painted on the image."""
    height, width = image.shape[:2]
    y, x = np.random.default_rng(seed).uniform(0.2, 0.8, 2) * (height, width)
    rows, columns = np.indices((height, width))
    spot = np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 32)[..., None].astype(np.float32)
    red = scorer.anomaly_map(image * (1 - 0.7 * spot)) - scorer.anomaly_map(image)
    red[red < red.max() / 2] = 0
    return float((red * (rows - y)).sum() / red.sum()), float((red * (columns - x)).sum() / red.sum())


if __name__ == "__main__":
    main()
