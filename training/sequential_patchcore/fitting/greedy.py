# SPDX-License-Identifier: Apache-2.0
"""Training with the baseline: all patches of all images are collected, then thinned out from above.

It exists to be compared with: on the same images, features and seed. It knows no checkpoint and no second epoch.
"""

from collections.abc import Sequence

import numpy as np
import torch

from ..coreset.engine import Coreset, CoresetEngine
from ..coreset.greedy import greedy_coreset
from ..data.dataset import Dataset
from ..extractors.base import Extractor, scaled_size
from ..model.file import Model
from ..runtime.errors import UserError
from ..runtime.interrupt import Interrupt
from ..runtime.progress import Progress
from .run import Run
from .stream import Source, sources_of


def count_patches(
    datasets: Sequence[Dataset], split: str, shard: tuple[int, int], extractor: Extractor
) -> int:
    """Patches of the training images, those outside the regions included."""
    return _count(sources_of(datasets, split, shard, 0), extractor)


def _count(sources: Sequence[Source], extractor: Extractor) -> int:
    total = 0
    for source in sources:
        scaled = scaled_size(source.dataset.image_size(source.sample), extractor.settings.image_scale)
        total += -(-scaled[0] // extractor.stride) * -(-scaled[1] // extractor.stride)
    return total


class GreedyRun(Run):
    """One pass over the images, then the greedy coreset of all their patches.

    The vectors live and are compared on the CPU; only the features are made on the device. `chunk_size`, checkpoints
    and `restart` have no meaning here.

    Args, raised errors: as `Run`; and an initial model, from which this rule cannot go on.
    """

    def fit(self, interrupt: Interrupt) -> Model:
        if self.initial is not None:
            raise UserError("a greedy coreset cannot go on from a model: leave out `initial`, or take the sequential")
        vectors, patch_ids = self._collected(interrupt)
        rows = self._thinned(vectors, interrupt)
        chosen = Coreset(vectors[rows].numpy(), patch_ids[rows.numpy()])
        coreset = CoresetEngine(self.settings.coreset_size, self.dimension, initial=chosen)
        radius = coreset.farthest(vectors)
        converged = radius <= coreset.separation
        log = [{"replacements": 0, "separation": coreset.separation, "covering_radius": radius}]
        if self.changes_images:
            radius = self.covering_radius(coreset, interrupt)
        return self.model(coreset, log, converged, radius)

    def _collected(self, interrupt: Interrupt) -> tuple[torch.Tensor, np.ndarray]:
        """(N, D) vectors and (N,) ids of all patches."""
        count = _count(self.sources, self._extractor)
        vectors, patch_ids = torch.empty(count, self.dimension), np.empty(count, np.int64)
        held = 0
        with Progress("collecting patches", len(self.sources)) as progress:
            for picture in self.pictures(0):
                patches, numbers = self.patches(picture)
                vectors[held : held + len(patches)] = patches.cpu()
                patch_ids[held : held + len(patches)] = numbers
                held += len(patches)
                progress.step()
                if interrupt.asked:
                    raise KeyboardInterrupt
        size = self.settings.coreset_size
        if held < size:
            raise UserError(f"only {held} patches for `coreset_size` {size}: give more images")
        if not bool(vectors[:held].isfinite().all()):
            raise UserError("a patch vector holds a value that is not finite; check the weights and the images")
        return vectors[:held], patch_ids[:held]

    def _thinned(self, vectors: torch.Tensor, interrupt: Interrupt) -> torch.Tensor:
        """(K,) rows of the vectors to keep."""
        with Progress("greedy coreset", self.settings.coreset_size, "vector") as progress:

            def step() -> None:
                progress.step()
                if interrupt.asked:
                    raise KeyboardInterrupt

            return greedy_coreset(vectors, self.settings.coreset_size, step)
