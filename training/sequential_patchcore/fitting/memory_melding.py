# SPDX-License-Identifier: Apache-2.0
"""Melding of memories: those of one name become one, by the rule of training over their vectors."""

from collections.abc import Mapping, Sequence

import numpy as np

from ..coreset.melding import VectorMelder
from ..model.file import Memory
from ..model.patch_ids import patch_ids_of, unpack_patch_ids
from ..runtime.errors import UserError
from ..runtime.progress import say


def meld_memories(memories: Sequence[Mapping[str, Memory]], names: Sequence[str]) -> dict[str, Memory]:
    """By class name; what only one of the models remembers stays as it is.

    Args:
        memories: of each model, in the order of the meld.
        names: of the models, for messages and for the record.

    Raises:
        UserError: a class is of one kind in one model and of another in another.
    """
    melded = {}
    for name in sorted({name for held in memories for name in held}):
        holders = [(held[name], model) for held, model in zip(memories, names, strict=True) if name in held]
        melded[name] = _melded(name, *zip(*holders, strict=True))
    return melded


def _melded(name: str, parts: Sequence[Memory], models: Sequence[str]) -> Memory:
    """As large as the largest of them: a memory may be small only because its class had no more patches."""
    first = parts[0]
    for other, model in zip(parts, models, strict=True):
        if other.kind != first.kind:
            raise UserError(f"{name!r} is of kind {first.kind} in {models[0]} and of kind {other.kind} in {model}")
    if len(parts) == 1:
        return first
    size = max(len(part.vectors) for part in parts)
    melder, patch_ids, sources = VectorMelder(size, first.vectors.shape[1]), [], []
    for part in parts:
        melder.add(part.vectors)
        patch_ids.append(patch_ids_of(part.source, part.position, len(sources)))
        sources += part.sources
    result = melder.finish()
    radii = [part.covering_radius for part in parts if part.covering_radius is not None]
    source, position = unpack_patch_ids(np.concatenate(patch_ids)[result.rows])
    used, source = np.unique(source, return_inverse=True)
    say(f"{name}: melded {len(parts)} memories into {size} vectors, separation {result.separation:.4g}")
    levels, ways = {part.level for part in parts}, {part.level_from for part in parts}
    return Memory(
        kind=first.kind, vectors=result.vectors, source=source.astype(np.uint32), position=position,
        sources=tuple(sources[row] for row in used), separation=result.separation,
        covering_radius=max(radii) + result.covering_radius if len(radii) == len(parts) else None,
        converged=True, epochs=result.passes, seen=sum(part.seen for part in parts),
        images=sum(part.images for part in parts),
        coverage_share=min(part.coverage_share for part in parts), level=min(levels),
        level_from=first.level_from if len(levels) == len(ways) == 1 else "melded",
        nominal=first.nominal if len({part.nominal for part in parts}) == 1 else "",
        data=tuple({(share["name"], share["fingerprint"]): share for part in parts for share in part.data}.values()),
        settings={"melded": list(models)},
    )
