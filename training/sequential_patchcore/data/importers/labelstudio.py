# SPDX-License-Identifier: Apache-2.0
"""Label Studio's JSON export: polygons, rectangles, ellipses, key points, brush strokes, choices.

Format: https://labelstud.io/guide/export and the page of each tag. Places are in percent of the image's sides.
"""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np

from ...runtime.errors import UserError
from ..format import canonical_json, parse_json
from ..png import read_bytes
from . import outlines
from .coco import WEAK
from .image_lookup import ImageLookup
from .items import Item, Job, Shape
from .label_numbers import numbers_of, points_of
from .mask_file import labelled
from .names import relative_name
from .outlines import Bitmap, Ellipse, Outline, Polygon
from .recognise import LABELSTUDIO, kind_of_json
from .run_lengths import unpack_values

_KINDS = ("rectangle", "polygon", "ellipse", "keypoint", "brush")


def read_labelstudio(job: Job) -> list[Item]:
    """The images of all tasks that somebody annotated; an annotation without labels means a clean image."""
    lookup = ImageLookup(job.survey, job.findings)
    items: dict[str, Item] = {}
    found = False
    for path in job.survey.others_with(".json"):
        with job.findings.catch():
            content = parse_json(read_bytes(path).decode("utf-8-sig", "replace"), str(path))
            if kind_of_json(content) != LABELSTUDIO:
                continue
            found = True
            job.used.add(path)
            for number, task in enumerate(content if isinstance(content, list) else [content], start=1):
                _read_task(job, path, number, task, lookup, items)
    if not found and not job.findings.problems:
        raise UserError(f"{job.src} holds no Label Studio file: expected the export \"JSON\" of a project")
    return sorted(items.values(), key=lambda item: item.name)


def _read_task(job: Job, path: Path, number: int, task: Any, lookup: ImageLookup, items: dict[str, Item]) -> None:
    identity = task.get("id", number) if isinstance(task, dict) else number
    where = f"{path}: task {identity}"
    said = _image_name(task) if isinstance(task, dict) else None
    with job.findings.catch(*([said] if said else [])):
        if said is None:
            raise UserError(f"{where} names no image")
        try:
            image = lookup.find(said, path.parent)
        except UserError as error:
            raise UserError(f"{where}: {error}") from error
        name = relative_name(image, job.src)
        with job.findings.catch(name):
            annotation = _annotation(job, task, where)
            if annotation is None:
                return
            item = _item(job, path, where, image, annotation)
            if name in items:
                raise UserError(f"{image} is in two tasks, the second in {where}")
            items[name] = item


def _image_name(task: Mapping[str, Any]) -> str | None:
    """The picture of a task: the first of its data that is one, by its URL, local file or upload."""
    data = task.get("data")
    texts = [value for value in data.values() if isinstance(value, str)] if isinstance(data, dict) else []
    named = [data[key] for key in ("image", "img", "image_url") if isinstance(data, dict) and data.get(key) in texts]
    said = next(iter([*named, *texts]), task.get("file_upload"))
    if not isinstance(said, str) or not said:
        return None
    parts = urlsplit(said)
    local = parse_qs(parts.query).get("d")  # /data/local-files/?d=FOLDER/NAME
    return local[0] if local else unquote(parts.path) or said


def _annotation(job: Job, task: Mapping[str, Any], where: str) -> Mapping[str, Any] | None:
    """The one annotation of a task; None where nobody looked at it.

    Raises:
        UserError: several people annotated it, and none is the ground truth.
    """
    entries = task.get("annotations", task.get("completions"))
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise UserError(f"{where}: expected its annotations as a list of objects")
    done = [entry for entry in entries if not entry.get("was_cancelled")]
    if not done:
        job.findings.note("{count} tasks have no annotation, or were skipped; their images are left out", where)
        return None
    chosen = [entry for entry in done if entry.get("ground_truth")] if len(done) > 1 else done
    if len(chosen) != 1:
        raise UserError(f"{where} has {len(done)} annotations: mark one as ground truth, or delete the others")
    return chosen[0]


