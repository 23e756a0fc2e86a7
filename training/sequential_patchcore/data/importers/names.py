# SPDX-License-Identifier: Apache-2.0
"""Names of files and folders, compared as people mean them."""

import os
import re
import unicodedata
from pathlib import Path

_SPLITS = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test",
    "testing": "test",
}


def split_named(text: str) -> str | None:
    """The split that a word means in any case: train, training, val, valid, validation, test, testing."""
    return _SPLITS.get(text.strip().casefold())


def split_of_words(text: str) -> str | None:
    """The one split that a name's words name, such as that of instances_val2017; None for none or several."""
    found = {split for word in re.split(r"[^a-z]+", text.casefold()) if (split := split_named(word))}
    return found.pop() if len(found) == 1 else None


def name_key(name: str) -> str:
    """Names alike for file systems that ignore case (Windows) or take letters apart (macOS)."""
    return unicodedata.normalize("NFC", name).casefold()


def relative_name(path: Path, src: Path) -> str:
    """The path relative to the source with "/", also where it lies outside."""
    return Path(os.path.relpath(path, src)).as_posix()
