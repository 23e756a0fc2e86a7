# SPDX-License-Identifier: Apache-2.0
"""The threshold: of largest pixel F1 on the validation split, or of a wanted share of false alarms on its clean images.

Test data never enters.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np

from ..data.dataset import Dataset, Sample
from ..metrics.threshold import above_quantile, max_f1
from ..model.file import Threshold
from ..runtime.errors import UserError
from ..runtime.progress import Progress, say
from ..runtime.read_ahead import read_ahead

CLEAN_RATE = 0.01  # of clean images, or plates, that may alarm where a split has no defect and nothing else is wanted
UNITS = ("pixel", "image", "plate")


class MakesMaps(Protocol):
    """Such as `Scorer`."""

    def anomaly_map(self, image: np.ndarray) -> np.ndarray:
        """(H, W, 3) float32 RGB in [0, 1] to (H, W) float32, not negative."""
        ...


class MakesMapsOfUnseenPlates(Protocol):
    """Such as `UnseenPlates`."""

    def anomaly_map(self, sample: Sample, image: np.ndarray) -> np.ndarray:
        """(H, W) float32, not negative, of a sample of the data set and what it shows, (H, W, 3) float32."""
        ...


@dataclass(frozen=True)
class _Image:
    """The scores of one image on disk: `scores` (n,) float32 and `positive` (n,) bool, the n pixels of its region.

    Attributes:
        group: names the plate; an image without one is its own.
        clean: nothing of it is labelled, neither a pixel of the region nor the image as a whole.
        positives, pixels: how many pixels are positive, and how many there are.
        defective: it has a defect.
        located: it is known where its labels are.
    """

    file: Path
    group: str
    clean: bool
    positives: int
    pixels: int
    defective: bool
    located: bool


def calibrate(
    scorer: MakesMaps, dataset: Dataset, split: str = "val", false_positive_rate: float | None = None,
    per: str | None = None, unseen: MakesMapsOfUnseenPlates | None = None,
    kept: Callable[[Sample, np.ndarray], np.ndarray] | None = None,
) -> Threshold:
    """Score the split once and find the threshold over all its pixels; the maps lie on disk meanwhile.

    Only pixels inside the regions count; positive are those of defect classes, impurities count as normal.
    Without any defect there is no F1: then at most the share `CLEAN_RATE` of the images, or of the plates where they
    have several images, holds a pixel above the threshold. Below 100 of them that is none. Where defective images are
    labelled as a whole it is not known which pixels are positive, and the F1 is that of images, by their highest score.

    Args:
        false_positive_rate: instead of the best F1, the least threshold at which at most this share of the pixels of
            clean images is predicted, or of what `per` names. Clean images have no labelled pixel in their region.
        per: what the rate is a share of, "pixel", "image" or "plate"; an image or plate counts when one of its pixels
            is predicted. Where no rate is wanted it says what the F1 counts, or on a split without a defect what may
            alarm; "pixel" then takes the 0.999 quantile of the pixels' scores. By default images count where some are
            labelled as a whole, else pixels.
        unseen: makes the maps in place of the scorer where the threshold rests on clean images alone
            (`rests_on_clean_images`).
        kept: makes the map of an image of the data set, in place of the scorer, such as by one that was kept.

    Raises:
        UserError: the split is empty, is the test split, or has no clean image for a rate; scores that are not finite.
    """
    if split == "test":
        raise UserError("a threshold set on the test split would make its results worthless; use `split` val")
    if per is not None and per not in UNITS:
        raise UserError(f"a false-positive rate can be `per` {', '.join(UNITS)}; got {per!r}")
    if false_positive_rate is not None and not 0 < false_positive_rate < 1:
        raise UserError(f"a false-positive rate lies between 0 and 1, such as 0.001; got {false_positive_rate:g}")
    with tempfile.TemporaryDirectory(prefix="sequential-patchcore-") as folder:
        if unseen is not None and rests_on_clean_images(dataset, split, false_positive_rate):
            maps = unseen.anomaly_map
        elif kept is not None:
            maps = kept
        else:
            def maps(sample: Sample, image: np.ndarray) -> np.ndarray:
                return scorer.anomaly_map(image)
        images = list(_scored(maps, dataset, split, Path(folder), only_clean=false_positive_rate is not None))
        if false_positive_rate is not None:
            return _at_rate(images, false_positive_rate, per or "pixel", dataset, split)
        if not any(image.defective and image.pixels for image in images):
            if per != "pixel" and any(image.pixels for image in images):
                return _above_sound(images, per or _unit_of(images), dataset, split)
        elif per in ("image", "plate") or (per is None and any(i.defective and not i.located for i in images)):
            return _best_unit_f1(images, per or "image", dataset, split)
        return _best_f1([image for image in images if image.located], dataset, split)


def rests_on_clean_images(dataset: Dataset, split: str, false_positive_rate: float | None) -> bool:
    """Whether the threshold follows from how images without a defect score, and from nothing else."""
    defects = {info.name for info in dataset.classes if info.kind == "defect"}
    return false_positive_rate is not None or not any(
        instance.class_name in defects for sample in dataset.samples if sample.split == split
        for instance in sample.instances
    )


def is_of_request(threshold: Threshold, false_positive_rate: float | None, per: str | None) -> bool:
    """Whether `calibrate` with this rate makes such a threshold, on the split that it names."""
    origin, method = threshold.calibrated_on, threshold.method
    if false_positive_rate is not None:
        wanted = (origin.get("wanted_rate"), origin.get("rate_per"))
        return method == "false_positive_rate" and wanted == (false_positive_rate, per or "pixel")
    if method == "clean_rate":
        return per is None or per == origin.get("rate_per")
    if method == "max_unit_f1":
        return per == origin.get("f1_of") or (per is None and bool(origin.get("as_a_whole")))
    return per in (None, "pixel") and (method == "max_f1" or (method == "nominal_quantile" and per == "pixel"))


def _scored(
    maps: Callable[[Sample, np.ndarray], np.ndarray], dataset: Dataset, split: str, folder: Path, only_clean: bool
) -> Iterator[_Image]:
    """The images of the split, scored one by one; the next is read meanwhile."""
    samples = dataset.split(split)
    read = partial(_read, dataset, only_clean)
    with Progress(f"scoring {split}", len(samples)) as progress, closing(read_ahead(read, samples)) as labelled:
        for number, (sample, one) in enumerate(zip(samples, labelled, strict=True)):
            if one.image is not None:
                scores = maps(sample, one.image)[one.region]
                positive = np.isin(one.mask, dataset.defect_ids)[one.region]
                file = folder / f"{number}.npz"
                np.savez(file, scores=scores, positive=positive)
                defective = positive.any() or any(
                    info.kind == "defect" for info in dataset.classes if info.name in one.whole
                )
                group = str(sample.group or f"image {sample.id}")
                yield _Image(
                    file, group, one.clean, int(positive.sum()), len(scores), bool(defective), not one.whole
                )
            progress.step()


@dataclass(frozen=True)
class _Labelled:
    """A sample with its labels: `mask` uint8 (H, W), `region` bool (H, W), and what `_Image` says of it.

    Attributes:
        image: (H, W, 3) float32; None where it need not be scored.
        whole: names of the classes by which the image is labelled as a whole.
    """

    image: np.ndarray | None
    mask: np.ndarray
    region: np.ndarray
    clean: bool
    whole: frozenset[str]


def _read(dataset: Dataset, only_clean: bool, sample: Sample) -> _Labelled:
    whole = frozenset(instance.class_name for instance in sample.instances if instance.pixels is None)
    region = dataset.region(sample)
    mask = dataset.mask(sample, located_only=True) if whole else dataset.mask(sample)
    clean = not whole and not mask[region].any()
    return _Labelled(dataset.image(sample) if clean or not only_clean else None, mask, region, clean, whole)


def _best_f1(images: Sequence[_Image], dataset: Dataset, split: str) -> Threshold:
    best = max_f1(lambda: _pixels(images))
    counts = {"images": len(images), "pixels": best.pixels, "positives": best.positives}
    if best.method == "max_f1":
        say(f"threshold {best.threshold:.6g}: F1 {best.f1:.3f} over {best.pixels} pixels, {best.positives} of defects")
    else:
        say(
            f"threshold {best.threshold:.6g}: the split {split!r} holds no defects, so it is the {best.quantile:.1%} "
            "quantile of the normal pixels' scores; expect that share of the pixels to be false alarms, and far more "
            "of the images"
        )
    quality = {"f1": best.f1, "precision": best.precision, "recall": best.recall, "quantile": best.quantile}
    return Threshold(best.threshold, best.method, _origin(dataset, split) | counts | quality)


def _best_unit_f1(images: Sequence[_Image], per: str, dataset: Dataset, split: str) -> Threshold:
    """Of largest F1 over images or plates, each by its highest score."""
    peaks = _peaks(images, per)
    defective: dict[str, bool] = {}
    for image, unit in zip(images, _unit_names(images, per), strict=True):
        if image.pixels:
            defective[unit] = defective.get(unit, False) or image.defective
    positive = np.array(list(defective.values()), bool)
    best = max_f1(lambda: [(peaks, positive)])
    whole = sum(image.defective and not image.located for image in images)
    say(
        f"threshold {best.threshold:.6g}: F1 {best.f1:.3f} over {best.pixels} {per}s, {best.positives} with a defect"
        + (f"; {whole} images are labelled as a whole, so that pixels do not count" if whole else "")
    )
    counts = {
        "images": len(images), "as_a_whole": whole, "f1_of": per, "units": best.pixels, "positives": best.positives,
        "f1": best.f1, "precision": best.precision, "recall": best.recall,
    }
    return Threshold(best.threshold, "max_unit_f1", _origin(dataset, split) | counts)


def _above_sound(images: Sequence[_Image], per: str, dataset: Dataset, split: str) -> Threshold:
    """The threshold from a split without a defect."""
    peaks = _peaks(images, per)
    threshold, counts = _threshold_at(images, CLEAN_RATE, per)
    alarmed = int((peaks >= np.float32(threshold)).sum())
    say(
        f"threshold {threshold:.6g}: the split {split!r} holds no defects, so it lies above the highest scores of its "
        f"{len(peaks)} {per}s; {alarmed} of them alarm. {_expected(alarmed, len(peaks), per)}"
    )
    return Threshold(threshold, "clean_rate", _origin(dataset, split) | counts | {"largest_rate": CLEAN_RATE})


def _at_rate(images: Sequence[_Image], rate: float, per: str, dataset: Dataset, split: str) -> Threshold:
    if not images:
        raise UserError(
            f"the split {split!r} of {dataset.name} has no clean image (one without any labelled pixel) to set a "
            "false-positive rate on; give a data set with clean validation images"
        )
    threshold, counts = _threshold_at(images, rate, per)
    units = counts["pixels"] if per == "pixel" else len(_peaks(images, per))
    if rate * units < 1:
        say(f"note: {rate:g} of {units} clean {per}s is less than one of them")
    expected = "" if per == "pixel" else f". {_expected(round(counts['reached_rate'] * units), units, per)}"
    say(
        f"threshold {threshold:.6g}: {counts['predicted_pixels']} of {counts['pixels']} pixels predicted on clean "
        f"images, {counts['images_alarmed']} of {len(images)} clean images alarmed{expected}"
    )
    return Threshold(threshold, "false_positive_rate", _origin(dataset, split) | counts | {"wanted_rate": rate})


def _threshold_at(images: Sequence[_Image], rate: float, per: str) -> tuple[float, dict]:
    """The least threshold at which at most the rate of the units holds a predicted pixel, and what it predicts."""
    if per == "pixel":
        threshold = above_quantile(lambda: _pixels(images), 1 - rate)
    else:
        peaks = _peaks(images, per)
        threshold = above_quantile(lambda: [(peaks, np.zeros(len(peaks), bool))], 1 - rate)
    pixels = predicted = alarmed = 0
    for scores, _ in _pixels(images):
        over = int((scores >= np.float32(threshold)).sum())
        pixels, predicted, alarmed = pixels + len(scores), predicted + over, alarmed + (over > 0)
    reached = predicted / pixels if per == "pixel" else float((_peaks(images, per) >= np.float32(threshold)).mean())
    return threshold, {
        "images": len(images), "pixels": pixels, "rate_per": per, "reached_rate": reached,
        "predicted_pixels": predicted, "images_alarmed": alarmed,
    }


def _expected(alarmed: int, units: int, per: str) -> str:
    """What to expect of new units that are like these: each of their order is as likely."""
    return (
        f"Of new clean {per}s like these expect about {alarmed + 1} in {units + 1} to alarm "
        f"({(alarmed + 1) / (units + 1):.1%})"
    )


def _unit_of(images: Sequence[_Image]) -> str:
    """ "plate" where plates have several images, which resemble each other; else "image"."""
    return "plate" if len({image.group for image in images}) < len(images) else "image"


def _peaks(images: Sequence[_Image], per: str) -> np.ndarray:
    """(U,) float32: the highest score of each image or plate of which something is inspected."""
    peaks: dict[str, np.float32] = {}
    for image, unit in zip(images, _unit_names(images, per), strict=True):
        if image.pixels:
            with np.load(image.file) as kept:
                peaks[unit] = max(peaks.get(unit, np.float32(0)), kept["scores"].max())
    return np.array(list(peaks.values()), np.float32)


def _unit_names(images: Sequence[_Image], per: str) -> list[str]:
    return [image.group if per == "plate" else str(number) for number, image in enumerate(images)]


def _pixels(images: Sequence[_Image]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for image in images:
        if image.pixels:
            with np.load(image.file) as kept:
                yield kept["scores"], kept["positive"]


def _origin(dataset: Dataset, split: str) -> dict:
    return {"dataset": dataset.name, "fingerprint": dataset.fingerprint, "split": split}
