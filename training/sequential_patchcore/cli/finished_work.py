# SPDX-License-Identifier: Apache-2.0
"""What a command's result depends on, as a request: by it work that was done before is recognised and kept."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..runtime.choices import FILTERS
from ..runtime.errors import UserError
from ..runtime.progress import say, tell
from ..runtime.requests import Request, Standing, code_digest, digest_of

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


def whole_fingerprints(datasets: Sequence["Dataset"]) -> list[str]:
    return [dataset.fingerprint for dataset in datasets]


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


def is_finished(out: str, request: Request, overwrite: bool) -> bool:
    """Whether the model file `out` already is what the command would make.

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
    standing = request.standing(read_request(path))
    if standing is Standing.SAME:
        tell(f"{out} was already made by this command from the same data; kept")
        return True
    if standing is Standing.OTHER:
        raise UserError(f"{out} exists and was made from other data or settings; give --overwrite, or another --out")
    say(f"{out} was made from the same data and settings by another state of this program's code; it is made again, "
        "and a threshold in it will have to be set again")
    return False
