# SPDX-License-Identifier: Apache-2.0
"""The commands that score images with a model: calibrate, evaluate, predict; torch is imported when it is needed."""

import json
from argparse import Namespace
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..runtime.allocation import keep_freed_memory
from ..runtime.choices import TORCH
from ..runtime.errors import UserError
from ..runtime.progress import say, tell
from ..runtime.requests import Standing, code_digest
from .finished_work import request_of, weights_override
from .product_command import asks_for_products, calibrate_products, product_of
from .promise_command import promise
from .result_code import EVALUATION, PREDICTION, SCORING
from .values import in_pixels

if TYPE_CHECKING:
    from ..model.file import Model
    from ..prediction.folder import Prediction
    from ..prediction.predictor import Predictor


def calibrate(arguments: Namespace) -> None:
    from ..data.dataset import open_dataset
    from ..model.file import Threshold, load_model, save_model
    from ..runtime.files import check_replaceable
    from ..scoring.calibration import is_of_request
    from ..scoring.conditions import conditions_of, was_set_under

    keep_freed_memory()
    model = load_model(arguments.model)
    if arguments.one_threshold and model.products:
        check_replaceable(arguments.model)
        model = replace(model, products={}, naming=None)
        save_model(model, arguments.model)
        say(f"{arguments.model} has one threshold again")
        if arguments.data is None and arguments.threshold is None:
            return
    if arguments.threshold is not None:
        check_replaceable(arguments.model)
        save_model(model.with_threshold(Threshold(arguments.threshold, "by_hand")), arguments.model)
        tell(f"threshold {arguments.threshold:g} stored in {arguments.model}")
        return
    if arguments.data is None:
        raise UserError("calibrate needs --data DIR (a validation split), or --threshold VALUE by hand")
    dataset = open_dataset(arguments.data)
    if asks_for_products(arguments):
        calibrate_products(arguments, model, dataset)
        return
    if arguments.promise is not None or arguments.lost_defects is not None or arguments.chart is not None:
        promise(arguments, model, dataset)
        return
    before, rate = model.threshold, arguments.false_positive_rate
    same = (
        before is not None
        and before.calibrated_on.get("fingerprint") == dataset.fingerprint
        and before.calibrated_on.get("split") == arguments.split
        and is_of_request(before, rate, arguments.per)
        and was_set_under(before, model, conditions_of(model, arguments.precision))
    )
    code = code_digest(*SCORING)
    if before is not None and same and not arguments.overwrite:
        if before.calibrated_on.get("code") == code:
            known = f"threshold {before.value:g} of {arguments.model}"
            tell(f"{known} was already set on this split of {dataset.name}; kept")
            return
        say(f"the threshold of {arguments.model} was set by another state of this program's code; it is set again")
    check_replaceable(arguments.model)
    from ..extractors.device import choose_device, use_threads
    from ..scoring.scorer import Scorer

    use_threads(arguments.threads)
    scorer = Scorer(model, path=arguments.model, weights=weights_override(arguments.weights),
                    precision=arguments.precision, engine=arguments.engine,
                    device=choose_device(arguments.device))
    threshold = scorer.calibrate(dataset, split=arguments.split, false_positive_rate=rate, per=arguments.per)
    threshold = replace(threshold, calibrated_on=threshold.calibrated_on | {"code": code})
    save_model(model.with_threshold(threshold), arguments.model)
    tell(f"threshold {threshold.value:g} ({threshold.method}) stored in {arguments.model}")


