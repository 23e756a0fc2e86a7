# SPDX-License-Identifier: Apache-2.0
"""Melding: several coresets become one, by the rule of training over their vectors. It takes seconds and no images."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..coreset.guarantee import certified_factor
from ..coreset.melding import VectorMelder
from ..model.file import Model
from ..model.patch_ids import patch_ids_of, unpack_patch_ids
from ..runtime.errors import UserError
from ..runtime.progress import say
from .memory_melding import meld_memories

_NOT_COMPARED = ("weights", "offset")  # the note for people; and what each machine measures for itself


def differences(first: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """In what two identities of extractors differ, for a message; empty where their vectors can be compared."""
    compared = sorted((first.keys() | other.keys()) - set(_NOT_COMPARED))
    differing = [key for key in compared if first.get(key) != other.get(key)]
    return "; ".join(f"{key}: {first.get(key)} and {other.get(key)}" for key in differing)


def check_same_extractor(models: Sequence[Model], names: Sequence[str]) -> None:
    """Vectors of different extractors have no distance between them.

    Raises:
        UserError: names the two models and everything in which they differ.
    """
    for model, name in zip(models[1:], names[1:], strict=True):
        if found := differences(models[0].extractor, model.extractor):
            raise UserError(f"{names[0]} and {name} have different feature extractors ({found}); train both alike")


class Melder:
    """A meld under construction: models are added in order, as they come in; the first pass is made as they do.

    Args:
        size: vectors to keep; by default as many as the first model has.
    """

    def __init__(self, size: int | None = None) -> None:
        self._size = size
        self._models: list[Model] = []
        self._names: list[str] = []
        self._patch_ids: list[np.ndarray] = []
        self._sources: list[tuple[str, str]] = []
        self._melder: VectorMelder | None = None

    def add(self, model: Model, name: str) -> None:
        """
        Args:
            name: of the model, for messages and for the record.

        Raises:
            UserError: its extractor is another than the first model's; the two are named.
        """
        check_same_extractor([*self._models[:1], model], [*self._names[:1], name])
        if self._melder is None:
            self._melder = VectorMelder(self._size or len(model.features), model.features.shape[1])
        self._patch_ids.append(patch_ids_of(model.source, model.position, len(self._sources)))
        self._sources += model.sources
        self._models.append(model)
        self._names.append(name)
        self._melder.add(model.features)

    def finish(self, request: str = "") -> Model:
        """Show all vectors again until a pass replaces nothing.

        Raises:
            UserError: fewer than two models, or a size beyond all vectors together.
        """
        models, melder = self._models, self._melder
        if melder is None or len(models) < 2:
            raise UserError(f"melding needs at least two models, got {len(models)}")
        size, available = self._size or len(models[0].features), melder.available
        if available < size:
            raise UserError(f"`coreset_size` {size} is more than the {available} vectors that the models have together")
        melded = melder.finish()
        over_vectors, passes = melded.covering_radius, melded.passes
        radii = [model.covering_radius for model in models if model.covering_radius is not None]
        covering = max(radii) + over_vectors if len(radii) == len(models) else None
        factor = certified_factor(over_vectors, melded.separation)
        say(
            f"melded {len(models)} models into {size} vectors in {len(passes)} passes: "
            f"{passes[0]['replacements']} replaced in the first, separation {melded.separation:.4g}, "
            f"covering radius {over_vectors:.4g} over the {available} vectors"
            + (f", within {factor:.3g} times the best possible" if factor is not None else "")
        )
        source, position = unpack_patch_ids(np.concatenate(self._patch_ids)[melded.rows])
        used, source = np.unique(source, return_inverse=True)
        return Model(
            **self._beside(),
            features=melded.vectors, source=source.astype(np.uint32), position=position,
            sources=tuple(self._sources[row] for row in used), extractor=models[0].extractor,
            settings={"coreset_size": size, "melded": self._names} | _scoring_settings(models[0]),
            separation=melded.separation, covering_radius=covering, converged=True, epochs=passes,
            parents=tuple(model.fingerprint for model in models),
            data=tuple({_share_key(share): share for model in models for share in model.data}.values()),
            request=request,
        )

    def _beside(self) -> dict[str, Any]:
        """What the models hold beside their nominal memories, melded; arguments of `Model`."""
        return {"memories": meld_memories([model.memories for model in self._models], self._names)}


def meld(models: Sequence[Model], names: Sequence[str], size: int | None = None, request: str = "") -> Model:
    """One model from several, in the given order.

    The coreset is filled with the first vectors of the union; all are shown until a pass replaces nothing. A patch of
    any source is then within that source's covering radius, plus the melded one's over the vectors, of the result.

    Args:
        names: of the models, for messages.
        size: vectors to keep; by default as many as the first model has.

    Raises:
        UserError: fewer than two models, different extractors, or a size beyond all vectors together.
    """
    melder = Melder(size)
    for model, name in zip(models, names, strict=True):
        melder.add(model, name)
    return melder.finish(request)


def _share_key(share: dict) -> tuple:
    """Data sets are the same where name and contents are."""
    return share["name"], share["fingerprint"]


def _scoring_settings(model: Model) -> dict:
    """What scoring needs beside the vectors: where the weights are, and the blur; from the first model."""
    return {key: model.settings[key] for key in ("weights", "blur_sigma") if key in model.settings}
