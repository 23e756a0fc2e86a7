# SPDX-License-Identifier: Apache-2.0
"""The threshold: of largest pixel F1 on the validation split, or of a wanted false-positive rate on its clean images.

Test data never enters.
"""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from ..data.dataset import Dataset
from ..metrics.threshold import above_quantile, max_f1
from ..model.file import Threshold
from ..runtime.errors import UserError
from ..runtime.progress import Progress, say


class MakesMaps(Protocol):
    """Such as `Scorer`."""

    def anomaly_map(self, image: np.ndarray) -> np.ndarray:
        """(H, W, 3) float32 RGB in [0, 1] to (H, W) float32, not negative."""
        ...


def calibrate(
    scorer: MakesMaps, dataset: Dataset, split: str = "val", false_positive_rate: float | None = None,
    per: str = "pixel",
) -> Threshold:
    """Score the split once and find the threshold over all its pixels; the maps lie on disk meanwhile.

    Only pixels inside the regions count; positive are those of defect classes, impurities count as normal.
    Without any defect the threshold is a high quantile of the normal scores, and the result says so.

    Args:
        false_positive_rate: instead of the best F1, the least threshold at which at most this share of the pixels of
            clean images (or of the clean images themselves, when `per` is "image") is predicted. Clean images have
            no labelled pixel in their region.

    Raises:
        UserError: the split is empty, is the test split, or has no clean image for a rate.
    """
    if split == "test":
        raise UserError("a threshold set on the test split would make its results worthless; use `split` val")
    samples = dataset.split(split)
    with tempfile.TemporaryDirectory(prefix="sequential-patchcore-") as folder:
        files: list[Path] = []
        clean: list[Path] = []
        with Progress(f"scoring {split}", len(samples)) as progress:
            for number, sample in enumerate(samples):
                region, mask = dataset.region(sample), dataset.mask(sample)
                sound = not mask[region].any()
                if false_positive_rate is None or sound:
                    scores = scorer.anomaly_map(dataset.image(sample))
                    file = Path(folder) / f"{number}.npz"
                    np.savez(file, scores=scores[region], positive=np.isin(mask, dataset.defect_ids)[region])
                    (clean if sound else files).append(file)
                progress.step()
        if false_positive_rate is not None:
            return _at_rate(clean, false_positive_rate, per, dataset, split)
        best = max_f1(lambda: _pixels(files + clean))
    counts = {"images": len(samples), "pixels": best.pixels, "positives": best.positives}
    if best.method == "max_f1":
        say(f"threshold {best.threshold:.6g}: F1 {best.f1:.3f} over {best.pixels} pixels, {best.positives} of defects")
    else:
        say(
            f"threshold {best.threshold:.6g}: the split {split!r} holds no defects, so it is the "
            f"{best.quantile:.1%} quantile of the normal scores; expect that share of false alarms"
        )
    quality = {"f1": best.f1, "precision": best.precision, "recall": best.recall, "quantile": best.quantile}
    return Threshold(best.threshold, best.method, _origin(dataset, split) | counts | quality)


def _at_rate(files: Sequence[Path], rate: float, per: str, dataset: Dataset, split: str) -> Threshold:
    if not 0 < rate < 1:
        raise UserError(f"a false-positive rate lies between 0 and 1, such as 0.001; got {rate:g}")
    if not files:
        raise UserError(
            f"the split {split!r} of {dataset.name} has no clean image (one without any labelled pixel) to set a "
            "false-positive rate on; give a data set with clean validation images"
        )

    def batches() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for scores, positive in _pixels(files):
            if per == "image":
                scores, positive = scores.max(keepdims=True, initial=0), positive[:1]
            yield scores, positive

    threshold = above_quantile(batches, 1 - rate)
    pixels = predicted = alarmed = 0
    for scores, _ in _pixels(files):
        over = int((scores >= np.float32(threshold)).sum())
        pixels, predicted, alarmed = pixels + len(scores), predicted + over, alarmed + (over > 0)
    reached = alarmed / len(files) if per == "image" else predicted / pixels
    if rate * (len(files) if per == "image" else pixels) < 1:
        say(f"note: {rate:g} of {len(files) if per == 'image' else pixels} clean {per}s is less than one of them")
    say(
        f"threshold {threshold:.6g}: {predicted} of {pixels} pixels predicted on clean images, "
        f"{alarmed} of {len(files)} clean images alarmed"
    )
    counts = {
        "images": len(files), "pixels": pixels, "wanted_rate": rate, "rate_per": per, "reached_rate": reached,
        "predicted_pixels": predicted, "images_alarmed": alarmed,
    }
    return Threshold(threshold, "false_positive_rate", _origin(dataset, split) | counts)


def _pixels(files: Sequence[Path]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for file in files:
        with np.load(file) as kept:
            if len(kept["scores"]):
                yield kept["scores"], kept["positive"]


def _origin(dataset: Dataset, split: str) -> dict:
    return {"dataset": dataset.name, "fingerprint": dataset.fingerprint, "split": split}
