# SPDX-License-Identifier: Apache-2.0
"""What a training run needs of memory, part by part."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from ..coreset import engine, greedy, search
from ..data.dataset import Dataset
from ..extractors.base import Extractor
from ..extractors.footprint import Footprint
from ..runtime.choices import GREEDY
from ..runtime.memory import Needs
from . import stream
from .greedy import count_patches
from .labelled_patches import wanted_classes
from .settings import MemorySettings, RunOptions, TrainSettings


def needs_of(
    datasets: Sequence[Dataset], extractor: Extractor, settings: TrainSettings, options: RunOptions
) -> Needs:
    """For `runtime.memory.plan`; the images are those of the split, and their sizes are read from the files' headers.

    Raises:
        UserError: a data set without images in the split.
    """
    sizes = [dataset.image_size(sample) for dataset in datasets for sample in dataset.split(options.split)]
    largest = max(sizes, key=lambda size: size[0] * size[1])
    augmented = settings.augment or any(dataset.is_render for dataset in datasets)
    footprint = Footprint(extractor)
    patches = 0
    if settings.coreset == GREEDY:
        patches = count_patches(datasets, options.split, settings.shard, extractor)
    return Needs(
        image=footprint.image(largest),
        features=footprint.features(largest),
        coreset=partial(engine.bytes_needed, settings.coreset_size, extractor.dimension),
        loader=stream.bytes_needed(largest, min(options.workers, len(sizes) - 1), augmented),
        libraries=footprint.libraries,
        weights=footprint.weights,
        all_patches=greedy.bytes_needed(patches, extractor.dimension),
        image_size=largest,
        coreset_size=settings.coreset_size,
        patches=patches,
    )


_MASK = 10  # bytes a pixel of an image's labels: as stored, by region, and what counts their values


def needs_of_memories(
    nominal_size: int, datasets: Sequence[Dataset], extractor: Extractor, settings: MemorySettings, options: RunOptions
) -> Needs:
    """The same of a run that makes memories.

    Args:
        nominal_size: vectors of the nominal memory.

    Raises:
        UserError: a data set without images in the split, or no impurity on any.
    """
    one = needs_of(datasets, extractor, settings.stream, options)
    height, width = one.image_size
    classes = len(wanted_classes(datasets, options.split, settings.with_defects))

    def coresets(chunk_size: int) -> int:
        return classes * one.coreset(chunk_size) + search.bytes_needed(nominal_size, extractor.dimension, chunk_size)

    return replace(
        one, coreset=coresets, loader=one.loader + _MASK * height * width, coreset_size=classes * settings.memory_size,
        advice="lower `memory_size`",
    )
