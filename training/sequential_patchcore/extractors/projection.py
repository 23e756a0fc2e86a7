# SPDX-License-Identifier: Apache-2.0
"""Shorter vectors by a sparse random projection, as the original PatchCore had it; off in the paper.

Most entries are zero, the others plus or minus the same number, with a density of 1 / sqrt(D) (Li, Hastie, Church,
"Very sparse random projections", 2006); distances are kept up to a share that grows as the new length falls. The matrix
follows from the two lengths alone, so that models made on different machines can be melded.
"""

import math

import numpy as np
import torch

from ..runtime.errors import UserError
from .base import Extractor, ExtractorSettings


def projection_matrix(dimension: int, shorter: int) -> np.ndarray:
    """(D, d) float32; a vector of D times it has on average the same squared length."""
    draws = np.random.default_rng((dimension, shorter)).random((dimension, shorter))
    sparsity = math.sqrt(dimension)
    value = math.sqrt(sparsity / shorter)
    signs = (draws < 0.5 / sparsity).astype(np.float32) - (draws >= 1 - 0.5 / sparsity).astype(np.float32)
    return signs * np.float32(value)


class Projected:
    """An extractor whose vectors are projected to `settings.projection` numbers.

    Raises:
        UserError: that is not shorter.
    """

    def __init__(self, extractor: Extractor, settings: ExtractorSettings) -> None:
        self.settings = settings
        self.inner = extractor
        shorter = settings.projection
        if not 1 <= shorter < extractor.dimension:
            raise UserError(
                f"`projection` {shorter}: expected 1 to {extractor.dimension - 1}, since the vectors of "
                f"{settings.backbone} have {extractor.dimension} numbers"
            )
        self.matrix = projection_matrix(extractor.dimension, shorter)
        self._on_device = torch.from_numpy(self.matrix)
        self.dimension = shorter
        self.stride, self.offset = extractor.stride, extractor.offset
        self.layers, self.preprocessing = extractor.layers, extractor.preprocessing
        self.weights, self.weights_fingerprint = extractor.weights, extractor.weights_fingerprint
        self.engine = extractor.engine
        self.network = getattr(extractor, "network", None)

    def to(self, device: torch.device) -> "Projected":
        self.inner = self.inner.to(device)
        self._on_device = self._on_device.to(device)
        return self

    @torch.inference_mode()
    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        return self.inner(images) @ self._on_device
