# SPDX-License-Identifier: Apache-2.0
"""Compiled functions that numba has cached follow the source: what they read stands in their own file.

numba drops what it has cached of a function when the file of that function changes, and only then: a constant that is
imported from another module, or a compiled function of another module, would stay what it was.
"""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import sequential_patchcore

PACKAGE = Path(sequential_patchcore.__file__).parent
CODE = "from sequential_patchcore.coreset.kernels import {function}; print({function}(10))"


def run(folder: Path, function: str) -> float:
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    done = subprocess.run(
        [sys.executable, "-c", CODE.format(function=function)], env=environment | {"PYTHONPATH": str(folder)},
        capture_output=True, text=True, check=True,
    )
    return float(done.stdout)


@pytest.mark.parametrize(
    ("constant", "function"), [("UNIT_ROUNDOFF", "_relative_error"), ("UNDERFLOW", "_underflow")]
)
def test_a_changed_constant_is_seen_without_clearing_the_cache(tmp_path, constant, function):
    package = tmp_path / PACKAGE.name
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    before = run(tmp_path, function)
    assert list(package.rglob("*.nbc")), "nothing was cached, so that this tests nothing"
    definition = re.compile(rf"^{constant} = 2\.0\*\*-(\d+)", re.MULTILINE)
    (file,) = (file for file in package.rglob("*.py") if definition.search(file.read_text(encoding="utf-8")))
    text = file.read_text(encoding="utf-8")
    file.write_text(definition.sub(lambda found: found[0][:-1] + str((int(found[1]) + 1) % 10), text), encoding="utf-8")
    after = run(tmp_path, function)
    assert before != after
    assert run(tmp_path, function) == after


def compiled_functions(tree: ast.Module) -> list[ast.FunctionDef]:
    return [
        node for node in tree.body if isinstance(node, ast.FunctionDef)
        and any("jit" in ast.unparse(decorator) for decorator in node.decorator_list)
    ]


def modules_with_compiled_code() -> dict[str, ast.Module]:
    trees = {
        str(file.relative_to(PACKAGE)): ast.parse(file.read_text(encoding="utf-8")) for file in PACKAGE.rglob("*.py")
    }
    return {name: tree for name, tree in trees.items() if compiled_functions(tree)}


def test_compiled_functions_are_found():
    assert {"coreset/kernels.py", "coreset/shortlist.py"} < set(modules_with_compiled_code())


@pytest.mark.parametrize("module", sorted(modules_with_compiled_code()))
def test_compiled_functions_read_nothing_from_other_modules_of_the_package(module):
    tree = modules_with_compiled_code()[module]
    imported = {
        alias.asname or alias.name
        for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level
        for alias in node.names
    }
    # A constant worked out from an imported name is no better than the name itself.
    assigned = {
        target.id: node.value for node in tree.body if isinstance(node, ast.Assign)
        for target in node.targets if isinstance(target, ast.Name)
    }
    stale = imported | {
        name for name, value in assigned.items()
        if any(isinstance(part, ast.Name) and part.id in imported for part in ast.walk(value))
    }
    read = {
        node.id for function in compiled_functions(tree) for node in ast.walk(function) if isinstance(node, ast.Name)
    }
    assert not read & stale
