# SPDX-License-Identifier: Apache-2.0
"""The state of a training run on disk, beside the model it will become."""

import hashlib
import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ..coreset.engine import Coreset
from ..coreset.epochs import close_epoch
from ..model.hdf5 import open_hdf5
from ..runtime.errors import UserError
from ..runtime.files import atomic_path
from ..runtime.progress import say
from ..runtime.requests import Request, Standing, standing_of

_SEAL = "sha256"


@dataclass
class Checkpoint:
    """How far a run has come; between two images.

    Attributes:
        coreset: as it stands; None before the first image.
        epoch: whole epochs done.
        images: images done in the epoch under way.
        replacements: in the epoch under way.
        converged: the last whole epoch replaced nothing.
        log: one mapping per whole epoch.
        watched: the coreset at the beginning of the epoch under way, whose covering radius the epoch measures.
        watched_sq: the largest squared distance found so far.
    """

    coreset: Coreset | None = None
    epoch: int = 0
    images: int = 0
    replacements: int = 0
    converged: bool = False
    log: list[dict[str, Any]] = field(default_factory=list)
    watched: np.ndarray | None = None
    watched_sq: float = 0.0

    def finish_epoch(self, separation: float, radius: float | None) -> None:
        """Close the epoch; the arguments are those of `coreset.epochs.close_epoch`."""
        self.converged = close_epoch(self.log, self.replacements, separation, radius)
        self.watched, self.watched_sq = None, 0.0
        self.epoch, self.images, self.replacements = self.epoch + 1, 0, 0


def checkpoint_path(model: str | Path) -> Path:
    """Where the state of the run that makes a model lies."""
    model = Path(model)
    return model.with_name(f"{model.name}.checkpoint")


def save_checkpoint(state: Checkpoint, model: str | Path, request: Request) -> None:
    """Write the state beside the model-to-be, atomically."""
    with atomic_path(checkpoint_path(model)) as beside, h5py.File(beside, "w") as file:
        if state.coreset is not None:
            file["features"], file["tags"] = state.coreset.features, state.coreset.patch_ids
        if state.watched is not None:
            file["watched"] = state.watched
        file.attrs["request"] = str(request)
        file.attrs["state"] = json.dumps(
            {name: getattr(state, name) for name in ("epoch", "images", "replacements", "converged", "log")}
            | {"watched2": state.watched_sq}  # the name in the file is older than the attribute's
        )
        seal(file)


def seal(file: h5py.File) -> None:
    """Write the digest of all that a checkpoint holds into it, as the last part."""
    file.attrs[_SEAL] = _digest(file)


def _digest(file: h5py.File) -> str:
    """SHA-256 of a file's arrays and of its attributes.

    Raises:
        ValueError: an array holds less than it declares.
    """
    names: list[str] = []
    file.visit(names.append)
    told = sorted((name, str(value)) for name, value in file.attrs.items() if name != _SEAL)
    sha = hashlib.sha256(json.dumps([names, told]).encode())
    for name in names:
        array = file[name]
        if isinstance(array, h5py.Dataset):
            if array.external or array.is_virtual or array.id.get_storage_size() < array.nbytes:
                raise ValueError(f"{name} declares the shape {array.shape} and holds less")
            sha.update(f"{array.dtype.str} {array.shape}".encode() + np.ascontiguousarray(array[()]).tobytes())
    return sha.hexdigest()


def check_resumable(model: str | Path, requests: Collection[Request]) -> None:
    """That there is a checkpoint which a run of one of these requests goes on from.

    Raises:
        UserError: none, or one of other code. What else may be wrong with it is told when it is read.
    """
    path = checkpoint_path(model)
    if not path.exists():
        raise UserError(f"`resume`: there is no {path} to go on from; leave `resume` out to begin")
    if standing_of(_request_in(path), requests) is Standing.OTHER_CODE:
        raise UserError(
            f"`resume`: {path} was made by another state of this program's code; leave `resume` out to begin anew"
        )


def is_under_way(model: str | Path, requests: Collection[Request]) -> bool:
    """Whether there is a checkpoint of just one of these requests."""
    path = checkpoint_path(model)
    return path.exists() and standing_of(_request_in(path), requests) is Standing.SAME


def load_checkpoint(model: str | Path, request: Request) -> Checkpoint | None:
    """The state to go on from; None where there is none, or, with a word, one that other code has come to.

    Raises:
        UserError: it belongs to a run with other inputs, or is damaged.
    """
    path = checkpoint_path(model)
    if not has_checkpoint(model, request):
        return None
    with readable(path) as file:
        coreset = None
        if "features" in file:
            coreset = Coreset(file["features"][()].astype(np.float32), file["tags"][()].astype(np.int64))
        watched = file["watched"][()].astype(np.float32) if "watched" in file else None
        told = json.loads(file.attrs["state"])
        return Checkpoint(coreset=coreset, watched=watched, watched_sq=told.pop("watched2"), **told)


def has_checkpoint(model: str | Path, request: Request) -> bool:
    """Whether a run of this request has a checkpoint to go on from; one of other code is none, with a word.

    Raises:
        UserError: there is one of a run with other inputs, or a damaged one.
    """
    path = checkpoint_path(model)
    if not path.exists():
        return False
    standing = request.standing(_request_in(path))
    if standing is Standing.OTHER:
        raise UserError(
            f"{path} belongs to a run with other data or settings; give `restart` to drop it, or another `out`"
        )
    if standing is Standing.OTHER_CODE:
        say(f"{path} was made by another state of this program's code; beginning anew")
        return False
    return True


def _request_in(path: Path) -> str:
    with readable(path, sealed=False) as file:  # one of an earlier state of the code has no seal
        return str(file.attrs["request"])


@contextmanager
def readable(path: Path, sealed: bool = True) -> Iterator[h5py.File]:
    """A checkpoint, opened; what goes wrong inside the block is told as damage.

    Args:
        sealed: it must hold what was written, to the bit, where it says what that was.

    Raises:
        UserError: damaged.
    """
    try:
        with open_hdf5(path) as file:
            contents = _digest(file) if sealed else ""
            if sealed and file.attrs.get(_SEAL, contents) != contents:  # an earlier program wrote none
                raise ValueError("its contents are not those that were written")
            yield file
    except UserError as error:
        raise UserError(f"{path}: {error}; give `restart` to drop it and begin anew") from error
    except (OSError, KeyError, TypeError, ValueError, RuntimeError, MemoryError) as error:
        raise UserError(f"{path} is damaged ({error}); give `restart` to drop it and begin anew") from error
