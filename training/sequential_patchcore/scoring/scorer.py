# SPDX-License-Identifier: Apache-2.0
"""Distances to the coreset, and the anomaly map that they make."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch

from ..coreset.search import CHUNK_SIZE, NearestSearch
from ..extractors.base import Extractor, to_tensor
from ..extractors.grid import Grid
from ..runtime.errors import UserError

BLUR_SIGMA = 2.0  # pixels of the image; section V-B of the paper
_BLUR_REACH = 4  # the kernel ends at this many sigmas: 16 pixels wide at sigma 2, as in the paper


@dataclass(frozen=True)
class PatchScores:
    """The patches of one image.

    Attributes:
        vectors: (h, w, D) float32 on the scorer's device.
        distances: (h, w) float32, of each to its nearest coreset vector.
        grid: where in the image they look.
    """

    vectors: torch.Tensor
    distances: np.ndarray
    grid: Grid


class Scorer:
    """Anomaly maps by the distance to the nearest coreset vector.

    Args:
        extractor: what turned the training images into vectors.
        features: (K, D) float32, the coreset.
        blur_sigma: of the Gaussian over the finished map, in pixels; 0 leaves the map as it is.
        chunk_size: patches per matrix product; a matter of memory and speed.
    """

    def __init__(
        self, extractor: Extractor, features: np.ndarray, blur_sigma: float = BLUR_SIGMA, chunk_size: int = CHUNK_SIZE,
        device: torch.device | str = "cpu",
    ) -> None:
        self.device = torch.device(device)
        self.extractor = extractor.to(self.device)
        self.blur_sigma = blur_sigma
        self.search = NearestSearch(features, self.device, chunk_size)

    def patch_distances(self, patches: torch.Tensor) -> torch.Tensor:
        """(N, D) float32 to (N,) float32, the Euclidean distance of each to its nearest coreset vector."""
        return self.search.distances(patches)

    def nearest_vector(self, patch: torch.Tensor) -> tuple[int, float]:
        """The row of the coreset vector that is nearest to a patch (D,), and their distance, in float64."""
        return self.search.nearest_exactly(patch)

    def patches(self, image: np.ndarray) -> PatchScores:
        """(H, W, 3) float32 RGB in [0, 1] to its patches, with the distance of each to its nearest vector.

        Raises:
            UserError: a distance that is not finite.
        """
        with torch.inference_mode():
            vectors = self.extractor(to_tensor(image, self.extractor.settings.image_scale, self.device))[0]
            distances = self.patch_distances(vectors.reshape(-1, vectors.shape[-1])).reshape(vectors.shape[:2])
        distances = distances.cpu().numpy()
        if not np.isfinite(distances).all():
            raise UserError(
                f"{np.count_nonzero(~np.isfinite(distances))} of {distances.size} patches have a distance that is no "
                "finite number: check the weights and the model (`info M.h5 --check`), or take --precision float32"
            )
        return PatchScores(vectors, distances, Grid.of(self.extractor, image.shape[:2], distances.shape))

    def anomaly_map(self, image: np.ndarray) -> np.ndarray:
        """(H, W, 3) float32 RGB in [0, 1] to (H, W) float32, the unit being the features' own."""
        scored = self.patches(image)
        return anomaly_map(scored.distances, scored.grid, self.blur_sigma)


def anomaly_map(distances: np.ndarray, grid: Grid, blur_sigma: float) -> np.ndarray:
    """(h, w) patch distances to an (H, W) map: each pixel takes the patch that looks nearest to it, then the blur.

    Args:
        grid: where the patches look.
        blur_sigma: in pixels of the image; 0 for none.
    """
    rows, columns = grid.nearest_cells()
    whole = np.ascontiguousarray(distances[rows[:, None], columns[None, :]], dtype=np.float32)
    if blur_sigma <= 0:
        return whole
    width = 2 * round(_BLUR_REACH * blur_sigma) + 1
    return cv2.GaussianBlur(whole, (width, width), blur_sigma, borderType=cv2.BORDER_REPLICATE)
