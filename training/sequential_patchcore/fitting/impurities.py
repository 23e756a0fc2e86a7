# SPDX-License-Identifier: Apache-2.0
"""From data sets with labelled impurities to memories of them, beside a model's nominal memory."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch

from ..data.dataset import Dataset
from ..extractors.base import Extractor, identity
from ..model.file import Model, save_model
from ..runtime.choices import TORCH
from ..runtime.errors import UserError
from ..runtime.interrupt import deferred_interrupt
from ..runtime.locks import locked
from ..runtime.requests import Request, digest_of
from .checkpoint import checkpoint_path
from .labelled_patches import wanted_classes
from .melding import differences
from .memory_run import MemoryRun
from .run import check_writable
from .settings import DEFAULT_MEMORY_SETTINGS, DEFAULT_OPTIONS, MemorySettings, RunOptions


def level_of(model: Model, settings: MemorySettings) -> tuple[float, str]:
    """The distance to the nominal memory from which a patch counts as anomalous, and what it was taken from.

    The level that was chosen; else the model's threshold, from which its pixels alarm; else just more than the covering
    radius, the largest distance of any training patch; else, where that is no measurement (after melding it is a bound)
    or not known, just more than the separation: what is farther from the memory would enter it.
    """
    if settings.level is not None:
        return settings.level, "by_hand"
    if model.threshold is not None:
        return model.threshold.value, "threshold"
    if model.covering_radius is not None and "melded" not in model.settings:
        return float(np.nextafter(model.covering_radius, np.inf)), "covering_radius"
    return float(np.nextafter(model.separation, np.inf)), "separation"


def add_impurities(
    model: Model, datasets: Sequence[Dataset], extractor: Extractor,
    settings: MemorySettings = DEFAULT_MEMORY_SETTINGS, *, out: str | Path | None = None,
    options: RunOptions = DEFAULT_OPTIONS,
) -> Model:
    """The model with a memory of each impurity that the data sets' masks show.

    A memory is a coreset, made by the same rule as the nominal one, of the patches that a class covers and that the
    nominal memory finds anomalous: what looks nominal needs no name. A class that the model remembers already goes on
    from there. The nominal memory, and with it every score, stays as it is, to the bit; so does the threshold.

    Args:
        model: trained; calibrated first, so that the patches that alarm are those that are remembered.
        datasets: opened folders; the images of their split `options.split` that show an impurity are taken.
        extractor: the one that the model was made with.
        settings: size of the memories, coverage of a patch, level, epochs, augmentation.
        out: the model file to write, which must not be the one that `model` was read from unless that may be replaced.
            While the run is under way a checkpoint lies beside it, from which the same call goes on.
        options: device, threads, checkpoints: how the run is carried out.

    Raises:
        UserError: another extractor, no impurity on any image, no anomalous patch, a checkpoint of another run, a place
            that cannot be written or that another process is writing.
        KeyboardInterrupt: stopped between two images; the checkpoint holds what was done.
    """
    if found := differences(model.extractor, identity(extractor)):
        raise UserError(f"the model was made with another feature extractor ({found}); restore its own")
    kinds = wanted_classes(datasets, options.split, settings.with_defects)
    level = level_of(model, settings)
    request = options.request or _request_of(model, datasets, extractor, settings, options)
    out = None if out is None else Path(out)
    if out is not None:
        check_writable(out)
    extractor = extractor.to(torch.device(options.device))
    with nullcontext() if out is None else locked(out):
        run = MemoryRun(model, datasets, kinds, level, extractor, settings, options, request, out)
        with deferred_interrupt() as interrupt:
            memories = run.fit(interrupt)
        changed = replace(
            model, memories=dict(sorted({**model.memories, **memories}.items())), naming=None, request=str(request)
        )
        if out is not None:
            save_model(changed, out)
            checkpoint_path(out).unlink(missing_ok=True)
    return changed


def memory_inputs(model: Model, settings: MemorySettings) -> dict[str, object]:
    """What the memories depend on beside images and extractor; JSON-ready."""
    return {
        "model": model.fingerprint, "threshold": model.threshold and model.threshold.value,
        "level": level_of(model, settings), "settings": asdict(settings),
    }


def _request_of(
    model: Model, datasets: Sequence[Dataset], extractor: Extractor, settings: MemorySettings, options: RunOptions
) -> Request:
    engine = getattr(extractor, "engine", TORCH)
    return Request(digest_of({
        "impurities": memory_inputs(model, settings), "engine": engine,
        "datasets": [[dataset.split_fingerprints[options.split], dataset.is_render] for dataset in datasets],
    }))
