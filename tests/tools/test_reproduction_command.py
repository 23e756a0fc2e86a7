# SPDX-License-Identifier: Apache-2.0
"""`make reproduce` from arguments to tables, with one scenario on small plates; its refusals."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]

PLAN = """
[real]
recipe = "scenes/recipes/inspection_twin.toml"
label = "twin, synthetic"
[data.synth]
recipe = "scenes/recipes/synth.toml"
[presets.mini]
title = "a test"
scale = 100
samples = 1
pictures = 1
coreset_size = 32
epochs = 1
memory_gib = 1.0
greedy_gib = 1.0
[[scenario]]
id = "real"
name = "Real"
train = ["real"]
paper = [35.7, 68.4, 47.0, 98.9]
[table_1.real]
dent = [96.0, 97.7]
[[finding]]
title = "A claim that only a tie can bring down"
[[finding.claim]]
figure = "f1"
of = "real"
than = "real"
expected = "higher"
"""


def reproduce(*arguments: object, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, str(REPOSITORY / "tools" / "reproduce.py"), *map(str, arguments)], capture_output=True,
        text=True, timeout=300, env=os.environ | environment,
    )


def test_from_a_data_set_to_the_tables(plates: Callable, tmp_path: Path) -> None:
    real, out, plan = plates(tmp_path / "sheets"), tmp_path / "out", tmp_path / "plan.toml"
    plan.write_text(PLAN)
    out.mkdir()
    (out / "backbone.json").write_text('["--backbone", "filters"]')
    command = ("--preset", "mini", "--plan", plan, "--real", real.path, "--out", out, "--jobs", 1)

    first = reproduce(*command)
    assert first.returncode == 0, first.stderr
    page = " ".join((out / "reproduction.md").read_text(encoding="utf-8").split())  # lines break by the machine's name
    assert "| A claim that only a tie can bring down | **undecided** |" in page
    assert "Table II (sheets; preset mini; features filters, for want of weights)" in page
    assert "twin" not in page and "From nothing to this page" in page
    metrics = json.loads(next(out.glob("work/real.score-*/results/metrics.json")).read_text())
    f1 = metrics["models"]["real"]["pixel"]["f1"]
    assert f"**{100 * f1:.1f}**" in page and "| 47.0 |" in page

    first_page = (out / "reproduction.md").read_bytes()
    again = reproduce(*command, "--tables", tmp_path / "tables")
    assert again.returncode == 0 and "2 finished job(s) kept" in again.stderr
    page = " ".join((tmp_path / "tables" / "reproduction.md").read_text(encoding="utf-8").split())
    assert "From nothing to this page" not in page
    assert "What the test pictures show (sheets; labels as given)" in page and "| Real | 100.0 |" in page
    assert (out / "reproduction.md").read_bytes() == first_page


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--preset", "huge"), "unknown preset 'huge'"),
        (("--preset", "smoke", "--real", "/nowhere"), "no such folder"),
        (("--plan", "/nowhere.toml"), "cannot read"),
    ],
)
def test_bad_input_is_one_line_and_code_2(tmp_path: Path, arguments: tuple, told: str) -> None:
    done = reproduce(*arguments, "--out", tmp_path / "out")
    assert done.returncode == 2 and told in done.stderr
    assert len(done.stderr.splitlines()) == 1 and not (tmp_path / "out").exists()
