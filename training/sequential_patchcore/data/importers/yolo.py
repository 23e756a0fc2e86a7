# SPDX-License-Identifier: Apache-2.0
"""YOLO's text files: a line for each object, boxes or segments, as shares of the image's sides.

Format: https://docs.ultralytics.com/datasets/segment/. The labels of `…/images/NAME.jpg` lie in `…/labels/NAME.txt`, or
beside it. The classes' names come from data.yaml, classes.txt or obj.names; the splits from data.yaml or the folders.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import yaml

from ...runtime.errors import UserError
from ..format import KINDS, SPLITS
from ..photographs import upright_size
from ..png import read_bytes
from . import outlines
from .coco import WEAK
from .items import Item, Job, Shape
from .names import name_key, relative_name, split_named
from .outlines import Outline, Polygon
from .recognise import is_yolo_line

_NAMES = ("classes.txt", "obj.names", "_darknet.labels")
_WORDS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
_FARTHEST_SHARE = 1.5  # of a side; what is beyond it is no share


@dataclass(frozen=True)
class _Description:
    """What data.yaml and the like say: class number -> name, and the splits' files and folders."""

    names: Mapping[int, str]
    places: Mapping[str, Sequence[Path]]


def read_yolo(job: Job) -> list[Item]:
    """Every picture with its label file; one without a file, or with an empty one, is clean."""
    description = _describe(job)
    texts = {name_key(relative_name(path, job.src)): path for path in job.survey.others_with(".txt")}
    items, without = [], 0
    for image in job.survey.images:
        name = relative_name(image, job.src)
        label = _label_file(PurePosixPath(name), texts)
        shapes: list[Shape] = []
        digests = {}
        if label is None:
            without += 1
        else:
            job.used.add(label)
            with job.findings.catch(name):
                digests = {"label_sha256": hashlib.sha256(read_bytes(label)).hexdigest()}
                shapes = _shapes(job, label, image, name, description.names)
        split = _split(image, PurePosixPath(name), description.places)
        items.append(Item(name, image, str(image), tuple(shapes), label_file=label, digests=digests, split=split))
    _check_left_over(job, texts)
    if items and without == len(items):
        raise UserError(f"none of the {len(items)} images of {job.src} has a label file; expected labels/NAME.txt for "
                        "images/NAME.jpg, or NAME.txt beside it")
    if without:
        job.findings.say(f"{without} of {len(items)} images have no label file: they count as clean")
    return items


def _describe(job: Job) -> _Description:
    found = [path for path in job.survey.others_with(".yaml", ".yml") if _yaml(path) is not None]
    if len(found) > 1:
        raise UserError(f"several files describe the classes: {', '.join(map(str, found[:3]))}; leave the others out "
                        "with `exclude`")
    if found:
        job.used.add(found[0])
        return _from_yaml(job, found[0], _yaml(found[0]) or {})
    lists = [path for path in job.survey.others if path.name.lower() in _NAMES]
    job.used.update(lists)
    contents = {tuple(read_bytes(path).decode("utf-8-sig", "replace").split("\n")) for path in lists}
    if len(contents) > 1:
        raise UserError(f"several files name the classes differently: {', '.join(map(str, lists[:3]))}")
    names = [line.strip() for content in contents for line in content]
    while names and not names[-1]:
        names.pop()
    if not names:
        job.findings.say("no data.yaml and no classes.txt name the classes: they are called by their numbers")
    return _Description(dict(enumerate(names)), {})


def _yaml(path: Path) -> dict | None:
    """The content of a data.yaml: one with names of classes."""
    try:
        content = yaml.safe_load(read_bytes(path).decode("utf-8-sig"))
    except (yaml.YAMLError, UnicodeDecodeError):
        return None
    return content if isinstance(content, dict) and "names" in content else None


def _from_yaml(job: Job, path: Path, content: dict) -> _Description:
    names = content["names"]
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not all(isinstance(number, int) for number in names):
        raise UserError(f"{path}: expected names as a list, or as number: name")
    if content.get("kpt_shape"):
        raise UserError(f"{path}: labels of key points (kpt_shape) are not read; export boxes or segments")
    kinds = content.get("kinds")
    if isinstance(kinds, dict):
        job.kinds.update({str(name): kind for name, kind in kinds.items() if kind in KINDS})
    places: dict[str, list[Path]] = {}
    bases = [path.parent / str(content.get("path") or ""), path.parent, job.src]
    for word, split in _WORDS.items():
        said = content.get(word)
        for place in said if isinstance(said, list) else [said] if isinstance(said, str) else []:
            places.setdefault(split, []).extend(_resolved(str(place), bases, job))
    return _Description({number: str(name).strip() for number, name in names.items()}, places)


