# SPDX-License-Identifier: Apache-2.0
"""Import photographs that were labelled with LabelMe."""

import csv
import hashlib
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from ..errors import UserError
from ..progress import say, track
from .format import SPLITS, ClassInfo, read_text
from .labelme_file import LabelFile, Shape, rasterise, read_image_data, read_label_file
from .labels import LabelRules, group_of, unique_ids
from .png import read_bytes
from .shapes import paint
from .sources import IMAGE_SUFFIXES, decode_image, files_below
from .writer import DatasetWriter


@dataclass(frozen=True)
class _Item:
    """One image to import. `image` is None when the picture is embedded in the label file."""

    image: Path | None
    label: LabelFile | None
    split: str
    name: str  # path of the image (or of the label file) relative to the source, with "/"


def import_labelme(
    src: str | Path,
    out: str | Path,
    *,
    splits_csv: str | Path | None = None,
    defects: Sequence[str] | None = None,
    impurities: Sequence[str] | None = None,
    aliases: Mapping[str, str] | None = None,
    ignore: Iterable[str] = (),
    default_split: str = "train",
    group_by: str | None = None,
    name: str | None = None,
    pixel_size_um: float | None = None,
    overwrite: bool = False,
    progress: bool = True,
) -> Path:
    """Make a data set of images and LabelMe files.

    The table and all label files are read and checked before anything is written; a picture is decoded when its turn
    comes. If one is broken the samples before it stay, whole: the same import into the same folder goes on from
    there, and takes up changed sources.

    Args:
        src: a folder with images anywhere below; label files beside them or elsewhere below. Images without a label
            file are clean.
        out: the data set.
        splits_csv: a table with the columns split, image, label; paths relative to `src`, an empty label = clean.
            Then only what it lists is taken.
        defects, impurities: class names by kind; without both every label is a defect.
        aliases: label -> class name.
        ignore: labels to leave out.
        default_split: the split of all images where there is no table.
        group_by: regular expression for the physical part in an image's relative path.
        name: the data set's name; by default the folder's.
        pixel_size_um: edge of a pixel on the surface in µm.
        overwrite: replace another data set in `out`.
        progress: show a progress bar.

    Returns:
        The data set's folder.

    Raises:
        UserError: anything wrong with the input, in one line.
    """
    src, out = Path(src), Path(out)
    if not src.is_dir():
        raise UserError(f"no such folder: {src}")
    if default_split not in SPLITS:
        raise UserError(f"expected the split train, val or test, found {default_split!r}")
    rules = LabelRules.of(defects, impurities, aliases, ignore)
    items = _from_table(src, Path(splits_csv)) if splits_csv else _from_folder(src, out, default_split)
    classes = rules.classes(shape.label for item in items if item.label for shape in item.label.shapes)
    ids = unique_ids([item.name for item in items])
    groups = [group_of(item.name, group_by, sample_id) for item, sample_id in zip(items, ids, strict=True)]
    _warn_of_leaks(items, groups)

    recipe = {"import": "labelme", "labels": rules.as_dict(), "group_by": group_by}
    with DatasetWriter(out, name or src.resolve().name, "sequential-patchcore import labelme", classes,
                       pixel_size_um, recipe, overwrite) as writer:
        writer.keep_only(ids)
        turned = 0
        jobs = list(zip(items, ids, groups, strict=True))
        for item, sample_id, group in track(jobs, "import", len(jobs)) if progress else jobs:
            turned += _import_item(writer, item, sample_id, group, rules, classes)
    if turned:
        say(f"{turned} images were turned upright by their EXIF orientation, as LabelMe shows them")
    return out


def _import_item(
    writer: DatasetWriter, item: _Item, sample_id: str, group: str, rules: LabelRules, classes: tuple[ClassInfo, ...]
) -> bool:
    """Import one image unless it is there already; whether its EXIF orientation turned it."""
    data = read_bytes(item.image) if item.image else read_image_data(item.label.path)
    source = {"image": item.name, "image_sha256": hashlib.sha256(data).hexdigest()}
    if item.label:
        source["label"] = item.label.path.name
        source["label_sha256"] = hashlib.sha256(read_bytes(item.label.path)).hexdigest()
    parameters = {"source": source}
    if writer.is_done(sample_id, item.split, group, parameters):
        return False
    where = item.image or f"{item.label.path}: imageData"
    image, orientation = decode_image(data, where)
    size = image.shape[:2]
    if item.label and item.label.size not in (None, size):
        height, width = item.label.size
        hint = "; its EXIF orientation may have been ignored when it was labelled" if orientation != 1 else ""
        raise UserError(f"{item.label.path} was drawn on an image of {width} x {height} pixels, "
                        f"{where} has {size[1]} x {size[0]}{hint}")
    shapes = item.label.shapes if item.label else ()
    mask, instances, instance_classes = _draw(shapes, rules, classes, size, item)
    writer.add(sample_id, image, mask, instances, instance_classes, item.split, group, parameters=parameters)
    return orientation != 1


