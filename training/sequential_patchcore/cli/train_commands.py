# SPDX-License-Identifier: Apache-2.0
"""The commands that make a model. Each checks, recognises finished work, loads, calls, reports.

torch and timm take seconds to import, so each function imports what it needs, after the checks that need neither.
"""

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..runtime.allocation import keep_freed_memory
from ..runtime.choices import AUTO, GREEDY, TORCH
from ..runtime.errors import UserError
from ..runtime.progress import say
from .carrying_out import carried_out, engine_of, need_checkpoint, written
from .finished_work import (
    Requests,
    earlier_request,
    file_digest,
    is_finished,
    request_of,
    weights_override,
    weights_place,
)
from .memories import Impurities, finished_before
from .result_code import MELDING, REMEMBERING, TRAINING

if TYPE_CHECKING:
    from ..data.dataset import Dataset
    from ..extractors.base import ExtractorSettings
    from ..fitting.settings import TrainSettings


def train(arguments: Namespace) -> None:
    from ..data.dataset import open_dataset
    from ..extractors.builder import extractor_of
    from ..fitting.memory_needs import needs_of
    from ..fitting.training import train as run
    from ..runtime.memory import peak

    keep_freed_memory()
    _refuse_what_greedy_lacks(arguments)
    impurities = Impurities.asked_for(arguments)
    if arguments.ray:
        _train_on_cluster(arguments)
        return
    datasets = [open_dataset(path) for path in arguments.data]
    chosen, settings = _chosen_features(arguments), _settings(arguments, arguments.coreset_size)
    place = weights_place(arguments.weights, arguments.backbone)
    nominal = requests = _train_requests(arguments, datasets, settings, place)
    if impurities is not None:
        requests = _train_requests(arguments, datasets, settings, place, REMEMBERING, impurities=impurities.inputs)
    model = None if impurities is None else finished_before(arguments, nominal, requests)
    if model is None and is_finished(arguments.out, requests.finished(arguments.engine), arguments.overwrite):
        return
    need_checkpoint(arguments, [*nominal.finished(arguments.engine), *requests.finished(arguments.engine)])
    extractor = extractor_of(chosen, place, engine_of(arguments))
    say(f"backbone {chosen.backbone}, weights {extractor.weights}: vectors of {extractor.dimension}")
    if impurities is not None:
        impurities.check(arguments.coreset_size, extractor)
    if model is None:
        record = {"weights": place, "blur_sigma": arguments.blur_sigma}
        needs = partial(needs_of, datasets, extractor, settings)
        options = carried_out(arguments, nominal.by(extractor.engine), needs, record)
        model = run(datasets, extractor, settings, out=arguments.out, options=options)
        say(peak(options.device))
    if impurities is not None:
        model = impurities.add_to(model, extractor, requests.by(extractor.engine))
    written(arguments.out, model)


def _refuse_what_greedy_lacks(arguments: Namespace) -> None:
    """The baseline makes one pass and chooses once; an option that it would pass over is refused."""
    if arguments.coreset != GREEDY:
        return
    for name in ("epochs", "eviction", "chunk_size", "checkpoint_images", "resume", "restart"):
        if getattr(arguments, name) not in (None, False):
            raise UserError(f"`{name}` is for the sequential coreset; leave it out with `coreset` {GREEDY}")


def _chosen_features(arguments: Namespace) -> "ExtractorSettings":
    from ..extractors.base import ExtractorSettings

    return ExtractorSettings(
        arguments.backbone, arguments.image_scale, arguments.pool, arguments.unit_maps, tuple(arguments.layers),
        arguments.normalisation, arguments.projection, arguments.precision,
    )


def _settings(arguments: Namespace, coreset_size: int) -> "TrainSettings":
    """What was chosen, and for the rest the settings' own defaults."""
    from ..fitting.settings import TrainSettings

    given = {field.name: getattr(arguments, field.name, None) for field in fields(TrainSettings)}
    chosen = {name: value for name, value in given.items() if value is not None}
    return TrainSettings(**chosen | {"coreset_size": coreset_size})


def _train_requests(
    arguments: Namespace, datasets: list["Dataset"], settings: "TrainSettings", place: str,
    code: Sequence[str] = TRAINING, **further: object,
) -> Requests:
    """
    Args:
        place: of the weights.
        code: the modules that have a say.
        further: inputs.
    """
    return Requests(
        "train", code, datasets, arguments.split, settings=asdict(settings),
        extractor=asdict(_chosen_features(arguments)), weights=file_digest(place), blur_sigma=arguments.blur_sigma,
        **further,
    )


