# SPDX-License-Identifier: Apache-2.0
"""What a memory of one class is: a coreset of patches that are known by name, beside the nominal one."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..coreset.guarantee import certified_factor
from .patch_ids import patch_ids_of

SMALLEST = 2
"""Vectors that a memory has at least: of one alone there is no separation."""


@dataclass(frozen=True)
class Memory:
    """Vectors that cover the patches of one class which the nominal memory finds anomalous.

    Attributes:
        kind: of the class, "impurity" (sound, but dirty) or "defect".
        vectors: (K, D) float32; fewer than were asked for where the class has no more patches.
        source: (K,) uint32, the row of `sources` that each vector came from.
        position: (K, 2) uint16, (y, x) of the patch on the feature grid of that image.
        sources: (data set name, sample id) of the images that vectors came from.
        separation: the smallest distance between two vectors.
        covering_radius: the largest distance of an offered patch to its nearest vector; None where it is not known.
        converged: whether the last epoch replaced nothing.
        epochs: one mapping per epoch with "replacements", "separation" and, where measured, "covering_radius".
        seen: patches that were offered in one pass over the images.
        images: images that offered some.
        coverage_share: the share of a patch's cell that the class has to cover at least.
        level: distance to the nominal memory from which a patch counted as anomalous, in the features' unit.
        level_from: what the level was taken from: "threshold", "covering_radius", "separation" or "by_hand".
        nominal: `Model.nominal_fingerprint` of the nominal memory that the level was applied to. After fine-tuning or
            melding it is another than the model's.
        data: per data set its "name", "path", "fingerprint" and number of "images", those with the class.
        settings: the choices of the run, JSON-ready.
    """

    kind: str
    vectors: np.ndarray
    source: np.ndarray
    position: np.ndarray
    sources: tuple[tuple[str, str], ...]
    separation: float
    covering_radius: float | None
    converged: bool
    epochs: tuple[dict[str, Any], ...]
    seen: int
    images: int
    coverage_share: float
    level: float
    level_from: str
    nominal: str = ""
    data: tuple[dict[str, Any], ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def patch_ids(self) -> np.ndarray:
        """(K,) int64: row of `sources` and place, as `model.patch_ids` packs them."""
        return patch_ids_of(self.source, self.position)

    @property
    def certified_factor(self) -> float | None:
        """The covering radius is at most this many times the best possible one; None where nothing is certain."""
        return None if self.covering_radius is None else certified_factor(self.covering_radius, self.separation)
