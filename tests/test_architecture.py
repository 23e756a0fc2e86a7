# SPDX-License-Identifier: Apache-2.0
"""docs/architecture.md names every module, and no module that is not there; the documents name no missing file."""

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PAGE = REPOSITORY / "docs" / "architecture.md"
DESCRIBED = ("blender_addon", "training/sequential_patchcore", "tools")
"""Folders whose modules the page names, each under a heading of its own."""

PLACES = (REPOSITORY, *(REPOSITORY / folder for folder in DESCRIBED))
"""Where a path in a document may begin."""
FIRST_FOLDERS = ("blender_addon", "core", "scene", "render", "ui", "shaders", "tools", "tests/core", "tests/blender",
                 "tests/parity", "training", "runtime", "coreset", "extractors", "data", "metrics", "model",
                 "fitting", "scoring", "report", "evaluation", "prediction", "export", "cli", "tests/training",
                 "tests/tools", "tests/bench", "tests/examples", "examples")
TO_BE_WRITTEN = {"blender_addon/core/features/pit.py"}
"""What a document asks its reader to write."""

DOCUMENTS = sorted([*REPOSITORY.glob("docs/*.md"), REPOSITORY / "README.md"])


def named_modules(folder: str) -> list[str]:
    """Paths of the modules that the page names under the heading of a folder: first cells of its tables."""
    page = PAGE.read_text(encoding="utf-8")
    (section,) = re.findall(rf"^## {re.escape(folder)}/?$(.*?)(?=^## |\Z)", page, re.M | re.S)
    found = []
    for package, text in re.findall(r"^### `([^`]+)/`$(.*?)(?=^### |\Z)", section, re.M | re.S):
        inside = "" if package == "." else f"{package}/"
        found += [f"{inside}{name}.py" for name in re.findall(r"^\| `([^`]+)` \|", text, re.M)]
    return found


@pytest.mark.parametrize("folder", DESCRIBED)
def test_the_page_names_every_module_once_and_no_other(folder: str) -> None:
    root = REPOSITORY / folder
    there = {file.relative_to(root).as_posix() for file in root.rglob("*.py") if file.name != "__init__.py"}
    named = named_modules(folder)
    assert set(named) - there == set(), "named, but not there"
    assert there - set(named) == set(), "there, but not named"
    assert len(named) == len(set(named)), "named twice"


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: page.name)
def test_the_documents_name_no_file_that_is_not_there(page: Path) -> None:
    paths = set(re.findall(r"(?<![\w/.])((?:[a-z_]+/)+[a-z0-9_]+\.(?:py|osl|h))\b", page.read_text(encoding="utf-8")))
    paths = {path for path in paths if path.startswith(tuple(f"{folder}/" for folder in FIRST_FOLDERS))}
    missing = {path for path in paths - TO_BE_WRITTEN if not any((place / path).is_file() for place in PLACES)}
    assert not missing
