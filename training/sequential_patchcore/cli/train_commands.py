# SPDX-License-Identifier: Apache-2.0
"""The commands that make a model: train, finetune, meld. Each checks, recognises finished work, loads, calls, reports.

torch and timm take seconds to import, so each function imports what it needs, after the checks that need neither.
"""

from argparse import Namespace
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..runtime.choices import AUTO
from ..runtime.errors import UserError
from ..runtime.progress import say, tell
from .finished_work import (
    Requests,
    file_digest,
    fingerprints,
    is_finished,
    request_digest,
    weights_override,
    weights_place,
)

if TYPE_CHECKING:
    from ..data.dataset import Dataset
    from ..extractors.base import Extractor
    from ..fitting.settings import RunOptions, TrainSettings
    from ..model.file import Model


def train(arguments: Namespace) -> None:
    if arguments.ray:
        _train_on_cluster(arguments)
        return
    from ..data.dataset import open_dataset
    from ..extractors.base import ExtractorSettings
    from ..extractors.builder import extractor_of
    from ..fitting.settings import TrainSettings
    from ..fitting.training import train as run
    from ..runtime.memory import peak

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
    place = weights_place(arguments.weights, arguments.backbone)
    requests = Requests(
        "train", datasets=fingerprints(datasets), settings=asdict(settings), extractor=asdict(chosen),
        weights=file_digest(place), blur_sigma=arguments.blur_sigma, split=arguments.split,
    )
    if is_finished(arguments.out, requests.finished(arguments.engine), arguments.overwrite):
        return
    _need_checkpoint(arguments)
    extractor = extractor_of(chosen, place, _engine(arguments))
    request = requests.by(extractor.engine)
    say(f"backbone {chosen.backbone}, weights {extractor.weights}: vectors of {extractor.dimension}")
    record = {"weights": place, "blur_sigma": arguments.blur_sigma}
    options = _carried_out(arguments, request, datasets, extractor, settings, record)
    model = run(datasets, extractor, settings, out=arguments.out, options=options)
    say(peak(options.device))
    _written(arguments.out, model)


def _train_on_cluster(arguments: Namespace) -> None:
    """Each shard is the `train` command with --shard I/N; the model is their meld, in order."""
    from ..data.dataset import open_dataset
    from ..fitting.cluster import run_shards, shard_path
    from ..fitting.melding import Melder
    from ..model.file import load_model, save_model

    if arguments.shard != (1, 1):
        raise UserError("--ray makes the shards itself: give their number with --shards N, not --shard I/N")
    count = arguments.shards
    shards = []
    for part in range(1, count + 1):
        place = str(shard_path(Path(arguments.out).resolve(), part, count))
        given = vars(arguments) | {"ray": None, "shard": (part, count), "out": place, "resume": False}
        given["data"] = [str(Path(path).resolve()) for path in arguments.data]
        given["threads"] = arguments.threads or 1
        del given["run"], given["option_names"], given["writes"]
        shards.append(Namespace(**given))
    datasets = [open_dataset(path) for path in arguments.data]
    request = request_digest("ray", datasets=fingerprints(datasets), shards=[
        {key: value for key, value in vars(each).items() if key not in _NOT_OF_THE_RESULT and value != AUTO}
        for each in shards
    ])  # fmt: skip
    if is_finished(arguments.out, request, arguments.overwrite):
        return
    melder = Melder(arguments.coreset_size)
    for number in run_shards(train, shards, arguments.ray, shards[0].threads):
        melder.add(load_model(shards[number].out), Path(shards[number].out).name)
    model = melder.finish(request) if count > 1 else load_model(shards[0].out)
    save_model(model, arguments.out)
    _written(arguments.out, model)


# Where a command runs, and how fast.
_NOT_OF_THE_RESULT = ("data", "out", "ray", "threads", "workers", "device", "memory_budget", "chunk_size", "restart",
                      "resume", "overwrite", "json_progress", "checkpoint_images")  # fmt: skip


def finetune(arguments: Namespace) -> None:
    from ..data.dataset import open_dataset
    from ..fitting.settings import TrainSettings
    from ..fitting.training import train as run
    from ..model.file import load_model
    from ..runtime.memory import peak
    from ..scoring.restore import restore_extractor

    initial = load_model(arguments.model)
    datasets = [open_dataset(path) for path in arguments.data]
    settings = TrainSettings(
        coreset_size=arguments.coreset_size or len(initial.features), epochs=arguments.epochs,
        augment=arguments.augment, border_mask=arguments.border_mask, shuffle=arguments.shuffle, seed=arguments.seed,
        shard=arguments.shard, eviction=arguments.eviction,
    )
    requests = Requests(
        "finetune", parent=initial.fingerprint, datasets=fingerprints(datasets), settings=asdict(settings),
        split=arguments.split,
    )
    if is_finished(arguments.out, requests.finished(arguments.engine), arguments.overwrite):
        return
    _need_checkpoint(arguments)
    extractor = restore_extractor(
        initial, arguments.model, weights_override(arguments.weights), engine=_engine(arguments)
    )
    request = requests.by(extractor.engine)
    options = _carried_out(arguments, request, datasets, extractor, settings, {})
    model = run(datasets, extractor, settings, initial=initial, out=arguments.out, options=options)
    say(peak(options.device))
    _written(arguments.out, model)


def meld(arguments: Namespace) -> None:
    from ..fitting.melding import meld as run
    from ..model.file import load_model, save_model

    models = [load_model(path) for path in arguments.models]
    request = request_digest("meld", parents=[model.fingerprint for model in models], size=arguments.coreset_size)
    if is_finished(arguments.out, request, arguments.overwrite):
        return
    model = run(models, [Path(path).name for path in arguments.models], arguments.coreset_size, request)
    save_model(model, arguments.out)
    _written(arguments.out, model)


def _engine(arguments: Namespace) -> str:
    """The engine to build the extractor with.

    Raises:
        UserError: another than torch was asked for, on a GPU.
    """
    from ..extractors.device import choose_device
    from ..extractors.onnx_engine import engine_on

    return engine_on(choose_device(arguments.device), arguments.engine)


def _need_checkpoint(arguments: Namespace) -> None:
    from ..fitting.checkpoint import checkpoint_path

    path = checkpoint_path(arguments.out)
    if arguments.resume and not path.exists():
        raise UserError(f"--resume: there is no {path} to go on from; leave --resume out to begin")


def _carried_out(
    arguments: Namespace, request: str, datasets: list["Dataset"], extractor: "Extractor", settings: "TrainSettings",
    record: dict[str, Any],
) -> "RunOptions":
    """Threads, device, and the chunk size that fits the budget; prints the estimate."""
    import torch

    from ..extractors.device import choose_device
    from ..fitting.memory_needs import needs_of
    from ..fitting.settings import RunOptions
    from ..runtime.memory import cap, parse_size, plan

    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    options = RunOptions(
        split=arguments.split, workers=arguments.workers, checkpoint_images=arguments.checkpoint_images,
        restart=arguments.restart, request=request, record=record,
    )  # fmt: skip
    needs = needs_of(datasets, extractor, settings, options)
    chosen = plan(needs, parse_size(arguments.memory_budget), arguments.chunk_size)
    say(str(chosen))
    device = choose_device(arguments.device)
    cap(device, chosen.budget)
    return replace(options, device=device, chunk_size=chosen.chunk_size)


def _written(out: str, model: "Model") -> None:
    state = "converged" if model.converged else "not converged"
    tell(f"{out}: {len(model.features)} vectors of {model.features.shape[1]}, {state}")
