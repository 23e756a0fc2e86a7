# SPDX-License-Identifier: Apache-2.0
"""The stream of a training run: images in order, augmented, read ahead of the features; and their patches."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from ..data.dataset import Dataset, Sample, reading_bytes
from ..extractors.base import Extractor, to_tensor
from ..extractors.grid import Grid
from ..model.patch_ids import pack_patch_ids
from ..runtime.errors import UserError
from ..runtime.progress import say
from ..runtime.read_ahead import read_ahead
from .augmentation import AugmentSettings, augment, augmentation_rng, flips_of, mask_border
from .settings import TrainSettings

# Of an image being augmented, a pixel: the photograph and its copies as the augmentation holds them at the most (as
# read, flipped, and either blurred or the noise with its random bytes), the region twice.
_AUGMENTING = 3 * 3 * 4 + 3 + 4
_WAITING = 3 * 4 + 1  # of one that waits: the image and its region


def bytes_needed(size: tuple[int, int], workers: int, augmented: bool) -> int:
    """What images of (H, W) pixels take that are read ahead.

    Args:
        workers: each of the threads works on one image while another waits; without threads the work is done between.
        augmented: whether the images are changed as they are read.
    """
    pixels = size[0] * size[1]
    one = pixels * _AUGMENTING if augmented else reading_bytes(size)
    return workers * (one + pixels * _WAITING) if workers else one


@dataclass(frozen=True)
class Source:
    """One training image: row `number` of the model's sources."""

    number: int
    dataset: Dataset
    sample: Sample


@dataclass(frozen=True)
class Picture:
    """A training image as an epoch shows it.

    Attributes:
        source: which one.
        image: float32 (H, W, 3) RGB in [0, 1].
        region: bool (H, W); only patches that touch it count.
        flips: whether it was flipped (up-down, left-right).
    """

    source: Source
    image: np.ndarray
    region: np.ndarray
    flips: tuple[bool, bool]


def sources_of(datasets: Sequence[Dataset], split: str, shard: tuple[int, int], first: int) -> list[Source]:
    part, parts = shard
    samples = [(dataset, sample) for dataset in datasets for sample in dataset.split(split)]
    chosen = samples[part - 1 :: parts]
    if not chosen:
        raise UserError(f"shard {part}/{parts} of {len(samples)} training image(s) is empty; take fewer shards")
    for dataset, sample in chosen:
        if any(dataset_class.kind == "defect" for dataset_class in dataset.classes
               if dataset_class.name in {instance.class_name for instance in sample.instances}):
            say(f"note: training image {sample.id} of {dataset.name} holds defects; they will count as normal")
    return [Source(first + number, dataset, sample) for number, (dataset, sample) in enumerate(chosen)]


def changes_images(sources: Sequence[Source], settings: TrainSettings) -> bool:
    """Whether the epochs see other pictures than the data sets hold."""
    return settings.augment or (settings.border_mask and any(source.dataset.is_render for source in sources))


def order_of(count: int, settings: TrainSettings, epoch: int) -> np.ndarray:
    if settings.shuffle:
        return np.random.default_rng((settings.seed, epoch)).permutation(count)
    return np.arange(count)


def pictures(
    sources: Sequence[Source], settings: TrainSettings, epoch: int | None, workers: int = 1
) -> Iterator[Picture]:
    """The images in the given order, read and augmented up to `workers` images ahead by as many threads.

    Each picture depends on seed, epoch and image alone, so the workers change nothing but the time.

    Args:
        epoch: of the augmentation; None leaves the images as they are.
        workers: 0 reads each image when it is asked for.
    """
    return read_ahead(partial(_picture, settings=settings, epoch=epoch), sources, workers)


def _picture(source: Source, settings: TrainSettings, epoch: int | None) -> Picture:
    image, region = source.dataset.image(source.sample), source.dataset.region(source.sample)
    flips = (False, False)
    if epoch is not None:
        rng = augmentation_rng(settings.seed, epoch, source.number)
        if settings.augment:
            flips = flips_of(augmentation_rng(settings.seed, epoch, source.number), AugmentSettings())
            image, region = augment(image, region, rng, AugmentSettings())
        if settings.border_mask and source.dataset.is_render:
            image, region = mask_border(image, region, rng)
    return Picture(source, image, region, flips)


def grid_of(
    picture: Picture, extractor: Extractor, device: torch.device | str
) -> tuple[torch.Tensor, np.ndarray, Grid]:
    """(h * w, D) vectors and (h * w,) patch ids of all patches, row by row, and where they look."""
    size = picture.image.shape[:2]
    patches = extractor(to_tensor(picture.image, extractor.settings.image_scale, torch.device(device)))[0]
    cells = (patches.shape[0], patches.shape[1])
    grid = Grid.of(extractor, size, cells)
    patch_ids = pack_patch_ids(picture.source.number, cells, grid.places(*picture.flips))
    return patches.reshape(-1, patches.shape[-1]), patch_ids, grid


def patches_of(
    picture: Picture, extractor: Extractor, device: torch.device | str
) -> tuple[torch.Tensor, np.ndarray]:
    """(N, D) vectors and (N,) patch ids of the patches inside the region."""
    flat, patch_ids, grid = grid_of(picture, extractor, device)
    inside = grid.touched_by(picture.region).reshape(-1)
    if inside.all():
        return flat, patch_ids
    return flat[torch.from_numpy(inside).to(flat.device)], patch_ids[inside]
