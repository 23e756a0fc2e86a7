# SPDX-License-Identifier: Apache-2.0
"""A folder of photographs and LabelMe files: which label file belongs to which image."""

import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath

from ...runtime.errors import UserError
from ..picture_files import is_image_name
from .findings import Findings
from .items import Item, Job
from .labelme_file import LabelFile, read_image_data, read_label_file
from .labelme_xml import read_label_xml
from .names import name_key, relative_name
from .recognise import LABELME, recognise


def read_labelme(job: Job) -> list[Item]:
    """All images below the source, each with the label file that names it, and images elsewhere that one names.

    With a table that names the label files these alone are read.
    """
    if job.table is not None and job.table.names_labels:
        return _items_of_table(job)
    src = job.src
    labels = _read_label_files(job)
    images = [path for path in job.survey.images if path not in job.used]  # masks are no photographs
    label_of, embedded = _match(labels, images, src, job.findings)
    outside = sorted(set(label_of) - set(images))
    items = [_item(src, image, label_of.get(image)) for image in [*images, *outside]]
    items += [_item(src, None, label) for label in embedded]
    return sorted(items, key=lambda item: item.name)


def _items_of_table(job: Job) -> list[Item]:
    items = []
    for row in job.table.rows:
        label = None
        if row.label:
            with job.findings.catch(row.image):
                job.used.add(job.src / row.label)
                label = read_label_file(job.src / row.label)
                if label.foreign:
                    raise UserError(f"{label.path} holds labels of another tool than LabelMe")
                _tell_problems(label, row.image, job.findings)
        items.append(_item(job.src, job.src / row.image, label, row.image))
    return items


def _item(src: Path, image: Path | None, label: LabelFile | None, name: str | None = None) -> Item:
    name = name or relative_name(label.path if image is None else image, src)
    where = f"{label.path}: imageData" if image is None else str(image)
    image = partial(read_image_data, label.path) if image is None else image
    if label is None:
        return Item(name, image, where)
    return Item(
        name, image, where, label.shapes, tags=label.tags, size=label.size, label_file=label.path,
        digests={"label_sha256": label.sha256},
    )


def _read_label_files(job: Job) -> list[LabelFile]:
    labels = []
    for path in job.survey.others_with(".json"):
        with job.findings.catch():
            label = read_label_file(path)
            if not label.foreign:
                job.used.add(path)
                labels.append(label)
    for path in job.survey.others_with(".xml"):
        with job.findings.catch():
            label = read_label_xml(job, path) if recognise(path) == LABELME else None
            if label is not None:
                job.used.add(path)
                labels.append(label)
    return labels


def _match(
    labels: Sequence[LabelFile], images: Sequence[Path], src: Path, findings: Findings
) -> tuple[dict[Path, LabelFile], list[LabelFile]]:
    """Image -> its label file; and the label files whose picture is embedded."""
    by_file_name: dict[str, list[Path]] = {}
    for image in images:
        for key in {name_key(image.name), name_key(image.stem)}:
            by_file_name.setdefault(key, []).append(image)
    label_of: dict[Path, LabelFile] = {}
    embedded = []
    for label in labels:
        try:
            image = _image_of(label, by_file_name)
        except UserError as error:  # nobody knows which image the labels belong to: none can be left out for them
            for problem in label.problems or (str(error),):
                findings.problem(problem)
            continue
        name = relative_name(label.path if image is None else image, src)
        _tell_problems(label, name, findings)
        if image is None:
            embedded.append(label)
        elif image in label_of:
            findings.problem(f"{image} has two label files: {label_of[image].path} and {label.path}", name)
        else:
            label_of[image] = label
    return label_of, embedded


def _tell_problems(label: LabelFile, image: str, findings: Findings) -> None:
    for problem in label.problems:
        findings.problem(problem, image)
    for how, where in label.unclean:
        findings.note(how, where)


def _image_of(label: LabelFile, by_file_name: Mapping[str, list[Path]]) -> Path | None:
    """The image of a label file: where `imagePath` says, else beside it, else the only one of that name anywhere.

    None when the picture has to come from `imageData`.
    """
    named = PurePosixPath(label.image_path).name
    candidates = by_file_name.get(name_key(named)) or by_file_name.get(name_key(label.path.stem)) or []
    exact = Path(os.path.normpath(label.path.parent / label.image_path)) if label.image_path else None
    named_so = [path for path in candidates if exact is not None and _same(path, exact)]
    beside = [path for path in candidates if path.parent == label.path.parent]
    for chosen in (named_so, beside):
        if len(chosen) == 1:
            return chosen[0]
    if exact is not None and is_image_name(named) and os.path.isfile(exact):
        return exact  # beside the source, as `../images/ID.png`
    if len(candidates) == 1:
        return candidates[0]
    if len(candidates) > 1:
        raise UserError(f"{label.path}: several images could be meant: {', '.join(map(str, candidates[:3]))}; "
                        "say which with a table of `splits`")
    if label.has_image_data:
        return None
    raise UserError(f"{label.path}: no image {named or label.path.stem!r} in the folder, and none is embedded")


def _same(path: Path, exact: Path) -> bool:
    return name_key(str(path.resolve())) == name_key(str(exact.resolve()))
