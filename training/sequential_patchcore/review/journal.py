# SPDX-License-Identifier: Apache-2.0
"""The journal of a review: a line of JSON for each decision, only ever appended, on the disk before it counts."""

import json
import os
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..runtime.errors import UserError
from ..runtime.files import make_folder, read_bytes
from ..runtime.progress import say

FILE = "journal.jsonl"
SOUND, DIRT, DEFECT, MISSED, SKIP, UNDO = "sound", "dirt", "defect", "missed", "skip", "undo"
DECISIONS = (SOUND, DIRT, DEFECT, MISSED, SKIP)
DIRT_CLASSES = ("stain", "print", "sticker", "other")
"""What dirt is called where the model has no memory of any; else by the memories' names."""
LARGEST_LINE = 1 << 20  # bytes; a longer one is none of ours


@dataclass(frozen=True)
class Entry:
    """One line.

    Attributes:
        id: of this line; random, so that two journals can be merged.
        time: UTC, ISO 8601.
        who: the person's name.
        decision: one of `DECISIONS`, or "undo".
        model: fingerprint of the model that was looked at.
        image: "name", "sha256" of its file, "size" [H, W].
        region: "box" [x, y, width, height] in pixels, "outline" [[x, y], ...], "score"; empty for an image as a whole.
        impurity: of dirt, its class.
        of: of an undo, the id of the line that no longer counts.
        confirmed: defects that were found before and no longer are, which the person accepted.
    """

    id: str
    time: str
    who: str
    decision: str
    model: str
    image: Mapping[str, Any] = field(default_factory=dict)
    region: Mapping[str, Any] = field(default_factory=dict)
    impurity: str = ""
    of: str = ""
    confirmed: Sequence[str] = ()

    @property
    def key(self) -> tuple:
        """What was decided on: the same for two decisions on one region of one image."""
        return (str(self.image.get("sha256")), tuple(self.region.get("box", ())))

    @property
    def answer(self) -> tuple[str, str]:
        return self.decision, self.impurity


def new_entry(
    who: str, decision: str, model: str, image: Mapping[str, Any] | None = None,
    region: Mapping[str, Any] | None = None, **further: Any,
) -> Entry:
    """An entry of this moment.

    Raises:
        UserError: no such decision, or dirt without a class.
    """
    if decision not in (*DECISIONS, UNDO):
        raise UserError(f"expected a decision of {', '.join(DECISIONS)}, got {decision!r}")
    if (decision == DIRT) != bool(further.get("impurity")):
        raise UserError("expected the class of dirt with dirt, and with nothing else")
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    return Entry(secrets.token_hex(8), now, who, decision, model, image or {}, region or {}, **further)


class Journal:
    """The lines of a journal's file, those that are whole, and further ones appended.

    Args:
        folder: which the file lies in; made with the first line.

    Attributes:
        entries: in the order of the file.
        damaged: numbers of the lines that could not be read; they are said, and left as they are.
    """

    def __init__(self, folder: str | Path) -> None:
        self.path = Path(folder) / FILE
        self.entries, self.damaged = read_entries(self.path)
        if self.damaged:
            say(f"{self.path}: line(s) {', '.join(map(str, self.damaged))} cannot be read, as after a loss of power; "
                "they are passed over and stay as they are")

    def append(self, entry: Entry) -> None:
        """Write a line and wait until it is on the disk.

        Raises:
            UserError: it cannot be written.
        """
        line = json.dumps(asdict(entry), ensure_ascii=False, separators=(",", ":")) + "\n"
        new = not self.path.exists()
        try:
            make_folder(self.path.parent)
            descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                # A line that was cut off must not swallow the next one.
                whole = ("\n" * _ends_within_a_line(self.path) + line).encode()
                if os.write(descriptor, whole) != len(whole):
                    raise OSError("no room for the whole line")
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            if new:
                sync_folder(self.path.parent)
        except OSError as error:
            raise UserError(f"cannot write {self.path}: {error.strerror or error}; the decision is not kept") from error
        self.entries.append(entry)

    def effective(self) -> list[Entry]:
        """The decisions that count: those not undone, in order; of several on one region the last."""
        return effective(self.entries)

    def last(self) -> Entry | None:
        """The decision that an undo without a name takes back."""
        counting = self.effective()
        return counting[-1] if counting else None


