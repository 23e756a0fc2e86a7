# SPDX-License-Identifier: Apache-2.0
"""Jobs side by side: in order of need, finished ones kept, failures told, a killed run gone on with."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "tools"))

from reproduction.jobs import Job  # noqa: E402
from reproduction.pool import Outcome, last_line, only_one, run_jobs  # noqa: E402
from reproduction.store import read_done  # noqa: E402

WRITE = "import sys, time; time.sleep(float(sys.argv[2])); open(sys.argv[1], 'a').write('x')"


def job(name: str, needs: Sequence[str] = (), seconds: float = 0.0, code: str = WRITE, settings: str = "") -> Job:
    def commands(folder: Path, _needs: object) -> list[tuple[str, list[str]]]:
        return [("step", [sys.executable, "-c", code, str(folder / "out"), str(seconds)])]

    return Job(name, f"making {name}", "train", tuple(needs), {"of": settings}, commands, 1.0, "out", 1.0)


def run(jobs: Sequence[Job], root: Path, slots: int = 2, memory: float = 9.0) -> tuple[Outcome, list[str]]:
    said: list[str] = []
    with only_one(root, said.append) as lock:
        found = run_jobs(jobs, root, {"train": {"p": "1"}}, slots, memory, 1, lock, lambda *_: None, said.append)
    return found, said


def times_made(found: Outcome, name: str) -> int:
    return len((found.folders[name] / "out").read_text())


def test_finished_jobs_are_kept_and_only_what_changed_is_made_again(tmp_path: Path) -> None:
    jobs = [job("a"), job("b"), job("c", ["a", "b"])]
    first, said = run(jobs, tmp_path)
    assert set(first.done) == {"a", "b", "c"} and "[3/3] making c" in said[-1]
    again, said = run(jobs, tmp_path)
    assert again.done == first.done and said == ["3 finished job(s) kept"]
    assert [times_made(again, name) for name in "abc"] == [1, 1, 1]
    other, _ = run([job("a", settings="new"), *jobs[1:]], tmp_path)
    assert other.folders["b"] == first.folders["b"]
    assert other.folders["a"] != first.folders["a"] and other.folders["c"] != first.folders["c"]


def test_a_failure_is_one_line_with_its_log_and_leaves_the_others_alone(tmp_path: Path) -> None:
    fails = "import sys; print('note', file=sys.stderr); sys.exit('peer: no such thing')"
    found, said = run([job("a", code=fails), job("b", ["a"]), job("c")], tmp_path)
    assert set(found.done) == {"c"} and set(found.failed) == {"a", "b"}
    assert found.failed["a"].code == 1 and found.failed["a"].log.is_file()
    told = [line for line in said if "failed" in line]
    assert told == [f"making a failed (exit code 1): peer: no such thing; log: {found.failed['a'].log}"]


def test_a_job_without_its_product_has_failed(tmp_path: Path) -> None:
    found, _ = run([job("a", code="pass")], tmp_path)
    assert not found.done and found.failed["a"].code == 0


@pytest.mark.parametrize(("slots", "memory"), [(1, 9.0), (3, 1.5)])
def test_no_more_processes_than_fit(tmp_path: Path, slots: int, memory: float) -> None:
    count = ("import pathlib, sys, time; me = pathlib.Path(sys.argv[1]); mark = me.parent.parent / 'busy'\n"
             "mark.mkdir(); time.sleep(0.2); mark.rmdir(); me.write_text('x')")
    found, _ = run([job(name, code=count) for name in "abc"], tmp_path, slots, memory)
    assert not found.failed


RUNNER = """
import sys
sys.path[:0] = [{tools!r}, {tests!r}]
from pathlib import Path
from test_reproduction_pool import job, run
found, said = run([job("a"), job("b", seconds={seconds})], Path(sys.argv[1]))
sys.exit(130 if found.interrupted else 0)
"""


def runner(root: Path, seconds: float) -> subprocess.Popen:
    code = RUNNER.format(tools=str(REPOSITORY / "tools"), tests=str(Path(__file__).parent), seconds=seconds)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.Popen([sys.executable, "-c", code, str(root)], env=environment)


def wait_for(place: Path, pattern: str) -> Path:
    deadline = time.monotonic() + 60
    while not (there := list(place.glob(pattern))):
        assert time.monotonic() < deadline, f"no {pattern}"
        time.sleep(0.05)
    return there[0]


@pytest.mark.skipif(sys.platform != "linux", reason="the children's end with their parent is Linux's")
def test_a_killed_run_leaves_no_process_and_goes_on(tmp_path: Path) -> None:
    killed = runner(tmp_path, 60)
    folder = wait_for(tmp_path, "work/b-*/log.txt").parent
    wait_for(tmp_path, "work/a-*/done.json")
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert read_done(folder) is None
    began = time.monotonic()
    found, _ = run([job("a"), job("b", seconds=60, code="import sys; open(sys.argv[1], 'a').write('x')")], tmp_path)
    assert time.monotonic() - began < 30  # the lock is free: no child of the first run lives
    assert times_made(found, "a") == 1 and times_made(found, "b") == 1
    assert found.done["b"].resumed and not found.done["a"].resumed


def test_an_interrupt_is_passed_on_and_told_by_the_code(tmp_path: Path) -> None:
    asked = runner(tmp_path, 60)
    wait_for(tmp_path, "work/b-*/log.txt")
    wait_for(tmp_path, "work/a-*/done.json")
    time.sleep(0.5)
    asked.send_signal(signal.SIGINT)
    assert asked.wait(30) == 130
    assert not list(tmp_path.glob("work/b-*/done.json"))
    found, _ = run([job("a"), job("b")], tmp_path)
    assert not found.done["b"].resumed and found.done["b"].seconds["step"] > 0.5  # both attempts together


def test_the_last_line_of_a_log_is_the_last_state_of_its_bar(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_bytes(b"first\n 10% | 1/9\r 20% | 2/9\r\n\n")
    assert last_line(log) == "20% | 2/9"
    assert last_line(tmp_path / "none") == ""
