# SPDX-License-Identifier: Apache-2.0
"""What a command's result depends on, as a digest: by it work that was done before is recognised and kept."""

import hashlib
import json
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from .. import __version__
from ..runtime.choices import AUTO, FILTERS, ONNX, TORCH
from ..runtime.errors import UserError
from ..runtime.progress import tell

if TYPE_CHECKING:
    from ..data.dataset import Dataset


def weights_place(weights: str, backbone: str) -> str:
    """ "hub", "none" or an absolute path."""
    if backbone == FILTERS and weights == "hub":
        return "none"
    return weights if weights in ("hub", "none") else str(Path(weights).resolve())


def weights_override(weights: str | None) -> str | None:
    return None if weights is None else weights_place(weights, "")


def file_digest(place: str) -> str:
    if place in ("hub", "none"):
        return place
    try:
        return hashlib.sha256(Path(place).read_bytes()).hexdigest()[:16]
    except OSError as error:
        raise UserError(f"cannot read the weights file {place}: {error.strerror}") from error


def fingerprints(datasets: list["Dataset"]) -> list[str]:
    return [dataset.fingerprint for dataset in datasets]


class Requests:
    """The digests of a command that makes a model, by the engine that computes the features.

    Args: as for `request_digest`.
    """

    def __init__(self, command: str, **inputs: object) -> None:
        self._command, self._inputs = command, inputs

    def by(self, engine: str) -> str:
        """The digest for "torch" or "onnx"; torch adds nothing, since all was made by it before there were others."""
        return request_digest(self._command, **self._inputs, **({} if engine == TORCH else {"engine": engine}))

    def finished(self, engine: str) -> set[str]:
        """Of the work that needs not be done again when "auto", "torch" or "onnx" is asked for."""
        return {self.by(known) for known in ((TORCH, ONNX) if engine == AUTO else (engine,))}


def request_digest(command: str, **inputs: object) -> str:
    """The digest of a command and all that its result depends on; by it finished work is recognised."""
    text = json.dumps({"command": command, "version": __version__, **inputs}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def is_finished(out: str, requests: str | Collection[str], overwrite: bool) -> bool:
    """Whether `out` already holds what the command would make: a model of one of the requests.

    Raises:
        UserError: it holds something else, and --overwrite was not given.
    """
    from ..model.file import read_request

    path = Path(out)
    if path.is_dir():
        raise UserError(f"{out} is a folder; expected the name of the model file to write, such as {path / 'model.h5'}")
    if not path.exists() or overwrite:
        return False
    if read_request(path) in ({requests} if isinstance(requests, str) else requests):
        tell(f"{out} was already made by this command from the same data; kept")
        return True
    raise UserError(f"{out} exists and was made from other data or settings; give --overwrite, or another --out")
