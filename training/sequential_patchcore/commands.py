# SPDX-License-Identifier: Apache-2.0
"""What each command does, as a list of steps: check, recognise finished work, load, call, report.

torch and timm take seconds to import, so each function imports what it needs, after the checks that need neither.
"""

import hashlib
import json
from argparse import Namespace
from dataclasses import asdict
from pathlib import Path

from . import __version__
from .data.dataset import Dataset, open_dataset
from .errors import UserError
from .names import FILTERS, GREEDY
from .progress import say


def train(arguments: Namespace) -> None:
    if arguments.ray:
        _train_on_cluster(arguments)
        return
    from .extractors import ExtractorSettings, build_extractor
    from .memory import peak
    from .train import TrainSettings
    from .train import train as run

    datasets = [open_dataset(path) for path in arguments.data]
    settings = TrainSettings(
        coreset_size=arguments.coreset_size, epochs=arguments.epochs, augment=arguments.augment,
        border_mask=arguments.border_mask, shuffle=arguments.shuffle, seed=arguments.seed, shard=arguments.shard,
        eviction=arguments.eviction, coreset=arguments.coreset,
    )
    chosen = ExtractorSettings(
        arguments.backbone, arguments.image_scale, arguments.pool, arguments.unit_maps, tuple(arguments.layers),
        arguments.normalisation, arguments.projection, arguments.precision,
    )
    place = _weights_place(arguments.weights, arguments.backbone)
    request = _request(
        "train", datasets=_fingerprints(datasets), settings=asdict(settings), extractor=asdict(chosen),
        weights=_file_digest(place), blur_sigma=arguments.blur_sigma, split=arguments.split,
    )
    if _finished(arguments.out, request, arguments.overwrite):
        return
    _need_checkpoint(arguments)
    extractor = build_extractor(chosen, place)
    say(f"backbone {chosen.backbone}, weights {extractor.weights}: vectors of {extractor.dimension}")
    common = {
        "request": request, "split": arguments.split, "workers": arguments.workers,
        "record": {"weights": place, "blur_sigma": arguments.blur_sigma},
    }
    if settings.coreset == GREEDY:
        from .train_greedy import count_patches, train_greedy

        patches = count_patches(datasets, arguments.split, settings.shard, extractor)
        _, device = _plan(arguments, datasets, extractor, settings.coreset_size, patches)
        model = train_greedy(datasets, extractor, settings, arguments.out, device=device, **common)
    else:
        chunk, device = _plan(arguments, datasets, extractor, settings.coreset_size)
        model = run(
            datasets, extractor, settings, arguments.out, chunk_size=chunk, device=device, restart=arguments.restart,
            **common,
        )
    say(peak(device))
    _written(arguments.out, model)


def _train_on_cluster(arguments: Namespace) -> None:
    """Each shard is the `train` command with --shard I/N; the model is their meld, in order."""
    from .cluster import run_shards, shard_path
    from .meld import Melder
    from .model_file import load_model, save_model

    if arguments.shard != (1, 1):
        raise UserError("--ray makes the shards itself: give their number with --shards N, not --shard I/N")
    count = arguments.shards
    shards = []
    for part in range(1, count + 1):
        place = str(shard_path(Path(arguments.out).resolve(), part, count))
        given = vars(arguments) | {"ray": None, "shard": (part, count), "out": place, "resume": False}
        given["data"] = [str(Path(path).resolve()) for path in arguments.data]
        given["threads"] = arguments.threads or 1
        given.pop("run")
        shards.append(Namespace(**given))
    datasets = [open_dataset(path) for path in arguments.data]
    request = _request("ray", datasets=_fingerprints(datasets), shards=[
        {key: value for key, value in vars(each).items() if key not in _NOT_OF_THE_RESULT} for each in shards
    ])  # fmt: skip
    if _finished(arguments.out, request, arguments.overwrite):
        return
    melder = Melder(arguments.coreset_size)
    for number in run_shards(train, shards, arguments.ray, shards[0].threads):
        melder.add(load_model(shards[number].out), Path(shards[number].out).name)
    model = melder.finish(request) if count > 1 else load_model(shards[0].out)
    save_model(model, arguments.out)
    _written(arguments.out, model)


# Where a command runs, and how fast.
_NOT_OF_THE_RESULT = ("data", "out", "ray", "threads", "workers", "device", "memory_budget", "chunk_size", "restart",
                      "resume", "overwrite", "json_progress")  # fmt: skip


