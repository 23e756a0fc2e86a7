# SPDX-License-Identifier: GPL-3.0-or-later
"""A headless render beside the window: another process of the same Blender, its progress, its end."""

import contextlib
import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import bpy

_FIRST_GUESS_S = 20.0
"""What a sample is taken to last before one is finished: only the bar between two samples depends on it."""


class BackgroundRender:
    """`blender -b -P render.py -- ARGUMENTS`, read without ever waiting for it."""

    def __init__(self, arguments: Sequence[str], what: str) -> None:
        self.what = what
        self.done, self.total = 0, 0
        self.new, self.folder = 0, ""
        self.device = ""
        self.exit_code: int | None = None
        self.stopped = False
        self._seconds_left: float | None = None
        self._sample_began = self._told = time.monotonic()
        self._said: list[str] = []
        self._lines: queue.SimpleQueue = queue.SimpleQueue()
        self._process = subprocess.Popen(
            [*_blender(), *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, encoding="utf-8", errors="replace", creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        self._reader = threading.Thread(target=self._read, name="background render", daemon=True)
        self._reader.start()

    def poll(self) -> bool:
        """Take in what the process said since; True while it runs."""
        ended = not self._reader.is_alive()  # asked first: what it read before its end is in the queue by then
        with contextlib.suppress(queue.Empty):
            while True:
                self._take(self._lines.get_nowait())
        if ended and self.exit_code is None:
            self.exit_code = self._process.wait()
        return self.exit_code is None

    def wait(self) -> None:
        self._reader.join()
        self.poll()

    def stop(self) -> None:
        """End the process. Finished samples are on disk, the one at work was never there."""
        self.stopped = True
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    @property
    def fraction(self) -> float:
        """How much is done, 0 to 1; within a sample by the time that the others took."""
        if not self.total:
            return 0.0
        within = min((time.monotonic() - self._sample_began) / self._seconds_each(), 0.95)
        return min((self.done + within) / self.total, 1.0) if self.done < self.total else 1.0

    @property
    def text(self) -> str:
        """The line under the bar."""
        if not self.total:
            return "Starting"
        left = self.seconds_left
        count = f"{self.done} of {self.total}" if self.total > 1 else "Rendering"
        return count if left is None else f"{count}, {_duration(left)} left"

    @property
    def seconds_left(self) -> float | None:
        if self._seconds_left is None:
            return None
        return max(self._seconds_left - (time.monotonic() - self._told), 0.0)

    @property
    def complaint(self) -> str:
        """What the process said last that is no progress: the reason of a failure."""
        own = [line for line in self._said if line.startswith("render.py: ")]
        return (own or self._said or ["Blender ended without a word"])[-1].removeprefix("render.py: ")

    def _seconds_each(self) -> float:
        missing = self.total - self.done
        return max(self._seconds_left / missing, 0.1) if self._seconds_left and missing else _FIRST_GUESS_S

    def _read(self) -> None:
        with self._process.stdout as lines:
            for line in lines:
                self._lines.put(line)

    def _take(self, line: str) -> None:
        try:
            event = json.loads(line)
            kind = event["event"]
        except (ValueError, TypeError, KeyError):
            if line.strip():
                self._said = [*self._said[-20:], line.strip()]
            return
        if kind in ("start", "sample", "finished", "end"):
            self.done, self.total = event["done"], event["total"]
        if kind in ("start", "sample"):
            self._sample_began = time.monotonic()
        if kind == "start":
            self.device = event["device"] or ""
        if "seconds_left" in event:
            self._seconds_left, self._told = event["seconds_left"], time.monotonic()
        if kind == "end":
            self.new, self.folder = event["new"], event["folder"]


def _blender() -> list[str]:
    """The command that runs the headless entry with this Blender, be it the executable or the module."""
    entry = str(Path(__file__).resolve().parents[1] / "render.py")
    if bpy.app.binary_path:
        return [bpy.app.binary_path, "-b", "--factory-startup", "-P", entry, "--"]
    return [sys.executable, entry]


def _duration(seconds: float) -> str:
    """ "40 s", "12 min", "3 h 20 min" """
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
