# SPDX-License-Identifier: Apache-2.0
"""The state of a run that makes memories, on disk beside the model that it will become."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ..coreset.sequential import SequentialCoreset
from ..runtime.files import atomic_path
from ..runtime.requests import Request
from .checkpoint import checkpoint_path, has_checkpoint, readable, seal


@dataclass
class MemoryState:
    """How far the run has come; between two images.

    Attributes:
        coresets: class name -> the memory as it stands.
        epoch: whole epochs done.
        images: images done in the epoch under way.
        seen, shown_on: per class, patches offered in the first epoch and images that offered some.
        done: classes that need no further epoch.
    """

    coresets: dict[str, SequentialCoreset]
    epoch: int = 0
    images: int = 0
    seen: dict[str, int] = field(default_factory=dict)
    shown_on: dict[str, int] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)


def save_memory_state(state: MemoryState, model: str | Path, request: Request) -> None:
    """Write the state beside the model-to-be, atomically."""
    runs: dict[str, Any] = {}
    with atomic_path(checkpoint_path(model)) as beside, h5py.File(beside, "w") as file:
        for number, (name, coreset) in enumerate(state.coresets.items()):
            stored = coreset.state_dict()
            runs[name] = {"group": str(number), "run": stored.pop("run")}
            group = file.create_group(str(number))
            for part, array in stored.items():
                group[part] = array
        file.attrs["request"] = str(request)
        told = {name: getattr(state, name) for name in ("epoch", "images", "seen", "shown_on")}
        file.attrs["memories"] = json.dumps(told | {"done": sorted(state.done), "runs": runs})
        seal(file)


def load_memory_state(model: str | Path, request: Request, empty: dict[str, SequentialCoreset]) -> MemoryState | None:
    """The state to go on from; None where there is none, or, with a word, one that other code has come to.

    Args:
        empty: the coresets to fill with what is stored, by class.

    Raises:
        UserError: it belongs to a run with other inputs, or is damaged.
    """
    if not has_checkpoint(model, request):
        return None
    with readable(checkpoint_path(model)) as file:
        told = json.loads(file.attrs["memories"])
        runs, done = told.pop("runs"), set(told.pop("done"))
        for name, stored in runs.items():
            arrays = {part: np.asarray(array) for part, array in file[stored["group"]].items()}
            empty[name].set_params(size=stored["run"]["size"]).load_state_dict({**arrays, "run": stored["run"]})
        return MemoryState({name: empty[name] for name in runs}, done=done, **told)
