# SPDX-License-Identifier: Apache-2.0
"""Training and fine-tuning: the images of one or more data sets go by, the coreset stays.

One image's patches are in memory at a time, whatever the number of images. A checkpoint lies beside the model while it
is being made; the same command goes on from there and ends in the same coreset as an undisturbed run.
"""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from .checkpoint import Checkpoint, checkpoint_path, load_checkpoint, save_checkpoint
from .coreset import Coreset, SequentialCoreset, certified_factor
from .data.augment import AugmentSettings, augment, augmentation_rng, mask_border
from .data.dataset import Dataset, Sample
from .errors import UserError
from .extractors import Extractor, identity, to_tensor
from .files import make_folder
from .interrupt import deferred_interrupt
from .model_file import Model, save_model
from .patches import Grid, pack_tags, tags_of, unpack_tags
from .progress import Progress, say

_CHECKPOINT_SECONDS = 60.0


@dataclass(frozen=True)
class TrainSettings:
    """What a person chooses about a run.

    Attributes:
        coreset_size: K; 2048 in the paper.
        epochs: passes over the data at most; fewer when one replaces nothing.
        augment: random brightness, contrast, flips, blur and noise, new in every epoch.
        border_mask: cut a random border away from renders, as if the plate ended there on black.
        shuffle: a new order of the images in every epoch, drawn from the seed; otherwise the data sets' own.
        seed: of the augmentation and the order.
        shard: (I, N): every Nth image, from the Ith on, counted from 1.
    """

    coreset_size: int = 2048
    epochs: int = 5
    augment: bool = False
    border_mask: bool = True
    shuffle: bool = False
    seed: int = 0
    shard: tuple[int, int] = (1, 1)


@dataclass(frozen=True)
class _Source:
    """One training image: row `number` of the model's sources."""

    number: int
    dataset: Dataset
    sample: Sample


def train(
    datasets: Sequence[Dataset], extractor: Extractor, settings: TrainSettings, out: str | Path, *, request: str,
    chunk_size: int = 2048, device: torch.device | str = "cpu", initial: Model | None = None, restart: bool = False,
    split: str = "train", record: dict | None = None,
) -> Model:
    """Build a coreset from the data sets' training images, in order, and write the model file.

    Args:
        request: fingerprint of all that the result depends on; binds a checkpoint to its run.
        initial: a model to fine-tune: its coreset is where the rule starts, its sources stay known.
        record: further settings to keep in the model, JSON-ready.
        restart: drop a checkpoint instead of going on from it.

    Raises:
        UserError: no training images, fewer patches than vectors, a checkpoint of another run, an unwritable place.
        KeyboardInterrupt: stopped; the checkpoint holds what was done.
    """
    out = Path(out)
    _check_writable(out)
    known = initial.sources if initial is not None else ()
    sources = _sources(datasets, split, settings.shard, len(known))
    state = _begin(out, request, extractor, settings, initial, restart)
    coreset = SequentialCoreset(settings.coreset_size, extractor.dimension, chunk_size, state.coreset)
    extractor = extractor.to(torch.device(device))

    with deferred_interrupt() as interrupt:
        saved = time.monotonic()
        while state.epoch < settings.epochs and not state.converged:
            order = _order(len(sources), settings, state.epoch)
            full_before = coreset.full  # after a resumption too: the fill ends within the first epoch
            task = f"epoch {state.epoch + 1} of {settings.epochs}"
            with Progress(task, len(sources), done=state.images) as progress:
                for index in order[state.images :]:
                    patches, tags = _patches(sources[index], extractor, settings, device, state.epoch)
                    state.replacements += coreset.update(patches, tags)
                    state.images += 1
                    progress.note(f"{state.replacements} replaced, separation {coreset.separation:.4g}")
                    progress.step()
                    stop = interrupt.asked
                    if stop or time.monotonic() - saved > _CHECKPOINT_SECONDS:
                        state.coreset = coreset.result()
                        save_checkpoint(state, out, request)
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
            state.finish_epoch(coreset.separation, full_before)
            state.coreset = coreset.result()
            save_checkpoint(state, out, request)
        radius = _covering_radius(sources, extractor, coreset, device, interrupt)
    model = _model(
        coreset, sources, known, extractor, asdict(settings) | (record or {}), state, radius, datasets, initial, request
    )
    save_model(model, out)
    checkpoint_path(out).unlink(missing_ok=True)
    return model