def evaluate(arguments: Namespace) -> None:
    from ..data.dataset import open_dataset
    from ..evaluation.evaluator import evaluate as run
    from ..evaluation.folder import read_record
    from ..extractors.device import choose_device, use_threads
    from ..metrics.binarize import Rule
    from ..model.file import Threshold, load_model
    from ..scoring.description import summary_table
    from ..scoring.scorer import Scorer

    keep_freed_memory()
    dataset = open_dataset(arguments.data)
    models = {path: load_model(path) for path in arguments.model}
    if arguments.threshold is not None:
        by_hand = Threshold(arguments.threshold, "by_hand")
        models = {path: model.with_threshold(by_hand) for path, model in models.items()}
    for path, model in models.items():
        if model.products:
            say(f"note: {path} has thresholds by product or zone; it is evaluated at its one threshold")
    rule = Rule(arguments.min_region, arguments.hysteresis)
    use_threads(arguments.threads)
    device, weights = choose_device(arguments.device), weights_override(arguments.weights)
    scorers = [
        Scorer(model, path=path, weights=weights, precision=arguments.precision, engine=arguments.engine, device=device)
        for path, model in models.items()
    ]
    request = request_of(
        "evaluate", EVALUATION, models=[model.fingerprint for model in models.values()],
        names=[Path(path).stem for path in models],
        conditions=[scorer.conditions for scorer in scorers],
        thresholds=[model.threshold and model.threshold.value for model in models.values()],
        dataset=dataset.fingerprint, split=arguments.split, rule=asdict(rule), coverage=arguments.detection_coverage,
        **_verdict_inputs(list(models.values())),
    )
    record = read_record(Path(arguments.out))
    if record is not None and request.standing(record["inputs"]) is Standing.OTHER_CODE:
        say(f"{arguments.out} was evaluated by another state of this program's code; it is evaluated again")
    metrics = run(
        scorers, dataset, split=arguments.split, out=arguments.out, rule=rule, coverage=arguments.detection_coverage,
        inputs=str(request),
    )
    report = f"report: {Path(arguments.out) / 'report.html'}"
    if arguments.json:
        print(json.dumps(metrics["models"]), flush=True)
        say(report)
    else:
        tell(f"{summary_table(metrics)}\n{report}")


def _verdict_inputs(models: "list[Model]") -> dict[str, object]:
    """What an evaluation depends on beside, where a model names its alarms."""
    from ..naming.namer import naming_digest

    if all(model.naming is None for model in models):
        return {}
    return {"naming": [model.naming and naming_digest(model.naming) for model in models]}


def predict(arguments: Namespace) -> int:
    from ..prediction.predictor import Predictor, find_images
    from ..prediction.predictor import predict as run

    keep_freed_memory()
    folders = _watched_folders(arguments.images) if arguments.watch else []
    images = [] if arguments.watch else find_images(arguments.images)
    prepare = _prepare_export if Path(arguments.model).is_dir() else _prepare_model
    scorer, model, settings, fits, explainer, namer = prepare(arguments)
    products = product_of(arguments, model)
    request = str(request_of("predict", PREDICTION))
    if arguments.watch:
        predictor = Predictor(scorer, model, arguments.out, settings, fits, explainer, request, namer,
                              products)
        return _summed_up(_watch(predictor, folders, arguments, products), arguments)
    predictions = run(scorer, model, images, arguments.out, settings, fits, explainer, request, namer, products)
    if all(found.verdict == "unreadable" for found in predictions) and not arguments.exit_code:
        first = predictions[0]
        raise UserError(f"not one of {len(predictions)} file(s) could be read; {first.image}: {first.error}")
    for found in predictions:
        _show(found, arguments.json)
    return _summed_up(predictions, arguments)


def _watched_folders(images: list[str]) -> list[Path]:
    folders = [Path(path) for path in images]
    if missing := [path for path in folders if not path.is_dir()]:
        raise UserError(f"--watch takes folders, and {missing[0]} is none")
    return folders


def _watch(
    predictor: "Predictor", folders: list[Path], arguments: Namespace, products: Callable[[Path], str] | None
) -> list["Prediction"]:
    """The latest prediction of each file, when nothing arrives any more."""
    from ..prediction.drift import DriftWatch, ProductWatches
    from ..prediction.watcher import watch

    if arguments.drift:
        out, part = predictor.folder.path, predictor.inspected.words
        watch_of = DriftWatch(out, part=part) if products is None else ProductWatches(out, products, part)
        predictor.observer = watch_of.see
    latest: dict[Path, Prediction] = {}

    def handle(path: Path) -> None:
        latest[path] = predictor(path)
        _show(latest[path], arguments.json)

    say(f"watching {', '.join(map(str, folders))}; Ctrl-C ends it")
    watch(folders, handle, lambda: predictor.folder.write_tables(list(latest.values())), arguments.interval,
          arguments.idle_exit)
    return list(latest.values())


