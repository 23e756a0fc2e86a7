# SPDX-License-Identifier: Apache-2.0
"""Training and fine-tuning: the images of one or more data sets go by, the coreset stays.

One image's patches are in memory at a time, whatever the number of images. A checkpoint lies beside the model while it
is being made; the same command goes on from there and ends in the same coreset as an undisturbed run.
"""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from ..coreset.engine import Coreset, CoresetEngine
from ..coreset.guarantee import certified_factor
from ..data.dataset import Dataset
from ..extractors.base import Extractor, identity
from ..model.file import Model, save_model
from ..model.patch_ids import patch_ids_of, unpack_patch_ids
from ..runtime.errors import UserError
from ..runtime.files import make_folder, remove_leftovers
from ..runtime.interrupt import deferred_interrupt
from ..runtime.progress import Progress, report, say
from .checkpoint import Checkpoint, checkpoint_path, load_checkpoint, save_checkpoint
from .settings import TrainSettings
from .stream import Source, changes_images, order_of, patches_of, pictures, sources_of

_CHECKPOINT_SECONDS = 60.0


def train(
    datasets: Sequence[Dataset], extractor: Extractor, settings: TrainSettings, out: str | Path, *, request: str,
    chunk_size: int = 2048, device: torch.device | str = "cpu", initial: Model | None = None, restart: bool = False,
    split: str = "train", record: dict | None = None, workers: int = 1,
    checkpoint_images: int | None = None,
) -> Model:
    """Build a coreset from the data sets' training images, in order, and write the model file.

    Args:
        request: fingerprint of all that the result depends on; binds a checkpoint to its run.
        initial: a model to fine-tune: its coreset is where the rule starts, its sources stay known.
        workers: threads that read and augment images ahead; of no influence on the result.
        record: further settings to keep in the model, JSON-ready.
        restart: drop a checkpoint instead of going on from it.
        checkpoint_images: write one after so many images too, not only every minute and at the end of an epoch.

    Raises:
        UserError: no training images, fewer patches than vectors, a checkpoint of another run, an unwritable place.
        KeyboardInterrupt: stopped; the checkpoint holds what was done.
    """
    out = Path(out)
    check_writable(out)
    known = initial.sources if initial is not None else ()
    sources = sources_of(datasets, split, settings.shard, len(known))
    state = _begin(out, request, extractor, settings, initial, restart)
    coreset = CoresetEngine(
        settings.coreset_size, extractor.dimension, chunk_size, state.coreset, settings.eviction, settings.seed
    )
    if state.watched is not None:
        coreset.watch(state.watched, state.watched_sq)
    extractor = extractor.to(torch.device(device))

    with deferred_interrupt() as interrupt:
        saved = time.monotonic()
        while state.epoch < settings.epochs and not state.converged:
            order = order_of(len(sources), settings, state.epoch)
            if state.images == 0 and coreset.full:
                coreset.watch()
            task = f"epoch {state.epoch + 1} of {settings.epochs}"
            with Progress(task, len(sources), done=state.images) as progress:
                coming = [sources[index] for index in order[state.images :]]
                for picture in pictures(coming, settings, state.epoch, workers):
                    # Given a name, the patches would stay until those of the next image have come beside them.
                    state.replacements += coreset.update(*patches_of(picture, extractor, device))
                    state.images += 1
                    progress.note(_so_far(state, coreset))
                    progress.step()
                    stop = interrupt.asked
                    due = checkpoint_images is not None and state.images % checkpoint_images == 0
                    if stop or due or time.monotonic() - saved > _CHECKPOINT_SECONDS:
                        _save(state, coreset, out, request)
                        saved = time.monotonic()
                    if stop:
                        say(f"stopped; {checkpoint_path(out)} holds the state, the same command goes on from there")
                        raise KeyboardInterrupt
            if not coreset.full:  # a second epoch would fill it with the same patches once more
                checkpoint_path(out).unlink(missing_ok=True)
                raise UserError(
                    f"the training images have only {coreset.filled} patches, fewer than the {settings.coreset_size} "
                    "vectors asked for: give more images, or a smaller --coreset-size"
                )
            state.finish_epoch(coreset.separation, coreset.watched and coreset.watched.radius)
            coreset.unwatch()
            _save(state, coreset, out, request)
            _tell_epoch(state)
        radius = state.log[-1].get("covering_radius")
        changed = changes_images(sources, settings)
        if radius is None or changed:
            radius = measure_coverage(sources, extractor, coreset, device, interrupt, workers)
            state.log[-1].setdefault("covering_radius", radius)
    settled = asdict(settings) | {"images_changed": changed} | (record or {})
    model = model_of(coreset, sources, known, extractor, settled, state, radius, datasets, initial, request)
    save_model(model, out)
    checkpoint_path(out).unlink(missing_ok=True)
    return model


