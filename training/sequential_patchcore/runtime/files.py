# SPDX-License-Identifier: Apache-2.0
"""Write beside, then rename: a reader sees the old file or the whole new one, never a part."""

import errno
import glob
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path
from typing import BinaryIO

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


@contextmanager
def opened(path: str | Path) -> Iterator[BinaryIO]:
    """A file, open for reading.

    A pipe, a socket or a device under the name of a file would be waited for, or read, without end, and is refused.
    What this process was given open, /dev/stdin or a shell's `<(command)`, is read as it comes.

    Raises:
        OSError: it cannot be opened, or is no file.
    """
    with open(path, "rb", opener=None if _was_given(path) else _open_regular) as file:
        yield file


def read_bytes(path: str | Path) -> bytes:
    """The whole of a file, see `opened`.

    Raises:
        OSError: it cannot be read, or is no file.
    """
    with opened(path) as file:
        return file.read()


def read_text(path: str | Path, encoding: str = "utf-8-sig") -> str:
    """The whole of a text file with "\\n" at the ends of its lines, see `opened`; without a byte order mark.

    Raises:
        OSError: it cannot be read, or is no file.
        UnicodeDecodeError: it is of another encoding.
    """
    with opened(path) as file, TextIOWrapper(file, encoding) as text:
        return text.read()


def _was_given(path: str | Path) -> bool:
    return os.fspath(path).startswith(("/dev/fd/", "/proc/self/fd/", "/dev/stdin"))


def _open_regular(path: str, flags: int) -> int:
    descriptor = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))  # an open pipe would wait for who writes it
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return descriptor
    os.close(descriptor)
    raise OSError(errno.EINVAL, "it is a pipe or a device, expected a file")


def write_text(path: str | Path, text: str) -> None:
    """Write `text` as UTF-8, atomically; a file's name in it that is no UTF-8 is written with backslashes."""
    with atomic_path(path) as beside:
        beside.write_text(text, encoding="utf-8", errors="backslashreplace")


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
