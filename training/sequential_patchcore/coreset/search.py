# SPDX-License-Identifier: Apache-2.0
"""The nearest coreset vector of many patches: one matrix product a chunk, in float32, without a bound on the rounding.

The product gives a squared distance as a difference of numbers as large as the vectors' squared lengths. Where it is
far smaller than these, its digits are lost, and it is computed once more from the difference of the two vectors.

It serves where scores are wanted. The rule itself decides on exact distances (`engine`).
"""

import numpy as np
import torch

from ..runtime.choices import CHUNK_SIZE

# Below this share of a patch's squared length a squared distance is computed anew; at it, rounding in the product is
# about 1e-6 of the distance.
_NEAR = 1 / 16
_ROWS_AT_ONCE = 256  # of those, to bound the memory


def bytes_needed(size: int, dimension: int, chunk_size: int = CHUNK_SIZE) -> int:
    """What a search among K vectors holds: them as they are and centred, and of a chunk the products and the patches
    centred."""
    return 4 * (2 * size * dimension + chunk_size * size + chunk_size * dimension)


class NearestSearch:
    """Distances to the nearest of K vectors.

    Args:
        vectors: (K, D) float32.
        device: where the products are computed.
        chunk_size: patches per matrix product; a matter of memory and speed.
    """

    def __init__(
        self, vectors: np.ndarray, device: torch.device | str = "cpu", chunk_size: int = CHUNK_SIZE
    ) -> None:
        self.vectors = np.ascontiguousarray(vectors, np.float32)
        self.device, self.chunk_size = torch.device(device), chunk_size
        tensor = torch.from_numpy(self.vectors).to(self.device)
        self._tensor = tensor
        self._centre = tensor.mean(0)  # about it the matrix form of the distance loses fewer digits
        self._centred = tensor - self._centre
        self._norms_sq = self._centred.square().sum(1)
        self._products = torch.empty(chunk_size, len(tensor), device=self.device)

    def distances(self, patches: torch.Tensor) -> torch.Tensor:
        """(N, D) float32 on the device to (N,) float32, the Euclidean distance of each to its nearest vector."""
        out = torch.empty(len(patches), device=self.device)
        for first in range(0, len(patches), len(self._products)):
            chunk = patches[first : first + len(self._products)]
            products, norms_sq = self._compare(chunk)
            squares = torch.add(products.amin(1), norms_sq, out=out[first : first + len(chunk)])
            for near in _lost_digits(squares, norms_sq):
                squares[near] = self._squares(chunk[near], products[near].argmin(1))
        return out.clamp_min_(0).sqrt_()

    def nearest(self, patches: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(N, D) float32 on the device to the same distances, and the (N,) int64 rows of the nearest vectors."""
        out = torch.empty(len(patches), device=self.device)
        rows = torch.empty(len(patches), dtype=torch.int64, device=self.device)
        for first in range(0, len(patches), len(self._products)):
            chunk = patches[first : first + len(self._products)]
            products, norms_sq = self._compare(chunk)
            least, rows[first : first + len(chunk)] = products.min(1)
            squares = torch.add(least, norms_sq, out=out[first : first + len(chunk)])
            for near in _lost_digits(squares, norms_sq):
                squares[near] = self._squares(chunk[near], rows[first + near])
        return out.clamp_min_(0).sqrt_(), rows

    def nearest_exactly(self, patch: torch.Tensor) -> tuple[int, float]:
        """The row of the vector that is nearest to one patch (D,), and their distance, in float64."""
        distances_sq = np.square(self.vectors.astype(np.float64) - patch.cpu().numpy()).sum(1)
        nearest = int(distances_sq.argmin())
        return nearest, float(np.sqrt(distances_sq[nearest]))

    def _compare(self, patches: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, K) squared distances less the patches' own squared norms, and these norms (B,)."""
        chunk = patches - self._centre
        products = self._products[: len(chunk)]
        torch.addmm(self._norms_sq, chunk, self._centred.T, alpha=-2, out=products)
        return products, chunk.square().sum(1)

    def _squares(self, patches: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """(B, D), (B,) to the squared distance (B,) of each patch to the vector of its row, from their difference."""
        return (patches - self._tensor[rows]).square_().sum(1)


def _lost_digits(squares: torch.Tensor, norms_sq: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The rows whose squared distance is to be computed anew, a few at a time."""
    return (squares < _NEAR * norms_sq).nonzero()[:, 0].split(_ROWS_AT_ONCE)
