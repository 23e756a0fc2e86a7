# SPDX-License-Identifier: Apache-2.0
"""What a person chooses about a training run, beside the features."""

from dataclasses import dataclass

from ..runtime.choices import LOWER_INDEX, SEQUENTIAL


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
        coreset: "sequential", or "greedy", the baseline that holds all patches.
    """

    coreset_size: int = 2048
    epochs: int = 5
    augment: bool = False
    border_mask: bool = True
    shuffle: bool = False
    seed: int = 0
    shard: tuple[int, int] = (1, 1)
    eviction: str = LOWER_INDEX
    coreset: str = SEQUENTIAL
