# SPDX-License-Identifier: Apache-2.0
"""What a person chooses about a training run, beside the features; and how it is carried out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from ..runtime.choices import (
    CHUNK_SIZE,
    CORESET_SIZE,
    CORESETS,
    DEFAULT_EPOCHS,
    EVICTIONS,
    LOWER_INDEX,
    MEMORY_SIZE,
    PATCH_COVERAGE,
    SEQUENTIAL,
)
from ..runtime.errors import UserError
from ..runtime.requests import Request


@dataclass(frozen=True)
class TrainSettings:
    """What a person chooses about a run.

    Attributes:
        coreset_size: K; 2048 in the paper.
        epochs: passes over the data at most; fewer when one replaces nothing.
        augment: random brightness, contrast, flips, blur and noise, new in every epoch.
        border_mask: cut a random border away from renders, as if the plate ended there on black.
        shuffle: a new order of the images in every epoch, drawn from the seed; otherwise the data sets' own.
        seed: of the augmentation and the order.
        shard: (I, N): every Nth image, from the Ith on, counted from 1.
        eviction: which vector of the closest pair makes room, "lower-index" or "seeded-random".
        coreset: "sequential", or "greedy", the baseline that holds all patches; it knows no epochs and no eviction.

    Raises:
        UserError: a value that cannot be.
    """

    coreset_size: int = CORESET_SIZE
    epochs: int = DEFAULT_EPOCHS
    augment: bool = False
    border_mask: bool = True
    shuffle: bool = False
    seed: int = 0
    shard: tuple[int, int] = (1, 1)
    eviction: str = LOWER_INDEX
    coreset: str = SEQUENTIAL

    def __post_init__(self) -> None:
        for name, least in (("coreset_size", 2), ("epochs", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise UserError(f"`{name}` {getattr(self, name)}: expected a whole number of at least {least}")
        for name, known in (("eviction", EVICTIONS), ("coreset", CORESETS)):
            if getattr(self, name) not in known:
                raise UserError(f"`{name}` {getattr(self, name)}: expected one of {', '.join(known)}")
        part, parts = self.shard
        if not 1 <= part <= parts:
            raise UserError(f"`shard` {part}/{parts}: expected I/N with 1 <= I <= N")


@dataclass(frozen=True)
class MemorySettings:
    """What a person chooses about the memories of impurities.

    Attributes:
        memory_size: K, vectors to keep of each class; a class that has fewer patches keeps all of them.
        coverage: the share of a patch's cell that the class has to cover at least, from 0 (a pixel is enough, so that
            outlines count) to 1.
        level: distance to the nominal memory from which a patch counts as anomalous; None takes it from the model, see
            `impurities.level_of`.
        with_defects: make a memory of each defect class too.
        epochs, augment, border_mask, shuffle, seed, eviction: as in `TrainSettings`.

    Raises:
        UserError: a value that cannot be.
    """

    memory_size: int = MEMORY_SIZE
    coverage: float = PATCH_COVERAGE
    level: float | None = None
    with_defects: bool = False
    epochs: int = DEFAULT_EPOCHS
    augment: bool = False
    border_mask: bool = True
    shuffle: bool = False
    seed: int = 0
    eviction: str = LOWER_INDEX

    def __post_init__(self) -> None:
        if self.memory_size < 2:
            raise UserError(f"`memory_size` {self.memory_size}: expected a whole number of at least 2")
        if not 0 <= self.coverage <= 1:
            raise UserError(f"`coverage` {self.coverage}: expected a share from 0 to 1")
        if self.level is not None and not 0 <= self.level < float("inf"):
            raise UserError(f"`level` {self.level}: expected a distance of at least 0")
        _ = self.stream

    @property
    def stream(self) -> TrainSettings:
        """The same choices about images, order and rule, as the stream of a training run takes them."""
        return TrainSettings(
            coreset_size=self.memory_size, epochs=self.epochs, augment=self.augment, border_mask=self.border_mask,
            shuffle=self.shuffle, seed=self.seed, eviction=self.eviction,
        )


@dataclass(frozen=True)
class RunOptions:
    """How a run is carried out; all but `split` and `record` are of no influence on the model.

    Attributes:
        split: whose images the coreset is made of.
        device: where the features are computed, and the sequential coreset's matrix products.
        chunk_size: patches per matrix product.
        workers: threads that read and augment images ahead; 0 reads each image when it is asked for.
        checkpoint_images: write a checkpoint after so many images too, not only every minute and after an epoch.
        restart: drop a checkpoint instead of going on from it.
        request: what the result depends on, by which a checkpoint is bound to its run and finished work is recognised;
            None makes one of data sets, extractor, settings and initial model.
        record: further settings to keep in the model, JSON-ready.
    """

    split: str = "train"
    device: torch.device | str = "cpu"
    chunk_size: int = CHUNK_SIZE
    workers: int = 1
    checkpoint_images: int | None = None
    restart: bool = False
    request: Request | None = None
    record: Mapping[str, Any] = field(default_factory=dict)


DEFAULT_SETTINGS = TrainSettings()
DEFAULT_OPTIONS = RunOptions()
DEFAULT_MEMORY_SETTINGS = MemorySettings()