def _resolved(place: str, bases: Sequence[Path], job: Job) -> list[Path]:
    """A folder, or the images that a list of them names; [] where neither is there."""
    for base in bases:
        found = Path(os.path.normpath(base / place))
        if found.is_dir():
            return [found]
        if found.is_file() and found.suffix.lower() == ".txt":
            job.used.add(found)
            lines = read_bytes(found).decode("utf-8-sig", "replace").splitlines()
            return [Path(os.path.normpath(found.parent / line.strip())) for line in lines if line.strip()]
    return []


def _split(image: Path, name: PurePosixPath, places: Mapping[str, Sequence[Path]]) -> str | None:
    """By data.yaml, else by the one folder of the path that names a split."""
    path = Path(os.path.normpath(image))
    for split in SPLITS:
        if any(place == path or place in path.parents for place in places.get(split, ())):
            return split
    # obj_train_data is what CVAT calls a folder of the darknet layout.
    folders = [part.removeprefix("obj_").removesuffix("_data") for part in name.parts[:-1]]
    found = {split for folder in folders if (split := split_named(folder))}
    return found.pop() if len(found) == 1 else None


def _label_file(name: PurePosixPath, texts: Mapping[str, Path]) -> Path | None:
    """In `labels` instead of the last folder `images`, else beside."""
    parts = list(name.parts)
    candidates = [name.with_suffix(".txt")]
    for place in range(len(parts) - 2, -1, -1):
        if parts[place].casefold() == "images":
            candidates.insert(0, PurePosixPath(*parts[:place], "labels", *parts[place + 1 :]).with_suffix(".txt"))
            break
    else:
        candidates.append(PurePosixPath("labels", *parts).with_suffix(".txt"))
    for candidate in candidates:
        if name_key(candidate.as_posix()) in texts:
            return texts[name_key(candidate.as_posix())]
    return None


def _shapes(job: Job, label: Path, image: Path, name: str, names: Mapping[int, str]) -> list[Shape]:
    text = read_bytes(label).decode("utf-8-sig", "replace")
    lines = [(number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    if not lines:
        return []
    size = upright_size(image)
    if size is None:
        return []  # its decoder will say what is wrong with it
    shapes = []
    for number, line in lines:
        with job.findings.catch(name):
            shapes.append(_shape(job, line, f"{label}, line {number}", size, names))
    return shapes


def _shape(job: Job, line: str, where: str, size: tuple[int, int], names: Mapping[int, str]) -> Shape:
    if not is_yolo_line(line):
        cells = line.split()
        try:
            far = [cell for cell in cells[1:] if not abs(float(cell)) <= _FARTHEST_SHARE]
        except ValueError:
            far = []
        if far and len(cells) >= 5:
            raise UserError(f"{where}: expected shares of the image's sides, found {far[0]}")
        raise UserError(f"{where}: expected `class x y width height` or `class x1 y1 x2 y2 x3 y3 …`, found "
                        f"{line.strip()[:60]!r}")
    cells = line.split()
    number = int(float(cells[0]))
    if names and number not in names:
        raise UserError(f"{where}: the class {number} has no name; known: {', '.join(map(str, names))}")
    label = names.get(number) or str(number)
    values = np.array([float(cell) for cell in cells[1:]])
    outline: Outline
    if len(values) in (4, 5):  # the fifth is a detector's confidence
        job.findings.note(WEAK, where)
        x, y, width, height = values[:4] * (size[1], size[0], size[1], size[0])
        if width < 0 or height < 0:
            raise UserError(f"{where}: its box is {width:g} pixels wide and {height:g} high")
        outline = outlines.box(x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    else:
        outline = Polygon(values.reshape(-1, 2) * (size[1], size[0]))
    return Shape(label, outline, f"{where} ({label!r})", weak=len(values) in (4, 5))


def _check_left_over(job: Job, texts: Mapping[str, Path]) -> None:
    """Label files that belong to no image."""
    for path in texts.values():
        if path in job.used:
            continue
        lines = [line for line in read_bytes(path).decode("utf-8-sig", "replace").splitlines() if line.strip()]
        if lines and all(is_yolo_line(line) for line in lines):
            job.used.add(path)
            job.findings.problem(f"{path} belongs to no image", relative_name(path, job.src))
