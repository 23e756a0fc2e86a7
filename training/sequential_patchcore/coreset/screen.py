# SPDX-License-Identifier: Apache-2.0
"""Approximate distances of many vectors at once, with a proven bound on how far they are off."""

import numpy as np
import torch

from .kernels import UNDERFLOW, UNIT_ROUNDOFF


def bytes_needed(size: int, dimension: int, chunk_size: int) -> int:
    """What a screen of K vectors holds: them centred, the products of a chunk with them, the chunk centred."""
    return 4 * (size * dimension + chunk_size * size + chunk_size * dimension)


class Screen:
    """Approximate squared distances of a chunk to the coreset by one matrix product, with a bound on their error."""

    def __init__(self, features: np.ndarray, device: torch.device, chunk_size: int) -> None:
        self.device = device
        # |a|² + |b|² - 2ab loses digits when the vectors share a large mean; any fixed centre serves.
        self.centre = torch.from_numpy(features.mean(0, dtype=np.float64).astype(np.float32)).to(device)
        self.vectors = torch.from_numpy(features).to(device) - self.centre
        self.norms_sq = self.vectors.square().sum(1)
        self.radius = float(self.norms_sq.max().sqrt())
        self._out = torch.empty(chunk_size, len(features), device=device)
        self._centred = torch.empty(chunk_size, features.shape[1], device=device)

    def centred(self, patches: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, D) patches as the products take them, good until the next call, and their squared norms (B,)."""
        centred = torch.sub(patches, self.centre, out=self._centred[: len(patches)])
        return centred, torch.linalg.vector_norm(centred, dim=1).square()

    def products(self, centred: torch.Tensor) -> torch.Tensor:
        """(B, D) centred patches to (B, K) approximate squared distances less the patch's own squared norm.

        The norm is left out since the row minimum does not need it: one pass less over B x K numbers. The result is
        good until the next call.
        """
        return torch.addmm(self.norms_sq, centred, self.vectors.T, alpha=-2, out=self._out[: len(centred)])

    def products_with(self, centred: torch.Tensor, columns: np.ndarray) -> torch.Tensor:
        """The same for some of the coreset's vectors: (B, len(columns))."""
        where = torch.from_numpy(columns).to(self.device)
        return torch.addmm(self.norms_sq[where], centred, self.vectors[where].T, alpha=-2)

    def slack(self, norms_sq: torch.Tensor) -> torch.Tensor:
        """(B,) float64: `products + norms_sq` errs in each row by at most this.

        In any order of summation a float32 dot product of length D errs by at most gamma_D |a||b| with
        gamma_n = n u / (1 - n u) (Higham, Accuracy and Stability of Numerical Algorithms, section 3.1); the two squared
        norms, the centring and the three additions add a few u more, all of it relative to (|a| + |b|)². Squares of
        very small numbers lose all their digits; what each of the 3 D products loses is added.
        """
        terms = self.vectors.shape[1] + 12
        gamma = terms * UNIT_ROUNDOFF / (1 - terms * UNIT_ROUNDOFF)
        return gamma * (norms_sq.double().sqrt() + self.radius).square() + 4 * terms * UNDERFLOW

    def refresh(self, features: np.ndarray, rows: np.ndarray) -> None:
        """Take over changed rows of the coreset."""
        where = torch.from_numpy(rows).to(self.device)
        vectors = torch.from_numpy(features[rows]).to(self.device) - self.centre
        self.vectors[where] = vectors
        norms_sq = vectors.square().sum(1)
        self.norms_sq[where] = norms_sq
        self.radius = max(self.radius, float(norms_sq.max().sqrt()))
