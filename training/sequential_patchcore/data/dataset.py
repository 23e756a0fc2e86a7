# SPDX-License-Identifier: Apache-2.0
"""Read a data set folder. Images are decoded on demand; opening reads only the records and the lists of files."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..runtime.errors import UserError
from . import png
from .format import (
    HEADER_FILE,
    SAMPLES_FILE,
    ClassInfo,
    Header,
    Instance,
    Sample,
    canonical_json,
    parse_header,
    parse_json,
    parse_sample,
    read_text,
)
from .photographs import as_float_rgb

__all__ = ["ClassInfo", "Dataset", "Instance", "Sample", "open_dataset"]


def reading_bytes(size: tuple[int, int]) -> int:
    """What reading an image of (H, W) pixels takes at the most: its decoded bytes, its values, the region twice."""
    return size[0] * size[1] * (3 + 3 * 4 + 2)


@dataclass(frozen=True)
class Dataset:
    """A data set folder, opened.

    `generator` is "name version" of the program that wrote it; `is_render` says whether the pictures were rendered, so
    that plates fill the frame and borders are cut in augmentation; `samples` are sorted by id; `fingerprint` is the
    SHA-256 over classes and records, the same however the records are spread over shard files, and `split_fingerprints`
    are that over the records of each split and the classes that they name.
    """

    path: Path
    name: str
    generator: str
    classes: tuple[ClassInfo, ...]
    pixel_size_um: float | None
    samples: tuple[Sample, ...]
    fingerprint: str
    is_render: bool = False
    split_fingerprints: Mapping[str, str] = field(default_factory=dict)

    @property
    def defect_ids(self) -> tuple[int, ...]:
        """Class ids of the defects, ascending."""
        return tuple(info.id for info in self.classes if info.kind == "defect")

    @property
    def impurity_ids(self) -> tuple[int, ...]:
        """Class ids of the impurities, ascending."""
        return tuple(info.id for info in self.classes if info.kind == "impurity")

    def split(self, name: str) -> tuple[Sample, ...]:
        """The samples of a split, sorted by id.

        Raises:
            UserError: the split has no samples; the message names those that have.
        """
        chosen = tuple(sample for sample in self.samples if sample.split == name)
        if not chosen:
            present = ", ".join(f"{s} ({n})" for s, n in _count_splits(self.samples).items())
            raise UserError(f"{self.path}: no samples in the split {name!r}; splits present: {present}; `split` takes "
                            "another one")
        return chosen

    def image_path(self, sample: Sample) -> Path:
        return self.path / "images" / f"{sample.id}.png"

    def image(self, sample: Sample) -> np.ndarray:
        """float32 (H, W, 3), RGB, the stored values scaled to [0, 1]; a grey image has three equal channels."""
        return as_float_rgb(png.read_image(self.image_path(sample)))

    def image_size(self, sample: Sample) -> tuple[int, int]:
        """(H, W) in pixels, from the file's header."""
        header = png.read_header(self.image_path(sample))
        return header.height, header.width

    def mask(self, sample: Sample, *, located_only: bool = False) -> np.ndarray:
        """uint8 (H, W) class ids, 0 = background.

        Args:
            located_only: also for a sample with a label of the image as a whole, whose place the mask does not show, so
                that its 0 does not mean clean.

        Raises:
            UserError: such a sample where `located_only` is not asked for, another size than the image's, a class id
                that `dataset.json` does not list, a broken file.
        """
        if not (located_only or sample.is_located):
            names = ", ".join(sorted({i.class_name for i in sample.instances if i.pixels is None}))
            raise UserError(f"{self.path}: the image {sample.id} is labelled as a whole ({names}); where that is on it "
                            "is not known, so that no pixel of it counts as clean")
        path = self.path / "masks" / f"{sample.id}.png"
        if self._may_be_absent(sample, "mask", path):
            return np.zeros(self.image_size(sample), np.uint8)
        mask = png.read_indices(path)
        self._check_size(sample, mask, path)
        present = np.flatnonzero(np.bincount(mask.ravel(), minlength=256))
        unknown = sorted(set(present.tolist()) - {0} - {info.id for info in self.classes})
        if unknown:
            known = ", ".join(f"{info.id} {info.name}" for info in self.classes) or "none"
            raise UserError(f"{path}: unknown class id {unknown[0]}; {HEADER_FILE} lists: {known}")
        return mask

    def instances(self, sample: Sample) -> np.ndarray:
        """uint16 (H, W) instance numbers, 0 = none."""
        path = self.path / "instances" / f"{sample.id}.png"
        if self._may_be_absent(sample, "instances", path):
            return np.zeros(self.image_size(sample), np.uint16)
        instances = png.read_grey(path, (8, 16)).astype(np.uint16, copy=False)
        self._check_size(sample, instances, path)
        return instances

    def region(self, sample: Sample) -> np.ndarray:
        """bool (H, W): True where the inspected surface is; all True when the sample has no region file."""
        path = self.path / "regions" / f"{sample.id}.png"
        if not path.exists() and "region" not in sample.sha256:
            return np.ones(self.image_size(sample), bool)
        region = png.read_grey(path, (8,))
        self._check_size(sample, region, path)
        return region >= 128

    def _may_be_absent(self, sample: Sample, what: str, path: Path) -> bool:
        return not sample.instances and what not in sample.sha256 and not path.exists()

    def _check_size(self, sample: Sample, array: np.ndarray, path: Path) -> None:
        height, width = self.image_size(sample)
        if array.shape != (height, width):
            raise UserError(
                f"{path} is {array.shape[1]} x {array.shape[0]} pixels, its image is {width} x {height}; "
                "they must have one size"
            )


