# SPDX-License-Identifier: Apache-2.0
"""What a command's result depends on, as a request: by it work that was done before is recognised and kept."""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..runtime.choices import AUTO, FILTERS, ONNX, TORCH
from ..runtime.errors import UserError
from ..runtime.progress import say, tell
from ..runtime.requests import Request, Standing, code_digest, digest_of, standing_of

if TYPE_CHECKING:
    from ..data.dataset import Dataset

_BEFORE_CODE_WAS_NOTED = "0.1.0"  # what requests held in place of the code; it never changed


def weights_place(weights: str, backbone: str) -> str:
    """ "hub", "none" or an absolute path."""
    if backbone == FILTERS and weights == "hub":
        return "none"
    return weights if weights in ("hub", "none") else str(Path(weights).resolve())


def weights_override(weights: str | None) -> str | None:
    return None if weights is None else weights_place(weights, "")


def file_digest(place: str) -> str:
    """Of the contents of a weights file: another file of the same name is another request."""
    if place in ("hub", "none"):
        return place
    try:
        return hashlib.sha256(Path(place).read_bytes()).hexdigest()[:16]
    except OSError as error:
        raise UserError(f"cannot read the weights file {place}: {error.strerror}") from error


def split_fingerprints(datasets: Sequence["Dataset"], split: str) -> list[list[object]]:
    """What training depends on of data sets: the records of one split, and whether the pictures were rendered.

    Raises:
        UserError: a data set without images in the split.
    """
    for dataset in datasets:
        dataset.split(split)
    return [[dataset.split_fingerprints[split], dataset.is_render] for dataset in datasets]


def request_of(command: str, code: Sequence[str], **inputs: object) -> Request:
    """The request of a command.

    Args:
        code: the modules that have a say in its result, see `result_code`.
        inputs: what else it depends on, JSON-ready.
    """
    return Request(digest_of({"command": command, **inputs}), code_digest(*code))


def earlier_request(command: str, **inputs: object) -> str:
    """What was written for these inputs before the code was noted."""
    return digest_of({"command": command, "version": _BEFORE_CODE_WAS_NOTED, **inputs})


class Requests:
    """The requests of a command that makes a model of images, by the engine that computes the features.

    Args:
        code: as for `request_of`.
        datasets: only their `split` counts.
        inputs: what else the model depends on, JSON-ready.
    """

    def __init__(
        self, command: str, code: Sequence[str], datasets: Sequence["Dataset"], split: str, **inputs: object
    ) -> None:
        self._command, self._code = command, code
        self._inputs = inputs | {"datasets": split_fingerprints(datasets, split), "split": split}
        self._earlier = inputs | {"datasets": [dataset.fingerprint for dataset in datasets], "split": split}

    def by(self, engine: str) -> Request:
        """That of "torch" or "onnx"; torch adds nothing, since all was made by it before there were others."""
        further = {} if engine == TORCH else {"engine": engine}
        request = request_of(self._command, self._code, **self._inputs, **further)
        return replace(request, earlier=earlier_request(self._command, **self._earlier, **further))

    def finished(self, engine: str) -> list[Request]:
        """Of the work that needs not be done again when "auto", "torch" or "onnx" is asked for."""
        return [self.by(known) for known in ((TORCH, ONNX) if engine == AUTO else (engine,))]


def is_finished(out: str, requests: Collection[Request], overwrite: bool) -> bool:
    """Whether the model file `out` already is what the command would make: a model of one of the requests.

    One that other code made from the same data and settings is not; it is made again, and stays until that is done.

    Raises:
        UserError: it holds something else, and --overwrite was not given.
    """
    from ..model.file import read_request

    path = Path(out)
    if path.is_dir():
        raise UserError(f"{out} is a folder; expected the name of the model file to write, such as {path / 'model.h5'}")
    if not path.exists() or overwrite:
        return False
    standing = standing_of(read_request(path), requests)
    if standing is Standing.SAME:
        tell(f"{out} was already made by this command from the same data; kept")
        return True
    if standing is Standing.OTHER:
        raise UserError(f"{out} exists and was made from other data or settings; give --overwrite, or another --out")
    say(f"{out} was made from the same data and settings by another state of this program's code; it is made again, "
        "and a threshold in it will have to be set again")
    return False
