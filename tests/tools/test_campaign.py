# SPDX-License-Identifier: Apache-2.0
"""The campaign's own parts: the same seed damages the same way, and no fault goes unseen."""

import random
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from campaign import bytes_mutation, tree_mutation
from campaign.child import run
from campaign.oracle import ELSEWHERE, HANG, READ, REFUSED, TRACEBACK, judge


def fails(arguments):
    raise ValueError("no")


def refuses(arguments):
    print("sequential-patchcore: expected a file", file=sys.stderr)
    return 2


def waits(arguments):
    time.sleep(60)


def writes(arguments):
    Path(arguments[0]).write_text("here", encoding="utf-8")


@pytest.mark.parametrize(
    ("main", "outcome"),
    [(fails, TRACEBACK), (refuses, REFUSED), (waits, HANG), (writes, ELSEWHERE), (lambda arguments: 0, READ)],
)
def test_how_a_command_ends_is_seen(tmp_path, main, outcome):
    work = tmp_path / "work"
    work.mkdir()
    ended = run(main, [str(tmp_path / "outside")], work, [work], None, seconds=1)
    assert judge(ended, ended.peak, tmp_path / "canary", {}, {})[0] == outcome


def test_a_seed_says_what_is_changed():
    data = b'{"a": [1, 2, {"b": "c"}]}'
    for mutate in (bytes_mutation.mutate, lambda data, rng: tree_mutation.mutate_json(data, rng, "/canary")):
        first, second = ([mutate(data, random.Random(n)) for n in range(30)] for _ in range(2))
        assert first == second and len(set(first)) > 10