def finetune(arguments: Namespace) -> None:
    from .memory import peak
    from .model_file import load_model
    from .restore import restore_extractor
    from .train import TrainSettings
    from .train import train as run

    initial = load_model(arguments.model)
    datasets = [open_dataset(path) for path in arguments.data]
    settings = TrainSettings(
        coreset_size=arguments.coreset_size or len(initial.features), epochs=arguments.epochs,
        augment=arguments.augment, border_mask=arguments.border_mask, shuffle=arguments.shuffle, seed=arguments.seed,
        shard=arguments.shard, eviction=arguments.eviction,
    )
    request = _request(
        "finetune", parent=initial.fingerprint, datasets=_fingerprints(datasets), settings=asdict(settings),
        split=arguments.split,
    )
    if _finished(arguments.out, request, arguments.overwrite):
        return
    _need_checkpoint(arguments)
    extractor = restore_extractor(initial, arguments.model, _override(arguments.weights))
    chunk, device = _plan(arguments, datasets, extractor, settings.coreset_size)
    model = run(
        datasets, extractor, settings, arguments.out, request=request, chunk_size=chunk, device=device,
        initial=initial, restart=arguments.restart, split=arguments.split, record={}, workers=arguments.workers,
    )
    say(peak(device))
    _written(arguments.out, model)


def meld(arguments: Namespace) -> None:
    from .meld import meld as run
    from .model_file import load_model, save_model

    models = [load_model(path) for path in arguments.models]
    request = _request("meld", parents=[model.fingerprint for model in models], size=arguments.coreset_size)
    if _finished(arguments.out, request, arguments.overwrite):
        return
    model = run(models, [Path(path).name for path in arguments.models], arguments.coreset_size, request)
    save_model(model, arguments.out)
    _written(arguments.out, model)


def calibrate(arguments: Namespace) -> None:
    from .calibrate import calibrate as run
    from .model_file import Threshold, load_model, save_model
    from .restore import scorer_of

    model = load_model(arguments.model)
    if arguments.threshold is not None:
        save_model(model.with_threshold(Threshold(arguments.threshold, "by_hand")), arguments.model)
        print(f"threshold {arguments.threshold:g} stored in {arguments.model}")
        return
    if arguments.data is None:
        raise UserError("calibrate needs --data DIR (a validation split), or --threshold VALUE by hand")
    dataset = open_dataset(arguments.data)
    before = model.threshold
    same = before is not None and all(
        before.calibrated_on.get(key) == value
        for key, value in (("fingerprint", dataset.fingerprint), ("split", arguments.split))
    )
    if same and not arguments.overwrite:
        print(f"threshold {before.value:g} of {arguments.model} was already set on this split of {dataset.name}; kept")
        return
    from .device import choose_device

    scorer = scorer_of(model, arguments.model, _override(arguments.weights), choose_device(arguments.device),
                       precision=arguments.precision)  # fmt: skip
    threshold = run(scorer, dataset, arguments.split)
    save_model(model.with_threshold(threshold), arguments.model)
    print(f"threshold {threshold.value:g} ({threshold.method}) stored in {arguments.model}")


def evaluate(arguments: Namespace) -> None:
    from .device import choose_device
    from .evaluate import EvaluatedModel
    from .evaluate import evaluate as run
    from .model_file import load_model
    from .report.describe import describe_model, summary_table
    from .restore import scorer_of

    dataset = open_dataset(arguments.data)
    models = {path: load_model(path) for path in arguments.model}
    thresholds = [model.threshold and model.threshold.value for model in models.values()]
    request = _request(
        "evaluate", models=[model.fingerprint for model in models.values()], names=[Path(path).stem for path in models],
        thresholds=thresholds, dataset=dataset.fingerprint, split=arguments.split,
    )
    device = choose_device(arguments.device)

    def lazily(path: str):  # weights are only loaded when there is something to score
        scorer = None

        def score(image):
            nonlocal scorer
            scorer = scorer or scorer_of(models[path], path, _override(arguments.weights), device,
                                         precision=arguments.precision)  # fmt: skip
            return scorer.anomaly_map(image)

        return score

    evaluated = [
        EvaluatedModel(
            Path(path).stem, path, model.threshold and model.threshold.value, lazily(path), describe_model(model)
        )
        for path, model in models.items()
    ]
    metrics = run(evaluated, dataset, arguments.split, arguments.out, inputs=request)
    print(json.dumps(metrics["models"]) if arguments.json else summary_table(metrics))
    print(f"report: {Path(arguments.out) / 'report.html'}")


