# SPDX-License-Identifier: Apache-2.0
"""Part 1: damaged files of every kind, each given to a command that reads it."""

import random
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from . import bytes_mutation, hdf5_mutation, image_mutation, special_files, text_mutation, tree_mutation
from .child import Ended, run
from .kinds import FOLDERS, Kind
from .material import CannotMake
from .oracle import FAULTS, READ, judge
from .store import Store

_BY_FORM = {
    "json": tree_mutation.mutate_json,
    "lines": tree_mutation.mutate_lines,
    "text": text_mutation.mutate_text,
    "xml": text_mutation.mutate_xml,
    "image": lambda data, rng, canary: image_mutation.mutate(data, rng),
}
_WAYS = (
    "structure",
    "structure",
    "structure",
    "structure",
    "structure",
    "bytes",
    "bytes",
    "guided",
    "guided",
    "special",
)


class Campaign:
    """Cases of one kind.

    Args:
        programs: as `child.preload` gives them.
        material: as `material.make` made it.
        work: for cases and findings; emptied case by case.
        package: folder of the product's code, whose lines guide.
        seed: with kind and number the seed of a case.
    """

    def __init__(self, programs: dict[str, Callable], material: Path, work: Path, package: str, seed: int) -> None:
        self.programs, self.material, self.work, self.package, self.seed = programs, material, work, package, seed
        self.base = max(self._nothing().peak for _ in range(3))

    def _nothing(self) -> Ended:
        place = self.work / "nothing"
        place.mkdir(parents=True, exist_ok=True)
        return run(lambda arguments: 0, [], place, [place], None)

    def run(self, kind: Kind, cases: int, store: Store) -> None:
        """The cases that the store does not have."""
        known: set[int] = set()
        corpus: list[tuple[str, bytes]] = []
        kept = self.work / "corpus" / kind.name
        for path in sorted(kept.glob("*")) if kept.exists() else ():
            corpus.append((path.name.split("~", 1)[1].replace("~", "/"), path.read_bytes()))
        done = {record["case"] for record in store.records if record["kind"] == kind.name}
        known.update(*(record.get("lines", ()) for record in store.records if record["kind"] == kind.name))
        if len(done & set(range(cases))) < cases:
            self._check_sound(kind)
        for number in range(cases):
            if number in done:
                continue
            record, ended, name, data = self.case(kind, number, corpus)
            new = ended.lines - known
            if new and data is not None and len(data) < 1 << 20:
                known |= new
                corpus.append((name, data))
                kept.mkdir(parents=True, exist_ok=True)
                (kept / f"{number:06}~{name.replace('/', '~')}").write_bytes(data)
            store.add(**record, lines=sorted(new))

    def _check_sound(self, kind: Kind) -> None:
        """Every command reads the undamaged files, else its refusals would say nothing."""
        for number in range(len(kind.commands)):
            record, ended, *_ = self.case(kind, -1 - number, [])
            if record["outcome"] != READ:
                raise CannotMake(f"{kind.name}: {record}\n{ended.out}\n{ended.err}")

    def case(self, kind: Kind, number: int, corpus: list[tuple[str, bytes]]) -> tuple[dict, Ended, str, bytes | None]:
        """One case: its record, how it ended, and the file, where it is one; -1, -2, ... are those on sound files."""
        rng = random.Random(f"{self.seed}/{kind.name}/{number}")
        place = self.work / "case"
        shutil.rmtree(place, ignore_errors=True)
        inside, out, canary = place / "in", place / "out", place / "canary"
        shutil.copytree(self.material / FOLDERS.get(kind.name, kind.name), inside)
        out.mkdir()
        way = _WAYS[number % len(_WAYS)]
        files = sorted(path for pattern in kind.files for path in inside.glob(pattern))
        path = rng.choice(files)
        sound = path.read_bytes()
        way, data = ("none", sound) if number < 0 else self._damage(kind, way, path, inside, rng, str(canary), corpus)
        name = path.relative_to(inside).as_posix()
        command = kind.commands[rng.randrange(len(kind.commands)) if number >= 0 else -1 - number]
        arguments = [
            word.format(**{"in": inside, "out": out, "file": path, "sound": self.material / "sound"})
            for word in command.split()
        ]
        before = _listing(inside, kind.beside) | _listing(self.material / "sound", ())
        began = time.monotonic()
        may_write = [out, place / "tmp", self.work / "cache", *([inside] if kind.beside else [])]
        ended = run(
            self.programs[kind.program],
            arguments,
            place,
            [*may_write, *_locks(inside)],
            self.package if way in ("guided", "structure") and number % 2 else None,
        )
        if ended.hung:  # counting lines takes time too
            ended = replace(
                run(self.programs[kind.program], arguments, place, [*may_write, *_locks(inside)], None),
                lines=ended.lines,
            )
        after = _listing(inside, kind.beside) | _listing(self.material / "sound", ())
        outcome, detail = judge(ended, self.base, canary, before, after)
        record = {
            "kind": kind.name,
            "case": number,
            "way": way,
            "file": name,
            "command": command,
            "outcome": outcome,
            "detail": detail,
            "code": ended.code,
            "seconds": round(time.monotonic() - began, 2),
            "mib": max(0, ended.peak - self.base) >> 20,
        }
        if outcome in FAULTS:
            self._keep(kind, number, place)
        return record, ended, name, data if data != sound else None

    def _damage(
        self, kind: Kind, way: str, path: Path, inside: Path, rng: random.Random, canary: str, corpus
    ) -> tuple[str, bytes | None]:
        if way == "special":
            return special_files.put(path, rng), None
        data = path.read_bytes()
        if way == "guided":
            mine = [each for name, each in corpus if name == path.relative_to(inside).as_posix()]
            data = rng.choice(mine) if mine else data
        if way == "structure" and kind.form == "hdf5":
            source = path.with_name("source.tmp")
            path.rename(source)
            hdf5_mutation.mutate(source, path, rng, canary)
            source.unlink()
            return way, path.read_bytes()
        changed = None
        if way == "structure" or (way == "guided" and rng.random() < 0.5):
            try:
                changed = _BY_FORM[kind.form](data, rng, canary)
            except Exception:  # a file that is damaged already has no structure to change
                changed = None
        if changed is None:
            changed = bytes_mutation.mutate(data, rng)
            way = "bytes" if way == "structure" else way
        path.write_bytes(changed)
        return way, changed

    def _keep(self, kind: Kind, number: int, place: Path) -> None:
        kept = self.work / "findings" / f"{kind.name.replace(' ', '_')}-{number}"
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(place, kept, symlinks=True, ignore=_special)


def _special(folder: str, names: list[str]) -> set[str]:
    return {
        name
        for name in names
        if not (Path(folder) / name).is_symlink()
        and not (Path(folder) / name).is_dir()
        and (not (Path(folder) / name).is_file() or (Path(folder) / name).stat().st_size > 10 << 20)
    }


def _locks(inside: Path) -> list[Path]:
    """Locks beside a folder that is written in."""
    return [path.with_name(f".{path.name}.lock") for path in (inside, *inside.glob("*"))]


def _listing(folder: Path, left_out: tuple[str, ...]) -> dict[str, tuple]:
    """Size and time of every file that must stay as it is."""
    if left_out:
        return {}
    found = {}
    for path in folder.rglob("*"):
        if path.is_symlink() or not path.is_dir():
            facts = path.lstat()
            found[str(path)] = (facts.st_size, facts.st_mtime_ns, facts.st_mode)
    return found
