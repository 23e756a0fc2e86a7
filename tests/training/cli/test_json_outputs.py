# SPDX-License-Identifier: Apache-2.0
"""Where a command is asked for JSON, every line on stdout is JSON."""

import argparse
import json

import pytest
from sequential_patchcore.cli import parser as cli
from sequential_patchcore.runtime import progress

TRAIN = ("train", "--data", "d", "--out", "m.h5", "--backbone", "filters", "--coreset-size", "16", "--epochs", "1")
FINETUNE = ("finetune", "--model", "m.h5", "--data", "d", "--out", "f.h5", "--epochs", "1")
IMPURITIES = ("impurities", "--model", "m.h5", "--data", "d", "--split", "val", "--out", "i.h5", "--level", "0")
REMEMBER = ("impurities", "--model", "m.h5", "--data", "d", "--split", "val", "--out", "n.h5")
VERDICTS = ("verdicts", "--model", "n.h5", "--data", "d", "--split", "val", "--val", "d")
CALIBRATE = ("calibrate", "--model", "m.h5", "--data", "d")
EVALUATE = ("evaluate", "--model", "m.h5", "--data", "d", "--out", "results")
PREDICT = ("predict", "--model", "m.h5", "d/images", "--out", "today")
WATCH = (*PREDICT, "--watch", "--interval", "0.05", "--idle-exit", "0.2")
PROGRESS, JSON = "--json-progress", "--json"

# In this order: each finds what those before it made. Most stand twice, as finished work has words of its own.
RUNS = [
    (*TRAIN, PROGRESS), (*TRAIN, PROGRESS), (*FINETUNE, PROGRESS), (*FINETUNE, PROGRESS),
    (*IMPURITIES, PROGRESS), (*IMPURITIES, PROGRESS), ("info", "i.h5", JSON),
    ("info", "i.h5", JSON, "--coreset-sheet", "i.png"),
    (*CALIBRATE, PROGRESS), (*CALIBRATE, PROGRESS), (*CALIBRATE, "--threshold", "30", PROGRESS),
    (*CALIBRATE, "--threshold", "1", PROGRESS), (*REMEMBER, PROGRESS),
    (*VERDICTS, JSON), (*VERDICTS, JSON, PROGRESS), (*VERDICTS, PROGRESS),
    (*CALIBRATE, "--overwrite", PROGRESS),
    (*CALIBRATE, "--split", "train", "--promise", "0.4", PROGRESS),
    (*CALIBRATE, "--split", "train", "--promise", "0.4", PROGRESS), (*CALIBRATE, "--overwrite", PROGRESS),
    (*EVALUATE, JSON), (*EVALUATE, JSON), (*EVALUATE, "--min-region", "9", PROGRESS),
    (*EVALUATE, JSON, PROGRESS),
    (*PREDICT, JSON), (*PREDICT, PROGRESS), (*PREDICT, JSON, PROGRESS), (*WATCH, JSON), (*WATCH, PROGRESS),
    (*CALIBRATE, "--split", "train", "--promise", "0.4", "--product", "a", PROGRESS), ("info", "m.h5", JSON),
    (*PREDICT, "--product", "a", JSON, PROGRESS), (*CALIBRATE, "--one-threshold", "--threshold", "1", PROGRESS),
    ("review", "--model", "m.h5", "--replay", PROGRESS),
    ("info", "m.h5", JSON), ("info", "d", JSON), ("info", "m.h5", JSON, "--check"), ("info", "d", JSON, "--check"),
    ("info", "m.h5", JSON, "--plot", "p.png", "--coreset-sheet", "s.png"),
    ("info", "m.h5", JSON, "--composition"),
    ("info", "d", JSON, "--contact-sheet", "c.png"),
]


@pytest.fixture(autouse=True)
def _bars_again(monkeypatch):
    monkeypatch.setattr(progress, "_json_lines", False)


def test_every_line_is_json(plates, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    plates(tmp_path / "d", train=2, val=6, test=1)
    for arguments in RUNS:
        assert cli.main(arguments) == 0, arguments
        lines = capsys.readouterr().out.splitlines()
        assert lines, arguments
        for line in lines:
            json.loads(line)


def test_every_command_that_offers_json_was_tried():
    commands = next(
        action.choices for action in cli.build_parser()._actions if isinstance(action, argparse._SubParsersAction)
    )
    for option in (PROGRESS, JSON):
        offered = {name for name, command in commands.items() if option in command._option_string_actions}
        assert offered == {run[0] for run in RUNS if option in run}
