# SPDX-License-Identifier: Apache-2.0
"""The time left: expected work by kind, at the pace at which jobs of that kind went so far."""

import time
from collections import defaultdict
from collections.abc import Sequence

from .jobs import Job
from .store import Done


class Estimate:
    """Of all jobs on so many slots."""

    def __init__(self, jobs: Sequence[Job], slots: int) -> None:
        self._left = {job.id: job for job in jobs}
        self._slots = slots
        self._work: dict[str, float] = defaultdict(float)
        self._seconds: dict[str, float] = defaultdict(float)

    def finished(self, job: Job, done: Done) -> None:
        self._left.pop(job.id, None)
        if not done.resumed:  # of a resumed job only the last part's time is known
            self._work[job.kind] += done.work
            self._seconds[job.kind] += sum(done.seconds.values())

    def pace(self, kind: str) -> float:
        """Seconds a unit of work; 1 as long as nothing is known."""
        return self._seconds[kind] / self._work[kind] if self._work[kind] else 1.0

    def seconds(self, running: Sequence = ()) -> float:
        """
        Args:
            running: jobs at work, with `job` and `began` (on the monotonic clock).
        """
        total = sum(job.work * self.pace(job.kind) for job in self._left.values())
        spent = sum(
            min(time.monotonic() - one.began, one.job.work * self.pace(one.job.kind)) for one in running
        )
        return (total - spent) / max(1, min(self._slots, len(self._left)))

    def left(self, running: Sequence, text: str) -> str:
        """`text` with the time in its braces; nothing when nothing is left."""
        return text.format(duration(self.seconds(running))) if self._left else ""


def duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
