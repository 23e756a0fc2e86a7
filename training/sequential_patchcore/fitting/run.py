# SPDX-License-Identifier: Apache-2.0
"""What every training run has: the images that it shows, the radius that it measures, the model that it ends in."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..coreset.engine import CoresetEngine
from ..coreset.guarantee import certified_factor
from ..data.dataset import Dataset
from ..extractors.base import Extractor, identity
from ..model.file import Model
from ..model.patch_ids import unpack_patch_ids
from ..runtime.choices import TORCH
from ..runtime.errors import UserError
from ..runtime.files import make_folder
from ..runtime.interrupt import Interrupt
from ..runtime.progress import Progress, say
from ..runtime.requests import Request, digest_of
from .melding import differences
from .settings import RunOptions, TrainSettings
from .stream import Picture, Source, changes_images, patches_of, pictures, sources_of


class Run:
    """The base of the sequential and of the greedy run.

    Args:
        datasets: their images are shown in the order of the list.
        extractor: images to patches; it is moved to `options.device`.
        initial: a model to go on from; its sources stay known.
        out: where the model will be written; None where nothing is to be written at all.

    Attributes:
        sources: the images of the run, in the data sets' order.

    Raises:
        UserError: no images, an initial model of another extractor, or a place that cannot be written.
    """

    def __init__(
        self, datasets: Sequence[Dataset], extractor: Extractor, settings: TrainSettings, options: RunOptions,
        initial: Model | None = None, out: str | Path | None = None,
    ) -> None:
        self.settings, self.options = settings, options
        self.datasets, self.initial = tuple(datasets), initial
        self.out = None if out is None else Path(out)
        if self.out is not None:
            check_writable(self.out)
        if initial is not None and (found := differences(initial.extractor, identity(extractor))):
            raise UserError(f"the initial model was made with another feature extractor ({found}); restore its own")
        self._known = initial.sources if initial is not None else ()
        self.sources: list[Source] = sources_of(self.datasets, options.split, settings.shard, len(self._known))
        self.request = options.request or _request_of(self.datasets, extractor, settings, options, initial)
        self._device = torch.device(options.device)
        self._extractor = extractor.to(self._device)
        self._engine = getattr(extractor, "engine", TORCH) if self._device.type == "cpu" else TORCH

    def fit(self, interrupt: Interrupt) -> Model:
        """Carry the run out.

        Raises:
            UserError: the images have fewer patches than vectors are wanted.
            KeyboardInterrupt: stopped.
        """
        raise NotImplementedError

    @property
    def dimension(self) -> int:
        """D, the length of a patch vector."""
        return self._extractor.dimension

    @property
    def changes_images(self) -> bool:
        """Whether the run sees other pictures than the data sets hold."""
        return changes_images(self.sources, self.settings)

    def pictures(self, epoch: int | None, order: Sequence[int] | np.ndarray | None = None) -> Iterator[Picture]:
        """The images as an epoch shows them; as the data sets hold them where it is None.

        Args:
            order: rows of `sources`; None for all, in their order.
        """
        chosen = self.sources if order is None else [self.sources[row] for row in order]
        return pictures(chosen, self.settings, epoch, self.options.workers)

    def patches(self, picture: Picture) -> tuple[torch.Tensor, np.ndarray]:
        """(N, D) vectors and (N,) patch ids of the patches inside the picture's region."""
        return patches_of(picture, self._extractor, self._device)

    def covering_radius(self, coreset: CoresetEngine, interrupt: Interrupt) -> float:
        """Largest distance of a patch of the images, not augmented, to its nearest vector."""
        radius = 0.0
        with Progress("measuring the coverage", len(self.sources)) as progress:
            for picture in self.pictures(None):
                radius = coreset.farthest(self.patches(picture)[0], radius)
                progress.note(f"covering radius {radius:.4g}")
                progress.step()
                if interrupt.asked:
                    raise KeyboardInterrupt
        return radius

    def model(self, coreset: CoresetEngine, log: Sequence[dict], converged: bool, radius: float) -> Model:
        """The finished coreset with all that is to be known of the run.

        Args:
            log: one mapping per epoch.
            radius: covering radius over the images as they are.
        """
        result, initial = coreset.result(), self.initial
        source, position = unpack_patch_ids(result.patch_ids)
        self._tell(len(result.features), coreset.separation, log, converged, radius)
        found_out = {"images_changed": self.changes_images, "engine": self._engine}
        settings = asdict(self.settings) | found_out | dict(self.options.record)
        return Model(
            features=result.features, source=source, position=position,
            sources=self._known + tuple((source.dataset.name, source.sample.id) for source in self.sources),
            extractor=identity(self._extractor)
            | {"offset": self._extractor.offset, "weights": self._extractor.weights},
            settings=(initial.settings if initial is not None else {}) | settings,
            separation=coreset.separation, covering_radius=radius, converged=converged, epochs=tuple(log),
            parents=(initial.fingerprint,) if initial is not None else (),
            **(initial.kept_beside() if initial is not None else {}),
            data=(initial.data if initial is not None else ()) + tuple(shares_of(self.datasets, self.sources)),
            request=str(self.request),
        )

    def _tell(self, vectors: int, separation: float, log: Sequence[dict], converged: bool, radius: float) -> None:
        factor = certified_factor(radius, separation)
        beside = ""
        if self.changes_images or self.initial is not None:
            beside = " for these images' patches and the coreset's own vectors"
        say(
            f"coreset of {vectors}: {'converged' if converged else 'not converged'} after "
            f"{len(log)} epoch(s), separation {separation:.4g}, covering radius {radius:.4g}"
            + (f", within {factor:.3g} times the best possible radius{beside}" if factor is not None else "")
        )


def shares_of(datasets: Sequence[Dataset], sources: Sequence[Source]) -> Iterator[dict]:
    """Per data set what the model file says about it.

    Args:
        sources: the images that were taken.
    """
    for dataset in datasets:
        samples = [source.sample for source in sources if source.dataset is dataset]
        sides = list(zip(*(dataset.image_size(sample) for sample in samples), strict=True))
        yield {
            "name": dataset.name, "path": str(dataset.path), "fingerprint": dataset.fingerprint,
            "images": len(samples),
            "image_sizes": [[min(side) for side in sides], [max(side) for side in sides]] if sides else [],
            "pixel_size_um": dataset.pixel_size_um,
        }


def _request_of(
    datasets: Sequence[Dataset], extractor: Extractor, settings: TrainSettings, options: RunOptions,
    initial: Model | None,
) -> Request:
    inputs: Mapping[str, Any] = {
        "datasets": [[dataset.split_fingerprints[options.split], dataset.is_render] for dataset in datasets],
        "extractor": identity(extractor), "settings": asdict(settings), "record": dict(options.record),
        "initial": initial and initial.fingerprint,
    }
    if (engine := getattr(extractor, "engine", TORCH)) != TORCH:  # the same vectors, but not bit for bit
        inputs = {**inputs, "engine": engine}
    return Request(digest_of(inputs))


def check_writable(out: Path) -> None:
    """Better now than after the first epoch."""
    try:
        with tempfile.TemporaryFile(dir=make_folder(out.parent)):
            pass
    except OSError as error:
        raise UserError(f"cannot write {out}: {error.strerror or error}") from error