def _train_on_cluster(arguments: Namespace) -> None:
    """Each shard is the `train` command with --shard I/N; the model is their meld, in order."""
    from ..data.dataset import open_dataset
    from ..fitting.cluster import run_shards, shard_path
    from ..fitting.melding import Melder
    from ..model.file import load_model, save_model

    if arguments.shard != (1, 1):
        raise UserError("--ray makes the shards itself: give their number with --shards N, not --shard I/N")
    count, weights = arguments.shards, weights_place(arguments.weights, arguments.backbone)
    shards = []
    for part in range(1, count + 1):
        # A task runs in a folder of its own on some machine: every path is made absolute here.
        place = str(shard_path(Path(arguments.out).resolve(), part, count))
        given = vars(arguments) | {"ray": None, "shard": (part, count), "resume": False}
        given |= {"out": place, "weights": weights, "data": [str(Path(path).resolve()) for path in arguments.data]}
        given["threads"] = arguments.threads or 1
        del given["run"], given["option_names"], given["writes"]
        shards.append(Namespace(**given))
    datasets = [open_dataset(path) for path in arguments.data]
    settings = _settings(arguments, arguments.coreset_size)
    engine = {} if arguments.engine == AUTO else {"engine": arguments.engine}
    requests = _train_requests(arguments, datasets, settings, weights, (*TRAINING, *MELDING), shards=count, **engine)
    request = requests.by(TORCH)  # which engine "auto" comes to is the shards' own affair
    if is_finished(arguments.out, [request], arguments.overwrite):
        return
    melder = Melder(arguments.coreset_size)
    for number in run_shards(train, shards, arguments.ray, shards[0].threads):
        melder.add(load_model(shards[number].out), Path(shards[number].out).name)
    model = melder.finish(str(request)) if count > 1 else replace(load_model(shards[0].out), request=str(request))
    save_model(model, arguments.out)
    written(arguments.out, model)


def finetune(arguments: Namespace) -> None:
    from ..data.dataset import open_dataset
    from ..fitting.memory_needs import needs_of
    from ..fitting.training import train as run
    from ..model.file import load_model
    from ..runtime.memory import peak
    from ..scoring.restore import restore_extractor

    keep_freed_memory()
    initial = load_model(arguments.model)
    datasets = [open_dataset(path) for path in arguments.data]
    settings = _settings(arguments, arguments.coreset_size or len(initial.features))
    requests = Requests(
        "finetune", TRAINING, datasets, arguments.split, parent=initial.fingerprint, settings=asdict(settings)
    )
    if is_finished(arguments.out, requests.finished(arguments.engine), arguments.overwrite):
        return
    need_checkpoint(arguments, requests.finished(arguments.engine))
    extractor = restore_extractor(
        initial, arguments.model, weights_override(arguments.weights), engine=engine_of(arguments)
    )
    request = requests.by(extractor.engine)
    options = carried_out(arguments, request, partial(needs_of, datasets, extractor, settings), {})
    model = run(datasets, extractor, settings, initial=initial, out=arguments.out, options=options)
    say(peak(options.device))
    written(arguments.out, model)


def impurities(arguments: Namespace) -> None:
    from ..model.file import load_model
    from ..scoring.restore import restore_extractor

    initial, wanted = load_model(arguments.model), Impurities(arguments, arguments.data)
    requests = Requests(
        "impurities", REMEMBERING, wanted.datasets, arguments.split, **wanted.inputs_with(initial)
    )
    if is_finished(arguments.out, requests.finished(arguments.engine), arguments.overwrite):
        return
    need_checkpoint(arguments, requests.finished(arguments.engine))
    extractor = restore_extractor(
        initial, arguments.model, weights_override(arguments.weights), engine=engine_of(arguments)
    )
    written(arguments.out, wanted.add_to(initial, extractor, requests.by(extractor.engine)))


def meld(arguments: Namespace) -> None:
    from ..fitting.melding import meld as run
    from ..model.file import load_model, save_model

    models = [load_model(path) for path in arguments.models]
    inputs = {"parents": [model.fingerprint for model in models], "size": arguments.coreset_size}
    request = replace(request_of("meld", MELDING, **inputs), earlier=earlier_request("meld", **inputs))
    if is_finished(arguments.out, [request], arguments.overwrite):
        return
    model = run(models, [Path(path).name for path in arguments.models], arguments.coreset_size, str(request))
    save_model(model, arguments.out)
    written(arguments.out, model)
