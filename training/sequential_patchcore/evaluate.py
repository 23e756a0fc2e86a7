# SPDX-License-Identifier: Apache-2.0
"""Score a split with one or more models and write the results folder: numbers, tables, figures, overlays, report."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .data.dataset import Dataset, Sample
from .errors import UserError
from .files import atomic_path, make_folder, write_text
from .metrics import DEFINITIONS, ClassLike, ImageCounts, count_image, summarise
from .progress import Progress, say
from .ranking import ScoreHistogram, auroc
from .report import cards, figures, overlays, page, tables
from .results_folder import FORMAT_VERSION, RECORD, file_names, is_whole, publish, read_record, staging_folder

_OVERLAY_QUALITY = 92


@dataclass(frozen=True)
class EvaluatedModel:
    """A model as the evaluation sees it.

    Attributes:
        name: shown in tables and used in file names; unique within a comparison.
        path: the model file, for messages and the record.
        threshold: raw score units; a pixel is anomalous when score >= threshold.
        score: (H, W, 3) float32 RGB in [0, 1] to the (H, W) float32 anomaly map, non-negative.
        info: what the report says about the model, free-form and JSON-ready. Known keys: `random_weights` (bool) puts
            a red banner on the page, `epochs` (list of counts or of mappings with "replacements") makes a figure,
            `training_pictures` (list of (caption, (H, W, 3) array)) are shown and stay out of metrics.json.
    """

    name: str
    path: str | None
    threshold: float | None
    score: Callable[[np.ndarray], np.ndarray]
    info: dict = field(default_factory=dict)


@dataclass
class _Tally:
    """What is kept of a model while the images go by: a few integers an image, and one histogram."""

    file_name: str
    images: list[ImageCounts] = field(default_factory=list)
    histogram: ScoreHistogram = field(default_factory=ScoreHistogram)


@dataclass(frozen=True)
class _Labelled:
    """One image with its labels: (H, W, 3) float32, (H, W) uint8 class ids, (H, W) numbers, (H, W) bool."""

    image: np.ndarray
    mask: np.ndarray
    instances: np.ndarray
    region: np.ndarray
    classes: Sequence[ClassLike]

    @property
    def defect_ids(self) -> tuple[int, ...]:
        return tuple(c.id for c in self.classes if c.kind == "defect")


def evaluate(
    models: Sequence[EvaluatedModel], dataset: Dataset, split: str, out: str | Path, inputs: str | None = None
) -> dict:
    """Evaluate `models` on a split, write the results folder `out`, and return what metrics.json holds.

    One image and one anomaly map are in memory at a time. The folder's files are made beside and renamed at the end,
    metrics.json last: where it lies, the rest is complete and belongs to it.

    Args:
        inputs: a fingerprint of everything the result depends on. When `out` already holds a result with the same
            one, it is returned at once.

    Raises:
        UserError: no models, a model without a threshold, two of one name, an empty split, an unwritable folder.
    """
    out = Path(out)
    record = read_record(out)
    if inputs is not None and record is not None and record["inputs"] == inputs and is_whole(out, record):
        say(f"already evaluated: {out / RECORD} was made from the same models and data")
        return record
    _check(models)
    samples = dataset.split(split)  # raises where it is empty

    tallies = [_Tally(name) for name in file_names([model.name for model in models])]
    shown: list[cards.Card] = []
    with staging_folder(out) as staging:
        make_folder(staging / "overlays")
        names = file_names([sample.id for sample in samples])
        side = _picture_side(dataset, samples, len(models))
        with Progress("evaluate", len(samples)) as progress:
            for sample, name in zip(samples, names, strict=True):
                shown.append(_evaluate_image(models, tallies, dataset, sample, staging / "overlays" / name, side))
                progress.step()
        metrics = _metrics(models, tallies, dataset, split, inputs)
        metrics["samples"] = [_sample_record(card, models) for card in shown]
        _write(staging, metrics, models, shown)
        publish(staging, out, metrics)
    return metrics


def _check(models: Sequence[EvaluatedModel]) -> None:
    if not models:
        raise UserError("nothing to evaluate: give at least one model (--model M.h5)")
    for model in models:
        if model.threshold is None:
            file = model.path or "M.h5"
            raise UserError(
                f"the model {model.name} has no threshold: set one on a validation split first, with "
                f"`sequential-patchcore calibrate --model {file} --data DIR`"
            )
    names = [model.name for model in models]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"two models are both called {name}: give them different file names")


def _picture_side(dataset: Dataset, samples: Sequence[Sample], models: int) -> int:
    height, width = dataset.image(samples[0]).shape[:2]
    return cards.picture_side(len(samples), models, min(height, width) / max(height, width))


def _evaluate_image(
    models: Sequence[EvaluatedModel],
    tallies: Sequence[_Tally],
    dataset: Dataset,
    sample: Sample,
    file: Path,
    side: int,
) -> cards.Card:
    """Count one image for every model, write its overlays as `file`.MODEL.KIND.jpg, and return its card."""
    labelled = _Labelled(
        dataset.image(sample), dataset.mask(sample), dataset.instances(sample), dataset.region(sample), dataset.classes
    )
    tiles = []
    for model, tally in zip(models, tallies, strict=True):
        scores = _scores(model, labelled.image)
        counts = _count(tally, scores, model.threshold, labelled)
        _write_full_size(f"{file}.{tally.file_name}", scores, model.threshold, labelled)
        small = _pictures(scores, model.threshold, labelled, side, cards.QUALITY)
        tiles.append(cards.Tile(counts, cards.outcome(counts, labelled.defect_ids), *small))

    numbers = [instance.class_id for instance in tiles[0].counts.instances]
    height, width = labelled.mask.shape
    return cards.Card(
        sample.id, str(sample.group or ""), width, height,
        {c.name: numbers.count(c.id) for c in labelled.classes if c.id in numbers},
        overlays.jpeg(overlays.photograph(labelled.image, side), cards.QUALITY),
        overlays.jpeg(
            overlays.truth(labelled.image, labelled.mask, labelled.region, labelled.classes, side), cards.QUALITY
        ),
        tuple(tiles), labelled.defect_ids,
    )


def _count(tally: _Tally, scores: np.ndarray, threshold: float, of: _Labelled) -> ImageCounts:
    counts = count_image(scores, threshold, of.mask, of.instances, of.region, of.classes)
    tally.images.append(counts)
    tally.histogram.add(scores[of.region], np.isin(of.mask[of.region], of.defect_ids))
    return counts


def _scores(model: EvaluatedModel, image: np.ndarray) -> np.ndarray:
    scores = np.asarray(model.score(image))
    if scores.shape != image.shape[:2] or scores.dtype != np.float32:
        raise ValueError(
            f"{model.name} scored an image of {image.shape[:2]} with {scores.dtype} {scores.shape}, "
            f"expected float32 {image.shape[:2]}"
        )
    return scores


def _pictures(
    scores: np.ndarray, threshold: float, of: _Labelled, side: int | None, quality: int, bar: bool = False
) -> tuple[bytes, bytes]:
    """Overlay and anomaly map as JPEG."""
    predicted = scores >= np.float32(threshold)
    overlay = overlays.overlay(of.image, predicted, of.mask, of.region, of.classes, side)
    anomaly_map = overlays.anomaly_map(scores, threshold, of.region, side)
    if bar:
        anomaly_map = overlays.with_colour_bar(anomaly_map, threshold)
    return overlays.jpeg(overlay, quality), overlays.jpeg(anomaly_map, quality)


def _write_full_size(stem: str, scores: np.ndarray, threshold: float, of: _Labelled) -> None:
    pictures = _pictures(scores, threshold, of, None, _OVERLAY_QUALITY, bar=True)
    for kind, data in zip(("overlay", "map"), pictures, strict=True):
        with atomic_path(f"{stem}.{kind}.jpg") as beside:
            beside.write_bytes(data)


def _metrics(
    models: Sequence[EvaluatedModel], tallies: Sequence[_Tally], dataset: Dataset, split: str, inputs: str | None
) -> dict:
    return {
        "format_version": FORMAT_VERSION,
        "inputs": inputs,
        "definitions": DEFINITIONS,
        "dataset": {
            "name": dataset.name,
            "path": str(dataset.path),
            "split": split,
            "pixel_size_um": dataset.pixel_size_um,
            "classes": [{"id": c.id, "name": c.name, "kind": c.kind} for c in dataset.classes],
        },
        "models": {m.name: _model_metrics(m, t, dataset) for m, t in zip(models, tallies, strict=True)},
    }


def _model_metrics(model: EvaluatedModel, tally: _Tally, dataset: Dataset) -> dict:
    summary = summarise(tally.images, dataset.classes)
    area, area_error = tally.histogram.auroc()
    precision, precision_error = tally.histogram.average_precision()
    scored = [i for i in tally.images if i.score is not None]
    summary["pixel"] |= {
        "auroc": area,
        "auroc_error": area_error,
        "average_precision": precision,
        "average_precision_error": precision_error,
    }
    return {
        "path": model.path,
        "threshold": float(model.threshold),
        **summary,
        "image_auroc": auroc([i.score for i in scored], [i.has_defect for i in scored]),
        "precision_recall_curve": tally.histogram.curve(),
        "info": _plain({key: value for key, value in model.info.items() if key != "training_pictures"}),
    }


def _plain(value: object) -> object:
    """`value` in JSON's types; a number that JSON lacks becomes None, a foreign object its text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(of) for key, of in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(of) for of in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def _sample_record(card: cards.Card, models: Sequence[EvaluatedModel]) -> dict:
    """The counts of one image, so that any other number can be made without scoring again."""
    return {
        "id": card.id,
        "group": card.group,
        "models": {
            model.name: {
                "outcome": tile.outcome,
                "score": tile.counts.score,
                "true_positive": tile.counts.tp,
                "false_positive": tile.counts.fp,
                "false_negative": tile.counts.fn,
                "true_negative": tile.counts.tn,
                "instances": [
                    {"id": i.id, "class_id": i.class_id, "pixels": i.pixels, "predicted": i.predicted}
                    for i in tile.counts.instances
                ],
            }
            for model, tile in zip(models, card.tiles, strict=True)
        },
    }


def _write(staging: Path, metrics: dict, models: Sequence[EvaluatedModel], shown: Sequence[cards.Card]) -> None:
    write_text(staging / "scenarios.csv", tables.scenarios(metrics))
    write_text(staging / "per_class.csv", tables.per_class(metrics))
    write_text(staging / "coverage_sweep.csv", tables.coverage_sweep(metrics))
    drawn = figures.write(metrics, staging)
    pictures = {m.name: m.info.get("training_pictures") or [] for m in models}
    write_text(staging / "report.html", page.render(metrics, shown, drawn, pictures))
