# SPDX-License-Identifier: Apache-2.0
"""Training with the baseline: all patches of all images are collected, then thinned out from above.

It exists to be compared with: on the same images, features and seed. It knows no checkpoint and no second epoch.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from ..coreset.engine import Coreset, CoresetEngine
from ..coreset.greedy import greedy_coreset
from ..data.dataset import Dataset
from ..extractors.base import Extractor, scaled_size
from ..model.file import Model, save_model
from ..runtime.errors import UserError
from ..runtime.interrupt import deferred_interrupt
from ..runtime.progress import Progress
from .checkpoint import Checkpoint
from .sequential import check_writable, measure_coverage, model_of
from .settings import TrainSettings
from .stream import changes_images, patches_of, pictures, sources_of


def count_patches(
    datasets: Sequence[Dataset], split: str, shard: tuple[int, int], extractor: Extractor
) -> int:
    """Patches of the training images, those outside the regions included."""
    total = 0
    for source in sources_of(datasets, split, shard, 0):
        scaled = scaled_size(source.dataset.image_size(source.sample), extractor.settings.image_scale)
        total += -(-scaled[0] // extractor.stride) * -(-scaled[1] // extractor.stride)
    return total


def train_greedy(
    datasets: Sequence[Dataset], extractor: Extractor, settings: TrainSettings, out: str | Path, *, request: str,
    device: torch.device | str = "cpu", split: str = "train", record: dict | None = None, workers: int = 1,
) -> Model:
    """Build the greedy coreset and write the model file; arguments and errors as `train.train`.

    The vectors live and are compared on the CPU; only the features are made on `device`.
    """
    out = Path(out)
    check_writable(out)
    sources = sources_of(datasets, split, settings.shard, 0)
    count = count_patches(datasets, split, settings.shard, extractor)
    vectors = torch.empty(count, extractor.dimension)
    patch_ids = np.empty(count, np.int64)
    held = 0
    extractor = extractor.to(torch.device(device))
    with deferred_interrupt() as interrupt:
        with Progress("collecting patches", len(sources)) as progress:
            for picture in pictures(sources, settings, 0, workers):
                patches, numbers = patches_of(picture, extractor, device)
                vectors[held : held + len(patches)] = patches.cpu()
                patch_ids[held : held + len(patches)] = numbers
                held += len(patches)
                progress.step()
                if interrupt.asked:
                    raise KeyboardInterrupt
        if held < settings.coreset_size:
            raise UserError(f"only {held} patches for --coreset-size {settings.coreset_size}: give more images")
        vectors, patch_ids = vectors[:held], patch_ids[:held]
        if not bool(vectors.isfinite().all()):
            raise UserError("a patch vector holds a value that is not finite; check the weights and the images")
        with Progress("greedy coreset", settings.coreset_size, "vector") as progress:

            def step() -> None:
                progress.step()
                if interrupt.asked:
                    raise KeyboardInterrupt

            rows = greedy_coreset(vectors, settings.coreset_size, step)
    chosen = Coreset(vectors[rows].numpy(), patch_ids[rows.numpy()])
    coreset = CoresetEngine(settings.coreset_size, extractor.dimension, initial=chosen)
    radius = coreset.farthest(vectors)
    state = Checkpoint(epoch=1, converged=radius <= coreset.separation)
    state.log.append({"replacements": 0, "separation": coreset.separation, "covering_radius": radius})
    changed = changes_images(sources, settings)
    if changed:
        with deferred_interrupt() as interrupt:
            radius = measure_coverage(sources, extractor, coreset, device, interrupt, workers)
    settled = asdict(settings) | {"images_changed": changed} | (record or {})
    model = model_of(coreset, sources, (), extractor, settled, state, radius, datasets, None, request)
    save_model(model, out)
    return model
