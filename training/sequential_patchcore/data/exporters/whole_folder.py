# SPDX-License-Identifier: Apache-2.0
"""An export is a whole folder or none."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...runtime.errors import UserError
from ...runtime.files import make_folder
from ...runtime.locks import locked


@contextmanager
def whole_folder(out: str | Path) -> Iterator[Path]:
    """Yield a folder beside `out` that takes its name when the block ends well, and vanishes otherwise.

    Raises:
        UserError: `out` exists and is not empty, cannot be written, or is being written by another process.
    """
    out = Path(out)
    with locked(out):
        yield from _whole_folder(out)


def _whole_folder(out: Path) -> Iterator[Path]:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} exists and is not empty; choose another folder")
    make_folder(out.parent)
    try:
        with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as beside:
            folder = make_folder(Path(beside) / out.name)
            yield folder
            folder.replace(out)
    except OSError as error:
        raise UserError(f"cannot write {out}: {error.strerror or error}") from error
