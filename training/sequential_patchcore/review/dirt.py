# SPDX-License-Identifier: Apache-2.0
"""Dirt that a person has named, shown to the memory of its class by the sequential rule, where the model has one.

The nominal memory, and with it every score, stays as it is. As in `fitting.impurities` only patches that the nominal
memory finds anomalous are remembered, those at least as far from it as the memory's own level says.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from ..coreset.engine import Coreset, CoresetEngine
from ..coreset.search import NearestSearch
from ..model.file import Model
from ..model.memory import Memory
from ..model.patch_ids import patch_ids_of, unpack_patch_ids
from ..runtime.choices import LOWER_INDEX
from .journal import DIRT, Entry
from .patches import RegionPatches


def names_of(model: Model) -> list[str]:
    """The impurities that the model has a memory of."""
    return sorted(name for name, memory in model.memories.items() if memory.kind == "impurity")


def with_dirt(
    base: Model, decided: Sequence[tuple[Entry, RegionPatches]], dataset: str
) -> tuple[dict[str, Memory], dict[str, tuple[int, int]]]:
    """The memories after the decisions, in their order.

    Args:
        decided: those on dirt of a class that the model remembers.
        dataset: stands in the memories' sources for a data set's name.

    Returns:
        all memories by name; and per decision how many of its patches entered, and how many there were.
    """
    search = NearestSearch(base.features)
    memories, entered = dict(base.memories), {}
    for name in names_of(base):
        own = [(entry, patches) for entry, patches in decided if entry.decision == DIRT and entry.impurity == name]
        if own:
            memories[name], counts = _shown(memories[name], own, search, dataset)
            entered |= counts
    return memories, entered


def _shown(
    memory: Memory, decided: Sequence[tuple[Entry, RegionPatches]], nominal: NearestSearch, dataset: str
) -> tuple[Memory, dict[str, tuple[int, int]]]:
    held, dimension = memory.vectors.shape
    size = max(held, int(memory.settings.get("memory_size", held)))
    rule = {"eviction": memory.settings.get("eviction", LOWER_INDEX), "seed": int(memory.settings.get("seed", 0))}
    engine = CoresetEngine(size, dimension, initial=Coreset(memory.vectors, memory.patch_ids), **rule)
    sources, entered, seen = list(memory.sources), {}, memory.seen
    for entry, patches in decided:
        vectors, cells = patches.touched_vectors
        strange = nominal.distances(torch.from_numpy(vectors).to(nominal.device)).cpu().numpy() >= memory.level
        vectors, cells = vectors[strange], cells[strange]
        ids = patch_ids_of(np.full(len(vectors), len(sources), np.uint32), cells.astype(np.uint16))
        before = engine.filled
        replaced = engine.update(torch.from_numpy(vectors), ids)
        entered[entry.id] = (replaced + engine.filled - before, len(vectors))
        seen += len(vectors)
        sources.append((dataset, str(entry.image.get("name", ""))))
    result = engine.result()
    source, position = unpack_patch_ids(result.patch_ids)
    used, source = np.unique(source, return_inverse=True)
    whole = engine if engine.full else CoresetEngine(len(result.features), dimension, initial=result, **rule)
    return replace(
        memory, vectors=result.features, source=source.astype(np.uint32), position=position,
        sources=tuple(sources[row] for row in used), separation=whole.separation, covering_radius=None,
        converged=False, seen=seen, images=memory.images + len(decided),
    ), entered
