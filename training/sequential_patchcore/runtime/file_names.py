# SPDX-License-Identifier: Apache-2.0
"""File names made of what people call things: safe on every file system, and no two alike."""

import re
from collections.abc import Sequence
from pathlib import Path


def file_names(ids: Sequence[str]) -> list[str]:
    """A file name for each id: the id itself where it can be one; no two alike, not even but for upper case."""
    names: list[str] = []
    taken: set[str] = set()
    for text in ids:
        name, number = slug(text), 2
        while name.lower() in taken:
            name, number = f"{slug(text)}-{number}", number + 1
        taken.add(name.lower())
        names.append(name)
    return names


def slug(text: str) -> str:
    """The text with what a file name cannot hold on every system replaced by underscores."""
    return re.sub(r"[^\w.+()-]+", "_", text).strip(".") or "_"


def unique_ids(paths: Sequence[str]) -> list[str]:
    """Safe, unique sample ids for relative paths ("a/b/c.png"), in their order.

    The files' stems where all differ (in any mixture of cases, for file systems that ignore them), else the whole
    paths with "_" for "/"; a number is added to what is still equal.
    """
    names = [safe_name(Path(path).stem) for path in paths]
    if len({name.casefold() for name in names}) < len(names):
        names = [safe_name(path.rsplit(".", 1)[0]) for path in paths]
    taken: set[str] = set()
    ids = []
    for name in names:
        candidate, number = name, 2
        while candidate.casefold() in taken:
            candidate, number = f"{name}_{number}", number + 1
        taken.add(candidate.casefold())
        ids.append(candidate)
    return ids


def safe_name(text: str) -> str:
    """The text as part of a file name: ASCII letters, digits, ".", "_", "-", no leading dot, at most 150 characters."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", text).lstrip(".")[:150] or "unnamed"