def _draw(
    shapes: tuple[Shape, ...], rules: LabelRules, classes: tuple[ClassInfo, ...], size: tuple[int, int], item: _Item
) -> tuple[np.ndarray, np.ndarray, dict[int, int]]:
    """Mask, instances, and instance number -> class id. Shapes with one group_id and class are one instance."""
    by_name = {info.name: info for info in classes}
    members: dict[tuple[str, object], list[Shape]] = {}
    for position, shape in enumerate(shapes):
        class_name = rules.class_of(shape.label)
        if class_name is not None:
            key = ("shape", position) if shape.group_id is None else ("group", shape.group_id)
            members.setdefault((class_name, key), []).append(shape)
    if len(members) > 65535:
        raise UserError(f"{item.name}: found {len(members)} instances, an image holds 65535")
    numbered = [(number, by_name[key[0]], group) for number, (key, group) in enumerate(members.items(), start=1)]
    bottom_to_top = sorted(numbered, key=lambda entry: entry[1].kind == "defect")
    mask, instances = paint(
        (
            (number, info.id, np.logical_or.reduce([rasterise(shape, size) for shape in group]))
            for number, info, group in bottom_to_top
        ),
        size,
    )
    return mask, instances, {number: info.id for number, info, _ in numbered}


def _from_table(src: Path, table: Path) -> list[_Item]:
    """The rows of a CSV with the columns split, image, label."""
    rows = csv.DictReader(io.StringIO(read_text(table), newline=""))
    try:
        columns = [column.strip() for column in rows.fieldnames or []]
        rows.fieldnames = columns
        lines = [(rows.line_num, row) for row in rows]
    except csv.Error as error:
        raise UserError(f"{table}: broken table ({error})") from error
    if not {"split", "image", "label"} <= set(columns):
        raise UserError(f"{table}: expected the columns split, image, label, found {', '.join(columns) or 'none'}")
    items, seen = [], set()
    for number, row in lines:
        where = f"{table}, line {number}"
        split, image, label = ((row[column] or "").strip().replace("\\", "/") for column in ("split", "image", "label"))
        if split not in SPLITS:
            raise UserError(f"{where}: expected the split train, val or test, found {split!r}")
        if not image or not (src / image).is_file():
            raise UserError(f"{where}: no such image: {src / image if image else 'the column is empty'}")
        if label and not (src / label).is_file():
            raise UserError(f"{where}: no such label file: {src / label}")
        if image in seen:
            raise UserError(f"{where}: the image {image} is listed twice")
        seen.add(image)
        items.append(_Item(src / image, read_label_file(src / label) if label else None, split, image))
    if not items:
        raise UserError(f"{table} lists no images")
    return items


def _from_folder(src: Path, out: Path, split: str) -> list[_Item]:
    """All images below `src`, each with the label file that names it."""
    images = list(files_below(src, IMAGE_SUFFIXES, out))
    labels = [read_label_file(path) for path in files_below(src, (".json",), out)]
    by_file_name: dict[str, list[Path]] = {}
    for image in images:
        for key in {image.name, image.stem}:
            by_file_name.setdefault(key, []).append(image)
    label_of: dict[Path, LabelFile] = {}
    embedded = []
    for label in labels:
        image = _image_of(label, by_file_name)
        if image is None:
            embedded.append(_Item(None, label, split, label.path.relative_to(src).as_posix()))
        elif image in label_of:
            raise UserError(f"{image} has two label files: {label_of[image].path} and {label.path}")
        else:
            label_of[image] = label
    items = [_Item(image, label_of.get(image), split, image.relative_to(src).as_posix()) for image in images]
    if not items and not embedded:
        raise UserError(f"{src} holds no images ({', '.join(IMAGE_SUFFIXES)})")
    return sorted(items + embedded, key=lambda item: item.name)


def _image_of(label: LabelFile, by_file_name: dict[str, list[Path]]) -> Path | None:
    """The image of a label file: where `imagePath` says, else beside it, else the only one of that name anywhere.

    None when the picture has to come from `imageData`.
    """
    named = PurePosixPath(label.image_path).name
    candidates = by_file_name.get(named) or by_file_name.get(label.path.stem) or []
    exact = (label.path.parent / label.image_path).resolve() if label.image_path else None
    for wanted in (lambda path: path.resolve() == exact, lambda path: path.parent == label.path.parent):
        chosen = [path for path in candidates if wanted(path)]
        if len(chosen) == 1:
            return chosen[0]
    if len(candidates) == 1:
        return candidates[0]
    if len(candidates) > 1:
        raise UserError(f"{label.path}: several images could be meant: {', '.join(map(str, candidates[:3]))}; "
                        "say which with --splits CSV")
    if label.has_image_data:
        return None
    raise UserError(f"{label.path}: no image {named or label.path.stem!r} in the folder, and none is embedded")


def _warn_of_leaks(items: list[_Item], groups: list[str]) -> None:
    splits: dict[str, set[str]] = {}
    for item, group in zip(items, groups, strict=True):
        splits.setdefault(group, set()).add(item.split)
    shared = sorted(group for group, names in splits.items() if len(names) > 1)
    if shared:
        say(f"warning: {len(shared)} groups are in more than one split, so scores will flatter; the first: {shared[0]}")
