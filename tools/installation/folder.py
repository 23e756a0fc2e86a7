# SPDX-License-Identifier: Apache-2.0
"""The folder of an environment: whether it is finished, what may be emptied, and what never is.

A finished environment holds `.done`, the text of what was asked for (`requirements.stamp`). It is written last and
taken away first, so an interrupted set-up is done again; and it is compared as text, so the age of files counts for
nothing.
"""

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path

STAMP = ".done"
# What `python -m venv` makes before it writes pyvenv.cfg; anything else in a folder is somebody's.
EARLY = {"bin", "include", "lib", "lib64", "share", STAMP, f"{STAMP}.part"}


def python_of(folder: Path) -> Path:
    return folder / "bin" / "python"


def is_finished(folder: Path, stamps: list[str]) -> bool:
    """Whether the environment's stamp is one of these, and its Python is there (a system's may have been removed)."""
    try:
        text = (folder / STAMP).read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return False
    return text in stamps and python_of(folder).exists()


def linked_part(folder: Path, repository: Path) -> Path | None:
    """The symbolic link on the way from the repository to the folder, the folder included; None if there is none."""
    folder = repository / folder
    parts = [folder, *folder.parents]
    within = parts[: parts.index(repository)] if repository in parts else parts[:1]
    return next((part for part in within if part.is_symlink()), None)


def refusal(folder: Path) -> str | None:
    """Why a folder must not be emptied to make an environment there; None if it may."""
    if not os.path.lexists(folder):
        return None
    if not folder.is_dir():
        return f"{folder} is a file; an environment is a folder"
    if (folder / "pyvenv.cfg").is_file():
        return None
    foreign = sorted({entry.name for entry in folder.iterdir()} - EARLY)
    if foreign:
        return f"{folder} is no environment (it has no pyvenv.cfg) but holds {foreign[0]}; it is left as it is"
    return None


def begin(folder: Path) -> None:
    """From here on the environment is not finished."""
    (folder / STAMP).unlink(missing_ok=True)


def finish(folder: Path, text: str) -> None:
    part = folder / f"{STAMP}.part"
    part.write_text(text, encoding="utf-8")
    part.replace(folder / STAMP)


@contextlib.contextmanager
def one_at_a_time(parent: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Two `make`s at once must not empty each other's work: the second waits. Where locks do not work, none is held."""
    parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(parent, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another make is setting up in {parent}; waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError as error:
            say(f"{parent} cannot be locked ({error.strerror}); do not run two set-ups at once")
        yield
    finally:
        os.close(handle)
