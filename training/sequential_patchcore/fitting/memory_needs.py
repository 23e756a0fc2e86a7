# SPDX-License-Identifier: Apache-2.0
"""What a training run needs of memory, part by part."""

from collections.abc import Sequence
from functools import partial

from ..coreset import engine, greedy
from ..data.dataset import Dataset
from ..extractors.base import Extractor
from ..extractors.footprint import Footprint
from ..runtime.choices import GREEDY
from ..runtime.memory import Needs
from . import stream
from .greedy import count_patches
from .settings import RunOptions, TrainSettings


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
