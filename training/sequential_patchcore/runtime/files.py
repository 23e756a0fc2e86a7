# SPDX-License-Identifier: Apache-2.0
"""Write beside, then rename: a reader sees the old file or the whole new one, never a part."""

import glob
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import UserError


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; when the block ends well, it takes the name `path`.

    The temporary file keeps the suffix, since image writers choose the format by it. On any exception it is removed
    and `path` stays as it was. An `OSError` (no room, no permission) becomes a `UserError` that names `path`.
    """
    path = Path(path)
    beside = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        make_folder(path.parent)
        yield beside
        os.replace(beside, path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)


def remove_leftovers(path: str | Path) -> None:
    """Remove what a killed process left beside `path` of a file in the making; those of running ones stay."""
    path = Path(path)
    for beside in path.parent.glob(f".{glob.escape(path.stem)}.*.part{glob.escape(path.suffix)}"):
        pid = beside.name.removeprefix(f".{path.stem}.").removesuffix(f".part{path.suffix}")
        if pid.isdigit() and not _runs(int(pid)):
            with suppress(OSError):
                beside.unlink()


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)  # no signal is sent; only whether there is such a process is found out
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def write_text(path: str | Path, text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    with atomic_path(path) as beside:
        beside.write_text(text, encoding="utf-8")


def make_folder(path: str | Path) -> Path:
    """Make the folder and its parents.

    Raises:
        UserError: the folder cannot be made, or a file stands in its place.
    """
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {path}: {error.strerror or error}") from error
    return path


def check_replaceable(path: str | Path) -> None:
    """Refuse a file that is not to be written anew; better now than after a long job.

    Raises:
        UserError: the file is read-only, or its folder does not let it be replaced.
    """
    path = Path(path)
    try:
        read_only = not path.stat().st_mode & 0o222
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error
    if read_only or not os.access(path, os.W_OK):
        raise UserError(f"cannot write {path}: it is read-only; copy it, or allow it to be written")
    if not os.access(path.absolute().parent, os.W_OK):
        raise UserError(f"cannot write {path}: its folder is read-only; copy the file elsewhere")