def _item(job: Job, path: Path, where: str, image: Path, annotation: Mapping[str, Any]) -> Item:
    results = annotation.get("result")
    if not isinstance(results, list) or not all(isinstance(result, dict) for result in results):
        raise UserError(f"{where}: expected its result as a list of objects")
    name = relative_name(image, job.src)
    shapes: list[Shape] = []
    choices: list[str] = []
    size: tuple[float | None, float | None] = (None, None)
    for result, labels in _with_labels(results):
        with job.findings.catch(name):
            kind = str(result.get("type", "")).removesuffix("labels")
            place = f"{where}, result {result.get('id', '?')} ({', '.join(labels)!r})"
            if kind == "choices":
                choices += [label for label in labels if not job.means_good(label)]
            elif kind in _KINDS:
                size = _size(result, place)
                shapes += _shapes(job, result, kind, labels, size, place)
            else:
                raise UserError(f"{place}: the type {result.get('type')!r} is not read; known: choices, "
                                f"{', '.join(kind + 'labels' for kind in _KINDS)}")
    digest = hashlib.sha256(canonical_json(results).encode()).hexdigest()
    return Item(name, image, str(image), tuple(shapes), as_a_whole=tuple(choices), size=size, label_file=path,
                digests={"label_sha256": digest})


def _with_labels(results: list[Mapping[str, Any]]) -> Iterator[tuple[Mapping[str, Any], list[str]]]:
    """Each result with a place or a choice, and its labels.

    A place may be split in two results of one id, such as `polygon` with the points and `labels` with the labels.
    """
    by_id: dict[str | int, list[str]] = {}
    places: dict[str | int, Mapping[str, Any]] = {}
    for position, result in enumerate(results):
        if result.get("type") in ("relation", "textarea", "rating", "number"):
            continue
        value = result.get("value") if isinstance(result.get("value"), dict) else {}
        key = result["id"] if isinstance(result.get("id"), str) else position
        for name in (f"{result.get('type')}", "labels", "choices"):
            found = value.get(name)
            if isinstance(found, list) and name.endswith(("labels", "choices")):
                labels = by_id.setdefault(key, [])
                labels += [str(label).strip() for label in found if str(label).strip() not in labels]
        is_place = result.get("type") != "labels" or any(part in value for part in ("points", "x", "rle"))
        if is_place:
            places[key] = result if result.get("type") != "labels" else result | {"type": _type_of(value)}
    for key, result in places.items():
        yield result, by_id.get(key, [])


def _type_of(value: Mapping[str, Any]) -> str:
    """The kind of a place whose result has the type `labels`."""
    if "points" in value:
        return "polygon"
    if "rle" in value:
        return "brush"
    return "ellipse" if "radiusX" in value else "rectangle" if "height" in value else "keypoint"


def _size(result: Mapping[str, Any], where: str) -> tuple[float, float]:
    height, width = numbers_of([result.get("original_height"), result.get("original_width")], where)
    if min(height, width) <= 0:
        raise UserError(f"{where}: expected original_width and original_height in pixels")
    if result.get("image_rotation"):
        raise UserError(f"{where}: drawn on the image turned by {result['image_rotation']} degrees, which is not read")
    return height, width


def _shapes(
    job: Job, result: Mapping[str, Any], kind: str, labels: list[str], size: tuple[float, float], where: str
) -> list[Shape]:
    if not labels:
        raise UserError(f"{where} has no label")
    value = result.get("value") or {}
    outline = _outline(job, kind, value, size, where)
    if kind == "rectangle":
        job.findings.note(WEAK, where)
    return [Shape(label, outline, where, weak=kind == "rectangle") for label in labels]


def _outline(job: Job, kind: str, value: Mapping[str, Any], size: tuple[float, float], where: str) -> Outline:
    scale = np.array([size[1], size[0]]) / 100
    if kind == "polygon":
        return Polygon(points_of(value.get("points"), 3, "a polygon", where) * scale)
    if kind == "brush":
        return _brush(job, value, size, where)
    x, y = numbers_of([value.get("x"), value.get("y")], where) * scale
    degrees = numbers_of([value.get("rotation") or 0], where)[0]
    if kind == "keypoint":
        return outlines.dots(np.array([[x, y]]))
    if kind == "ellipse":
        across, down = numbers_of([value.get("radiusX"), value.get("radiusY")], where) * scale
        return Ellipse(np.array([x, y]), (float(across), float(down)), degrees)
    width, height = numbers_of([value.get("width"), value.get("height")], where) * scale
    return outlines.turned_box(x, y, x + width, y + height, degrees, (x, y))


def _brush(job: Job, value: Mapping[str, Any], size: tuple[float, float], where: str) -> Bitmap:
    """Of four channels the last, how opaque the stroke is; half of the largest value decides, as for every mask."""
    height, width = round(size[0]), round(size[1])
    try:
        values = unpack_values(value.get("rle") or [])
    except UserError as error:
        raise UserError(f"{where}: {error}") from error
    if len(values) != height * width * 4:
        raise UserError(f"{where}: its brush strokes are of {len(values) // 4} pixels, the image has {width} x "
                        f"{height}")
    inside, how = labelled(values.reshape(height, width, 4)[..., 3], lossy=True)
    if how:
        job.findings.note(how, where)
    return Bitmap(inside)