def _save(state: Checkpoint, coreset: CoresetEngine, out: Path, request: str) -> None:
    state.coreset, watch = coreset.result(), coreset.watched
    if watch is not None:
        state.watched, state.watched_sq = watch.features, watch.largest_sq
    save_checkpoint(state, out, request)


def _so_far(state: Checkpoint, coreset: CoresetEngine) -> str:
    """The figures beside the bar."""
    text = f"{state.replacements} replaced, separation {coreset.separation:.4g}"
    if coreset.watched is None:
        return text
    radius = coreset.watched.radius  # of the epoch before, growing as its patches are seen
    return f"{text}, covering radius {radius:.4g}, factor {_factor(radius, coreset.separation)}"


def _tell_epoch(state: Checkpoint) -> None:
    """The log: what the epoch did, and what it found out about the coreset that it began with."""
    epoch = state.log[-1]
    report(event="epoch", epoch=len(state.log), converged=state.converged, **epoch)
    say(f"epoch {len(state.log)}: {epoch['replacements']} replaced, separation {epoch['separation']:.4g}")
    if len(state.log) > 1 and "covering_radius" in (before := state.log[-2]):
        factor = _factor(before["covering_radius"], before["separation"])
        say(f"after epoch {len(state.log) - 1}: covering radius {before['covering_radius']:.4g}, "
            f"at most {factor} times the best possible")  # fmt: skip


def _factor(radius: float, separation: float) -> str:
    factor = certified_factor(radius, separation)
    return "unknown" if factor is None else f"{factor:.3g}"


def check_writable(out: Path) -> None:
    """Better now than after the first epoch."""
    try:
        with tempfile.TemporaryFile(dir=make_folder(out.parent)):
            pass
    except OSError as error:
        raise UserError(f"cannot write {out}: {error.strerror or error}") from error


def _begin(
    out: Path, request: str, extractor: Extractor, settings: TrainSettings, initial: Model | None, restart: bool
) -> Checkpoint:
    if restart:
        checkpoint_path(out).unlink(missing_ok=True)
    remove_leftovers(out)
    remove_leftovers(checkpoint_path(out))
    state = load_checkpoint(out, request)
    if state is not None:
        say(f"going on from {checkpoint_path(out)}: epoch {state.epoch + 1}, image {state.images}")
        return state
    if initial is None:
        return Checkpoint()
    if len(initial.features) > settings.coreset_size:
        raise UserError(
            f"the model has {len(initial.features)} vectors, more than --coreset-size {settings.coreset_size}"
        )
    return Checkpoint(coreset=Coreset(initial.features, patch_ids_of(initial.source, initial.position)))


def measure_coverage(
    sources: Sequence[Source], extractor: Extractor, coreset: CoresetEngine, device: torch.device | str,
    interrupt: object, workers: int,
) -> float:
    """Largest distance of a patch of the training images, not augmented, to its nearest vector."""
    radius = 0.0
    with Progress("measuring the coverage", len(sources)) as progress:
        for picture in pictures(sources, TrainSettings(), None, workers):
            radius = coreset.farthest(patches_of(picture, extractor, device)[0], radius)
            progress.note(f"covering radius {radius:.4g}")
            progress.step()
            if interrupt.asked:
                raise KeyboardInterrupt
    return radius


def model_of(
    coreset: CoresetEngine, sources: Sequence[Source], known: tuple[tuple[str, str], ...], extractor: Extractor,
    settings: dict, state: Checkpoint, radius: float, datasets: Sequence[Dataset], initial: Model | None,
    request: str,
) -> Model:
    result = coreset.result()
    source, position = unpack_patch_ids(result.patch_ids)
    factor = certified_factor(radius, coreset.separation)
    beside = " for these images' patches and the coreset's own vectors" if settings["images_changed"] or initial else ""
    say(
        f"coreset of {len(result.features)}: {'converged' if state.converged else 'not converged'} after "
        f"{len(state.log)} epoch(s), separation {coreset.separation:.4g}, covering radius {radius:.4g}"
        + (f", within {factor:.3g} times the best possible radius{beside}" if factor is not None else "")
    )
    shares = [
        {"name": each.name, "path": str(each.path), "fingerprint": each.fingerprint,
         "images": sum(one.dataset is each for one in sources)}
        for each in datasets
    ]
    return Model(
        features=result.features, source=source, position=position,
        sources=known + tuple((each.dataset.name, each.sample.id) for each in sources),
        extractor=identity(extractor) | {"offset": extractor.offset, "weights": extractor.weights},
        settings=(initial.settings if initial is not None else {}) | settings,
        separation=coreset.separation, covering_radius=radius, converged=state.converged, epochs=tuple(state.log),
        parents=(initial.fingerprint,) if initial is not None else (),
        data=(initial.data if initial is not None else ()) + tuple(shares),
        request=request,
    )
