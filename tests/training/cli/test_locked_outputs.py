# SPDX-License-Identifier: Apache-2.0
"""Two commands that write one place do not meet."""

import pytest
from sequential_patchcore.cli import parser as cli
from sequential_patchcore.runtime.locks import locked


@pytest.fixture
def place(tmp_path, monkeypatch, plates):
    """The working directory: a data set `d` and a calibrated model `m.h5`."""
    monkeypatch.chdir(tmp_path)
    plates(tmp_path / "d", train=2, val=1, test=1)
    assert cli.main(["train", "--data", "d", "--out", "m.h5", "--backbone", "filters", "--coreset-size", "16",
                     "--epochs", "1"]) == 0
    assert cli.main(["calibrate", "--model", "m.h5", "--data", "d"]) == 0


def test_each_command_that_writes_refuses_a_place_that_is_being_written(place, capsys, tmp_path):
    commands = {
        "n.h5": ["train", "--data", "d", "--out", "n.h5", "--backbone", "filters", "--coreset-size", "16"],
        "f.h5": ["finetune", "--model", "m.h5", "--data", "d", "--out", "f.h5"],
        "x.h5": ["meld", "m.h5", "m.h5", "--out", "x.h5"],
        "m.h5": ["calibrate", "--model", "m.h5", "--data", "d", "--overwrite"],
        "r": ["evaluate", "--model", "m.h5", "--data", "d", "--out", "r"],
        "p": ["predict", "--model", "m.h5", "d/images", "--out", "p"],
        "e": ["export", "coco", "d", "--out", "e"],
        "i": ["import", "labelme", "d/images", "--out", "i"],
    }
    before = (tmp_path / "m.h5").read_bytes()
    for out, command in commands.items():
        with locked(out):
            assert cli.main(command) == 2
        assert f"{out} is being written by process" in capsys.readouterr().err.splitlines()[-1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d", "m.h5"]
    assert (tmp_path / "m.h5").read_bytes() == before
    for command in commands.values():
        assert cli.main(command) == 0
    assert not list(tmp_path.glob(".*"))
