# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a job is: a line for people on stderr, or JSON lines for programs on stdout."""

import json
import sys
import time
from typing import Any


class Progress:
    """Counts samples. Time left is the mean time of the samples of this run times those that are missing."""

    def __init__(self, as_json: bool) -> None:
        self._json = as_json
        self._done = self._total = self._new = 0
        self._began = time.monotonic()

    def start(self, total: int, done: int, device: str | None) -> None:
        """The job begins; `device` is None where there is nothing to render."""
        self._total, self._done, self._began = total, done, time.monotonic()
        if self._json:
            self._event("start", total=total, done=done, device=device)
        else:
            kept = f", {done} of them finished before" if done else ""
            what = f"; rendering on {device}" if device else ""
            self._line(f"{total} samples{kept}{what}\n")

    def sample(self, name: str) -> None:
        """A sample begins."""
        if self._json:
            self._event("sample", id=name, done=self._done, total=self._total, seconds_left=self._seconds_left())
        elif sys.stderr.isatty():
            self._line(self._status(f"rendering {name}"))

    def finished(self, name: str) -> None:
        """A sample is whole."""
        self._done += 1
        self._new += 1
        if self._json:
            self._event("finished", id=name, done=self._done, total=self._total, seconds_left=self._seconds_left())
        else:
            self._line(self._status(name) + "\n")

    def end(self, folder: str) -> None:
        if self._json:
            self._event("end", done=self._done, total=self._total, new=self._new, folder=folder)
        else:
            sys.stdout.write(f"{folder}: {self._total} samples, {self._new} rendered now\n")
            sys.stdout.flush()

    def note(self, text: str) -> None:
        if self._json:
            self._event("note", text=text)
        else:
            self._line(text + "\n")

    def _status(self, what: str) -> str:
        left = self._seconds_left()
        remaining = "" if not left else f"  about {duration(left)} left"
        return f"{self._done:>{len(str(self._total))}}/{self._total}  {what}{remaining}"

    def _seconds_left(self) -> float | None:
        if not self._new:
            return None
        seconds_per_sample = (time.monotonic() - self._began) / self._new
        return round(seconds_per_sample * (self._total - self._done), 1)

    def _line(self, text: str) -> None:
        clear = "\r\x1b[K" if sys.stderr.isatty() else ""
        sys.stderr.write(clear + text)
        sys.stderr.flush()

    def _event(self, event: str, **values: Any) -> None:
        sys.stdout.write(json.dumps({"event": event, **values}) + "\n")
        sys.stdout.flush()


def duration(seconds: float) -> str:
    """Seconds in words: "40 s", "12 min", "3.5 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