def open_dataset(path: str | Path) -> Dataset:
    """Open a data set folder and check its records.

    Raises:
        UserError: no such folder, no data set, broken JSON, an unknown format version, a record against the rules,
            two different records with one id, no finished sample, or images without files.
    """
    path = Path(path)
    header = read_header(path)
    records = read_records(path)
    if not records:
        raise UserError(f"{path} holds no finished sample ({SAMPLES_FILE} is empty or missing); "
                        "finish the render or the import first")
    samples, seen = [], {}
    for where, record in records:
        sample = parse_sample(record, where, header.classes)
        line = canonical_json(record)
        if sample.id not in seen:
            seen[sample.id] = line
            samples.append(sample)
        elif seen[sample.id] != line:
            raise UserError(f"{where}: a second, different record with the id {sample.id!r}")
    samples.sort(key=lambda sample: sample.id)
    _check_images_exist(path, samples)
    return Dataset(
        path=path, name=header.name, generator=header.generator, classes=header.classes,
        pixel_size_um=header.pixel_size_um, samples=tuple(samples),
        fingerprint=_fingerprint(header.classes, seen), is_render=header.rendered,
        split_fingerprints=_split_fingerprints(header.classes, samples, seen),
    )


def read_header(path: Path) -> Header:
    """Read and check `dataset.json` in the folder `path`."""
    if not path.exists():
        raise UserError(f"no such folder: {path}")
    if not path.is_dir():
        raise UserError(f"{path} is a file; expected the folder of a data set")
    file = path / HEADER_FILE
    if not file.exists():
        raise UserError(f"{path} is no data set: it has no {HEADER_FILE}; make one with "
                        f"`sequential-patchcore import labelme {path} --out DIR` (or `import mvtec`)")
    return parse_header(parse_json(read_text(file), str(file)), str(file))


def record_files(path: Path) -> list[Path]:
    """`samples.jsonl` first, then the shards `samples.I-of-N.jsonl` by name; only those that exist."""
    shards = sorted(path.glob("samples.*-of-*.jsonl"))
    return [file for file in [path / SAMPLES_FILE, *shards] if file.is_file()]


def read_records(path: Path) -> list[tuple[str, Any]]:
    """All records of all shards as (where, parsed JSON); `where` is "FILE, line N". Blank lines are skipped."""
    records = []
    for file in record_files(path):
        for number, line in enumerate(read_text(file).split("\n"), start=1):
            if line.strip():
                where = f"{file}, line {number}"
                records.append((where, parse_json(line, where)))
    return records


def _check_images_exist(path: Path, samples: list[Sample]) -> None:
    try:
        present = set(os.listdir(path / "images"))
    except OSError:
        present = set()
    missing = [sample.id for sample in samples if f"{sample.id}.png" not in present]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise UserError(f"missing file {path / 'images' / missing[0]}.png{more}; "
                        "restore the files, or delete the records and run the import or render again")


def _count_splits(samples: tuple[Sample, ...]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for sample in samples:
        counts[sample.split] = counts.get(sample.split, 0) + 1
    return counts


def _split_fingerprints(
    classes: tuple[ClassInfo, ...], samples: list[Sample], lines: dict[str, str]
) -> dict[str, str]:
    found = {}
    for split in dict.fromkeys(sample.split for sample in samples):
        chosen = [sample for sample in samples if sample.split == split]
        named = {instance.class_name for sample in chosen for instance in sample.instances}
        found[split] = _fingerprint(
            tuple(info for info in classes if info.name in named), {sample.id: lines[sample.id] for sample in chosen}
        )
    return found


def _fingerprint(classes: tuple[ClassInfo, ...], lines: dict[str, str]) -> str:
    digest = hashlib.sha256()
    for info in classes:
        digest.update(canonical_json([info.id, info.name, info.kind]).encode() + b"\n")
    for sample_id in sorted(lines):
        digest.update(lines[sample_id].encode() + b"\n")
    return digest.hexdigest()
