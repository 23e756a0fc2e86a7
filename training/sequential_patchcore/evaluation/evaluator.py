# SPDX-License-Identifier: Apache-2.0
"""Score a split with one or more models and write the results folder: numbers, tables, figures, overlays, report."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..data.dataset import Dataset, Sample
from ..metrics.binarize import PLAIN, Rule
from ..metrics.counts import COVERAGE_PERCENT
from ..metrics.tally import Labelled, Scored, Tally
from ..report import alarms, cards, figures, overlays, page, tables, worst_images
from ..runtime.errors import UserError
from ..runtime.file_names import unique_names
from ..runtime.files import atomic_path, make_folder, write_text
from ..runtime.progress import Progress, say
from .folder import RECORD, is_whole, publish, read_record, staging_folder
from .record import EvaluatedModel, metrics_record

_OVERLAY_QUALITY = 92
_LONGEST_NAME = 100  # bytes of an image's and of a model's name, which stand together in the name of an overlay


def evaluate(
    models: Sequence[EvaluatedModel], dataset: Dataset, split: str, out: str | Path, inputs: str | None = None,
    rule: Rule = PLAIN, coverage: float = 0,
) -> dict:
    """Evaluate `models` on a split, write the results folder `out`, and return what metrics.json holds.

    One image and one anomaly map are in memory at a time. The folder's files are made beside and renamed at the end,
    metrics.json last: where it lies, the rest is complete and belongs to it.

    Args:
        inputs: a fingerprint of everything the result depends on. When `out` already holds a result with the same
            one, it is returned at once.
        rule: filters after the threshold.
        coverage: percentage of an instance's pixels that must be predicted for its detection; 0 asks for one pixel.

    Raises:
        UserError: no models, a model without a threshold, two of one name, an empty split, an unwritable folder.
    """
    out = Path(out)
    record = read_record(out)
    if inputs is not None and record is not None and record["inputs"] == inputs and is_whole(out, record):
        say(f"already evaluated: {out / RECORD} was made from the same models and data")
        return record
    _check(models)
    if coverage not in COVERAGE_PERCENT:
        raise UserError(f"a detection can ask for one of {', '.join(map(str, COVERAGE_PERCENT))} %, not {coverage}")
    samples = dataset.split(split)  # raises where it is empty

    tallies = [Tally(model.threshold, dataset.classes, rule, coverage) for model in models]
    shown: list[cards.Card] = []
    with staging_folder(out) as staging:
        make_folder(staging / "overlays")
        names = unique_names([sample.id for sample in samples], longest=_LONGEST_NAME)
        model_names = unique_names([model.name for model in models], longest=_LONGEST_NAME)
        side = _picture_side(dataset, samples, len(models) * (1 if rule.plain else 2))
        most = cards.alarms_each(len(samples), len(models))
        with Progress("evaluate", len(samples)) as progress:
            for sample, name in zip(samples, names, strict=True):
                stems = [str(staging / "overlays" / f"{name}.{model}") for model in model_names]
                shown.append(_evaluate_image(models, tallies, dataset, sample, stems, side, most))
                progress.step()
        metrics = metrics_record(models, tallies, dataset, split, inputs, shown)
        _write(staging, metrics, models, tallies, shown)
        worst_images.write(metrics, staging, names, model_names)
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
        if not 0 <= model.threshold <= float(np.finfo(np.float32).max):
            raise UserError(
                f"the threshold of {model.name} is {model.threshold:g}; scores are float32 and never negative"
            )
    names = [model.name for model in models]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"two models are both called {name}: give them different file names")


def _picture_side(dataset: Dataset, samples: Sequence[Sample], maps: int) -> int:
    height, width = dataset.image(samples[0]).shape[:2]
    return cards.picture_side(len(samples), maps, min(height, width) / max(height, width))


def _evaluate_image(
    models: Sequence[EvaluatedModel], tallies: Sequence[Tally], dataset: Dataset, sample: Sample, stems: Sequence[str],
    side: int, most: int,
) -> cards.Card:
    """Count one image for every model, write its overlays as STEM.KIND.jpg, and return its card.

    The card's pictures have a longer `side`; at most so many false alarms of a model are shown.
    """
    of = Labelled(
        dataset.image(sample), dataset.mask(sample), dataset.instances(sample), dataset.region(sample), dataset.classes
    )
    group = str(sample.group or f"image {sample.id}")
    tiles = []
    for model, tally, stem in zip(models, tallies, stems, strict=True):
        scores = _scores(model, of.image)
        scored = tally.add(scores, of, group)
        _write_full_size(stem, scores, model.threshold, scored, of)
        size = overlays.picture_size(*of.mask.shape, side)
        tiles.append(cards.Tile(
            scored.counts, cards.outcome(scored.counts, of.defect_ids, tally.coverage),
            tally.false_regions.per_image[-1], overlays.png(overlays.largest(scored.rungs, size)),
            None if tally.rule.plain else overlays.png(overlays.largest(scored.codes, size)),
            alarms.find(scores, scored.codes, tally.ladder, of, model.explain, most),
        ))

    numbers = [instance.class_id for instance in tiles[0].counts.instances]
    height, width = of.mask.shape
    return cards.Card(
        sample.id, str(sample.group or ""), width, height,
        {c.name: numbers.count(c.id) for c in of.classes if c.id in numbers},
        overlays.jpeg(overlays.photograph(of.image, side), cards.QUALITY),
        overlays.png(overlays.label_codes(of.mask, of.region, of.classes, side)),
        tuple(tiles), of.defect_ids,
    )


def _scores(model: EvaluatedModel, image: np.ndarray) -> np.ndarray:
    scores = np.asarray(model.score(image))
    if scores.shape != image.shape[:2] or scores.dtype != np.float32:
        raise ValueError(
            f"{model.name} scored an image of {image.shape[:2]} with {scores.dtype} {scores.shape}, "
            f"expected float32 {image.shape[:2]}"
        )
    return scores


def _write_full_size(stem: str, scores: np.ndarray, threshold: float, scored: Scored, of: Labelled) -> None:
    overlay = overlays.overlay(of.image, scored.predicted, of.mask, of.region, of.classes)
    anomaly_map = overlays.with_colour_bar(overlays.anomaly_map(scores, threshold, of.region), threshold)
    for kind, picture in (("overlay", overlay), ("map", anomaly_map)):
        with atomic_path(f"{stem}.{kind}.jpg") as beside:
            beside.write_bytes(overlays.jpeg(picture, _OVERLAY_QUALITY))


def _write(
    staging: Path, metrics: dict, models: Sequence[EvaluatedModel], tallies: Sequence[Tally],
    shown: Sequence[cards.Card],
) -> None:
    for name, table in tables.TABLES.items():
        write_text(staging / f"{name}.csv", table(metrics))
    drawn = figures.write(metrics, staging)
    pictures = {m.name: m.info.get("training_pictures") or [] for m in models}
    ladders = [tally.ladder for tally in tallies]
    write_text(staging / "report.html", page.render(metrics, shown, ladders, drawn, pictures))
