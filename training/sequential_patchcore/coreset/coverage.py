# SPDX-License-Identifier: Apache-2.0
"""The covering radius: the largest distance of a patch to its nearest vector, exactly, for little more than it costs
to show the patches to the coreset anyway."""

import numpy as np
import torch

from .kernels import farthest_rows
from .screen import Screen
from .screen import bytes_needed as screen_bytes


def bytes_needed(size: int, dimension: int, chunk_size: int) -> int:
    """What a watch holds: the K vectors as they stood when it began, and a screen of them."""
    return 4 * size * dimension + screen_bytes(size, dimension, chunk_size)


def farthest_sq(patches: torch.Tensor, screen: Screen, features: np.ndarray, largest_sq: float = 0.0) -> float:
    """The largest squared distance of a chunk of patches to its nearest vector, or `largest_sq` if that is larger.

    Args:
        patches: (B, D) float32 on the screen's device, B at most the screen's chunk.
        screen: of `features`.
        features: (K, D) float32.
    """
    centred, norms_sq = screen.centred(patches)
    products = screen.products(centred)
    slack = screen.slack(norms_sq)
    upper = products.amin(1).double() + norms_sq + slack
    rows = torch.nonzero(upper > largest_sq).flatten()
    if len(rows):
        rows = rows[torch.argsort(upper[rows], descending=True)]
        largest_sq = farthest_rows(
            patches[rows].cpu().numpy(), products[rows].cpu().numpy(), slack[rows].cpu().numpy(),
            upper[rows].cpu().numpy(), features, largest_sq,
        )
    return float(largest_sq)


class Watch:
    """The covering radius of a coreset as it stood when the watch began, while the coreset goes on changing.

    Nearly all vectors stay from one epoch to the next, and the products with them are at hand: the least over the
    vectors that are still the same bounds the wanted distance from above. Only a patch whose bound exceeds the largest
    distance so far is compared with the old coreset.

    Args:
        features: (K, D) float32, the coreset as it stood.
        current: (K, D) float32, as it stands now; another array only where a run goes on from a checkpoint.
        largest_sq: the largest squared distance found so far.
    """

    def __init__(self, features: np.ndarray, chunk_size: int, current: np.ndarray, largest_sq: float = 0.0) -> None:
        self.features = features
        self.largest_sq = largest_sq
        self._chunk_size = chunk_size
        self._changed = (features != current).any(1)
        self._screen: Screen | None = None

    @property
    def is_changed(self) -> np.ndarray:
        """(K,) bool: which vectors of the coreset are others now."""
        return self._changed

    @property
    def radius(self) -> float:
        return float(np.sqrt(self.largest_sq))

    def changed(self, rows: np.ndarray) -> None:
        """These rows of the coreset were replaced."""
        self._changed[rows] = True

    def see(self, patches: torch.Tensor, products: torch.Tensor, least: torch.Tensor, offset: torch.Tensor) -> None:
        """The next patches of the stream; those that a vector which is still the same has within the largest distance
        so far can be left out.

        Args:
            patches: (B, D) float32.
            products: (B, K) from the screen of the coreset; those with changed vectors are lost afterwards.
            least: (B,) the row minima of `products`.
            offset: (B,) float64, each patch's squared norm plus the bound on the error of its products.
        """
        columns = torch.from_numpy(np.flatnonzero(self._changed)).to(products.device)
        if len(columns):
            least = products.index_fill_(1, columns, torch.inf).amin(1)
        rows = torch.nonzero(least.double() + offset > self.largest_sq).flatten()
        if len(rows):
            if self._screen is None or self._screen.device != patches.device:
                self._screen = Screen(self.features, patches.device, self._chunk_size)
            self.largest_sq = farthest_sq(patches[rows], self._screen, self.features, self.largest_sq)
