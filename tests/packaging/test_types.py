# SPDX-License-Identifier: Apache-2.0
"""The types of the public interface: which modules are checked strictly, and what a user's type checker sees."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import sequential_patchcore

REPOSITORY = Path(__file__).resolve().parents[2]


def test_every_module_that_holds_a_public_name_is_checked_strictly() -> None:
    (strict,) = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mypy"]["overrides"]
    values = [getattr(sequential_patchcore, name) for name in sequential_patchcore.__all__ if not name.startswith("_")]
    assert len(values) >= 10
    assert {value.__module__ for value in values} <= set(strict["module"])
    missing = [name for name in strict["module"] if not _file_of(name)]
    assert not missing, "the list names modules that are not there"


def _file_of(module: str) -> Path | None:
    place = REPOSITORY / "training" / Path(*module.split("."))
    return next((file for file in (place / "__init__.py", place.with_suffix(".py")) if file.is_file()), None)


@pytest.mark.slow
def test_the_python_of_the_readme_passes_a_strict_type_checker(tmp_path: Path) -> None:
    """As in a user's project: py.typed makes the checker read our types, and no public name is unknown to it."""
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    programs = []
    for number, code in enumerate(re.findall(r"```python\n(.*?)```", text, re.DOTALL)):
        programs.append(tmp_path / f"program_{number}.py")
        programs[-1].write_text(code)
    assert programs
    wrong = tmp_path / "wrong.py"
    wrong.write_text("from sequential_patchcore import SequentialCoreset\n\nSequentialCoreset('many')\n")
    places = ("--cache-dir", tmp_path / "cache", "--config-file", "/dev/null")
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports", "silent", *places, *programs, wrong]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False, cwd=tmp_path,
                          env=os.environ | {"MYPYPATH": str(REPOSITORY / "training")})
    errors = [line for line in done.stdout.splitlines() if ": error:" in line]
    assert [line.split(":")[0] for line in errors] == ["wrong.py"], done.stdout + done.stderr
    assert 'incompatible type "str"; expected "int"' in errors[0]
