# SPDX-License-Identifier: Apache-2.0
"""The results folder of an evaluation as one thing: either the earlier result, or the whole new one with its record."""

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..runtime.errors import UserError
from ..runtime.files import make_folder, read_bytes, write_text
from ..runtime.locks import locked

FORMAT_VERSION = 2
RECORD = "metrics.json"


def read_record(out: Path) -> dict | None:
    """The metrics.json of an earlier run, or None where there is none of ours."""
    try:
        record = json.loads(read_bytes(out / RECORD).decode("utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    ours = isinstance(record, dict) and record.get("format_version") == FORMAT_VERSION
    return record if ours and {"inputs", "files", "models"} <= record.keys() else None


def is_whole(out: Path, record: dict) -> bool:
    """Whether all files that the record names are there."""
    return all((out / name).is_file() for name in record["files"])


@contextmanager
def staging_folder(out: Path) -> Iterator[Path]:
    """A folder inside `out`, so that renaming from it never crosses a file system; gone afterwards.

    Raises:
        UserError: another process is writing `out`.
    """
    with locked(out):
        staging = make_folder(out) / ".evaluate.part"
        shutil.rmtree(staging, ignore_errors=True)
        try:
            yield make_folder(staging)
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def publish(staging: Path, out: Path, metrics: dict) -> None:
    """Move the files of `staging` to `out`, remove those of an earlier run that are no more, write the record."""
    earlier = read_record(out) or {"files": []}
    files = sorted(str(path.relative_to(staging)) for path in staging.rglob("*") if path.is_file())
    metrics["files"] = files
    try:
        (out / RECORD).unlink(missing_ok=True)
        for name in files:
            make_folder((out / name).parent)
            (staging / name).replace(out / name)
        for name in set(earlier["files"]) - set(files):
            if re.fullmatch(r"(overlays/)?[^/]+", name):
                (out / name).unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"cannot write into {out}: {error.strerror or error}") from error
    write_text(out / RECORD, json.dumps(metrics, indent=1, allow_nan=False) + "\n")
