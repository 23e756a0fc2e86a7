# SPDX-License-Identifier: Apache-2.0
"""Melding: several coresets become one, by the rule of training over their vectors. It takes seconds and no images."""

from collections.abc import Sequence

import numpy as np
import torch

from .coreset import Coreset, SequentialCoreset
from .errors import UserError
from .model_file import Model
from .patches import tags_of, unpack_tags
from .progress import say

_NOT_COMPARED = ("weights", "offset")  # the note for people; and what each machine measures for itself


def check_same_extractor(models: Sequence[Model], names: Sequence[str]) -> None:
    """Vectors of different extractors have no distance between them.

    Raises:
        UserError: names the two models and everything in which they differ.
    """
    for model, name in zip(models[1:], names[1:], strict=True):
        first, other = models[0].extractor, model.extractor
        differing = [
            key for key in sorted(first.keys() | other.keys())
            if key not in _NOT_COMPARED and first.get(key) != other.get(key)
        ]
        if differing:
            details = "; ".join(f"{key}: {first.get(key, 'the default')} and {other.get(key, 'the default')}" for key in differing)
            raise UserError(f"{names[0]} and {name} have different feature extractors ({details}); train both alike")


def meld(models: Sequence[Model], names: Sequence[str], size: int | None = None, request: str = "") -> Model:
    """One model from several, in the given order.

    The first coreset (or as many vectors of the union as the new size asks for) is where the rule starts; the vectors
    of the others are shown until a pass replaces nothing. A patch of any source is then within that source's covering
    radius, plus the melded one's over the vectors, of the result.

    Args:
        names: of the models, for messages.
        size: vectors to keep; by default as many as the first model has.

    Raises:
        UserError: fewer than two models, different extractors, or a size beyond all vectors together.
    """
    if len(models) < 2:
        raise UserError(f"melding needs at least two models, got {len(models)}")
    check_same_extractor(models, names)
    size = size or len(models[0].features)
    available = sum(len(model.features) for model in models)
    if size > available:
        raise UserError(f"--coreset-size {size} is more than the {available} vectors that the models have together")
    sources: list[tuple[str, str]] = []
    tags = []
    for model in models:
        tags.append(tags_of(model.source, model.position, len(sources)))
        sources += model.sources
    vectors, numbers = np.concatenate([model.features for model in models]), np.concatenate(tags)
    first = Coreset(vectors[:size], numbers[:size])
    coreset = SequentialCoreset(size, vectors.shape[1], initial=first)
    stream = torch.from_numpy(vectors)
    passes = []
    while not passes or passes[-1]["replacements"]:
        # What entered at the start would only be rejected at distance 0 in the first pass.
        replaced = coreset.update(stream, numbers)
        passes.append({"replacements": replaced, "separation": coreset.separation})
    over_vectors = coreset.farthest(stream)
    radii = [model.covering_radius for model in models]
    covering = None if None in radii else max(radii) + over_vectors
    say(
        f"melded {len(models)} models into {size} vectors in {len(passes)} passes: "
        f"{passes[0]['replacements']} replaced in the first, separation {coreset.separation:.4g}"
    )
    result = coreset.result()
    source, position = unpack_tags(result.tags)
    used, source = np.unique(source, return_inverse=True)
    return Model(
        features=result.features, source=source.astype(np.uint32), position=position,
        sources=tuple(sources[row] for row in used), extractor=models[0].extractor,
        settings={"coreset_size": size, "melded": list(names)} | _scoring_settings(models[0]),
        separation=coreset.separation, covering_radius=covering, converged=True, epochs=tuple(passes),
        parents=tuple(model.fingerprint for model in models),
        data=tuple({_share_key(share): share for model in models for share in model.data}.values()), request=request,
    )


def _share_key(share: dict) -> tuple:
    """Data sets are the same where name and contents are."""
    return share["name"], share["fingerprint"]


def _scoring_settings(model: Model) -> dict:
    """What scoring needs beside the vectors: where the weights are, and the blur; from the first model."""
    return {key: model.settings[key] for key in ("weights", "blur_sigma") if key in model.settings}
