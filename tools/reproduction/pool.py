# SPDX-License-Identifier: Apache-2.0
"""Run jobs side by side: as many processes as fit, what is finished kept, an interrupt passed on."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sequential_patchcore.runtime.errors import UserError
from sequential_patchcore.runtime.files import make_folder

from .estimate import Estimate, duration
from .jobs import Job
from .store import Done, fingerprint, folder_of, read_done, take_spent, write_done, write_spent

_TICK = 0.1
_HEARTBEAT = 60.0
_PATIENCE = 120.0
_LOCK_SECONDS = 60.0
_LOG = "log.txt"


@dataclass(frozen=True)
class Failure:
    code: int
    text: str
    log: Path | None


@dataclass
class Outcome:
    """Ids of jobs to what became of them; `folders` of the finished ones; how many of them were finished before."""

    done: dict[str, Done] = field(default_factory=dict)
    folders: dict[str, Path] = field(default_factory=dict)
    failed: dict[str, Failure] = field(default_factory=dict)
    interrupted: bool = False
    kept: int = 0


class _Running:
    """A job at work: one process after the other."""

    def __init__(
        self, job: Job, folder: Path, of: str, needs: Mapping[str, Path], environment: dict, lock: int
    ) -> None:
        self.job, self.folder, self.fingerprint = job, folder, of
        before = take_spent(folder)
        self.resumed = folder.exists() and before is None
        self.seconds, self.cpu_seconds = before or ({}, {})
        make_folder(folder)
        self._environment, self._lock = environment, lock
        self._left = job.commands(folder, needs)
        self.peak_mib = 0.0
        self.began = time.monotonic()
        self._next()

    def _next(self) -> None:
        self._step, command = self._left.pop(0)
        self._step_began = time.monotonic()
        with open(self.folder / _LOG, "ab") as log:
            # A session of its own: Ctrl-C in a terminal reaches the children only through us, once.
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._environment,
                pass_fds=(self._lock,), start_new_session=True,
                preexec_fn=_die_with_parent if sys.platform == "linux" else None,
            )

    def poll(self) -> int | None:
        """The exit code of the job: None while it works, 0 when its last step has ended well."""
        pid, status, usage = os.wait4(self._process.pid, os.WNOHANG)
        if not pid:
            return None
        code = self._process.returncode = os.waitstatus_to_exitcode(status)
        for spent, more in ((self.seconds, time.monotonic() - self._step_began),
                            (self.cpu_seconds, usage.ru_utime + usage.ru_stime)):
            spent[self._step] = round(spent.get(self._step, 0.0) + more, 2)
        per_mib = 1024 if sys.platform == "linux" else 1024**2
        self.peak_mib = max(self.peak_mib, round(usage.ru_maxrss / per_mib, 1))
        if code == 0 and self._left:
            self._next()
            return None
        return code

    def send(self, number: int) -> None:
        if self._process.returncode is None:
            self._process.send_signal(number)

    def last_line(self) -> str:
        return last_line(self.folder / _LOG)


def run_jobs(
    jobs: Sequence[Job], root: Path, versions: Mapping[str, Mapping[str, str]], slots: int, memory_gib: float,
    threads: int, lock: int, result_of: Callable[[Job, Path], str | None], say: Callable[[str], None],
) -> Outcome:
    """Run what is not finished, in order of need.

    Args:
        jobs: each after those that it needs.
        versions: kind of job to the versions of its programs, for the fingerprints.
        slots: processes at a time; fewer where they would need more than `memory_gib` together.
        lock: an open file that the processes hold too, so that nobody comes in while one of them lives.
        result_of: what a finished job hands to those that need it, where that is not its fingerprint.
    """
    found, waiting, running = Outcome(), list(jobs), []
    environment = os.environ | {
        name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS",
                                        "OPENBLAS_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")
    }
    estimate = Estimate(jobs, slots)
    asked = _Asked()
    beat = time.monotonic()
    told = 0

    def finish(job: Job, folder: Path, done: Done) -> None:
        found.done[job.id], found.folders[job.id] = done, folder
        estimate.finished(job, done)

    def ready() -> Iterator[Job]:
        for job in list(waiting):
            if any(need in found.failed for need in job.needs):
                waiting.remove(job)
                found.failed[job.id] = Failure(0, "what it needs is missing", None)
            elif all(need in found.done for need in job.needs):
                yield job

    with _listening(asked):
        while running or (waiting and not asked.count):
            for one in [*running]:
                code = one.poll()
                if code is None:
                    continue
                running.remove(one)
                if code or not (one.folder / one.job.product).exists():
                    found.failed[one.job.id] = Failure(code, one.last_line(), one.folder / _LOG)
                    if asked.count:
                        write_spent(one.folder, one.seconds, one.cpu_seconds)
                    else:
                        say(f"{one.job.title} failed (exit code {code}): {one.last_line()}; log: {one.folder / _LOG}")
                    continue
                result = result_of(one.job, one.folder) or one.fingerprint
                done = Done(one.fingerprint, result, one.seconds, one.cpu_seconds, one.resumed, one.peak_mib,
                            one.job.work, round(os.getloadavg()[0], 1), time.strftime("%Y-%m-%d"))
                write_done(one.folder, done)
                finish(one.job, one.folder, done)
                say(f"[{len(found.done)}/{len(jobs)}] {one.job.title}: {duration(sum(done.seconds.values()))}"
                    f"{estimate.left(running, ', about {} left')}")
            for job in ready() if not asked.count else ():
                needs = {need: found.done[need].result for need in job.needs}
                of = fingerprint({"id": job.id, **job.settings}, needs, versions[job.kind])
                folder = folder_of(root, job.id, of)
                done = read_done(folder)
                if done is not None and (folder / job.product).exists():
                    waiting.remove(job)
                    finish(job, folder, done)
                    found.kept += 1
                    continue
                if found.kept > told:
                    say(f"{found.kept} finished job(s) kept")
                    told = found.kept
                taken = sum(one.job.memory_gib for one in running)
                if len(running) < slots and (not running or taken + job.memory_gib <= memory_gib):
                    waiting.remove(job)
                    folders = {need: found.folders[need] for need in job.needs}
                    running.append(_Running(job, folder, of, folders, environment, lock))
            if asked.count:
                _stop(running, asked)
            elif time.monotonic() - beat > _HEARTBEAT:
                beat = time.monotonic()
                at_work = "; ".join(f"{one.job.title} ({one.last_line()[:50]})" for one in running)
                say(f"at work: {at_work}{estimate.left(running, '; about {} left')}")
            time.sleep(_TICK)
    if found.kept > told:
        say(f"{found.kept} finished job(s) kept")
    found.interrupted = bool(asked.count)
    return found


class _Asked:
    """How often the user asked to stop, and what was passed on."""

    count = 0
    sent = 0
    since = 0.0


@contextmanager
def _listening(asked: _Asked) -> Iterator[None]:
    def note(_signal: int, _frame: object) -> None:
        asked.count += 1
        asked.since = asked.since or time.monotonic()

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(running: Sequence[_Running], asked: _Asked) -> None:
    """The first request is passed on politely; a second, or two minutes later, ends them at once."""
    late = time.monotonic() - asked.since > _PATIENCE
    wanted = 2 if late or asked.count > 1 else 1
    if asked.sent < wanted:
        asked.sent = wanted
        for one in running:
            one.send(signal.SIGINT if wanted == 1 else signal.SIGKILL)


def _die_with_parent() -> None:
    """In the child, before its program starts: when we are killed, it is asked to stop, and keeps what it has."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)


def last_line(log: Path) -> str:
    """The last line of a log that says something; a progress bar's is its last state."""
    try:
        text = log.read_bytes()[-4000:].decode("utf-8", "replace")
    except OSError:
        return ""
    lines = [line.strip() for line in text.replace("\r", "\n").splitlines() if line.strip()]
    return lines[-1] if lines else ""


@contextmanager
def only_one(root: Path, say: Callable[[str], None]) -> Iterator[int]:
    """Keep a second run out of the same folder; what a killed one left at work is given a minute to end.

    Raises:
        UserError: another one works there.
    """
    import fcntl

    make_folder(root)
    with open(root / ".lock", "w") as lock:
        began = time.monotonic()
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                passed = time.monotonic() - began
                if passed > _LOCK_SECONDS:
                    raise UserError(
                        f"another `make reproduce` works in {root}; wait for it, or give another OUT="
                    ) from error
                if passed < 1:
                    say(f"waiting for another run, or what is left of one, in {root}")
                time.sleep(1.0)
        yield lock.fileno()
