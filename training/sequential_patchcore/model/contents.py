# SPDX-License-Identifier: Apache-2.0
"""What a model is: a coreset, where each vector came from, and all that is needed to use it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .. import __version__
from ..coreset.guarantee import certified_factor
from .memory import Memory
from .naming import Naming
from .products import Product
from .threshold import Threshold as Threshold


@dataclass(frozen=True)
class Model:
    """A trained model: the coreset, where each of its vectors came from, and what scoring needs.

    `train` and `load_model` make it, `Scorer` scores images with it; it is not changed, but replaced. Distances have
    the unit of the features, which means something only among vectors of one extractor.

    Attributes:
        features: (K, D) float32, the vectors of the coreset.
        source: (K,) uint32, the row of `sources` that each vector came from.
        position: (K, 2) uint16, (y, x) of the patch on the feature grid of that image.
        sources: (data set name, sample id) per training image.
        extractor: identity of the feature extractor (`extractors.base.identity`), with its `offset` in pixels and
            `weights`, a note for people.
        settings: the choices of the run that made the model, JSON-ready.
        separation: smallest distance between two vectors.
        covering_radius: largest distance of a training patch to its nearest vector; None where it was not measured.
        converged: whether the last epoch replaced nothing.
        epochs: one mapping per epoch with "replacements", "separation" and, where it was measured, "covering_radius".
        parents: fingerprints of the models that went in (fine-tuning, melding).
        data: per data set its "name", "path", "fingerprint" and number of "images".
        request: fingerprint of the command that made the model, by which finished work is recognised.
        threshold: None until calibrated.
        created_by: program and version.
        memories: class name -> the memory of that class, in the order of the names; empty where there are none. No
            nominal score depends on them.
        naming: the rule that gives alarms a verdict; None where there is none. It belongs to the nominal memory, the
            other memories and the threshold that it was set with: a model with others has none.
        products: name -> thresholds for images of that product, in the order of the names; empty where one threshold
            serves all images.
    """

    features: np.ndarray
    source: np.ndarray
    position: np.ndarray
    sources: tuple[tuple[str, str], ...]
    extractor: dict[str, Any]
    settings: dict[str, Any]
    separation: float
    covering_radius: float | None
    converged: bool
    epochs: tuple[dict[str, Any], ...] = ()
    parents: tuple[str, ...] = ()
    data: tuple[dict[str, Any], ...] = ()
    request: str = ""
    threshold: Threshold | None = None
    created_by: str = f"sequential-patchcore {__version__}"
    memories: Mapping[str, Memory] = field(default_factory=dict)
    naming: Naming | None = None
    products: Mapping[str, Product] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """Hex digest of extractor, vectors and memories; no threshold is part of it."""
        sha = self._nominal_digest()
        for name, memory in sorted(self.memories.items()):
            sha.update(json.dumps([name, memory.kind, len(memory.vectors)]).encode())
            sha.update(np.ascontiguousarray(memory.vectors).tobytes())
        return sha.hexdigest()[:16]

    @property
    def nominal_fingerprint(self) -> str:
        """The same as if there were no memories."""
        return self._nominal_digest().hexdigest()[:16]

    def _nominal_digest(self) -> "hashlib._Hash":
        sha = hashlib.sha256(json.dumps(self.extractor, sort_keys=True).encode())
        sha.update(np.ascontiguousarray(self.features).tobytes())
        return sha

    @property
    def certified_factor(self) -> float | None:
        """The covering radius is at most this many times the best possible one; None where nothing is certain."""
        return None if self.covering_radius is None else certified_factor(self.covering_radius, self.separation)

    @property
    def epoch_factors(self) -> tuple[float | None, ...]:
        """The same after each epoch, None where its covering radius was not measured."""
        radii = [epoch.get("covering_radius") for epoch in self.epochs]
        if radii and radii[-1] is None:
            radii[-1] = self.covering_radius
        return tuple(
            None if radius is None else certified_factor(radius, epoch["separation"])
            for radius, epoch in zip(radii, self.epochs, strict=True)
        )

    def kept_beside(self) -> dict[str, Any]:
        """What the model holds beside its nominal memory and keeps when that changes: arguments of `Model`.

        A further group of the file that fine-tuning has to keep belongs here, and has one place each in `model.reading`
        (`_beside`), in `model.writing` (`_write_beside`) and, melded, in `fitting.melding` (`Melder._beside`).
        """
        return {"memories": self.memories}

    def of_memory(self, name: str) -> "Model":
        """A model whose nominal memory is the memory of this name: for what looks up vectors and their pictures."""
        memory = self.memories[name]
        return replace(
            self, features=memory.vectors, source=memory.source, position=memory.position, sources=memory.sources,
            separation=memory.separation, covering_radius=memory.covering_radius, converged=memory.converged,
            epochs=memory.epochs, data=memory.data, memories={}, naming=None, products={},
        )

    def with_threshold(self, threshold: Threshold) -> "Model":
        """The same model with another threshold.

        A rule of verdicts that was set at another value is dropped: its promise is about the regions of that one.
        """
        same = self.naming is not None and self.naming.threshold == threshold.value
        return replace(self, threshold=threshold, naming=self.naming if same else None)
