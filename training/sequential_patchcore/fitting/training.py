# SPDX-License-Identifier: Apache-2.0
"""From data sets to a model."""

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from ..data.dataset import Dataset
from ..extractors.base import Extractor
from ..model.file import Model, save_model
from ..runtime.choices import GREEDY
from ..runtime.interrupt import deferred_interrupt
from ..runtime.locks import locked
from .checkpoint import checkpoint_path
from .greedy import GreedyRun
from .sequential import SequentialRun
from .settings import DEFAULT_OPTIONS, DEFAULT_SETTINGS, RunOptions, TrainSettings


def train(
    datasets: Sequence[Dataset], extractor: Extractor, settings: TrainSettings = DEFAULT_SETTINGS, *,
    initial: Model | None = None, out: str | Path | None = None, options: RunOptions = DEFAULT_OPTIONS,
) -> Model:
    """Build a coreset from the data sets' training images, in order.

    Args:
        datasets: opened folders; the images of their split `options.split` count as normal, whatever they show.
        extractor: what turns (B, 3, H, W) images into (B, h, w, D) patches, see `build_extractor`.
        settings: size of the coreset, epochs, augmentation, order.
        initial: a model to fine-tune: its coreset is where the rule starts, its sources stay known. The extractor must
            be the one that it was made with.
        out: the model file to write. While the run is under way a checkpoint lies beside it, from which the same call
            goes on; None writes neither.
        options: device, threads, checkpoints: how the run is carried out.

    Returns:
        the model, (K, D) float32 vectors and where each of them came from; its threshold is still to be set.

    Raises:
        UserError: no training images, fewer patches than vectors, a checkpoint of another run, an initial model that
            does not fit, a place that cannot be written or that another process is writing.
        KeyboardInterrupt: stopped between two images; the checkpoint holds what was done.
    """
    kind = GreedyRun if settings.coreset == GREEDY else SequentialRun
    with nullcontext() if out is None else locked(out):
        run = kind(datasets, extractor, settings, options, initial, out)
        with deferred_interrupt() as interrupt:
            model = run.fit(interrupt)
        if out is not None:
            save_model(model, out)
            checkpoint_path(out).unlink(missing_ok=True)
    return model
