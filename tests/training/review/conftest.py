# SPDX-License-Identifier: Apache-2.0
"""A base model and decisions made by code: vectors of length 4 on a grid of 6 x 8 cells, 8 pixels each."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sequential_patchcore.coreset.engine import CoresetEngine
from sequential_patchcore.extractors.grid import Grid
from sequential_patchcore.model.file import Model, Threshold
from sequential_patchcore.review.journal import Entry, new_entry
from sequential_patchcore.review.patches import RegionPatches, extractor_digest

EXTRACTOR = {
    "backbone": "filters", "image_scale": 1.0, "pool": 1, "unit_maps": False, "dimension": 4, "stride": 8,
    "offset": 3.5, "layers": [], "preprocessing": {}, "weights_fingerprint": "0", "weights": "none",
}
GRID = Grid((48, 64), (6, 8), 8, 3.5, 1.0)


@pytest.fixture(scope="session")
def base() -> Model:
    import torch

    rng = np.random.default_rng(0)
    engine = CoresetEngine(16, 4)
    stream = rng.normal(size=(200, 4)).astype(np.float32)
    engine.update(torch.from_numpy(stream), np.arange(200))
    found = engine.result()
    return Model(
        features=found.features, source=np.zeros(16, np.uint32),
        position=np.stack([found.patch_ids // 20, found.patch_ids % 20], 1).astype(np.uint16),
        sources=(("d", "train0"),),
        extractor=EXTRACTOR,
        settings={"blur_sigma": 2.0}, separation=engine.separation, covering_radius=1.0, converged=True,
        threshold=Threshold(4.0, "max_f1", {"dataset": "d", "fingerprint": "0", "split": "val"}),
    )


@pytest.fixture(scope="session")
def decided() -> Callable[..., tuple[Entry, RegionPatches]]:
    """Makes a decision on a region of an image that is drawn by a seed: decided(seed, decision, strange=1.0)."""

    def make(seed: int, decision: str, strange: float = 1.0, **further) -> tuple[Entry, RegionPatches]:
        rng = np.random.default_rng(seed)
        vectors = rng.normal(size=(6, 8, 4)).astype(np.float32)
        inside = np.zeros((48, 64), bool)
        y, x = int(rng.integers(0, 40)), int(rng.integers(0, 56))
        inside[y : y + int(rng.integers(2, 8)), x : x + int(rng.integers(2, 8))] = True
        vectors[GRID.touched_by(inside)] += strange * np.float32(rng.normal(size=4))
        image = rng.random((48, 64, 3)).astype(np.float32)
        patches = RegionPatches.of(vectors, GRID, 2.0, image, inside, extractor_digest(EXTRACTOR))
        entry = new_entry(
            "anna", decision, "0" * 16, {"name": f"p{seed}.png", "sha256": f"{seed:064x}", "size": [48, 64]},
            {"box": list(patches.box), "outline": [[x, y]], "score": 1.0}, **further,
        )
        return entry, patches

    return make


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "m.review"
