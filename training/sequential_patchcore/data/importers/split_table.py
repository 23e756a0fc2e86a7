# SPDX-License-Identifier: Apache-2.0
"""A table of splits: which images are taken, and the split, label file and plate of each."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from ...runtime.errors import UserError
from ..format import SPLITS, read_text
from .findings import Findings


@dataclass(frozen=True)
class Row:
    """One image of a table: paths relative to the source with "/", and the line for messages."""

    where: str
    split: str
    image: str
    label: str
    group: str | None


@dataclass(frozen=True)
class SplitTable:
    """A table. `names_labels`: it has a column for label files, so that an empty one means a clean image."""

    rows: tuple[Row, ...]
    names_labels: bool


def read_table(table: Path, src: Path, findings: Findings) -> SplitTable:
    """A CSV with the columns split, image and, if wanted, label and group; a wrong row is a problem of its image.

    Raises:
        UserError: no table, no such columns, or no rows.
    """
    columns, lines = _read_lines(table)
    rows: list[Row] = []
    seen: set[str] = set()
    for number, cells in lines:
        where = f"{table}, line {number}"
        split, image, label, group = ((cells.get(key) or "").strip() for key in ("split", "image", "label", "group"))
        image, label = image.replace("\\", "/"), label.replace("\\", "/")
        problem = _problem(src, split, image, label, seen)
        if problem:
            findings.problem(f"{where}: {problem}", *([image] if image else []))
            continue
        seen.add(image)
        rows.append(Row(where, split, image, label, group or None))
    if not rows and not findings.problems:
        raise UserError(f"{table} lists no images")
    return SplitTable(tuple(rows), "label" in columns)


def _problem(src: Path, split: str, image: str, label: str, seen: set[str]) -> str | None:
    if split not in SPLITS:
        return f"expected the split train, val or test, found {split!r}"
    if not image or not (src / image).is_file():
        return f"no such image: {src / image if image else 'the column is empty'}"
    if label and not (src / label).is_file():
        return f"no such label file: {src / label}"
    if image in seen:
        return f"the image {image} is listed twice"
    return None


def _read_lines(table: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    rows = csv.DictReader(io.StringIO(read_text(table), newline=""))
    try:
        columns = [column.strip() for column in rows.fieldnames or []]
        rows.fieldnames = columns
        lines = [(rows.line_num, row) for row in rows]
    except csv.Error as error:
        raise UserError(f"{table}: broken table ({error})") from error
    if not {"split", "image"} <= set(columns):
        raise UserError(f"{table}: expected the columns split, image (and label, group), "
                        f"found {', '.join(columns) or 'none'}")
    return columns, lines
