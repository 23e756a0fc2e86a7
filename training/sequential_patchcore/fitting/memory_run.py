# SPDX-License-Identifier: Apache-2.0
"""Making the memories of several classes by the sequential rule: the images go by, the memories stay.

One pass over the images serves all classes. One image's patches are in memory at a time, whatever the number of images,
and a checkpoint lies beside the model while it is being made.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from ..coreset.engine import Coreset
from ..coreset.epochs import EpochLog
from ..coreset.sequential import SequentialCoreset
from ..coreset.state import CoresetState
from ..data.dataset import Dataset
from ..extractors.base import Extractor
from ..model.file import Memory, Model
from ..model.memory import SMALLEST
from ..model.patch_ids import unpack_patch_ids
from ..runtime.errors import UserError
from ..runtime.files import remove_leftovers
from ..runtime.interrupt import Interrupt
from ..runtime.progress import Progress, report, say
from ..runtime.requests import Request
from .checkpoint import checkpoint_path
from .labelled_patches import LabelledPatches, classes_of, sources_with
from .memory_checkpoint import MemoryState, load_memory_state, save_memory_state
from .run import shares_of
from .settings import MemorySettings, RunOptions
from .stream import Source, changes_images, order_of, pictures

_CHECKPOINT_SECONDS = 60.0


class MemoryRun:
    """Epochs over the images that show the classes, until each memory is left as it is, or there were enough.

    A class that the model remembers already goes on from there, as fine-tuning does.

    Args:
        model: its nominal memory says what is anomalous.
        kinds: class name -> kind of the classes to remember.
        level: (distance from which a patch is anomalous, what it was taken from).
        extractor: the model's, on `options.device`.
        out: where the model will be written; None where nothing is to be written at all.

    Raises:
        UserError: a memory of the model is of another kind, or larger than wanted; a checkpoint of another run.
    """

    def __init__(
        self, model: Model, datasets: Sequence[Dataset], kinds: Mapping[str, str], level: tuple[float, str],
        extractor: Extractor, settings: MemorySettings, options: RunOptions, request: Request, out: Path | None,
    ) -> None:
        self.model, self.datasets, self.kinds, self.level = model, tuple(datasets), dict(kinds), level
        self.settings, self.options, self.request, self.out = settings, options, request, out
        self.sources = sources_with(self.datasets, options.split, kinds)
        self._patches = LabelledPatches(
            model.features, extractor, torch.device(options.device), kinds, settings.coverage, level[0],
            options.chunk_size,
        )
        self.state = self._found() or MemoryState(self._begun())
        self._saved = time.monotonic()

    def fit(self, interrupt: Interrupt) -> dict[str, Memory]:
        """Carry the run out.

        Returns:
            the memories by class name. A class of which too few patches are anomalous has none; that is told.

        Raises:
            UserError: no class has enough.
            KeyboardInterrupt: stopped; the checkpoint holds what was done.
        """
        while self.state.epoch < self.settings.epochs and self._left():
            self._epoch(interrupt)
        if not self.state.coresets:
            if self.out is not None:
                checkpoint_path(self.out).unlink(missing_ok=True)
            raise UserError(
                f"no class has {SMALLEST} patches that the nominal memory finds anomalous (at {self.level[0]:.4g} or "
                f"more from it) and that it covers by {self.settings.coverage:g} of a cell: nothing needs a name; a "
                "lower `level` or `coverage` takes in more"
            )
        radii = self._radii(interrupt)
        return {name: self._memory(name, radii.get(name)) for name in self.state.coresets}

    def _begun(self) -> dict[str, SequentialCoreset]:
        """The coresets before the first image."""
        coresets = self._empty()
        for name, coreset in coresets.items():
            vectors, ids = np.empty((0, self.model.features.shape[1]), np.float32), np.empty(0, np.int64)
            if (known := self.model.memories.get(name)) is not None:
                if known.kind != self.kinds[name]:
                    raise UserError(
                        f"the model remembers {name!r} as of kind {known.kind}, in the data it is of kind "
                        f"{self.kinds[name]}; give it another name there, or begin with a model without memories"
                    )
                if len(known.vectors) > coreset.size:
                    raise UserError(
                        f"the memory of {name!r} has {len(known.vectors)} vectors, more than `memory_size` "
                        f"{coreset.size}"
                    )
                vectors, ids = known.vectors, known.patch_ids
            coreset.load_state_dict(CoresetState(Coreset(vectors, ids), EpochLog()).to_dict(coreset.rule))
        return coresets

    def _empty(self) -> dict[str, SequentialCoreset]:
        chosen = self.settings
        return {
            name: SequentialCoreset(
                chosen.memory_size, eviction=chosen.eviction, random_state=chosen.seed,
                chunk_size=self.options.chunk_size,
            )
            for name in self.kinds
        }

    def _found(self) -> MemoryState | None:
        """The state that a checkpoint holds."""
        if self.out is None:
            return None
        place = checkpoint_path(self.out)
        if self.options.restart:
            place.unlink(missing_ok=True)
        remove_leftovers(self.out)
        remove_leftovers(place)
        state = load_memory_state(self.out, self.request, self._empty())
        if state is not None:
            say(f"going on from {place}: epoch {state.epoch + 1} of the memories, image {state.images}")
        return state

    @property
    def _changes_images(self) -> bool:
        return changes_images(self.sources, self.settings.stream)

    def _left(self) -> set[str]:
        """Classes that a further epoch may change."""
        return self.state.coresets.keys() - self.state.done

    def _shown(self, rows: Sequence[int] | np.ndarray, classes: set[str]) -> list[Source]:
        return [self.sources[row] for row in rows if classes & classes_of(self.sources[row].sample)]

    def _epoch(self, interrupt: Interrupt) -> None:
        """Show the images of the classes that are left; of an epoch under way those that are."""
        state, stream, classes = self.state, self.settings.stream, self._left()
        shown = self._shown(order_of(len(self.sources), stream, state.epoch), classes)
        counts = dict.fromkeys(sorted(classes), 0)
        task = f"memories of {len(classes)} class(es), epoch {state.epoch + 1} of {self.settings.epochs}"
        with Progress(task, len(shown), done=state.images) as progress:
            for picture in pictures(shown[state.images :], stream, state.epoch, self.options.workers):
                for name, vectors, patch_ids in self._patches.of(picture, classes):
                    state.coresets[name].partial_fit(vectors, patch_ids + self._first_id(name))
                    counts[name] += len(vectors)
                    if state.epoch == 0:
                        state.seen[name] = state.seen.get(name, 0) + len(vectors)
                        state.shown_on[name] = state.shown_on.get(name, 0) + (len(vectors) > 0)
                state.images += 1
                progress.note("patches: " + ", ".join(f"{name} {count}" for name, count in counts.items()))
                progress.step()
                self._save_or_stop(interrupt.asked)
        for name in sorted(classes):
            self._end_epoch(name)
        state.epoch, state.images = state.epoch + 1, 0
        self._save()

    def _end_epoch(self, name: str) -> None:
        """Close the epoch of one class. A class with fewer patches than vectors wanted keeps all of them."""
        state = self.state
        coreset = state.coresets[name]
        stored = coreset.state_dict()
        held = len(stored["ids"])
        if held < SMALLEST:
            say(
                f"{name}: {held} patch(es) that the nominal memory finds anomalous, at {self.level[0]:.4g} or more "
                "from it; it gets no memory"
            )
            del state.coresets[name]
            return
        if held < coreset.size:
            stored["run"]["size"] = held
            coreset = state.coresets[name] = coreset.set_params(size=held).load_state_dict(stored)
        if stored["run"]["shown"] == 0:  # the border that was cut away took all of it
            return
        coreset.end_epoch()
        if coreset.converged_:
            state.done.add(name)
        epoch, number = coreset.history_[-1], len(coreset.history_)
        report(event="epoch", memory=name, epoch=number, converged=coreset.converged_, **epoch)
        say(f"{name}, epoch {number}: {epoch['replacements']} replaced, separation {epoch['separation']:.4g}")

    def _first_id(self, name: str) -> int:
        """What is added to the numbers of patches: the images that a memory knew before come first."""
        known = self.model.memories.get(name)
        return 0 if known is None else len(known.sources) << 32

    def _radii(self, interrupt: Interrupt) -> dict[str, float]:
        """Covering radius of each memory over the images as they are, where the last epoch has not measured that."""
        radii: dict[str, float] = {}
        for name, coreset in self.state.coresets.items():
            if coreset.covering_radius_ is not None and not self._changes_images:
                radii[name] = coreset.covering_radius_
        open_ones = self.state.coresets.keys() - radii.keys()
        if not open_ones:
            return radii
        measured = dict.fromkeys(open_ones, 0.0)
        shown = self._shown(range(len(self.sources)), open_ones)
        with Progress("measuring the coverage of the memories", len(shown)) as progress:
            for picture in pictures(shown, self.settings.stream, None, self.options.workers):
                for name, vectors, _ in self._patches.of(picture, open_ones):
                    measured[name] = max(measured[name], self.state.coresets[name].covering_radius(vectors))
                progress.step()
                if interrupt.asked:
                    raise KeyboardInterrupt
        return radii | measured

    def _memory(self, name: str, radius: float | None) -> Memory:
        """The finished memory with all that is to be known of it."""
        coreset, known = self.state.coresets[name], self.model.memories.get(name)
        shown = self._shown(range(len(self.sources)), {name})
        sources = (() if known is None else known.sources) + tuple(
            (source.dataset.name, source.sample.id) for source in self.sources
        )
        stored = coreset.state_dict()  # arrays in numpy, whatever the patches were
        source, position = unpack_patch_ids(stored["ids"])
        used, source = np.unique(source, return_inverse=True)
        log = coreset.history_
        log[-1].setdefault("covering_radius", radius)
        shares = tuple(share for share in shares_of(self.datasets, shown) if share["images"])
        return Memory(
            kind=self.kinds[name], vectors=stored["vectors"], source=source.astype(np.uint32), position=position,
            sources=tuple(sources[row] for row in used), separation=coreset.separation_, covering_radius=radius,
            converged=coreset.converged_, epochs=tuple(log),
            seen=(0 if known is None else known.seen) + self.state.seen.get(name, 0),
            images=(0 if known is None else known.images) + self.state.shown_on.get(name, 0),
            coverage_share=self.settings.coverage, level=self.level[0], level_from=self.level[1],
            nominal=self.model.nominal_fingerprint, data=(() if known is None else known.data) + shares,
            settings=asdict(self.settings) | {"images_changed": self._changes_images},
        )

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
        if self.out is not None:
            save_memory_state(self.state, self.out, self.request)
