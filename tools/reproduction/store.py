# SPDX-License-Identifier: Apache-2.0
"""The memory of a reproduction: one folder a job, named after the job and the fingerprint of its inputs.

A folder belongs to its inputs for ever, so nothing in it can be out of date; done.json is written last and says that
the job is finished. What is found without it was interrupted, and the commands of the job go on from there.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from sequential_patchcore.runtime.files import write_text

DONE = "done.json"
_SPENT = "spent.json"


@dataclass(frozen=True)
class Done:
    """What is kept of a finished job.

    Attributes:
        fingerprint: of its inputs.
        result: what jobs that need it put into their fingerprints: a data set's checksums, otherwise `fingerprint`.
        seconds, cpu_seconds: by step, all attempts together.
        resumed: an attempt was killed, and its time is not known.
        peak_mib: the largest resident memory of its processes.
        work: the units of work that the estimate of time goes by.
        load: the machine's load average when it ended; above the number of cores, the machine was shared.
        date: when it ended, as YYYY-MM-DD.
    """

    fingerprint: str
    result: str
    seconds: Mapping[str, float]
    cpu_seconds: Mapping[str, float]
    resumed: bool
    peak_mib: float
    work: float
    load: float
    date: str


def fingerprint(settings: Mapping, needs: Mapping[str, str], versions: Mapping[str, str]) -> str:
    """Digest of everything that a job's result depends on, the same in any order of the keys.

    Args:
        settings: of the job, JSON-ready.
        needs: job or data set to its `result`.
        versions: of the programs that do the work.
    """
    text = json.dumps({"settings": settings, "needs": needs, "versions": versions}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def code_digest(folder: Path, *skipped: str) -> str:
    """Of a program's sources, so that work of another state of the code is never taken for its own.

    Args:
        skipped: folders in it that have no say in the results.
    """
    sha = hashlib.sha256()
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder)
        if file.suffix in (".py", ".osl", ".h", ".toml") and not {*skipped}.intersection(name.parts):
            sha.update(str(name).encode() + b"\0" + file.read_bytes())
    return sha.hexdigest()[:16]


def folder_of(root: Path, job: str, of: str) -> Path:
    return root / "work" / f"{job}-{of}"


def read_done(folder: Path) -> Done | None:
    """None where the job has not finished, or its record cannot be read."""
    try:
        return Done(**json.loads((folder / DONE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def write_done(folder: Path, done: Done) -> None:
    write_text(folder / DONE, json.dumps(asdict(done), indent=1) + "\n")


def write_spent(folder: Path, seconds: Mapping[str, float], cpu_seconds: Mapping[str, float]) -> None:
    """The time of an attempt that was interrupted."""
    write_text(folder / _SPENT, json.dumps([seconds, cpu_seconds]))


def take_spent(folder: Path) -> tuple[dict[str, float], dict[str, float]] | None:
    """What an interrupted attempt left, once: one that is killed after it must not pass for it. None without one."""
    try:
        seconds, cpu_seconds = json.loads((folder / _SPENT).read_text(encoding="utf-8"))
        (folder / _SPENT).unlink()
    except (OSError, ValueError):
        return None
    return seconds, cpu_seconds
