# SPDX-License-Identifier: GPL-3.0-or-later
"""One writer for each record file: a lock beside it says which process of which machine is at work.

The operating system's lock on the file (flock) ends with its process, so what a killed one left behind is taken over.
It does not always reach other machines: a lock that names another machine is respected. Where there is no flock, as on
Windows, the process that the lock names is looked for.
"""

import json
import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import UserError

try:
    import fcntl
except ImportError:
    fcntl = None

ENDING = ".lock"


def lock_of(records: Path) -> Path:
    """The lock of a record file."""
    return records.with_name(f".{records.name}{ENDING}")


@contextmanager
def held(file: Path, say: Callable[[str], None] = lambda text: None) -> Iterator[None]:
    """Hold the lock `file`, whose folder is there; it vanishes at the end.

    Args:
        say: is told when a lock is taken over from a process that ended without finishing.

    Raises:
        UserError: another process holds it, or it cannot be written.
    """
    descriptor = _open(file)
    try:
        certain = _flock(descriptor, file)
        earlier = _read(file)
        if earlier is not None:
            if earlier.get("host") != platform.node() or (not certain and _lives(earlier.get("pid"))):
                raise _refusal(file, earlier)
            say(f"{file.parent}: going on after process {earlier.get('pid')}, which ended without finishing")
        own = {"host": platform.node(), "pid": os.getpid(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, json.dumps(own).encode())
        try:
            yield
        finally:
            with suppress(OSError):
                if fcntl is None:  # an open file cannot be removed there
                    os.ftruncate(descriptor, 0)
                else:
                    file.unlink()
    finally:
        os.close(descriptor)


def refuse_others(folder: Path, own: Path) -> None:
    """
    Raises:
        UserError: another record file of the folder has a lock whose process lives, or may live.
    """
    for file in sorted(folder.glob(f".*{ENDING}")):
        if file == own or (holder := _read(file)) is None:
            continue
        descriptor = _open(file)
        try:
            certain = _flock(descriptor, file)
        finally:
            os.close(descriptor)
        if holder.get("host") != platform.node() or (not certain and _lives(holder.get("pid"))):
            raise _refusal(file, holder)


def _open(file: Path) -> int:
    """The lock file, opened; if its holder removes it meanwhile, it is made once more."""
    try:
        return os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise UserError(f"cannot write {file.parent}: {error.strerror or error}") from error


def _flock(descriptor: int, file: Path) -> bool:
    """Whether the operating system vouches that nobody else holds the file."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise _refusal(file, _read(file) or {}) from error
    except OSError:  # a file system without locks
        return False
    try:
        same = os.path.samestat(os.fstat(descriptor), os.stat(file))
    except FileNotFoundError:
        same = False
    if not same:  # its holder ended between the opening and the lock
        raise UserError(f"{file.parent}: another process has just ended its work here; call again")
    return True


def _refusal(file: Path, holder: dict) -> UserError:
    host = holder.get("host")
    where = "on this machine" if host == platform.node() else f"on the machine {host!r}"
    who = f"process {holder['pid']} {where}, since {holder.get('since')}" if "pid" in holder else "another process"
    help_ = "wait until it has ended, or share the work between processes with --shard 1/2 and --shard 2/2"
    if host not in (None, platform.node()):
        help_ += f"; if it ended without doing so, remove {file}"
    return UserError(f"{file.parent} is being written by {who}; {help_}")


def _read(file: Path) -> dict | None:
    """Who holds a lock, by what it says; None where it says nothing."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and isinstance(found.get("pid"), int) else None


def _lives(pid: int) -> bool:
    if os.name == "nt":  # there os.kill would end the process
        import ctypes

        handle = ctypes.windll.kernel32.OpenProcess(0x1000, False, pid)  # PROCESS_QUERY_LIMITED_INFORMATION
        if handle:
            ctypes.windll.kernel32.CloseHandle(handle)
        return bool(handle)
    try:
        os.kill(pid, 0)  # no signal is sent; only whether there is such a process is found out
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
