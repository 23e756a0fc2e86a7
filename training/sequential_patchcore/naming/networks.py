# SPDX-License-Identifier: Apache-2.0
"""Small networks that tell classes of patches apart: trained with noise on their inputs, handed over as plain arrays.

One hidden layer, several networks whose log probabilities are averaged (L. Hansen and P. Salamon, "Neural network
ensembles", 1990). The library is rendered and the plates are not, so what a network learns has to bear a little noise
(C. Bishop, "Training with noise is equivalent to Tikhonov regularization", 1995) and must not be too sure (label
smoothing: C. Szegedy et al., "Rethinking the Inception architecture", 2016). docs/impurities.md compares.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

HIDDEN = 64
EPOCHS = 8
PATCHES_AN_EPOCH = 30_000
BATCH = 256
LEARNING_RATE = 3e-3
WEIGHT_DECAY = 0.05
DROPOUT = 0.3
NOISE = 0.3  # standard deviation on inputs of standard deviation 1
SMOOTHING = 0.05


@dataclass(frozen=True)
class Networks:
    """E networks over patch vectors of length D, with H hidden units and G classes, all float32.

    A patch x has in network e the scores weights[e] max(0, hidden_weights[e] x + hidden_offsets[e]) + offsets[e].

    Attributes:
        hidden_weights: (E, H, D).
        hidden_offsets: (E, H).
        weights: (E, G, H).
        offsets: (E, G).
    """

    hidden_weights: np.ndarray
    hidden_offsets: np.ndarray
    weights: np.ndarray
    offsets: np.ndarray

    def __add__(self, other: "Networks") -> "Networks":
        """Both together."""
        return Networks(*(np.concatenate(pair) for pair in zip(self.parts, other.parts, strict=True)))

    @property
    def parts(self) -> tuple[np.ndarray, ...]:
        return self.hidden_weights, self.hidden_offsets, self.weights, self.offsets


def trained(
    classes: Sequence[np.ndarray], shares: Sequence[float], seeds: Sequence[int],
    step: Callable[[], None] = lambda: None,
) -> Networks:
    """Networks that tell the classes apart.

    Args:
        classes: (n, D) float32 patches of each class, none empty.
        shares: how likely each class is to be shown, up to a common factor: how often a class comes in a library says
            nothing about a line.
        seeds: of the networks, one each.
        step: called after each epoch of each network.
    """
    vectors = torch.from_numpy(np.concatenate(classes).astype(np.float32, copy=False))
    labels = torch.from_numpy(np.repeat(np.arange(len(classes)), [len(each) for each in classes]))
    chance = torch.from_numpy(np.concatenate([
        np.full(len(each), share / len(each)) for each, share in zip(classes, shares, strict=True)
    ]))
    mean, scale = vectors.mean(0), vectors.std(0, correction=0) + 1e-6
    vectors = (vectors - mean) / scale
    made, threads = [], torch.get_num_threads()
    torch.set_num_threads(1)  # products this small are done before a second thread has woken
    try:
        for seed in seeds:
            with torch.random.fork_rng(devices=[]), torch.inference_mode(False), torch.enable_grad():
                torch.manual_seed(seed)
                made.append(_of_raw_vectors(_train(vectors, labels, chance, len(classes), step), mean, scale))
    finally:
        torch.set_num_threads(threads)
    return Networks(*(np.stack(parts) for parts in zip(*made, strict=True)))


def _train(
    vectors: torch.Tensor, labels: torch.Tensor, chance: torch.Tensor, classes: int, step: Callable[[], None]
) -> nn.Sequential:
    network = nn.Sequential(
        nn.Linear(vectors.shape[1], HIDDEN), nn.ReLU(), nn.Dropout(DROPOUT), nn.Linear(HIDDEN, classes)
    )
    loss_of = nn.CrossEntropyLoss(label_smoothing=SMOOTHING)
    optimizer = torch.optim.AdamW(network.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
    for _ in range(EPOCHS):
        for rows in torch.multinomial(chance, PATCHES_AN_EPOCH, replacement=True).split(BATCH):
            noise = NOISE * torch.randn(len(rows), vectors.shape[1])
            loss = loss_of(network(vectors[rows] + noise), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()
        step()
    return network


def _of_raw_vectors(network: nn.Sequential, mean: torch.Tensor, scale: torch.Tensor) -> tuple[np.ndarray, ...]:
    """The parts of `Networks`, with the standardisation of the vectors folded into the first layer."""
    first, last = network[0], network[-1]
    with torch.no_grad():
        weights = first.weight / scale
        parts = weights, first.bias - weights @ mean, last.weight, last.bias
        return tuple(part.numpy().copy() for part in parts)
