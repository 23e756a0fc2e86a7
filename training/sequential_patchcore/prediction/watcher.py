# SPDX-License-Identifier: Apache-2.0
"""Take picture files as they arrive in folders, each once it is no longer being written."""

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from .predictor import images_in

State = tuple[int, int]  # size, time of the last change in ns


def watch(
    folders: Sequence[Path], handle: Callable[[Path], None], settled: Callable[[], None], interval: float,
    idle_exit: float | None = None,
) -> None:
    """Hand over every picture in the folders, those already there first, until Ctrl-C, SIGTERM or nothing arrives.

    A file is handed over when its size and time are the same at two looks, and again when it changes later. Looking
    again and again needs no facility of the file system, so that network folders work too.

    Args:
        handle: called with each file.
        settled: called after each round in which files were handled.
        interval: seconds between looks.
        idle_exit: end after so many seconds without a new file; None goes on.

    Raises:
        UserError: a folder cannot be read any more.
    """
    done: dict[Path, State] = {}
    seen: dict[Path, State] = {}
    last = time.monotonic()
    with _terminated_like_interrupted():
        try:
            while True:
                before, seen = seen, _states(folders)
                ready = [
                    path for path, state in seen.items()
                    if before.get(path) == state and done.get(path) != state and state[0] > 0
                ]
                for path in ready:
                    handle(path)
                    done[path] = seen[path]
                if ready:
                    settled()
                changed = any(done.get(path) != state and state[0] > 0 for path, state in seen.items())
                if ready or changed:
                    last = time.monotonic()
                if idle_exit is not None and time.monotonic() - last >= idle_exit:
                    return
                time.sleep(interval)
        except KeyboardInterrupt:
            settled()


def _states(folders: Sequence[Path]) -> dict[Path, State]:
    found = {}
    for folder in folders:
        for path in images_in(folder):
            try:
                state = path.stat()
            except OSError:  # taken away meanwhile
                continue
            found[path] = (state.st_size, state.st_mtime_ns)
    return found


@contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    """SIGTERM, by which a service is stopped, ends the watch as Ctrl-C does."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
