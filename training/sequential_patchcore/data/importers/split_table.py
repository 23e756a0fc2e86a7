# SPDX-License-Identifier: Apache-2.0
"""A table of splits, as spreadsheets and scripts write it: which images are taken, their split, label file, plate."""

import csv
import io
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...runtime.errors import UserError
from ..picture_files import Survey
from ..png import read_bytes
from .findings import Findings
from .names import name_key, relative_name, split_named

_SEPARATORS = (",", ";", "\t", "|")
_COLUMNS = ("split", "image", "label", "group")


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


def read_table(table: Path, survey: Survey, findings: Findings) -> SplitTable:
    """A CSV with the columns split, image and, if wanted, label and group; a wrong row is a problem of its image.

    Taken as spreadsheets write it: separated by commas, semicolons, tabs or |; in UTF-8, UTF-16 or, as older ones do,
    Windows-1252; names of columns and splits in any case, `training` for train and the like; empty lines.

    Raises:
        UserError: no table, no such columns, or no rows.
    """
    columns, lines = _read_lines(table, _decode(table, findings))
    by_key = {name_key(relative_name(path, survey.root)): path for path in (*survey.images, *survey.others)}
    rows: list[Row] = []
    seen: dict[tuple[int, int], int] = {}  # a file -> its line
    for number, cells in lines:
        where = f"{table}, line {number}"
        split, image, label, group = ((cells.get(key) or "").strip() for key in _COLUMNS)
        image, label = (_real_name(text, survey.root, by_key) for text in (image, label))
        problem = _problem(survey.root, split, image, label, seen)
        if problem:
            findings.problem(f"{where}: {problem}", *([image] if image else []))
            continue
        seen[_identity(survey.root / image)] = number
        rows.append(Row(where, split_named(split) or split, image, label, group or None))
    if not rows and not findings.problems:
        raise UserError(f"{table} lists no images")
    return SplitTable(tuple(rows), "label" in columns)


def _problem(src: Path, split: str, image: str, label: str, seen: dict[tuple[int, int], int]) -> str | None:
    if split_named(split) is None:
        return f"expected the split train, val or test, found {split!r}"
    if not image or not (src / image).is_file():
        return f"no such image: {src / image if image else 'the column is empty'}"
    if label and not (src / label).is_file():
        return f"no such label file: {src / label}"
    before = seen.get(_identity(src / image))
    return None if before is None else f"the image {image} is listed twice (first in line {before})"


def _identity(file: Path) -> tuple[int, int]:
    """The same for one file under two names."""
    found = file.stat()
    return found.st_dev, found.st_ino


def _real_name(text: str, src: Path, by_key: dict[str, Path]) -> str:
    """A path of the table as the file system has it, relative to the source with "/"; "" stays.

    Backslashes, "./", absolute paths, another case and another spelling of accents all name the same file.
    """
    if not text:
        return ""
    name = text.replace("\\", "/")
    if Path(name).is_absolute():
        name = relative_name(Path(name), src.resolve())
    name = posixpath.normpath(name)
    if not (src / name).is_file() and name_key(name) in by_key:
        return relative_name(by_key[name_key(name)], src)
    return name


def _decode(table: Path, findings: Findings) -> str:
    if not table.exists():
        raise UserError(f"missing file {table}")
    data = read_bytes(table)
    if data[:4] == b"PK\x03\x04" or data[:4] == b"\xd0\xcf\x11\xe0":
        raise UserError(f"{table} is a spreadsheet; save it as CSV")
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", errors="replace")
    if b"\0" in data[:100]:  # UTF-16 without its mark: every other byte of plain text is 0
        return data.decode("utf-16-le" if data[1:2] == b"\0" else "utf-16-be", errors="replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        findings.say(f"{table} is not in UTF-8 and was read as Windows-1252")
        return data.decode("cp1252", errors="replace")


def _read_lines(table: Path, text: str) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """The names of the columns, and (line number, cells by column) of each row that is not empty."""
    first, _, rest = text.partition("\n")
    skipped = 0
    if first.strip().lower().startswith("sep="):  # what Excel writes to say the separator
        text, skipped, first = rest, 1, rest.partition("\n")[0]
    separator = max(_SEPARATORS, key=first.count)
    try:
        records = list(_records(csv.reader(io.StringIO(text, newline=""), delimiter=separator)))
    except csv.Error as error:
        raise UserError(f"{table}: broken table ({error})") from error
    header = [cell.strip().lower() for cell in records[0][1]] if records else []
    if not {"split", "image"} <= set(header):
        raise UserError(f"{table}: expected the columns split, image (and label, group), "
                        f"found {', '.join(header) or 'none'}")
    return header, [(number + skipped, dict(zip(header, cells, strict=False))) for number, cells in records[1:]]


def _records(rows: Any) -> Iterator[tuple[int, list[str]]]:
    for cells in rows:
        if any(cell.strip() for cell in cells):
            yield rows.line_num, cells
