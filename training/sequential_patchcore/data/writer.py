# SPDX-License-Identifier: Apache-2.0
"""Write a data set folder, sample by sample. A sample exists once its record is written, and that comes last."""

import hashlib
import json
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..runtime.errors import UserError
from ..runtime.files import atomic_path, make_folder, write_text
from ..runtime.locks import locked
from . import png
from .dataset import read_records, record_files
from .format import (
    FORMAT_VERSION,
    HEADER_FILE,
    LEFT_OUT_FILE,
    SAMPLES_FILE,
    SPLITS,
    ClassInfo,
    canonical_json,
    id_problem,
    palette,
    parse_classes,
    parse_json,
    parse_sample,
    read_text,
)

_FOLDERS = {"image": "images", "mask": "masks", "instances": "instances", "region": "regions"}


class DatasetWriter:
    """Use as a context manager; `add` one sample at a time. Inside it no other process writes the folder.

    Args:
        path: the folder. A new or empty one is started. One that an earlier run with the same header began is
            continued: its recorded samples stay. Any other is refused.
        name: the data set's name.
        generator: the program that makes it.
        classes: ids 1..255.
        pixel_size_um: edge of a pixel on the surface in µm, if known.
        recipe: the settings that made the data set, as JSON values.
        overwrite: begin anew where another *data set* stands. A folder that holds anything else is refused all the
            same, so that nobody's files are deleted.
        rendered: whether the pictures are rendered, so that plates fill the frame.

    `added` holds the ids of the samples that this writer wrote.
    """

    def __init__(
        self,
        path: str | Path,
        name: str,
        generator: str,
        classes: Iterable[ClassInfo],
        pixel_size_um: float | None = None,
        recipe: Mapping[str, Any] | None = None,
        overwrite: bool = False,
        rendered: bool = False,
    ) -> None:
        self.path = Path(path)
        listed = [{"id": info.id, "name": info.name, "kind": info.kind} for info in classes]
        self.classes = parse_classes(listed, str(self.path / HEADER_FILE))
        self._overwrite = overwrite
        self._palette = palette(self.classes)
        self._until_exit = ExitStack()
        self._records: dict[str, dict[str, Any]] = {}
        self.added: set[str] = set()
        self._header = {
            "format_version": FORMAT_VERSION,
            "name": name,
            "generator": {"name": generator, "version": __version__},
            "recipe": None if recipe is None else dict(recipe),
            "master_seed": None,
            "classes": listed,
            "pixel_size_um": pixel_size_um,
            "rendered": rendered,
        }

    def __enter__(self) -> "DatasetWriter":
        with ExitStack() as stack:
            stack.enter_context(locked(self.path))
            self._begin()
            self._until_exit = stack.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        """Frees the lock. There is nothing else to finish: each sample was finished by its record."""
        self._until_exit.close()

    def _begin(self) -> None:
        header_file = self.path / HEADER_FILE
        if self.path.exists() and not self.path.is_dir():
            raise UserError(f"cannot write the data set {self.path}: a file has this name")
        if header_file.is_file():
            if not self._same_header(header_file):
                if not self._overwrite:
                    raise UserError(f"{self.path} holds another data set (other settings, classes or program version); "
                                    "choose another folder or ask for `overwrite`")
                self._clear()
        elif self.path.is_dir() and any(self.path.iterdir()):
            raise UserError(f"{self.path} is not empty and holds no data set; choose another folder")
        make_folder(self.path)
        if header_file.is_file():
            for where, record in read_records(self.path):
                parse_sample(record, where, self.classes)
                self._records[record["id"]] = record
        else:
            write_text(header_file, json.dumps(self._header, indent=2, ensure_ascii=False) + "\n")

    @property
    def photographs(self) -> dict[str, str]:
        """Sample id -> the photograph that it was imported from, as its record says; "" where that says nothing."""
        found = {}
        for sample_id, record in self._records.items():
            source = record.get("parameters", {}).get("source")
            found[sample_id] = str(source.get("image", "")) if isinstance(source, dict) else ""
        return found

    def keep_only(self, sample_ids: Iterable[str]) -> None:
        """Drop the earlier run's samples that are not in `sample_ids`, records first."""
        stale = set(self._records) - set(sample_ids)
        if stale:
            self._forget(stale)

    def is_done(self, sample_id: str, split: str, group: str, parameters: Mapping[str, Any]) -> bool:
        """Whether an earlier run recorded this sample from the same input and its files are there.

        `parameters` must identify the input, by checksums of the source files for instance.
        """
        record = self._records.get(sample_id)
        if record is None or sample_id in self.added:
            return False
        same = canonical_json([record.get("split"), record.get("group"), record.get("parameters")])
        return same == canonical_json([split, group, dict(parameters)]) and all(
            self._file(what, sample_id).is_file() for what in record.get("sha256", {})
        )

    def add(
        self,
        sample_id: str,
        image: np.ndarray,
        mask: np.ndarray,
        instances: np.ndarray,
        instance_classes: Mapping[int, int],
        split: str,
        group: str,
        region: np.ndarray | None = None,
        seed: int | None = None,
        parameters: Mapping[str, Any] | None = None,
        as_a_whole: Sequence[int] = (),
        weak: Collection[int] = (),
        tags: Sequence[str] = (),
    ) -> None:
        """Write one sample.

        Args:
            sample_id: becomes the file names.
            image: uint8 or uint16, (H, W) grey or (H, W, 3) RGB.
            mask: (H, W) class ids, 0 = background.
            instances: (H, W) instance numbers, 0 = none.
            instance_classes: instance number -> class id; numbers without a visible pixel are listed with 0 pixels.
            split: train, val or test.
            group: the physical part; splits should not share one.
            region: (H, W) bool, True on the inspected surface; None = everywhere.
            seed: the seed the sample was made from, if any.
            parameters: JSON values.
            as_a_whole: class ids of labels of the image as a whole, which say that there is one and not where.
            weak: numbers of the instances whose pixels are a box around them.
            tags: what people noted about the image, without a meaning here.

        Raises:
            ValueError: the arrays contradict each other.
            UserError: the sample cannot be written.
        """
        self._check_place(sample_id, split)
        counts = self._count_pixels(image, mask, instances, instance_classes, region)
        if sample_id in self._records:
            self._forget({sample_id})

        contents = {
            "image": png.encode_image(image),
            "mask": png.encode_indices(mask, self._palette),
            "instances": png.encode_image(instances.astype(np.uint16)),
        }
        if region is not None:
            contents["region"] = png.encode_image(region.astype(np.uint8) * 255)
        for what, content in contents.items():
            with atomic_path(self._file(what, sample_id)) as beside:
                beside.write_bytes(content)

        self._append({
            "id": sample_id,
            "split": split,
            "seed": seed,
            "group": group,
            "instances": self._listed(instance_classes, counts, as_a_whole, weak),
            "parameters": dict(parameters or {}),
            **({"tags": list(tags)} if tags else {}),
            "sha256": {what: hashlib.sha256(content).hexdigest() for what, content in contents.items()},
        })
        self.added.add(sample_id)

    def _check_place(self, sample_id: str, split: str) -> None:
        problem = id_problem(sample_id)
        if problem:
            raise ValueError(problem)
        if sample_id in self.added:
            raise ValueError(f"the sample {sample_id!r} was added twice")
        if split not in SPLITS:
            raise ValueError(f"expected split train, val or test, got {split!r}")

    def _listed(
        self, instance_classes: Mapping[int, int], counts: Mapping[int, int], as_a_whole: Sequence[int],
        weak: Collection[int],
    ) -> list[dict[str, Any]]:
        """The record's `instances`; labels of the image as a whole have the numbers after the others."""
        names = {info.id: info.name for info in self.classes}
        listed: list[dict[str, Any]] = []
        for number, class_id in sorted(instance_classes.items()):
            entry = {"id": number, "class": names[class_id], "pixels": counts.get(number, 0)}
            listed.append(entry | ({"weak": True} if number in weak else {}))
        for number, class_id in enumerate(as_a_whole, start=max(instance_classes, default=0) + 1):
            listed.append({"id": number, "class": names[class_id], "pixels": None})
        return listed

    def _count_pixels(
        self, image: np.ndarray, mask: np.ndarray, instances: np.ndarray,
        instance_classes: Mapping[int, int], region: np.ndarray | None,
    ) -> dict[int, int]:
        shape = image.shape[:2]
        for what, array in (("mask", mask), ("instances", instances), ("region", region)):
            if array is not None and array.shape != shape:
                raise ValueError(f"the {what} has the shape {array.shape}, the image {shape}")
        if not set(instance_classes.values()) <= {info.id for info in self.classes}:
            raise ValueError(f"unknown class ids in {dict(instance_classes)}")
        class_of = np.zeros(65536, np.uint8)
        for number, class_id in instance_classes.items():
            if not 1 <= number <= 65535:
                raise ValueError(f"expected instance numbers 1..65535, got {number}")
            class_of[number] = class_id
        if not np.array_equal(class_of[instances], mask):
            raise ValueError("mask and instances disagree: each pixel's class must be the class of its instance")
        pixels = np.bincount(instances.ravel())
        return {number: int(pixels[number]) for number in np.flatnonzero(pixels).tolist() if number}

    def _same_header(self, header_file: Path) -> bool:
        present = parse_json(read_text(header_file), str(header_file))
        if isinstance(present, dict):
            present.setdefault("rendered", False)  # data sets of before this field
        return canonical_json(present) == canonical_json(self._header)

    def _clear(self) -> None:
        """Remove what the format names, and nothing else.

        Records go first and the header last: interrupted, this leaves a data set with no samples.
        """
        files = record_files(self.path)
        for folder in _FOLDERS.values():
            files += sorted((self.path / folder).glob("*.png"))
        for file in [*files, self.path / LEFT_OUT_FILE, self.path / HEADER_FILE]:
            _remove(file)

    def _forget(self, sample_ids: set[str]) -> None:
        """Take samples out of the records, then remove their files."""
        self._records = {key: record for key, record in self._records.items() if key not in sample_ids}
        shards = [file for file in record_files(self.path) if file.name != SAMPLES_FILE]
        write_text(self.path / SAMPLES_FILE, "".join(_line(record) for record in self._records.values()))
        for file in [*shards, *(self._file(what, key) for what in _FOLDERS for key in sample_ids)]:
            _remove(file)

    def _append(self, record: dict[str, Any]) -> None:
        file = self.path / SAMPLES_FILE
        size = file.stat().st_size if file.exists() else 0
        try:
            with open(file, "a", encoding="utf-8", newline="\n") as lines:
                lines.write(_line(record))
        except OSError as error:
            with suppress(OSError):
                os.truncate(file, size)  # no half line stays on a full disk
            raise UserError(f"cannot write {file}: {error.strerror or error}") from error
        self._records[record["id"]] = record

    def _file(self, what: str, sample_id: str) -> Path:
        return self.path / _FOLDERS[what] / f"{sample_id}.png"


def _line(record: Mapping[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False) + "\n"


def _remove(file: Path) -> None:
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"cannot remove {file}: {error.strerror or error}") from error
