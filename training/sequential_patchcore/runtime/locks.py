# SPDX-License-Identifier: Apache-2.0
"""One writer at a time: who writes a folder or a file holds a lock beside it."""

import json
import os
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from .errors import UserError
from .files import make_folder
from .progress import say

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


@dataclass(frozen=True)
class Holder:
    """Who holds a lock.

    Attributes:
        host: name of the machine.
        pid: process number on it.
        started: when that process began, in the clock ticks of /proc, to tell it from a later one of the same number;
            None where that is not known.
        since: when the lock was taken, local time.
        command: what it runs.
    """

    host: str
    pid: int
    started: int | None
    since: str
    command: str


@contextmanager
def locked(path: str | Path) -> Iterator[None]:
    """Hold the lock of what is going to be written at `path`, a file or a folder.

    The lock is the file `.NAME.lock` beside it (in the folder itself where its parent cannot be written), which names
    the holder and vanishes at the end, as do folders that were made for it and stayed empty. The operating system's
    own lock on that file (flock) tells whether its holder lives; it ends with the process, so that a lock that a killed
    process left is taken over, with a word. Between machines flock does not always reach: a lock of another machine is
    always respected.

    Raises:
        UserError: somebody else is writing there, who and where; or the lock cannot be written.
    """
    path = Path(path)
    missing = [folder for folder in Path(os.path.abspath(path)).parents if not folder.exists()]
    file = _lock_file(path)
    with _opened(file, path) as (descriptor, certain):
        holder = _read(descriptor)
        if holder is not None:
            _take_over(holder, path, file, certain)
        own = Holder(platform.node(), os.getpid(), _start_of(os.getpid()), time.strftime("%Y-%m-%d %H:%M:%S"),
                     " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])[:200])
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(asdict(own)).encode(), 0)
        try:
            yield
        finally:
            with suppress(OSError):  # a folder that was moved away took its lock along; what holds files stays
                file.unlink(missing_ok=True)
                for folder in missing:
                    folder.rmdir()


def _lock_file(path: Path) -> Path:
    parent = Path(os.path.abspath(path)).parent
    make_folder(parent)
    if not os.access(parent, os.W_OK) and path.is_dir():
        return path / ".lock"
    return parent / f".{path.name}.lock"


@contextmanager
def _opened(file: Path, path: Path) -> Iterator[tuple[int, bool]]:
    """The lock file's descriptor, locked by the system; and whether that is certain."""
    while True:
        try:
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise UserError(f"cannot write {path}: {error.strerror or error} (making {file.name} beside it)") from error
        try:
            certain = _flock(descriptor, path, file)
            # Its holder may have removed the file between our opening and our lock: then it is nobody's any more.
            if _is_same(descriptor, file):
                yield descriptor, certain
                return
        finally:
            os.close(descriptor)


def _is_same(descriptor: int, file: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(file))
    except FileNotFoundError:
        return False


def _flock(descriptor: int, path: Path, file: Path) -> bool:
    if fcntl is None:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise _refusal(_read(descriptor), path, file) from error
    except OSError:  # a file system without locks
        return False
    return True


def _take_over(holder: Holder, path: Path, file: Path, certain: bool) -> None:
    """The file is there and names a holder, although the system's lock is ours.

    Raises:
        UserError: the holder may live.
    """
    if holder.host != platform.node() or (not certain and _lives(holder)):
        raise _refusal(holder, path, file)
    say(f"{path}: taking over from process {holder.pid}, which ended without finishing (since {holder.since}: "
        f"{holder.command})")


def _refusal(holder: Holder | None, path: Path, file: Path) -> UserError:
    if holder is None:
        return UserError(f"{path} is being written by another process; wait until it has ended")
    where = "on this machine" if holder.host == platform.node() else f"on the machine {holder.host!r}"
    who = f"{path} is being written by process {holder.pid} {where} (since {holder.since}: {holder.command})"
    if holder.host == platform.node():
        return UserError(f"{who}; wait until it has ended, or write elsewhere")
    return UserError(f"{who}; wait until it has ended, or remove {file} if it ended without doing so")


def _read(descriptor: int) -> Holder | None:
    """The holder that the lock file names; None where it names none (yet)."""
    try:
        return Holder(**json.loads(os.pread(descriptor, 65536, 0)))
    except (OSError, ValueError, TypeError):
        return None


def _lives(holder: Holder) -> bool:
    try:
        os.kill(holder.pid, 0)  # no signal is sent; only whether there is such a process is found out
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return holder.started is None or _start_of(holder.pid) in (None, holder.started)


def _start_of(pid: int) -> int | None:
    """When a process began, in clock ticks since the machine's start: field 22 of /proc/PID/stat, proc(5)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        return int(text.rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return None
