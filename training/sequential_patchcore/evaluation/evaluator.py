# SPDX-License-Identifier: Apache-2.0
"""Score a split with one or more models: numbers, and on request a folder of tables, figures, overlays and a report."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import numpy as np

from ..data.dataset import Dataset, Sample
from ..metrics.binarize import PLAIN, Rule
from ..metrics.counts import COVERAGE_PERCENT
from ..metrics.tally import Labelled, Tally
from ..report import cards
from ..runtime.errors import UserError
from ..runtime.progress import Progress, say
from ..runtime.read_ahead import read_ahead
from ..scoring.scorer import Scorer
from .evaluated_model import EvaluatedModel, evaluated_models
from .folder import RECORD, is_whole, publish, read_record, staging_folder
from .pictures import ResultPictures
from .record import ImageResult, ModelResult, metrics_record
from .verdicts import VerdictTally


def evaluate(
    scorers: Scorer | Sequence[Scorer] | Mapping[str, Scorer], dataset: Dataset, *, split: str = "test",
    out: str | Path | None = None, rule: Rule = PLAIN, coverage: int = 0, inputs: str | None = None,
) -> dict:
    """Evaluate models on a split of a data set; docs/evaluation.md defines every number.

    One image and one anomaly map are in memory at a time, and the next image, which is read meanwhile. No weights are
    loaded where `out` already holds the result.

    Args:
        scorers: one calibrated `Scorer`, several to compare, or a mapping of the names to show to scorers.
        dataset: from `open_dataset`.
        split: which of its images.
        out: the folder to write: metrics.json, tables, figures, overlays and report.html. They are made beside and
            renamed at the end, metrics.json last: where it lies, the rest is complete and belongs to it. Without it
            nothing is written.
        rule: filters after the threshold.
        coverage: percentage of an instance's pixels that must be predicted for its detection; 0 asks for one pixel.
        inputs: a fingerprint of everything the result depends on. When `out` already holds a result with the same
            one, it is returned at once.

    Returns:
        what metrics.json holds, JSON-ready; `files` names what was written beside it, where `out` is given.

    Raises:
        UserError: no scorers, one without a threshold, two of one name, an empty split, scores that are not finite,
            an unwritable folder.
    """
    return evaluate_models(evaluated_models(scorers, rule), dataset, split, out, inputs, rule, coverage)


def evaluate_models(
    models: Sequence[EvaluatedModel], dataset: Dataset, split: str, out: str | Path | None = None,
    inputs: str | None = None, rule: Rule = PLAIN, coverage: int = 0,
) -> dict:
    """As `evaluate`, of anything that makes anomaly maps."""
    folder = None if out is None else Path(out)
    if folder is not None and (record := _finished(folder, inputs)) is not None:
        return record
    _check(models)
    if coverage not in COVERAGE_PERCENT:
        raise UserError(f"a detection can ask for one of {', '.join(map(str, COVERAGE_PERCENT))} %, not {coverage}")
    samples = dataset.split(split)  # raises where it is empty
    tallies = [Tally(_value(model), dataset.classes, rule, coverage) for model in models]
    named = [
        None if model.names is None else VerdictTally(model.names, _value(model), dataset.classes, coverage)
        for model in models
    ]
    results: list[ImageResult] = []
    with staging_folder(folder) if folder is not None else nullcontext() as staging:
        pictures = None if staging is None else ResultPictures(staging, models, tallies, dataset, samples)
        with Progress("evaluate", len(samples)) as progress:
            for sample, image in zip(samples, read_ahead(partial(labelled, dataset), samples), strict=True):
                results.append(_evaluate_image(models, tallies, named, sample, image, pictures))
                progress.step()
        metrics = metrics_record(models, tallies, dataset, split, inputs, results, named)
        if folder is not None and staging is not None and pictures is not None:
            pictures.finish(metrics)
            publish(staging, folder, metrics)
    return metrics


def _finished(out: Path, inputs: str | None) -> dict | None:
    """The record of an earlier run with the same inputs, where all its files are still there."""
    record = read_record(out)
    if inputs is None or record is None or record["inputs"] != inputs or not is_whole(out, record):
        return None
    say(f"already evaluated: {out / RECORD} was made from the same models and data")
    return record


def _check(models: Sequence[EvaluatedModel]) -> None:
    if not models:
        raise UserError("nothing to evaluate: give at least one `model`")
    for model in models:
        if model.threshold is None:
            raise UserError(
                f"the model {model.path or model.name} has no threshold: set one on a validation split first, with "
                "`sequential-patchcore calibrate` or `Scorer.calibrate`"
            )
        if not 0 <= model.threshold <= float(np.finfo(np.float32).max):
            raise UserError(
                f"the threshold of {model.name} is {model.threshold:g}; scores are float32 and never negative"
            )
    names = [model.name for model in models]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"two models are both called {name}: give them different file names")


def _value(model: EvaluatedModel) -> float:
    assert model.threshold is not None  # checked
    return model.threshold


def _evaluate_image(
    models: Sequence[EvaluatedModel], tallies: Sequence[Tally], named: Sequence[VerdictTally | None],
    sample: Sample, image: Labelled, pictures: ResultPictures | None,
) -> ImageResult:
    """Count one image for every model, and draw it."""
    found, tiles = [], []
    for number, (model, tally, verdicts) in enumerate(zip(models, tallies, named, strict=True)):
        scores, group = _scores(model, image.image), str(sample.group or f"image {sample.id}")
        scored = tally.add(scores, image, group)
        judged = None if verdicts is None else verdicts.add(scores, image, scored, group)
        outcome = cards.outcome(scored.counts, image.defect_ids, tally.coverage)
        regions = None if judged is None else judged.records
        after = None if verdicts is None or judged is None else verdicts.latest()
        found.append(ModelResult(scored.counts, outcome, tally.false_regions.per_image[-1], regions, after))
        if pictures is not None:
            tiles.append(pictures.tile(number, image, scores, scored, outcome, found[-1].false_regions, judged))
    result = ImageResult(sample.id, str(sample.group or ""), tuple(found), found[0].counts.whole)
    if pictures is not None:
        pictures.add(result.id, result.group, image, tiles)
    return result


def labelled(dataset: Dataset, sample: Sample) -> Labelled:
    """A sample with all that is known about it."""
    names = {instance.class_name for instance in sample.instances if instance.pixels is None}
    whole = tuple(info for info in dataset.classes if info.name in names)
    mask = dataset.mask(sample, located_only=True) if whole else dataset.mask(sample)
    return Labelled(
        dataset.image(sample), mask, dataset.instances(sample), dataset.region(sample), dataset.classes, whole
    )


def _scores(model: EvaluatedModel, image: np.ndarray) -> np.ndarray:
    scores = np.asarray(model.score(image))
    if scores.shape != image.shape[:2] or scores.dtype != np.float32:
        raise ValueError(
            f"{model.name} scored an image of {image.shape[:2]} with {scores.dtype} {scores.shape}, "
            f"expected float32 {image.shape[:2]}"
        )
    return scores
