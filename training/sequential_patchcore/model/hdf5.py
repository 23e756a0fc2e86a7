# SPDX-License-Identifier: Apache-2.0
"""An HDF5 file opened so that a damaged one does no harm: the library crashes, or goes round for ever, on some."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from ..runtime.errors import UserError
from ..runtime.files import opened

try:
    import resource
except ImportError:  # Windows: there the file is read without a look ahead
    resource = None

_SECONDS = 2
"""Of processor time for the look ahead, which takes milliseconds on a sound file."""
_SPACE = 2 << 30
"""Bytes of address space that the look ahead may take on top of what the process has."""
_LARGEST = 64 << 20
"""Bytes of one part that are unpacked in the look ahead; a larger one is never packed by this program."""

_looked_at: set[tuple] = set()


@contextmanager
def open_hdf5(path: str | Path) -> Iterator[h5py.File]:
    """The file, open for reading, after a child process has been through its structure.

    Raises:
        OSError: it cannot be opened, is no HDF5 file, or is no file.
        UserError: the library does not come through its structure.
    """
    with opened(path) as plain:
        facts = os.fstat(plain.fileno())
    known = (facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns)
    if known not in _looked_at:
        _look_ahead(path)
        _looked_at.add(known)
    with h5py.File(path, "r") as file:
        yield file


def _look_ahead(path: str | Path) -> None:
    """Let a child read attributes and what is packed; a crash there is one line here.

    The child is forked, not started anew: a few milliseconds in place of the imports' quarter of a second. It does
    nothing but call the HDF5 library, and leaves without any clean-up of ours.
    """
    if resource is None or not hasattr(os, "fork"):
        return
    with h5py._objects.phil:  # no other thread is inside the library while the process is copied
        child = os.fork()
        if child == 0:
            try:
                _limit()
                _read_through(path)
            finally:
                os._exit(0)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code in (-signal.SIGXCPU, -signal.SIGKILL):
        raise UserError("damaged: the HDF5 library comes to no end with its structure")
    if code < 0:
        raise UserError(f"damaged: the HDF5 library crashes on its structure ({signal.Signals(-code).name})")


def _limit() -> None:
    for number in (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGXCPU):
        signal.signal(number, signal.SIG_DFL)
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 2)  # what the library or the allocator says of its crash
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS, _SECONDS + 1))
    if os.path.exists("/proc/self/statm"):
        with open("/proc/self/statm", encoding="ascii") as statm:
            space = int(statm.read().split()[0]) * os.sysconf("SC_PAGE_SIZE") + _SPACE
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (space if hard < 0 else min(space, hard), hard))


def _read_through(path: str | Path) -> None:
    """All attributes, and the parts that are more than bytes in a row; errors are the reader's to tell."""
    with h5py.File(path, "r") as file:
        _try(lambda: _attributes(file))
        names: list[str] = []
        _try(lambda: file.visit(names.append))
        for name in names:
            if isinstance(_try(lambda name=name: file.get(name, getlink=True)), h5py.HardLink | None):
                _try(lambda name=name: _part(file[name]))


def _try(act):
    try:
        return act()
    except Exception:
        return None


def _attributes(place: h5py.Group | h5py.Dataset) -> None:
    for name in place.attrs:
        _try(lambda name=name: place.attrs[name])


def _part(part: h5py.Group | h5py.Dataset) -> None:
    _attributes(part)
    if not isinstance(part, h5py.Dataset):
        return
    plain = part.chunks is None and part.dtype.kind in "fiu" and not part.external and not part.is_virtual
    if not plain and part.nbytes <= _LARGEST and not part.external and not part.is_virtual:
        part[()]
