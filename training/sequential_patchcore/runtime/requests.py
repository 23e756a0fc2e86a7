# SPDX-License-Identifier: Apache-2.0
"""What a result depends on, as digests: by them work that was done before is recognised.

A result is what it is by its inputs (data, settings, weights) and by the program's code that made it. Both are
written beside the result, so that it is kept where both are the same, and the reason can be told where one is not.
"""

import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


class Standing(Enum):
    """How a result that lies there stands to a request, the nearest first."""

    SAME = "the same"
    EARLIER = "from the same inputs, by a version that did not note its code"
    OTHER_CODE = "from the same inputs, by other code"
    OTHER = "from other inputs"


@dataclass(frozen=True)
class Request:
    """The inputs of a result and the code that makes it.

    Attributes:
        inputs: hex digest.
        code: hex digest; empty where the code is not looked at.
        earlier: what versions before this one wrote for the same inputs.
    """

    inputs: str
    code: str = ""
    earlier: str | None = None

    def __str__(self) -> str:
        """As it is written beside the result."""
        return f"{self.inputs}.{self.code}" if self.code else self.inputs

    def standing(self, written: str | None) -> Standing:
        """How the result stands beside which this was written."""
        if written == str(self):
            return Standing.SAME
        if written is None:
            return Standing.OTHER
        if written == self.earlier:
            return Standing.EARLIER
        inputs, dot, _ = written.partition(".")
        return Standing.OTHER_CODE if dot and inputs == self.inputs else Standing.OTHER


def standing_of(written: str | None, requests: Collection[Request]) -> Standing:
    """How a result stands to that of the requests which it is nearest to."""
    found = [request.standing(written) for request in requests]
    return min(found, key=list(Standing).index)


def digest_of(inputs: object) -> str:
    """16 hexadecimal digits of a JSON-ready value."""
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:16]


@cache
def code_digest(*places: str) -> str:
    """16 hexadecimal digits over the files of this program's packages and modules.

    Args:
        places: folders and files below the package, such as "coreset" or "data/png.py".

    Raises:
        ValueError: a place that does not exist.
    """
    sha = hashlib.sha256()
    for place in sorted(places):
        path = _PACKAGE / place
        if not path.exists():
            raise ValueError(f"the program has no {place}")
        files = [path] if path.is_file() else sorted(path.rglob("*"))
        for file in files:
            if file.is_file() and "__pycache__" not in file.parts:
                sha.update(f"{file.relative_to(_PACKAGE).as_posix()}\0".encode() + file.read_bytes())
    return sha.hexdigest()[:16]
