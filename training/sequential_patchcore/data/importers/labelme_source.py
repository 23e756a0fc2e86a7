# SPDX-License-Identifier: Apache-2.0
"""A folder of photographs and LabelMe files: which label file belongs to which image."""

import csv
import io
import os
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ...runtime.errors import UserError
from ..format import HEADER_FILE, SPLITS, read_text
from ..photographs import IMAGE_SUFFIXES, files_below
from .labelme_file import LabelFile, read_label_file

# What a data set holds besides photographs: pictures too, but not to be imported as such.
_NOT_PHOTOGRAPHS = ("masks", "instances", "regions", "stain_distance")


@dataclass(frozen=True)
class Item:
    """One image to import.

    Attributes:
        image: None when the picture is embedded in the label file.
        label: None when the image is clean.
        name: path of the image (or of the label file) relative to the source, with "/".
        split, group: as a table says; None where something else has to.
    """

    image: Path | None
    label: LabelFile | None
    name: str
    split: str | None = None
    group: str | None = None


def items_of_folder(src: Path, out: Path) -> list[Item]:
    """All images below `src`, each with the label file that names it, and images elsewhere that a label file names.

    Raises:
        UserError: no images, a broken label file, two for one image, none or several images for one.
    """
    own = [src / name for name in _NOT_PHOTOGRAPHS] if (src / HEADER_FILE).is_file() else []
    images = list(files_below(src, IMAGE_SUFFIXES, [out, *own]))
    label_of, embedded = _match(src, images, out)
    outside = sorted(set(label_of) - set(images))
    items = [Item(image, label_of.get(image), _relative(image, src)) for image in images + outside]
    items += [Item(None, label, _relative(label.path, src)) for label in embedded]
    if not items:
        raise UserError(f"{src} holds no images ({', '.join(IMAGE_SUFFIXES)})")
    return sorted(items, key=lambda item: item.name)


def items_of_table(src: Path, table: Path, out: Path) -> list[Item]:
    """The rows of a CSV with the columns split, image and, if wanted, label and group.

    With a column `label` an empty one means a clean image; without it the label files are found as in a folder.

    Raises:
        UserError: a broken table, a file that is not there, an image listed twice; the message names the line.
    """
    columns, rows = _read_table(table)
    found: Mapping[Path, LabelFile] = {}
    if "label" not in columns:
        found, _ = _match(src, list(files_below(src, IMAGE_SUFFIXES, [out])), out)
    items, seen = [], set()
    for number, row in rows:
        where = f"{table}, line {number}"
        split, image, label, group = ((row.get(key) or "").strip() for key in ("split", "image", "label", "group"))
        image, label = image.replace("\\", "/"), label.replace("\\", "/")
        if split not in SPLITS:
            raise UserError(f"{where}: expected the split train, val or test, found {split!r}")
        if not image or not (src / image).is_file():
            raise UserError(f"{where}: no such image: {src / image if image else 'the column is empty'}")
        if label and not (src / label).is_file():
            raise UserError(f"{where}: no such label file: {src / label}")
        if image in seen:
            raise UserError(f"{where}: the image {image} is listed twice")
        seen.add(image)
        file = read_label_file(src / label) if label else found.get(src / image)
        items.append(Item(src / image, file, image, split, group or None))
    if not items:
        raise UserError(f"{table} lists no images")
    return items


def _read_table(table: Path) -> tuple[list[str], list[tuple[int, dict]]]:
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


def _match(src: Path, images: list[Path], out: Path) -> tuple[dict[Path, LabelFile], list[LabelFile]]:
    """Image -> its label file; and the label files whose picture is embedded."""
    by_file_name: dict[str, list[Path]] = {}
    for image in images:
        for key in {_key(image.name), _key(image.stem)}:
            by_file_name.setdefault(key, []).append(image)
    label_of: dict[Path, LabelFile] = {}
    embedded = []
    left_out = [out, src / HEADER_FILE]
    for path in files_below(src, (".json",), left_out):
        label = read_label_file(path)
        image = _image_of(label, by_file_name)
        if image is None:
            embedded.append(label)
        elif image in label_of:
            raise UserError(f"{image} has two label files: {label_of[image].path} and {label.path}")
        else:
            label_of[image] = label
    return label_of, embedded


def _image_of(label: LabelFile, by_file_name: dict[str, list[Path]]) -> Path | None:
    """The image of a label file: where `imagePath` says, else beside it, else the only one of that name anywhere.

    None when the picture has to come from `imageData`.
    """
    named = PurePosixPath(label.image_path).name
    candidates = by_file_name.get(_key(named)) or by_file_name.get(_key(label.path.stem)) or []
    exact = Path(os.path.normpath(label.path.parent / label.image_path)) if label.image_path else None
    named_so = [path for path in candidates if exact is not None and _same(path, exact)]
    beside = [path for path in candidates if path.parent == label.path.parent]
    for chosen in (named_so, beside):
        if len(chosen) == 1:
            return chosen[0]
    if exact is not None and named.lower().endswith(IMAGE_SUFFIXES) and os.path.isfile(exact):
        return exact  # beside the source, as `../images/ID.png`
    if len(candidates) == 1:
        return candidates[0]
    if len(candidates) > 1:
        raise UserError(f"{label.path}: several images could be meant: {', '.join(map(str, candidates[:3]))}; "
                        "say which with --splits CSV")
    if label.has_image_data:
        return None
    raise UserError(f"{label.path}: no image {named or label.path.stem!r} in the folder, and none is embedded")


def _same(path: Path, exact: Path) -> bool:
    return _key(str(path.resolve())) == _key(str(exact.resolve()))


def _key(name: str) -> str:
    """Names alike for file systems that ignore case (Windows) or take letters apart (macOS)."""
    return unicodedata.normalize("NFC", name).casefold()


def _relative(path: Path, src: Path) -> str:
    return Path(os.path.relpath(path, src)).as_posix()