def _check_writable(out: Path) -> None:
    """Better now than after the first epoch."""
    try:
        with tempfile.TemporaryFile(dir=make_folder(out.parent)):
            pass
    except OSError as error:
        raise UserError(f"cannot write {out}: {error.strerror or error}") from error


def _sources(datasets: Sequence[Dataset], split: str, shard: tuple[int, int], first: int) -> list[_Source]:
    part, parts = shard
    samples = [(dataset, sample) for dataset in datasets for sample in dataset.split(split)]
    chosen = samples[part - 1 :: parts]
    if not chosen:
        raise UserError(f"shard {part}/{parts} of {len(samples)} training image(s) is empty; take fewer shards")
    for dataset, sample in chosen:
        if any(dataset_class.kind == "defect" for dataset_class in dataset.classes
               if dataset_class.name in {instance.class_name for instance in sample.instances}):
            say(f"note: training image {sample.id} of {dataset.name} holds defects; they will count as normal")
    return [_Source(first + number, dataset, sample) for number, (dataset, sample) in enumerate(chosen)]


def _begin(
    out: Path, request: str, extractor: Extractor, settings: TrainSettings, initial: Model | None, restart: bool
) -> Checkpoint:
    if restart:
        checkpoint_path(out).unlink(missing_ok=True)
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
    return Checkpoint(coreset=Coreset(initial.features, tags_of(initial.source, initial.position)))


def _order(count: int, settings: TrainSettings, epoch: int) -> np.ndarray:
    if settings.shuffle:
        return np.random.default_rng((settings.seed, epoch)).permutation(count)
    return np.arange(count)


def _patches(
    source: _Source, extractor: Extractor, settings: TrainSettings, device: torch.device | str, epoch: int | None
) -> tuple[torch.Tensor, np.ndarray]:
    """(N, D) vectors and (N,) tags of the patches inside the region; `epoch` None leaves the image as it is."""
    image, region = source.dataset.image(source.sample), source.dataset.region(source.sample)
    if epoch is not None:
        rng = augmentation_rng(settings.seed, epoch, source.number)
        if settings.augment:
            image, region = augment(image, region, rng, AugmentSettings())
        if settings.border_mask and source.dataset.is_render:
            image, region = mask_border(image, region, rng)
    patches = extractor(to_tensor(image, extractor.settings.image_scale, torch.device(device)))[0]
    cells = (patches.shape[0], patches.shape[1])
    inside = Grid.of(extractor, image.shape[:2], cells).touched_by(region).reshape(-1)
    flat = patches.reshape(-1, patches.shape[-1])
    if inside.all():
        return flat, pack_tags(source.number, cells)
    return flat[torch.from_numpy(inside).to(flat.device)], pack_tags(source.number, cells)[inside]


def _covering_radius(
    sources: Sequence[_Source], extractor: Extractor, coreset: SequentialCoreset, device: torch.device | str,
    interrupt: object,
) -> float:
    """Largest distance of a patch of the training images, not augmented, to its nearest vector."""
    radius = 0.0
    with Progress("measuring the coverage", len(sources)) as progress:
        for source in sources:
            patches, _ = _patches(source, extractor, TrainSettings(), device, None)
            radius = max(radius, coreset.farthest(patches))
            progress.note(f"covering radius {radius:.4g}")
            progress.step()
            if interrupt.asked:
                raise KeyboardInterrupt
    return radius


def _model(
    coreset: SequentialCoreset, sources: Sequence[_Source], known: tuple[tuple[str, str], ...], extractor: Extractor,
    settings: dict, state: Checkpoint, radius: float, datasets: Sequence[Dataset], initial: Model | None,
    request: str,
) -> Model:
    result = coreset.result()
    source, position = unpack_tags(result.tags)
    factor = certified_factor(radius, coreset.separation)
    say(
        f"coreset of {len(result.features)}: {'converged' if state.converged else 'not converged'} after "
        f"{len(state.log)} epoch(s), separation {coreset.separation:.4g}, covering radius {radius:.4g}"
        + (f", within {factor:.3g} times the best possible radius" if factor is not None else "")
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
