# SPDX-License-Identifier: GPL-3.0-or-later
"""Two renders into one folder: the second is refused, unless they are shards; what a killed one left is taken over."""

import json
import platform
import subprocess
import sys
import time
from pathlib import Path

import pytest

from blender_addon.core.errors import UserError
from blender_addon.core.files import lock
from blender_addon.core.files.dataset import DatasetFolder

REPOSITORY = Path(__file__).resolve().parents[3]
WRITER = """
import sys, time
from blender_addon.core.files.dataset import DatasetFolder
shard = eval(sys.argv[2])
with DatasetFolder(sys.argv[1], shard).locked():
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def writer(tmp_path):
    """Starts a process that holds the lock of a shard, or of the folder; all are ended afterwards."""
    started = []

    def start(shard: tuple[int, int] | None = None) -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path / "d"), repr(shard)], cwd=REPOSITORY, stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_second_writer_of_the_same_records_is_refused_and_told_whose_they_are(writer, tmp_path):
    first = writer()
    with pytest.raises(UserError) as caught, DatasetFolder(tmp_path / "d").locked():
        pass
    assert f"process {first.pid} on this machine" in str(caught.value) and "--shard" in str(caught.value)


def test_shards_work_side_by_side_but_nobody_clears_the_folder_meanwhile(writer, tmp_path):
    first = writer((1, 2))
    with DatasetFolder(tmp_path / "d", (2, 2)).locked():
        pass
    with pytest.raises(UserError, match=f"process {first.pid}"), DatasetFolder(tmp_path / "d").locked(alone=True):
        pass


def test_what_a_killed_process_left_is_taken_over_with_a_word(writer, tmp_path):
    first = writer()
    first.kill()
    first.wait()
    told = []
    with DatasetFolder(tmp_path / "d").locked(alone=True, say=told.append):
        pass
    assert len(told) == 1 and str(first.pid) in told[0]
    assert not list((tmp_path / "d").glob(".*"))


def test_a_lock_of_another_machine_is_respected(tmp_path):
    folder = tmp_path / "d"
    folder.mkdir()
    file = lock.lock_of(folder / "samples.jsonl")
    file.write_text(json.dumps({"host": platform.node() + "-other", "pid": 1, "since": "then"}))
    with pytest.raises(UserError, match=r"on the machine .*-other.*remove"), DatasetFolder(folder).locked():
        pass
    assert file.exists()


def test_an_ended_writer_leaves_nothing_and_a_folder_that_stayed_empty_goes(tmp_path):
    with DatasetFolder(tmp_path / "d").locked():
        assert DatasetFolder(tmp_path / "d").description() is None  # the lock itself is no foreign file
    assert not (tmp_path / "d").exists()


def test_many_processes_at_once_never_hold_it_together(tmp_path):
    """Each adds its number to a file in two steps with a pause between: a step lost would show."""
    code = (
        "import sys, time\n"
        "from blender_addon.core.errors import UserError\n"
        "from blender_addon.core.files.dataset import DatasetFolder\n"
        "from pathlib import Path\n"
        "out = Path(sys.argv[1])\n"
        "for _ in range(400):\n"
        "    try:\n"
        "        with DatasetFolder(out / 'd').locked():\n"
        "            seen = (out / 'list').read_text()\n"
        "            time.sleep(0.02)\n"
        "            (out / 'list').write_text(seen + 'x')\n"
        "            break\n"
        "    except UserError:\n"
        "        time.sleep(0.02)\n"
    )
    (tmp_path / "list").write_text("")
    (tmp_path / "d").mkdir()
    running = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=REPOSITORY) for _ in range(5)]
    end = time.monotonic() + 60
    for process in running:
        assert process.wait(max(0.1, end - time.monotonic())) == 0
    assert (tmp_path / "list").read_text() == "xxxxx"
