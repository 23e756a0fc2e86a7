# SPDX-License-Identifier: Apache-2.0
"""`review` as a program of its own: served, killed at any moment, and begun again without a decision lost."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import sequential_patchcore
from sequential_patchcore.cli import parser as cli
from sequential_patchcore.review.journal import Journal

pytest.importorskip("starlette", reason="the extra `review` is not installed")
uvicorn = pytest.importorskip("uvicorn", reason="the extra `review` is not installed")


@pytest.fixture(scope="module")
def made(plates, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("command")
    plates(root / "d", seed=3, train=4, val=2, test=1)
    assert cli.main(["train", "--data", str(root / "d"), "--out", str(root / "m.h5"), "--backbone", "filters",
                     "--coreset-size", "48", "--epochs", "1", "--device", "cpu"]) == 0
    assert cli.main(["calibrate", "--model", str(root / "m.h5"), "--threshold", "3"]) == 0
    rng = np.random.default_rng(2)
    (root / "today").mkdir()
    for number in range(6):
        image = rng.normal(140, 6, (96, 128))
        image[20:32, 10 * number + 8 : 10 * number + 20] += 70
        cv2.imwrite(str(root / "today" / f"p{number}.png"), np.clip(image, 0, 255).astype(np.uint8))
    return root


class Program:
    """A review that was begun, and the way to talk to it."""

    def __init__(self, folder: Path, *options: str) -> None:
        environment = os.environ | {"PYTHONPATH": str(Path(sequential_patchcore.__file__).parents[1]),
                                    "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "sequential_patchcore", "review", "--model", "m.h5", "today", "--device", "cpu",
             "--threads", "1", *options],
            cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        self.address = ""
        for line in self.process.stdout:
            if found := re.search(r"http://127\.0\.0\.1:(\d+)/\?token=(\S+)", line):
                self.port, self.token = int(found[1]), found[2]
                return
        raise AssertionError(self.process.stderr.read())

    def ask(self, method: str, path: str, asked: dict | None = None) -> dict:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request(method, path, None if asked is None else json.dumps(asked), {
            "cookie": f"sequential_patchcore_review_{self.port}={self.token}", "x-review-token": self.token})
        return json.loads(connection.getresponse().read())

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)


@pytest.fixture
def begin():
    """Begins programs, and ends those that a test has left."""
    begun = []

    def start(folder: Path, *options: str) -> Program:
        begun.append(Program(folder, *options))
        return begun[-1]

    yield start
    for program in begun:
        if program.process.poll() is None:
            program.end(signal.SIGKILL)


@pytest.mark.parametrize("moment", [0.0, 0.02, 0.1])
def test_killed_while_deciding_and_begun_again(made, tmp_path, begin, moment: float) -> None:
    """What was answered is in the journal, and the taught model is the one of the journal."""
    for name in ("m.h5", "today"):
        (tmp_path / name).symlink_to(made / name)
    program, taken, answers = begin(tmp_path, "--who", "anna"), [], []

    def decide() -> None:
        try:
            for number in range(6):
                item = program.ask("GET", "/state")["items"][0]
                kind = {"decision": "sound", "confirm": True} if number % 2 else {"decision": "defect"}
                answer = program.ask("POST", "/decide", {"image": item["image"], "box": item["box"], **kind})
                answers.append({key: value for key, value in answer.items() if key != "state"})
                taken.append(answer["id"])
        except (OSError, http.client.HTTPException, ValueError, KeyError) as error:  # killed, as a rule
            answers.append(error)

    thread = threading.Thread(target=decide)
    thread.start()
    while len(taken) < 2 and thread.is_alive():
        time.sleep(0.005)
    assert len(taken) >= 2, answers
    time.sleep(moment)
    assert program.end(signal.SIGKILL) == -signal.SIGKILL
    thread.join(60)
    kept = [entry.id for entry in Journal(tmp_path / "m.review").entries]
    assert kept[: len(taken)] == taken and len(kept) <= len(taken) + 1
    again = begin(tmp_path)
    state = again.ask("GET", "/state")
    assert {item["entry"] for item in state["items"] if item["decision"]} == set(kept)
    taught = (tmp_path / "m.taught.h5").read_bytes()
    assert again.end(signal.SIGTERM) in (0, -signal.SIGTERM)
    (tmp_path / "m.taught.h5").unlink()
    assert cli.main(["review", "--model", str(tmp_path / "m.h5"), "--replay"]) == 0
    assert (tmp_path / "m.taught.h5").read_bytes() == taught


def test_one_review_of_a_journal_at_a_time(made, tmp_path, begin, capsys) -> None:
    for name in ("m.h5", "today"):
        (tmp_path / name).symlink_to(made / name)
    program = begin(tmp_path)
    assert cli.main(["review", "--model", str(tmp_path / "m.h5"), str(tmp_path / "today")]) == 2
    assert "is being written by process" in capsys.readouterr().err
    program.end(signal.SIGTERM)


@pytest.mark.parametrize(("arguments", "words"), [
    ((), "nothing to review"), (("nowhere",), "no such image or folder"), (("today", "--out", "m.h5"), "another --out"),
    (("broken",), "not one of 1 file"), (("today", "--merge", "today"), "holds no journal"),
])
def test_what_cannot_be_ends_in_one_line(made, tmp_path, monkeypatch, capsys, arguments, words) -> None:
    for name in ("m.h5", "today"):
        (tmp_path / name).symlink_to(made / name)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "x.png").write_bytes(b"no")
    monkeypatch.chdir(tmp_path)
    assert cli.main(["review", "--model", "m.h5", *arguments]) == 2
    assert words in capsys.readouterr().err