def _show(found: "Prediction", as_json: bool) -> None:
    if as_json:
        print(json.dumps(found.record()), flush=True)
        return
    detail = found.error or f"{len(found.regions):3} region(s)"
    score = "-" if found.score is None else f"{found.score:.4g}"
    tell(f"{found.shown:10}  {score:>10}  {detail}  {found.image}")


def _summed_up(predictions: list["Prediction"], arguments: Namespace) -> int:
    """The last line, and the exit code."""
    verdicts = [found.verdict for found in predictions]
    anomalous, unreadable = verdicts.count("anomalous"), verdicts.count("unreadable")
    if not arguments.json:
        dirty = f", {verdicts.count('dirty')} normal but dirty" if "dirty" in verdicts else ""
        tell(f"{anomalous} of {len(predictions)} anomalous{dirty}, {unreadable} unreadable; tables and overlays in "
             f"{arguments.out}")
    return (3 if anomalous else 4 if unreadable else 0) if arguments.exit_code else 0


def _margin(arguments: Namespace) -> float:
    """In pixels; those of the data set that the first image lies in, where no pixel size is given."""
    from ..prediction.predictor import pixel_size_around

    first = Path(arguments.images[0])
    return in_pixels(
        arguments.margin,
        arguments.pixel_size_um or pixel_size_around(first if first.is_dir() else first.parent)
    )


def _prepare_model(arguments: Namespace) -> tuple:
    """Scorer, model, settings, check of sizes, explainer and namer, of a model file."""
    from ..extractors.device import choose_device, use_threads
    from ..metrics.binarize import Rule
    from ..model.file import load_model
    from ..naming.namer import namer_of
    from ..prediction.predictor import PredictSettings
    from ..scoring.scorer import Scorer
    from ..scoring.size_check import size_check

    model = load_model(arguments.model)
    settings = PredictSettings(
        arguments.threshold, Rule(arguments.min_region, arguments.hysteresis), arguments.pixel_size_um,
        arguments.save_map, arguments.bit_depth, arguments.regions, _margin(arguments),
    )
    use_threads(arguments.threads)
    scorer = Scorer(model, path=arguments.model, weights=weights_override(arguments.weights),
                    precision=arguments.precision, engine=arguments.engine, device=choose_device(arguments.device),
                    data=arguments.data)
    explainer, namer = None, namer_of(scorer, settings.threshold, settings.rule)
    if arguments.explain:
        from ..prediction.explanation import Explainer
        from ..prediction.verdict_pictures import VerdictPictures

        pictures = None if namer is None else VerdictPictures(scorer, model, namer, arguments.data)
        explainer = Explainer(scorer, model, arguments.out, pictures)
    fits = size_check(scorer, len(model.features), arguments.memory_budget)
    return scorer, model, settings, fits, explainer, namer


def _prepare_export(arguments: Namespace) -> tuple:
    """The same of the folder of an export, without torch; the export takes the place of scorer and model."""
    from ..export.exported_model import ExportedModel
    from ..metrics.binarize import Rule
    from ..prediction.predictor import PredictSettings

    not_here = {
        "--explain": arguments.explain, "--weights": arguments.weights, "--precision": arguments.precision,
        "--engine": arguments.engine == TORCH, "--device": arguments.device not in ("auto", "cpu"),
    }
    for option, given in not_here.items():
        if given:
            raise UserError(f"{option} needs a model file, and {arguments.model} is an export; leave it out")
    exported = ExportedModel(arguments.model, arguments.threads)
    own = exported.record
    rule = Rule(
        arguments.min_region or own.min_region,
        own.hysteresis if arguments.hysteresis == 1 else arguments.hysteresis,
    )
    settings = PredictSettings(
        arguments.threshold, rule, arguments.pixel_size_um, arguments.save_map, arguments.bit_depth,
        arguments.regions, _margin(arguments),
    )
    return exported, exported, settings, exported.size_check(arguments.memory_budget), None, None
