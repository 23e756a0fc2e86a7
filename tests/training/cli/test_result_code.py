# SPDX-License-Identifier: Apache-2.0
"""The modules that have a say in a result, against what the program imports to make it."""

import ast
from collections.abc import Iterable
from pathlib import Path

import pytest
import sequential_patchcore
from sequential_patchcore.cli.result_code import EVALUATION, MELDING, NAMING, PREDICTION, REMEMBERING, SCORING, TRAINING

PACKAGE = Path(sequential_patchcore.__file__).parent

# Imported, and without a say in what a result holds.
CARRIES_OUT = {
    "runtime/allocation.py", "runtime/errors.py", "runtime/files.py", "runtime/file_names.py", "runtime/interrupt.py",
    "runtime/locks.py", "runtime/memory.py", "runtime/progress.py", "runtime/read_ahead.py", "runtime/requests.py",
    "extractors/hub.py",
    "extractors/transformer_graph.py",  # an export is made of it, and that names its files' digests
}
# The model file: what is wrong with one, and how it is written; every model says its format's version.
THE_FILE = {
    f"model/{name}.py"
    for name in ("check", "contents", "file", "hdf5", "memory", "naming", "naming_file", "parts", "products", "products_file",  # noqa: E501
                 "reading", "threshold", "values", "writing")
}
# A model file that is to be checked is, by the rule; no score depends on it, nor on how a patch's place is packed.
CHECKS = {
    f"coreset/{name}.py" for name in ("arrays", "coverage", "engine", "guarantee", "kernels", "screen", "shortlist")
} | {"model/patch_ids.py"}


def imported(file: str) -> Iterable[str]:
    """The modules of the program that a module names in its import statements, wherever they stand."""
    for node in ast.walk(ast.parse((PACKAGE / file).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            folder = (PACKAGE / file).parents[node.level - 1]
            named = folder.joinpath(*(node.module or "").split("."))
            for path in (named.with_suffix(".py"), *(named / f"{alias.name}.py" for alias in node.names)):
                if path.is_file():
                    yield path.relative_to(PACKAGE).as_posix()


def closure(*files: str) -> set[str]:
    seen, left = set(), [*files]
    while left:
        file = left.pop()
        if file not in seen:
            seen.add(file)
            left += imported(file)
    return seen


def modules_of(places: Iterable[str]) -> set[str]:
    paths = [PACKAGE / place for place in places]
    files = [file for path in paths for file in ([path] if path.is_file() else path.rglob("*.py"))]
    return {file.relative_to(PACKAGE).as_posix() for file in files}


@pytest.mark.parametrize(
    ("code", "starts", "without_a_say"),
    [
        (TRAINING, ["fitting/training.py"],
         # The checkpoint holds what was made; the melding is asked whether extractors differ.
         {"fitting/checkpoint.py", "fitting/melding.py", "fitting/memory_melding.py"}
         | {f"coreset/{name}.py" for name in ("arrays", "epochs", "melding", "parameters", "search", "sequential",
                                                "state")}),
        (REMEMBERING, ["fitting/impurities.py"],
         {"fitting/checkpoint.py", "fitting/memory_checkpoint.py", "fitting/melding.py", "fitting/memory_melding.py",
          "coreset/melding.py", "coreset/parameters.py"}),
        (MELDING, ["fitting/melding.py"], set()),
        (SCORING, ["scoring/scorer.py", "scoring/calibration.py"], CHECKS),
        (NAMING, ["naming/setting.py"], CHECKS | {"metrics/counts.py"}),
        (EVALUATION, ["evaluation/evaluator.py"], CHECKS),
        (PREDICTION, ["prediction/predictor.py", "prediction/explanation.py", "export/exported_model.py"], CHECKS),
    ],
    ids=["training", "remembering", "melding", "scoring", "naming", "evaluation", "prediction"],
)
def test_what_is_imported_to_make_a_result_has_a_say_or_is_known_to_have_none(code, starts, without_a_say):
    found = closure(*starts)
    assert len(found) > 10 and found >= set(starts)
    unknown = found - modules_of(code) - CARRIES_OUT - THE_FILE - without_a_say
    assert not unknown


def test_what_is_named_is_there():
    for place in {*TRAINING, *REMEMBERING, *MELDING, *SCORING, *EVALUATION, *PREDICTION}:
        assert (PACKAGE / place).exists(), place
