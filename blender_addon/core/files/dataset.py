# SPDX-License-Identifier: GPL-3.0-or-later
"""The data set folder: files are written beside and renamed, and the record of a sample comes last.

A sample without a record does not exist; a record whose files are missing or differ from their checksums does not
count. Several processes may write to one folder, each with a record file of its own.
"""

import contextlib
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import UserError
from . import lock

FORMAT_VERSION = 1
REQUIRED = ("image", "mask", "instances")
FOLDERS = {"image": "images", "mask": "masks", "instances": "instances", "region": "regions",
           "stain_distance": "stain_distance", "labelme": "labelme"}
ENDINGS = {"stain_distance": ".tif", "labelme": ".json"}
DESCRIPTION = "dataset.json"
_PART = ".part"
_STALE_S = 3600.0


class DatasetFolder:
    """A data set that is being written.

    Args:
        path: the folder; made if it is missing.
        shard: (i, n) writes its records to `samples.i-of-n.jsonl`; None to `samples.jsonl`.
    """

    def __init__(self, path: str | Path, shard: tuple[int, int] | None = None) -> None:
        self.path = Path(path)
        name = "samples.jsonl" if shard is None else f"samples.{shard[0]}-of-{shard[1]}.jsonl"
        self._records_path = self.path / name
        self._own: dict[str, dict[str, Any]] = {}

    def description(self) -> dict[str, Any] | None:
        """What `dataset.json` says, or None if there is none yet.

        Raises:
            UserError: the file is damaged, or the folder holds other things.
        """
        file = self.path / DESCRIPTION
        if not file.exists():
            if self.path.is_dir() and any(not item.name.endswith((_PART, lock.ENDING)) for item in self.path.iterdir()):
                raise UserError(f"{self.path}: expected an empty folder or a data set, found other files; "
                                "give another --out")
            if self.path.exists() and not self.path.is_dir():
                raise UserError(f"{self.path}: expected a folder, found a file; give another --out")
            return None
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UserError(f"{file}: damaged ({error}); give another --out, or --overwrite") from error
        if not isinstance(found, dict):
            raise UserError(f"{file}: expected an object with the data set's description; give another --out")
        return found

    @property
    def exists(self) -> bool:
        """Whether the folder is a data set, whole or damaged."""
        return (self.path / DESCRIPTION).is_file()

    @contextlib.contextmanager
    def locked(self, alone: bool = False, say: Callable[[str], None] = lambda text: None) -> Iterator[None]:
        """Keep other processes from this record file; shards have one each.

        Args:
            alone: keep from the folder while any other record file of it is being written, too.
            say: is told what a person should know.

        Raises:
            UserError: another process is at work, who and where; or the folder cannot be written.
        """
        made = not self.path.exists()
        _guard(self.path, lambda: self.path.mkdir(parents=True, exist_ok=True))
        own = lock.lock_of(self._records_path)
        try:
            with lock.held(own, say):
                if alone:
                    lock.refuse_others(self.path, own)
                yield
        finally:
            if made:
                with contextlib.suppress(OSError):  # it holds something
                    self.path.rmdir()

    def begin(self, description: Mapping[str, Any]) -> None:
        """Make the folders, clear away what a killed run left half-written, and write the description."""
        _guard(self.path, lambda: self.path.mkdir(parents=True, exist_ok=True))
        # First of all, since without it a killed run's folder would pass for somebody else's.
        _write(self.path / DESCRIPTION, (json.dumps(description, indent=2) + "\n").encode())
        for folder in (self.path / FOLDERS[kind] for kind in REQUIRED):
            _guard(folder, lambda folder=folder: folder.mkdir(exist_ok=True))
        self._remove_stale_parts()
        self._own = {record["id"]: record for record in _read_records(self._records_path)}

    def records(self) -> dict[str, dict[str, Any]]:
        """The records of all record files, by id."""
        files = [self.path / "samples.jsonl", *sorted(self.path.glob("samples.*-of-*.jsonl"))]
        return {record["id"]: record for file in files for record in _read_records(file)}

    def finished(self, ids: Iterable[str]) -> set[str]:
        """Those of `ids` that have a record and whose files are there and have its checksums."""
        records = self.records()
        return {name for name in ids if name in records and self._is_whole(records[name])}

    def add(self, record: Mapping[str, Any], files: Mapping[str, bytes]) -> None:
        """Write the `files` of a sample ("image", "mask", "instances" and others of `FOLDERS`), then its record with
        their checksums.

        Raises:
            UserError: a file cannot be written (no room, no permission).
        """
        sums = {}
        for kind, data in files.items():
            if kind not in REQUIRED:
                folder = self.path / FOLDERS[kind]
                _guard(folder, lambda folder=folder: folder.mkdir(exist_ok=True))
            _write(self._file(kind, record["id"]), data)
            sums[kind] = hashlib.sha256(data).hexdigest()
        self._own[record["id"]] = {**record, "sha256": sums}
        lines = (json.dumps(self._own[name]) + "\n" for name in sorted(self._own))
        _write(self._records_path, "".join(lines).encode())

    def clear(self) -> None:
        """Remove the data set, and nothing that is not part of one."""
        for name in FOLDERS.values():
            if (self.path / name).exists():
                _guard(self.path / name, lambda name=name: shutil.rmtree(self.path / name))
        for file in [*self.path.glob("samples*.jsonl"), self.path / DESCRIPTION]:
            _guard(file, lambda file=file: file.unlink(missing_ok=True))

    def _remove_stale_parts(self) -> None:
        """Remove half-written files of killed runs; young ones may belong to another shard at work."""
        for part in self.path.glob(f"**/.*{_PART}"):
            with contextlib.suppress(OSError):
                if time.time() - part.stat().st_mtime > _STALE_S:
                    part.unlink()

    def _is_whole(self, record: Mapping[str, Any]) -> bool:
        sums = record.get("sha256", {})
        for kind in {*REQUIRED, *sums}:
            if kind not in FOLDERS:
                return False
            try:
                data = self._file(kind, record["id"]).read_bytes()
            except OSError:
                return False
            if hashlib.sha256(data).hexdigest() != sums.get(kind):
                return False
        return True

    def _file(self, kind: str, name: str) -> Path:
        return self.path / FOLDERS[kind] / f"{name}{ENDINGS.get(kind, '.png')}"


def _read_records(file: Path) -> list[dict[str, Any]]:
    try:
        lines = file.read_text(encoding="utf-8").split("\n")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: cannot be read ({error}); restore it, or give --overwrite") from error
    records = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:  # its own line number is that within the record
            reason = getattr(error, "msg", error)
            raise UserError(
                f"{file}, line {number}: damaged ({reason}); remove the line, or give --overwrite"
            ) from error
        if not isinstance(record, dict) or not isinstance(record.get("id"), str):
            raise UserError(f"{file}, line {number}: no sample record; remove the line, or give --overwrite")
        records.append(record)
    return records


def _write(path: Path, data: bytes) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}{_PART}")

    def write_and_rename() -> None:
        try:
            beside.write_bytes(data)
            os.replace(beside, path)
        finally:
            beside.unlink(missing_ok=True)

    _guard(path, write_and_rename)


def _guard(path: Path, action: Any) -> None:
    """Run `action`; what the file system refuses becomes a UserError that names `path`."""
    try:
        action()
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}; what is finished stays") from error
