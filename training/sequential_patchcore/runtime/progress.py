# SPDX-License-Identifier: Apache-2.0
"""One progress display for every long job: a bar with a time left on stderr, or JSON lines on stdout."""

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

try:
    from tqdm import tqdm
except ImportError:  # where exported models run, there may be none: no bars then, but the lines
    tqdm = None

T = TypeVar("T")

_json_lines = False
_wording: Callable[[str], str] = str


def use_json_lines(on: bool = True) -> None:
    """Print one JSON object a line to stdout instead of bars; the command line's --json-progress."""
    global _json_lines
    _json_lines = on


def use_wording(wording: Callable[[str], str]) -> None:
    """How messages are put from now on; the command line names settings as its options (`UserError`)."""
    global _wording
    _wording = wording


def say(message: str) -> None:
    """A line for a person, on stderr; bars that are on the screen move below it."""
    message = _wording(message)
    if _json_lines:
        emit(event="message", text=message)
    elif tqdm is None:
        print(message, file=sys.stderr, flush=True)
    else:
        tqdm.write(message, file=sys.stderr)


def tell(result: str) -> None:
    """What a command came to, for a person, on stdout; there too, but as a JSON line, where those are on."""
    if _json_lines:
        emit(event="result", text=result)
    else:
        print(result, flush=True)


def emit(**record: object) -> None:
    """One machine-readable line on stdout."""
    print(json.dumps(record), flush=True)


def report(**facts: object) -> None:
    """Facts for programs alone: a JSON line where those are on, otherwise nothing."""
    if _json_lines:
        emit(**facts)


class Progress:
    """A counted job. Use as a context manager, call `step` after each unit, `note` for figures beside the bar."""

    def __init__(self, task: str, total: int, unit: str = "image", done: int = 0) -> None:
        self.task, self.total, self.done = task, total, done
        self._start, self._start_done = time.monotonic(), done
        self._bar = None
        if not _json_lines and tqdm is not None:
            form = "{desc}: {percentage:3.0f}% |{bar:24}| {n_fmt}/{total_fmt} {unit}s, {remaining} left{postfix}"
            self._bar = tqdm(
                total=total, initial=done, desc=task, unit=unit, file=sys.stderr, bar_format=form,
                mininterval=0.2 if sys.stderr.isatty() else 5.0,
            )

    def step(self, count: int = 1) -> None:
        self.done += count
        if self._bar is not None:
            self._bar.update(count)
        elif _json_lines:
            finished = self.done - self._start_done
            left = (time.monotonic() - self._start) / finished * (self.total - self.done) if finished else None
            emit(event="progress", task=self.task, done=self.done, total=self.total, seconds_left=left)

    def note(self, text: str) -> None:
        if self._bar is not None:
            self._bar.set_postfix_str(text, refresh=False)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._bar.close()


def track(items: Iterable[T], task: str, total: int, unit: str = "image") -> Iterator[T]:
    """Iterate with a progress bar."""
    with Progress(task, total, unit) as progress:
        for item in items:
            yield item
            progress.step()
