# SPDX-License-Identifier: Apache-2.0
"""What the parts of the engine say that they hold, against the arrays that they are found to hold."""

import numpy as np
import pytest
import torch
from sequential_patchcore.coreset import coverage, engine, greedy, screen, search, shortlist
from sequential_patchcore.coreset.engine import CoresetEngine
from sequential_patchcore.coreset.search import NearestSearch

SHAPES = ((256, 8, 1000), (1000, 40, 256), (300, 152, 300))  # K, D, B


def arrays_of(thing, seen):
    """Address -> bytes of every array that an object holds, directly or by its parts, shared memory once."""
    if isinstance(thing, torch.Tensor):
        storage = thing.untyped_storage()
        seen[storage.data_ptr()] = storage.nbytes()
    elif isinstance(thing, np.ndarray):
        whole = thing if thing.base is None else thing.base
        if isinstance(whole, np.ndarray):
            seen[whole.ctypes.data] = whole.nbytes
    elif hasattr(thing, "__dict__"):
        for part in vars(thing).values():
            arrays_of(part, seen)
    return seen


def held_by(thing):
    return sum(arrays_of(thing, {}).values())


@pytest.mark.parametrize(("size", "dimension", "chunk_size"), SHAPES)
def test_an_engine_at_work_holds_no_more_than_it_says_and_not_much_less(size, dimension, chunk_size):
    patches = torch.from_numpy(np.random.default_rng(0).normal(size=(4 * size, dimension)).astype(np.float32))
    coreset = CoresetEngine(size, dimension, chunk_size)
    coreset.update(patches, np.arange(len(patches)))
    coreset.watch()
    coreset.update(patches + 0.1, np.arange(len(patches)))
    lists = 3 * 8 * (size + chunk_size) + 8 * size  # what is K or B numbers long
    stated = engine.bytes_needed(size, dimension, chunk_size)
    # Of the statement, the shortlist's products and the patches that it leaves live for the time of a call only.
    passing = 4 * chunk_size * (size + dimension)
    assert stated - passing <= held_by(coreset) <= stated - passing + lists


@pytest.mark.parametrize(("size", "dimension", "chunk_size"), SHAPES)
def test_a_search_holds_no_more_than_it_says(size, dimension, chunk_size):
    vectors = np.random.default_rng(0).normal(size=(size, dimension)).astype(np.float32)
    passing = 4 * chunk_size * dimension  # the chunk, centred
    held = held_by(NearestSearch(vectors, "cpu", chunk_size))
    stated = search.bytes_needed(size, dimension, chunk_size)
    assert stated - passing <= held <= stated - passing + 8 * (size + dimension)


def test_the_whole_is_what_its_parts_say():
    size, dimension, chunk_size = 2048, 152, 512
    parts = sum(part.bytes_needed(size, dimension, chunk_size) for part in (screen, coverage, shortlist))
    own = 4 * size * dimension + 4 * chunk_size * dimension
    assert engine.bytes_needed(size, dimension, chunk_size) == own + parts
    # Four times the vectors, three matrices of a chunk, four times the chunk.
    assert own + parts == 4 * (4 * size * dimension + 3 * chunk_size * size + 4 * chunk_size * dimension)


def test_the_baseline_holds_every_patch():
    assert greedy.bytes_needed(2000, 9) == 2 * greedy.bytes_needed(1000, 9) >= 2000 * 9 * 4
