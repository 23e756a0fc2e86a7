# SPDX-License-Identifier: Apache-2.0
"""Which product an image shows: by its folder, by a table of images, by rules over its name, or one for all."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from ..runtime.errors import UserError
from .dataset import Sample
from .format import parse_json, read_text

FOLDER = "folder"
FOLDERS = "folders"
_DELIMITERS = ",;\t|"


@dataclass(frozen=True)
class ProductChoice:
    """How the product of an image is told; the first that is given and says something decides, in this order.

    Attributes:
        name: of all images; None where something else says.
        table: CSV with a head line, or JSON with a list of objects, one an image; its column `image` holds a path, seen
            from the table's own folder or from the working one, or a file's name alone.
        columns: of the table; their texts are joined by "/", such as "bracket/left" of part and camera.
        rules: (pattern, name): the first whose pattern fits decides. A pattern, such as "*_cam2_*", is held against the
            file's name, and with a "/" in it against the end of its path.
        by: "folder": the folder that the image lies in; "folders": the two innermost, as "bracket/left".
    """

    name: str | None = None
    table: Path | None = None
    columns: tuple[str, ...] = ("product",)
    rules: tuple[tuple[str, str], ...] = ()
    by: str | None = None

    @property
    def given(self) -> bool:
        return self.name is not None or self.table is not None or bool(self.rules) or self.by is not None


class ProductNames:
    """Tells the product of an image.

    Raises:
        UserError: a table that cannot be read, lacks a column, or names an image twice with two products.
    """

    def __init__(self, choice: ProductChoice) -> None:
        if choice.by not in (None, FOLDER, FOLDERS):
            raise UserError(f"`product_by` {choice.by!r}: expected {FOLDER} or {FOLDERS}")
        self.choice = choice
        self._by_path: dict[str, str] = {}
        self._by_name: dict[str, set[str]] = {}
        if choice.table is not None:
            for where, image, product in _rows(choice.table, choice.columns):
                self._take(where, image, product)

    def of(self, image: Path) -> str:
        """The name of its product; "" where nothing tells."""
        choice = self.choice
        if choice.name is not None:
            return choice.name
        if choice.table is not None and (found := self._listed(image)) is not None:
            return found
        for pattern, name in choice.rules:
            if _fits(image, pattern):
                return name
        return _of_folder(image, choice.by)

    def of_sample(self, sample: Sample) -> str:
        """The same of an image of a data set, by the picture that it was imported from where that is known."""
        source = sample.parameters.get("source")
        image = source.get("image") if isinstance(source, Mapping) else None
        named = [Path(image)] if isinstance(image, str) else []
        for path in (*named, Path(f"{sample.id}.png"), Path(sample.id)):
            if (found := self.of(path)) != "":
                return found
        return ""

    def _take(self, where: str, image: str, product: str) -> None:
        assert self.choice.table is not None
        for start in (self.choice.table.parent, Path()):
            place = str((start / image).absolute())
            if self._by_path.setdefault(place, product) != product:
                raise UserError(f"{where}: {image} is {product!r} here and {self._by_path[place]!r} before")
        self._by_name.setdefault(PurePosixPath(image.replace("\\", "/")).name, set()).add(product)

    def _listed(self, image: Path) -> str | None:
        found = self._by_path.get(str(image.absolute()))
        if found is not None:
            return found
        named = self._by_name.get(image.name, set())
        return next(iter(named)) if len(named) == 1 else None


def _fits(image: Path, pattern: str) -> bool:
    if "/" not in pattern:
        return fnmatchcase(image.name, pattern)
    return fnmatchcase(f"/{image.absolute().as_posix().lstrip('/')}", f"*/{pattern.lstrip('/')}")


def _of_folder(image: Path, by: str | None) -> str:
    parts = image.parent.parts if image.parent != Path() else ()
    parts = tuple(part for part in parts if part not in ("", ".", image.anchor))
    return "" if by is None else "/".join(parts[-1:] if by == FOLDER else parts[-2:])


def _rows(table: Path, columns: Sequence[str]) -> list[tuple[str, str, str]]:
    """(where, image, product) of each row."""
    records = _json_records(table) if table.suffix.lower() == ".json" else _csv_records(table)
    found = []
    for where, record in records:
        for column in ("image", *columns):
            if not isinstance(record.get(column), str | int) or isinstance(record.get(column), bool):
                raise UserError(f"{where}: expected the columns {', '.join(('image', *columns))}; {column} is missing")
        product = "/".join(str(record[column]).strip() for column in columns)
        found.append((where, str(record["image"]).strip(), product))
    if not found:
        raise UserError(f"{table}: no image is named")
    return found


def _json_records(table: Path) -> list[tuple[str, dict]]:
    content = parse_json(read_text(table), str(table))
    if not isinstance(content, list) or not all(isinstance(one, dict) for one in content):
        raise UserError(f"{table}: expected a list of objects, such as {json.dumps([{'image': 'a.png'}])}")
    return [(f"{table}, entry {number}", one) for number, one in enumerate(content, start=1)]


def _csv_records(table: Path) -> list[tuple[str, dict]]:
    text = read_text(table)
    head = text.split("\n", 1)[0]
    delimiter = max(_DELIMITERS, key=head.count)
    reader = csv.DictReader(io.StringIO(text), delimiter=delimiter, restval="")
    return [(f"{table}, line {reader.line_num}", {str(name).strip(): value for name, value in row.items()})
            for row in reader]
