# SPDX-License-Identifier: Apache-2.0
"""Scores of training plates as if the memory had not seen them: no patch is compared with a vector of its own plate.

A memory that holds patches of an image lies closer to that image than to any new one; a threshold made of such scores
alarms far more often than it seems. The model file says which image each vector came from, so that the vectors of a
plate can be left out while its images are scored: one search among the others for each plate, and no training.

Is that leaving the plate out of the training? Write P for all patches of the training plates, M for the memory, P_i and
M_i for what came from plate i, R for the covering radius of M over P.

- Where the memory is all patches (M = P) it is, to the bit. Adding plates to such a memory only lowers scores. From
  this follows that a conformal threshold over scores left out this way keeps its promise exactly: in the memory of all
  n + 1 plates let b_j be the score of plate j against the patches of the others. The b_j are exchangeable; the new
  plate's score is b_(n+1), and the score of plate i against P without P_i is at least b_i, which only raises the
  threshold.
- For a coreset it is not. Trained without plate i, the K places of M would be filled by further patches of the other
  plates; M without M_i lacks them, so that what M_i covered lies open, and scores of plate i are as a rule higher than
  after such a training: the threshold errs upwards. As a rule only, since each vector that another training would
  choose differently may also lie farther from plate i.
- What is certain for a coreset: a score against M without M_i is at least that against P without P_i, since its vectors
  are among these patches; and a score against M exceeds that against P by at most R. So the threshold + R keeps the
  promise whatever the coreset left out, where the vectors are patches of the images as they are (no augmentation, no
  fine-tuning). `covering_margin` is R where that holds.
"""

from collections.abc import Iterable
from typing import Protocol

import numpy as np

from ..coreset.search import NearestSearch
from ..data.dataset import Dataset, Sample
from ..model.file import Model
from ..runtime.errors import UserError
from .anomaly_map import PatchScores


class ScoresPatches(Protocol):
    """Such as `Scorer`."""

    model: Model | None
    search: NearestSearch

    def patches(self, image: np.ndarray, search: NearestSearch | None = None) -> PatchScores: ...


def plate_of(sample: Sample) -> str:
    """The name of the plate that an image shows; an image without one is its own."""
    return str(sample.group or f"image {sample.id}")


class UnseenPlates:
    """Anomaly maps of a data set's images by what a model knows without their plate.

    Args:
        scorer: of a model.
        dataset: whose images are scored; vectors that other data sets brought are never left out, so that a plate must
            not lie in two of them.

    Attributes:
        trained: names of the plates of which an image was trained on.
    """

    def __init__(self, scorer: ScoresPatches, dataset: Dataset) -> None:
        self._scorer, self._dataset = scorer, dataset
        plates = {sample.id: plate_of(sample) for sample in dataset.samples}
        self._rows: dict[str, list[int]] = {}
        for row, (name, sample_id) in enumerate(() if scorer.model is None else scorer.model.sources):
            if name == dataset.name and sample_id in plates:
                self._rows.setdefault(plates[sample_id], []).append(row)
        self.trained = frozenset(self._rows)
        self._latest: tuple[str, NearestSearch] | None = None

    @property
    def possible(self) -> bool:
        """Whether something is left of the memory without each of the plates."""
        if self._scorer.model is None:
            return True
        source = self._scorer.model.source
        return all(not np.isin(source, rows).all() for rows in self._rows.values())

    def in_order(self, samples: Iterable[Sample]) -> list[Sample]:
        """The images plate by plate, so that each plate's search is made once."""
        return sorted(samples, key=lambda sample: (plate_of(sample), sample.id))

    def anomaly_map(self, sample: Sample, image: np.ndarray | None = None) -> np.ndarray:
        """(H, W) float32 of an image of the data set.

        Args:
            image: (H, W, 3) float32, what the sample shows, where it was read already.

        Raises:
            UserError: all vectors of the memory came from its plate; as `Scorer.anomaly_map`.
        """
        plate = plate_of(sample)
        search = self._search_without(plate) if plate in self.trained else None
        image = self._dataset.image(sample) if image is None else image
        return self._scorer.patches(image, search).anomaly_map()

    def _search_without(self, plate: str) -> NearestSearch:
        if self._latest is None or self._latest[0] != plate:
            assert self._scorer.model is not None
            kept = ~np.isin(self._scorer.model.source, self._rows[plate])
            if not kept.any():
                raise UserError(
                    f"all vectors of the memory came from the plate {plate!r}: without it there is nothing to score "
                    "its images with; train on several plates, or set the threshold on plates that were not trained on"
                )
            search = self._scorer.search
            self._latest = (plate, NearestSearch(search.vectors[kept], search.device, search.chunk_size))
        return self._latest[1]


def covering_margin(model: Model) -> float | None:
    """R, where a threshold over left-out scores + R is proven to keep its promise; None where it is not."""
    as_they_are = not model.parents and model.settings.get("images_changed", True) is False
    return model.covering_radius if as_they_are else None
