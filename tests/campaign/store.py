# SPDX-License-Identifier: Apache-2.0
"""What was done: a line of JSON for each case, appended; the same command goes on after it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Store:
    """The lines of one part of the campaign.

    Args:
        path: of the file; a line that was cut off by a kill is dropped.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.records = list(_whole(path))
        path.parent.mkdir(parents=True, exist_ok=True)
        text = "".join(json.dumps(record) + "\n" for record in self.records)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")

    def add(self, **record: Any) -> None:
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
        self.records.append(record)

    def has(self, **part: Any) -> bool:
        return any(all(record.get(key) == value for key, value in part.items()) for record in self.records)


def _whole(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_text(encoding="utf-8").split("\n") if path.exists() else ():
        if line:
            try:
                yield json.loads(line)
            except ValueError:
                return
