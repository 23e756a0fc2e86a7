# SPDX-License-Identifier: Apache-2.0
"""The checker of the data set format: every rule of docs/dataset_format.md, all problems at once."""

import hashlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from ..runtime.errors import UserError
from ..runtime.progress import track
from . import png
from .dataset import Dataset, read_header, record_files
from .format import Header, Sample, canonical_json, parse_json, parse_sample, read_text

_FILES = {
    "image": "images/{}.png",
    "mask": "masks/{}.png",
    "instances": "instances/{}.png",
    "region": "regions/{}.png",
    "stain_distance": "stain_distance/{}.tif",
    "labelme": "labelme/{}.json",
}
_OPTIONAL = ("region", "stain_distance", "labelme")


def check_dataset(path: str | Path, full: bool = True, *, progress: bool = False) -> list[str]:
    """Problems of a data set folder, one line each; an empty list means that it follows the format.

    Args:
        path: the folder.
        full: also decode every picture and compare checksums, masks, instances and pixel counts.
        progress: show a progress bar.
    """
    path = Path(path)
    try:
        header = read_header(path)
    except UserError as error:
        return [str(error)]
    problems: list[str] = []
    samples = _check_records(path, header, problems)
    if not samples and not problems:
        problems.append(f"{path}: no finished sample")
    dataset = Dataset(path, header.name, header.generator, header.classes, header.pixel_size_um, tuple(samples), "")
    for sample in track(samples, "check", len(samples)) if progress else samples:
        problems.extend(_check_files(dataset, sample, full))
    return problems


def _check_records(path: Path, header: Header, problems: list[str]) -> list[Sample]:
    samples: dict[str, Sample] = {}
    lines: dict[str, str] = {}
    for file in record_files(path):
        try:
            text = read_text(file)
        except UserError as error:
            problems.append(str(error))
            continue
        for number, line in enumerate(text.split("\n"), start=1):
            if not line.strip():
                continue
            where = f"{file}, line {number}"
            try:
                record = parse_json(line, where)
                sample = parse_sample(record, where, header.classes)
            except UserError as error:
                problems.append(str(error))
                continue
            canonical = canonical_json(record)
            if lines.setdefault(sample.id, canonical) != canonical:
                problems.append(f"{where}: a second, different record with the id {sample.id!r}")
            samples.setdefault(sample.id, sample)
    return sorted(samples.values(), key=lambda sample: sample.id)


def _check_files(dataset: Dataset, sample: Sample, full: bool) -> Iterator[str]:
    for what, place in _FILES.items():
        file = dataset.path / place.format(sample.id)
        recorded = sample.sha256.get(what)
        if not file.is_file():
            required = what == "image" or (what in ("mask", "instances") and sample.instances)
            if required or recorded:
                yield f"missing file {file}"
        elif what not in _OPTIONAL and recorded is None:
            yield f"{file}: no sha256 of it in the record"
        elif full and recorded is not None:
            try:
                found = hashlib.sha256(png.read_bytes(file)).hexdigest()
            except UserError as error:
                yield str(error)
                continue
            if found != recorded:
                yield f"{file}: sha256 is {found[:12]}…, the record says {str(recorded)[:12]}…"
    if full:
        yield from _check_pixels(dataset, sample)


def _check_pixels(dataset: Dataset, sample: Sample) -> Iterator[str]:
    """Decode everything of a sample; what cannot be decoded is one problem and ends the comparison that needs it."""
    arrays = {}
    mask_of = partial(dataset.mask, located_only=True)
    for what, read in (("image", dataset.image), ("mask", mask_of), ("instances", dataset.instances)):
        try:
            arrays[what] = read(sample)
        except UserError as error:
            if not str(error).startswith("missing file"):
                yield str(error)
    yield from _check_region(dataset, sample)
    if len(arrays) < 3:
        return
    mask, instances = arrays["mask"], arrays["instances"]
    counts = np.bincount(instances.ravel(), minlength=65536)
    class_ids = {info.name: info.id for info in dataset.classes}
    class_of = np.zeros(65536, np.uint8)
    for instance in sample.instances:
        class_of[instance.id] = class_ids[instance.class_name]
        if instance.pixels is None:
            if counts[instance.id]:
                yield (f"{sample.id}: instance {instance.id} has {counts[instance.id]} pixels, the record says that "
                       "its place is not known")
        elif counts[instance.id] != instance.pixels:
            yield (f"{sample.id}: instance {instance.id} has {counts[instance.id]} pixels, "
                   f"the record says {instance.pixels}")
    listed = {0, *(instance.id for instance in sample.instances)}
    for number in sorted(set(np.flatnonzero(counts).tolist()) - listed):
        yield f"{sample.id}: instance {number} is in the picture and not in the record"
    wrong = int(np.count_nonzero(class_of[instances] != mask))
    if wrong:
        yield f"{sample.id}: mask and instances disagree in {wrong} pixels"


def _check_region(dataset: Dataset, sample: Sample) -> Iterator[str]:
    file = dataset.path / "regions" / f"{sample.id}.png"
    if not file.is_file():
        return
    try:
        values = np.unique(png.read_grey(file, (8,)))
        dataset.region(sample)  # its size
    except UserError as error:
        yield str(error)
        return
    other = sorted(set(values.tolist()) - {0, 255})
    if other:
        yield f"{file}: expected the values 0 and 255 only, found {other[0]}"