def predict(arguments: Namespace) -> None:
    from .device import choose_device
    from .model_file import load_model
    from .predict import find_images
    from .predict import predict as run
    from .restore import scorer_of

    images = find_images(arguments.images)
    model = load_model(arguments.model)
    scorer = scorer_of(model, arguments.model, _override(arguments.weights), choose_device(arguments.device),
                       precision=arguments.precision)  # fmt: skip
    explainer = None
    if arguments.explain:
        from .explain import Explainer

        explainer = Explainer(scorer, model, arguments.out, arguments.data)
    predictions = run(scorer, model, images, arguments.out, explainer)
    for each in predictions:
        print(f"{each.verdict:9}  {each.score:10.4g}  {len(each.boxes):3} region(s)  {each.image}")
    anomalous = sum(each.verdict == "anomalous" for each in predictions)
    print(f"{anomalous} of {len(predictions)} anomalous; tables and overlays in {arguments.out}")


def _weights_place(weights: str, backbone: str) -> str:
    """ "hub", "none" or an absolute path."""
    if backbone == FILTERS and weights == "hub":
        return "none"
    return weights if weights in ("hub", "none") else str(Path(weights).resolve())


def _override(weights: str | None) -> str | None:
    return None if weights is None else _weights_place(weights, "")


def _file_digest(place: str) -> str:
    if place in ("hub", "none"):
        return place
    try:
        return hashlib.sha256(Path(place).read_bytes()).hexdigest()[:16]
    except OSError as error:
        raise UserError(f"cannot read the weights file {place}: {error.strerror}") from error


def _fingerprints(datasets: list[Dataset]) -> list[str]:
    return [dataset.fingerprint for dataset in datasets]


def _request(command: str, **inputs: object) -> str:
    """The digest of a command and all that its result depends on; by it finished work is recognised."""
    text = json.dumps({"command": command, "version": __version__, **inputs}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _finished(out: str, request: str, overwrite: bool) -> bool:
    """Whether `out` already holds what the command would make.

    Raises:
        UserError: it holds something else, and --overwrite was not given.
    """
    from .model_file import read_request

    path = Path(out)
    if path.is_dir():
        raise UserError(f"{out} is a folder; expected the name of the model file to write, such as {path / 'model.h5'}")
    if not path.exists() or overwrite:
        return False
    if read_request(path) == request:
        print(f"{out} was already made by this command from the same data; kept")
        return True
    raise UserError(f"{out} exists and was made from other data or settings; give --overwrite, or another --out")


def _need_checkpoint(arguments: Namespace) -> None:
    from .checkpoint import checkpoint_path

    path = checkpoint_path(arguments.out)
    if arguments.resume and not path.exists():
        raise UserError(f"--resume: there is no {path} to go on from; leave --resume out to begin")


def _plan(
    arguments: Namespace, datasets: list[Dataset], extractor: object, coreset_size: int, all_patches: int = 0
) -> tuple[int, object]:
    """Threads, device, and the chunk size that fits the budget; prints the estimate.

    Args:
        all_patches: how many the greedy baseline will hold.
    """
    import torch

    from .device import choose_device
    from .extractors import scaled_size
    from .memory import activation_bytes_per_pixel, cap, parse_size, plan

    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    sizes = [dataset.image_size(sample) for dataset in datasets for sample in dataset.split(arguments.split)]
    largest = max(sizes, key=lambda size: size[0] * size[1])
    scaled = scaled_size(largest, extractor.settings.image_scale)
    chosen = plan(
        largest, scaled, extractor.dimension, extractor.stride, activation_bytes_per_pixel(extractor), coreset_size,
        arguments.chunk_size, parse_size(arguments.memory_budget), arguments.workers, all_patches,
    )
    say(str(chosen))
    device = choose_device(arguments.device)
    cap(device, chosen.budget)
    return chosen.chunk_size, device


def _written(out: str, model: object) -> None:
    state = "converged" if model.converged else "not converged"
    print(f"{out}: {len(model.features)} vectors of {model.features.shape[1]}, {state}")