def effective(entries: Iterable[Entry]) -> list[Entry]:
    """As `Journal.effective`."""
    entries = list(entries)
    undone = {entry.of for entry in entries if entry.decision == UNDO}
    counting = [entry for entry in entries if entry.decision != UNDO and entry.id not in undone]
    latest = {entry.key: entry.id for entry in counting}
    return [entry for entry in counting if latest[entry.key] == entry.id]


def read_entries(path: Path) -> tuple[list[Entry], list[int]]:
    """The whole lines of a journal, and the numbers of those that are not whole.

    Raises:
        UserError: the file is there and cannot be read.
    """
    try:
        data = read_bytes(path)
    except FileNotFoundError:
        return [], []
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    entries, damaged = [], []
    for number, line in enumerate(data.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            entries.append(_entry(line))
        except (ValueError, TypeError, KeyError, RecursionError):
            damaged.append(number)
    return entries, damaged


def _entry(line: bytes) -> Entry:
    if len(line) > LARGEST_LINE:
        raise ValueError("too long a line")
    record = json.loads(line.decode("utf-8"))
    entry = Entry(**record)
    texts = (entry.id, entry.time, entry.who, entry.decision, entry.model, entry.impurity, entry.of)
    if not all(isinstance(text, str) for text in texts) or not entry.id:
        raise ValueError("not a text")
    if not (isinstance(entry.image, dict) and isinstance(entry.region, dict) and isinstance(entry.confirmed, list)):
        raise ValueError("not an object")
    if not re.fullmatch("[0-9a-f]{1,64}", entry.id):
        raise ValueError("no id of ours")  # it becomes the name of a file
    if entry.decision not in (*DECISIONS, UNDO) or (entry.decision == UNDO) != bool(entry.of):
        raise ValueError("no decision")
    if entry.decision != UNDO and not isinstance(entry.image.get("sha256"), str):
        raise ValueError("no image")
    box = entry.region.get("box", ())
    if entry.region and not (isinstance(box, list) and len(box) == 4 and all(type(side) is int for side in box)):
        raise ValueError("no box")
    return entry


def _ends_within_a_line(path: Path) -> bool:
    with open(path, "rb") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return False
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"


def sync_folder(folder: Path) -> None:
    """So that a new file's name is on the disk too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@dataclass(frozen=True)
class Conflict:
    """Two reviewers' different answers to one region."""

    ours: Entry
    theirs: Entry


def merged(ours: Sequence[Entry], theirs: Sequence[Entry]) -> tuple[list[Entry], list[Conflict]]:
    """The lines that only the other journal has, to be appended, and where the two disagree.

    Lines are the same where their ids are; one that ours has taken back is no conflict any more. Two answers are about
    one place where their boxes overlap by half of what they cover together: an alarm's box depends on the model of the
    moment. That they have taken back a line which counts with us is a conflict too. Of a conflict neither answer is
    dropped: appended after ours, theirs would count, so the caller says which.
    """
    known, settled = {entry.id for entry in ours}, {entry.of for entry in ours}
    new = [entry for entry in theirs if entry.id not in known]
    own = effective(ours)
    conflicts = [
        Conflict(mine, entry) for entry in effective(theirs) if entry.id not in settled
        for mine in own if mine.id != entry.id and mine.answer != entry.answer and same_place(mine, entry)
    ]
    counting = {entry.id: entry for entry in own}
    conflicts += [Conflict(counting[entry.of], entry) for entry in new
                  if entry.decision == UNDO and entry.of in counting]
    return new, conflicts


def same_place(one: Entry, other: Entry) -> bool:
    """Whether two decisions are about the same part of the same image."""
    if one.image.get("sha256") != other.image.get("sha256"):
        return False
    if not one.region or not other.region:
        return not one.region and not other.region
    (x, y, width, height), (u, v, across, down) = one.region["box"], other.region["box"]
    shared = max(0, min(x + width, u + across) - max(x, u)) * max(0, min(y + height, v + down) - max(y, v))
    return 2 * shared >= width * height + across * down - shared > 0
