# SPDX-License-Identifier: Apache-2.0
"""The threshold: the one that maximises pixel F1 on the validation split. Test data never enters."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from .data.dataset import Dataset
from .errors import UserError
from .model_file import Threshold
from .progress import Progress, say
from .scoring import Scorer
from .threshold import max_f1


def calibrate(scorer: Scorer, dataset: Dataset, split: str = "val") -> Threshold:
    """Score the split once, keep the maps on disk, and find the threshold over all their pixels.

    Only pixels inside the regions count; positive are those of defect classes, impurities count as normal.
    Without any defect the threshold is a high quantile of the normal scores, and the result says so.

    Raises:
        UserError: the split is empty, or is the test split.
    """
    if split == "test":
        raise UserError("a threshold set on the test split would make its results worthless; use --split val")
    samples = dataset.split(split)
    with tempfile.TemporaryDirectory(prefix="sequential-patchcore-") as folder:
        files = []
        with Progress(f"scoring {split}", len(samples)) as progress:
            for number, sample in enumerate(samples):
                scores = scorer.anomaly_map(dataset.image(sample))
                region = dataset.region(sample)
                positive = np.isin(dataset.mask(sample), dataset.defect_ids)
                file = Path(folder) / f"{number}.npz"
                np.savez(file, scores=scores[region], positive=positive[region])
                files.append(file)
                progress.step()

        def pixels() -> Iterator[tuple[np.ndarray, np.ndarray]]:
            for file in files:
                with np.load(file) as kept:
                    yield kept["scores"], kept["positive"]

        best = max_f1(pixels)
    counts = {"images": len(samples), "pixels": best.pixels, "positives": best.positives}
    if best.method == "max_f1":
        say(f"threshold {best.threshold:.6g}: F1 {best.f1:.3f} over {best.pixels} pixels, {best.positives} of defects")
    else:
        say(
            f"threshold {best.threshold:.6g}: the split {split!r} holds no defects, so it is the "
            f"{best.quantile:.1%} quantile of the normal scores; expect that share of false alarms"
        )
    quality = {"f1": best.f1, "precision": best.precision, "recall": best.recall, "quantile": best.quantile}
    origin = {"dataset": dataset.name, "fingerprint": dataset.fingerprint, "split": split}
    return Threshold(best.threshold, best.method, origin | counts | quality)
