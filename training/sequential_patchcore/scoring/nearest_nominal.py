# SPDX-License-Identifier: Apache-2.0
"""Why a pixel is anomalous: the nominal patch that its own is compared with, and what that patch looked like.

A model file names the training image and the place on its feature grid that each vector came from; while the training
data set is where it was, the patch can be shown.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..model.file import Model
from ..runtime.errors import UserError
from .provenance import Provenance
from .scorer import PatchScores, Scorer, anomaly_map

CROP = 64  # pixels of the original image around a patch: the stride and what the deeper layer sees around it


@dataclass(frozen=True)
class Nominal:
    """The coreset vector nearest to a patch.

    Attributes:
        dataset, sample: the training image it came from.
        position: (row, column) in that image, in pixels; None where the image cannot be read.
        distance: between the two vectors, before the anomaly map's blur.
        picture: (CROP, CROP, 3) float32 RGB around the position, or None where it cannot be shown.
        note: why not; may be empty.
    """

    dataset: str
    sample: str
    position: tuple[float, float] | None
    distance: float
    picture: np.ndarray | None
    note: str = ""


class ExplainingScorer:
    """Scores like `Scorer`, and remembers the patches of the image scored last, so that they can be explained."""

    def __init__(self, scorer: Scorer, model: Model) -> None:
        self._scorer, self._model = scorer, model
        self._scored: PatchScores | None = None
        self._provenance = Provenance(model)

    def anomaly_map(self, image: np.ndarray) -> np.ndarray:
        """As `Scorer.anomaly_map`, bit for bit."""
        self._scored = self._scorer.patches(image)
        return anomaly_map(self._scored.distances, self._scored.grid, self._scorer.blur_sigma)

    def explain(self, pixels: Sequence[tuple[int, int]]) -> list[Nominal]:
        """The nominal patch for each pixel (row, column) of the image scored last."""
        if self._scored is None:
            raise ValueError("score an image first")
        rows, columns = self._scored.grid.nearest_cells()
        return [
            self._nominal(*self._scorer.nearest_vector(self._scored.vectors[rows[y], columns[x]])) for y, x in pixels
        ]

    def _nominal(self, vector: int, distance: float) -> Nominal:
        dataset, sample = self._model.sources[self._model.source[vector]]
        try:
            image, (row, column) = self._provenance.original(vector)
        except UserError as error:
            return Nominal(dataset, sample, None, distance, None, f"not shown: {error}")
        return Nominal(dataset, sample, (row, column), distance, crop(image, row, column))


def crop(image: np.ndarray, row: float, column: float, side: int = CROP) -> np.ndarray:
    """(side, side, 3) of the (H, W, 3) image around a pixel, moved inward at the border; smaller in a small image."""
    height, width = image.shape[:2]
    top = int(np.clip(round(row) - side // 2, 0, max(0, height - side)))
    left = int(np.clip(round(column) - side // 2, 0, max(0, width - side)))
    return image[top : top + side, left : left + side]
