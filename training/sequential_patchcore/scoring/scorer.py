# SPDX-License-Identifier: Apache-2.0
"""From a model to anomaly maps: the distance of each patch of an image to the nearest vector of the coreset."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from ..coreset.search import CHUNK_SIZE, NearestSearch
from ..data.dataset import Dataset
from ..extractors.base import Extractor, to_tensor
from ..extractors.grid import Grid
from ..extractors.onnx_engine import engine_on
from ..model.file import Model, Threshold
from ..runtime.choices import AUTO
from ..runtime.errors import UserError
from ..runtime.progress import say
from .anomaly_map import PatchScores
from .calibration import calibrate, rests_on_clean_images
from .conditions import BLUR_SIGMA, conditions_of, departures
from .nearest_nominal import STRANGEST, Explanation, cells_at, explained, strangest
from .provenance import Provenance
from .restore import check_extractor, restore_extractor
from .unseen_plates import UnseenPlates


class Scorer:
    """Anomaly maps by the distance to the nearest coreset vector.

    The feature extractor is restored at its first use, so that no weights are loaded while there is nothing to score.

    Args:
        model: from `load_model` or `train`.
        device: where the network and the distances are computed, such as "cpu" or "cuda:1".
        extractor: the one that the model was made with, where it is at hand; otherwise it is restored.
        weights: "hub", "none" (random) or a weights file, where the place recorded in the model no longer holds.
        precision: of the network, "float32", "bfloat16" or "float16"; as in training unless given.
        engine: what computes the network's maps on a CPU: "onnx", "torch", or "auto" for the former where it is
            installed and agrees with the latter.
        blur_sigma: of the Gaussian over the finished map, in pixels of the image, 0 for none; the model's unless given.
        chunk_size: patches per matrix product; a matter of memory and speed.
        path: the model file, for messages and records.
        data: folders of training data sets that are no longer where the model says; used by `explain`.

    Attributes:
        model: what was given, with the threshold of `calibrate` where that was called.
        threshold: the model's; None until calibrated. Pixels with a score of at least its `value` are anomalous.
        conditions: what the scores depend on beside model and image: `precision` and `blur_sigma`; JSON-ready.

    Raises:
        UserError: an extractor that the model was not made with; at the first use, no weights to be had, or of other
            values than the model was trained with.
    """

    def __init__(
        self, model: Model, *, device: torch.device | str = "cpu", extractor: Extractor | None = None,
        weights: str | None = None, precision: str | None = None, engine: str = AUTO, blur_sigma: float | None = None,
        chunk_size: int = CHUNK_SIZE, path: str | Path | None = None, data: Iterable[str | Path] = (),
    ) -> None:
        self.path = None if path is None else str(path)
        if extractor is not None:
            if weights is not None or precision is not None:
                raise UserError("expected either an `extractor`, or `weights` and `precision` to restore it; got both")
            check_extractor(extractor, model, self._name)
            extractor = extractor.to(torch.device(device))
            precision = extractor.settings.precision
        self.model: Model | None = model
        self.threshold: Threshold | None = model.threshold
        self.conditions = conditions_of(model, precision, blur_sigma)
        self._weights, self._data, self._engine = weights, tuple(data), engine_on(device, engine)
        self._begin(model.features, extractor, device, chunk_size)

    @classmethod
    def of_vectors(
        cls, extractor: Extractor, vectors: np.ndarray, *, blur_sigma: float = BLUR_SIGMA,
        chunk_size: int = CHUNK_SIZE, device: torch.device | str = "cpu",
    ) -> "Scorer":
        """A scorer without a model: everything but `explain` works.

        Args:
            extractor: what turned the training images into vectors.
            vectors: (K, D) float32, the coreset.
        """
        scorer = cls.__new__(cls)
        scorer.path = scorer.model = scorer.threshold = None
        scorer.conditions = {"precision": extractor.settings.precision, "blur_sigma": float(blur_sigma)}
        scorer._weights, scorer._data, scorer._engine = None, (), AUTO
        scorer._begin(vectors, extractor.to(torch.device(device)), device, chunk_size)
        return scorer

    def _begin(
        self, vectors: np.ndarray, extractor: Extractor | None, device: torch.device | str, chunk_size: int
    ) -> None:
        self.device = torch.device(device)
        self._extractor = extractor
        self.search = NearestSearch(vectors, self.device, chunk_size)

    @property
    def _name(self) -> str:
        return self.path or "the model"

    @property
    def extractor(self) -> Extractor:
        """What turns images into patch vectors; restored now if it was not yet."""
        if self._extractor is None:
            assert self.model is not None
            restored = restore_extractor(
                self.model, self._name, self._weights, self.conditions["precision"], self._engine
            )
            self._extractor = restored.to(self.device)
        return self._extractor

    @property
    def blur_sigma(self) -> float:
        """Of the map's Gaussian, in pixels of the image."""
        return self.conditions["blur_sigma"]

    @cached_property
    def provenance(self) -> Provenance:
        """The model's training images, as far as they still are there.

        Raises:
            UserError: made by `of_vectors`, so that there is no model that knows them.
        """
        if self.model is None:
            raise UserError("expected a scorer that was made of a model; bare vectors do not know where they came from")
        return Provenance(self.model, self._data)

    def patches(self, image: np.ndarray, search: NearestSearch | None = None) -> PatchScores:
        """(H, W, 3) float32 RGB in [0, 1] to its patches, with the distance of each to its nearest vector.

        Args:
            search: among other vectors than the model's, such as a part of them.

        Raises:
            UserError: a distance that is not finite.
        """
        with torch.inference_mode():
            vectors = self.extractor(to_tensor(image, self.extractor.settings.image_scale, self.device))[0]
            flat = vectors.reshape(-1, vectors.shape[-1])
            nearest = (search or self.search).distances(flat).reshape(vectors.shape[:2])
        distances = nearest.cpu().numpy()
        if not np.isfinite(distances).all():
            raise UserError(
                f"{np.count_nonzero(~np.isfinite(distances))} of {distances.size} patches have a distance that is no "
                "finite number: check the weights and the model (`sequential-patchcore info`), or take the `precision` "
                "float32"
            )
        (height, width), (rows, columns) = image.shape[:2], distances.shape
        grid = Grid.of(self.extractor, (height, width), (rows, columns))
        return PatchScores(vectors, distances, grid, self.blur_sigma)

    def anomaly_map(self, image: np.ndarray) -> np.ndarray:
        """(H, W, 3) float32 RGB in [0, 1] to (H, W) float32, not negative; the unit is the features' own.

        Raises:
            UserError: a distance that is not finite.
        """
        return self.patches(image).anomaly_map()

    def explain(
        self, image: np.ndarray | PatchScores, pixels: Sequence[tuple[int, int]] | None = None, *,
        count: int = STRANGEST,
    ) -> list[Explanation]:
        """The nominal patches that patches of an image are nearest to.

        Args:
            image: (H, W, 3) float32 RGB in [0, 1], or what `patches` made of it.
            pixels: (row, column) of the image to explain; without, those of the largest distances, the largest first.
            count: how many of these.

        Raises:
            UserError: as `anomaly_map`; or made by `of_vectors`.
        """
        provenance = self.provenance
        scored = image if isinstance(image, PatchScores) else self.patches(image)
        cells = strangest(scored.distances, count) if pixels is None else cells_at(scored, pixels)
        return explained(scored, cells, self.search, provenance)

    def calibrate(
        self, dataset: Dataset, *, split: str = "val", false_positive_rate: float | None = None,
        per: str | None = None,
    ) -> Threshold:
        """Set the threshold on a split of a data set, keep it (`threshold`, `model`), and return it.

        A threshold that rests on clean images alone takes the scores of images that were trained on without the vectors
        that came from their own plate (`unseen_plates`).

        The model file is not written: `save_model(scorer.model, path)` does. The arguments and errors are those of
        `scoring.calibration.calibrate`.
        """
        own = UnseenPlates(self, dataset)
        unseen = own if rests_on_clean_images(dataset, split, false_positive_rate) and own.possible else None
        self._tell_of_trained_on(dataset, split, left_out=unseen is not None)
        threshold = calibrate(self, dataset, split, false_positive_rate, per, unseen)
        if self.model is not None:
            if changed := departures(self.model, self.conditions):
                threshold = replace(threshold, calibrated_on=threshold.calibrated_on | {"conditions": changed})
            self.model = self.model.with_threshold(threshold)
        self.threshold = threshold
        return threshold

    def _tell_of_trained_on(self, dataset: Dataset, split: str, left_out: bool) -> None:
        """The images that a coreset was made of lie closer to it than any others."""
        known = () if self.model is None else self.model.sources
        samples = [sample for sample in dataset.samples if sample.split == split]
        seen = {(dataset.name, sample.id) for sample in samples} & set(known)
        if not seen:
            return
        told = f"note: {len(seen)} of the {len(samples)} images of the split {split!r} were trained on; "
        if left_out:
            say(told + "each is scored without the vectors that came from its own plate")
        else:
            say(told + "their scores are lower than those of new images, so expect more false alarms than are stated")
