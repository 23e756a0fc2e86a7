# SPDX-License-Identifier: Apache-2.0
"""Training and fine-tuning: the images of one or more data sets go by, the coreset stays.

One image's patches are in memory at a time, whatever the number of images. A checkpoint lies beside the model while it
is being made; the same run goes on from there and ends in the same coreset as an undisturbed one.
"""

import time
from collections.abc import Sequence
from pathlib import Path

from ..coreset.engine import Coreset, CoresetEngine
from ..coreset.guarantee import certified_factor
from ..data.dataset import Dataset
from ..extractors.base import Extractor
from ..model.file import Model
from ..model.patch_ids import patch_ids_of
from ..runtime.errors import UserError
from ..runtime.files import remove_leftovers
from ..runtime.interrupt import Interrupt
from ..runtime.progress import Progress, report, say
from .checkpoint import Checkpoint, checkpoint_path, load_checkpoint, save_checkpoint
from .run import Run
from .settings import RunOptions, TrainSettings
from .stream import order_of

_CHECKPOINT_SECONDS = 60.0


class SequentialRun(Run):
    """Epochs over the images until one of them replaces nothing, or there were enough.

    It begins where a checkpoint of the same request left off, else with the initial model's coreset, else empty.

    Args, raised errors: as `Run`; and a checkpoint of another request, or an initial coreset beyond the wanted size.

    Attributes:
        state: how far the run has come.
        coreset: as it stands.
    """

    def __init__(
        self, datasets: Sequence[Dataset], extractor: Extractor, settings: TrainSettings, options: RunOptions,
        initial: Model | None = None, out: str | Path | None = None,
    ) -> None:
        super().__init__(datasets, extractor, settings, options, initial, out)
        self.state = self._found() or self._begun()
        self.coreset = CoresetEngine(
            settings.coreset_size, extractor.dimension, options.chunk_size, self.state.coreset, settings.eviction,
            settings.seed,
        )
        if self.state.watched is not None:
            self.coreset.watch(self.state.watched, self.state.watched_sq)
        self._saved = time.monotonic()

    @property
    def finished(self) -> bool:
        """Whether there is no further epoch."""
        return self.state.converged or self.state.epoch >= self.settings.epochs

    def fit(self, interrupt: Interrupt) -> Model:
        while not self.finished:
            self.epoch(interrupt)
        last = self.state.log[-1]
        radius = last.get("covering_radius")
        if radius is None or self.changes_images:
            radius = self.covering_radius(self.coreset, interrupt)
            last.setdefault("covering_radius", radius)
        return self.model(self.coreset, self.state.log, self.state.converged, radius)

    def epoch(self, interrupt: Interrupt) -> None:
        """Show the images once; those that are left, where the run goes on in the middle of an epoch.

        Raises:
            UserError: they have fewer patches than vectors are wanted.
            KeyboardInterrupt: stopped; the checkpoint holds what was done.
        """
        state, coreset = self.state, self.coreset
        left = order_of(len(self.sources), self.settings, state.epoch)[state.images :]
        if state.images == 0 and coreset.full:
            coreset.watch()
        task = f"epoch {state.epoch + 1} of {self.settings.epochs}"
        with Progress(task, len(self.sources), done=state.images) as progress:
            for picture in self.pictures(state.epoch, left):
                # Given a name, the patches would stay until those of the next image have come beside them.
                state.replacements += coreset.update(*self.patches(picture))
                state.images += 1
                progress.note(self._so_far())
                progress.step()
                self._save_or_stop(interrupt.asked)
        if not coreset.full:  # a second epoch would fill it with the same patches once more
            self.drop_checkpoint()
            raise UserError(
                f"the training images have only {coreset.filled} patches, fewer than the "
                f"{self.settings.coreset_size} vectors asked for: give more images, or a smaller `coreset_size`"
            )
        state.finish_epoch(coreset.separation, None if coreset.watched is None else coreset.watched.radius)
        coreset.unwatch()
        self._save()
        self._tell_epoch()

    def drop_checkpoint(self) -> None:
        """Remove the checkpoint, where there is one."""
        if self.out is not None:
            checkpoint_path(self.out).unlink(missing_ok=True)

    def _found(self) -> Checkpoint | None:
        """The state that a checkpoint holds."""
        if self.out is None:
            return None
        if self.options.restart:
            self.drop_checkpoint()
        remove_leftovers(self.out)
        remove_leftovers(checkpoint_path(self.out))
        state = load_checkpoint(self.out, self.request)
        if state is not None:
            say(f"going on from {checkpoint_path(self.out)}: epoch {state.epoch + 1}, image {state.images}")
        return state

    def _begun(self) -> Checkpoint:
        """The state of a run that begins."""
        initial, size = self.initial, self.settings.coreset_size
        if initial is None:
            return Checkpoint()
        if len(initial.features) > size:
            raise UserError(f"the model has {len(initial.features)} vectors, more than `coreset_size` {size}")
        return Checkpoint(coreset=Coreset(initial.features, patch_ids_of(initial.source, initial.position)))

    def _save_or_stop(self, stop: bool) -> None:
        """After an image: a checkpoint where one is due or the run is to stop here."""
        every = self.options.checkpoint_images
        due = every is not None and self.state.images % every == 0
        if stop or due or time.monotonic() - self._saved > _CHECKPOINT_SECONDS:
            self._save()
            self._saved = time.monotonic()
        if stop:
            if self.out is not None:
                say(f"stopped; {checkpoint_path(self.out)} holds the state, the same command goes on from there")
            raise KeyboardInterrupt

    def _save(self) -> None:
        if self.out is None:
            return
        self.state.coreset, watch = self.coreset.result(), self.coreset.watched
        if watch is not None:
            self.state.watched, self.state.watched_sq = watch.features, watch.largest_sq
        save_checkpoint(self.state, self.out, self.request)

    def _so_far(self) -> str:
        """The figures beside the bar."""
        coreset = self.coreset
        text = f"{self.state.replacements} replaced, separation {coreset.separation:.4g}"
        if coreset.watched is None:
            return text
        radius = coreset.watched.radius  # of the epoch before, growing as its patches are seen
        return f"{text}, covering radius {radius:.4g}, factor {_factor(radius, coreset.separation)}"

    def _tell_epoch(self) -> None:
        """The log: what the epoch did, and what it found out about the coreset that it began with."""
        log = self.state.log
        epoch, number = log[-1], len(log)
        report(event="epoch", epoch=number, converged=self.state.converged, **epoch)
        say(f"epoch {number}: {epoch['replacements']} replaced, separation {epoch['separation']:.4g}")
        if number > 1 and "covering_radius" in (before := log[-2]):
            factor = _factor(before["covering_radius"], before["separation"])
            say(f"after epoch {number - 1}: covering radius {before['covering_radius']:.4g}, "
                f"at most {factor} times the best possible")


def _factor(radius: float, separation: float) -> str:
    factor = certified_factor(radius, separation)
    return "unknown" if factor is None else f"{factor:.3g}"
