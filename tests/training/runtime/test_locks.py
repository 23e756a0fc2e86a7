# SPDX-License-Identifier: Apache-2.0
"""One writer at a time, across processes and machines."""

import errno
import json
import os
import platform
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from sequential_patchcore.runtime import locks
from sequential_patchcore.runtime.errors import UserError
from sequential_patchcore.runtime.locks import locked

HOLD = """
import sys
from sequential_patchcore.runtime.locks import locked
with locked(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def another_process(path: Path):
    """A process that holds the lock until the block ends."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout.readline() == "held\n"
        yield holder
    finally:
        holder.communicate()


def test_a_second_writer_is_told_who_the_first_is(tmp_path):
    target = tmp_path / "out"
    with another_process(target) as holder:
        message = rf"out is being written by process {holder.pid} on this machine \(since "
        with pytest.raises(UserError, match=message) as caught, locked(target):
            pass
        assert "\n" not in str(caught.value)
        with locked(tmp_path / "out2"):  # another name is free
            pass
    with locked(target):
        assert [p.name for p in tmp_path.iterdir()] == [".out.lock"]
    assert not list(tmp_path.iterdir())


def test_the_same_process_does_not_write_twice_either(tmp_path):
    message = f"process {os.getpid()} on this machine"
    with locked(tmp_path / "a"), pytest.raises(UserError, match=message), locked(tmp_path / "a"):
        pass


def test_what_a_killed_process_left_is_taken_over_with_a_word(tmp_path, capsys):
    target = tmp_path / "m.h5"
    with another_process(target) as holder:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        assert (tmp_path / ".m.h5.lock").exists()
        with locked(target):
            assert f"taking over from process {holder.pid}, which ended without finishing" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_lock_of_another_machine_is_respected(tmp_path):
    """Whatever runs here under its number; this system's own lock may not reach there."""
    file = tmp_path / ".out.lock"
    there = {"host": "other-" + platform.node(), "pid": os.getpid(), "started": None, "since": "today", "command": "x"}
    file.write_text(json.dumps(there))
    message = r"on the machine 'other-.*remove .*\.out\.lock if it ended"
    with pytest.raises(UserError, match=message), locked(tmp_path / "out"):
        pass
    assert file.exists()
    file.unlink()
    with locked(tmp_path / "out"):
        pass


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'{"pid": 1}'])
def test_a_lock_file_that_names_nobody_is_nobodys(tmp_path, content):
    (tmp_path / ".out.lock").write_bytes(content)
    with locked(tmp_path / "out"):
        pass


@pytest.mark.parametrize(("alive", "same_start"), [(True, True), (True, False), (False, True)])
def test_without_locks_of_the_file_system_the_process_number_decides(tmp_path, monkeypatch, alive, same_start):
    def unsupported(*_):
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(locks.fcntl, "flock", unsupported)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    pid = os.getppid() if alive else ended.pid
    started = (locks._start_of(pid) or 0) + (0 if same_start else 5)
    holder = {"host": platform.node(), "pid": pid, "started": started, "since": "today", "command": "x"}
    (tmp_path / ".out.lock").write_text(json.dumps(holder))
    if alive and same_start:
        with pytest.raises(UserError, match=f"process {pid} on this machine"), locked(tmp_path / "out"):
            pass
    else:  # the number belongs to nobody, or to a process that began later
        with locked(tmp_path / "out"):
            pass


def test_twenty_at_once_write_one_after_the_other(tmp_path):
    script = """
import sys
from sequential_patchcore.runtime.errors import UserError
from sequential_patchcore.runtime.locks import locked
try:
    with locked("out"):
        before = int(open("count").read())
        open("count", "w").write(str(before + 1))
        print("done")
except UserError:
    print("refused")
"""
    (tmp_path / "count").write_text("0")
    running = [subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
               for _ in range(20)]
    said = [process.communicate()[0].strip() for process in running]
    assert set(said) <= {"done", "refused"} and said.count("done") == int((tmp_path / "count").read_text()) > 0
    assert [p.name for p in tmp_path.iterdir()] == ["count"]


def test_an_error_inside_frees_the_lock(tmp_path):
    for error in (ZeroDivisionError, FileNotFoundError):
        with pytest.raises(error), locked(tmp_path / "deep" / "out"):
            raise error
    assert not (tmp_path / "deep").exists()


def test_folders_above_stay_where_something_was_written(tmp_path):
    with locked(tmp_path / "deep" / "er" / "out"):
        (tmp_path / "deep" / "kept").write_text("")
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["kept"]
