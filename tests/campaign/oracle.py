# SPDX-License-Identifier: Apache-2.0
"""What a command may do with a damaged file: read it as valid, or refuse it in one line; nothing else."""

from pathlib import Path

from .child import Ended

READ, REFUSED = "read as valid", "refused"
TRACEBACK, HANG, CRASH, MEMORY, ELSEWHERE, RAN, UNCLEAR = (
    "traceback",
    "hang",
    "crash",
    "memory",
    "wrote elsewhere",
    "ran code",
    "unclear refusal",
)
OUTCOMES = (READ, REFUSED, TRACEBACK, HANG, CRASH, MEMORY, ELSEWHERE, RAN, UNCLEAR)
FAULTS = OUTCOMES[2:]

GROWTH = 1280 << 20
"""Bytes that a command on these small files may take, with a budget of 1 GiB."""

_PROGRAMS = ("sequential-patchcore: ", "render.py: ", "reproduce: ", "usage: ")
_LONGEST = 2000


def judge(ended: Ended, base: int, canary: Path, before: dict[str, tuple], after: dict[str, tuple]) -> tuple[str, str]:
    """The outcome and, of a fault, what tells it from others.

    Args:
        base: peak of a child that does nothing.
        canary: must not exist.
        before, after: what lies outside of the output, by name.
    """
    if canary.exists():
        return RAN, "the canary is there"
    running = [
        deed
        for deed in ended.deeds
        if not deed.startswith(
            ("writes", "os.mkdir", "os.re", "os.rm", "os.tr", "shutil", "os.chmod", "os.link", "os.symlink")
        )
    ]
    if running:
        return RAN, running[0]
    if ended.hung:
        return HANG, ended.err.strip().split("\n")[-1][:200]
    if "MemoryError" in ended.err or "bad_alloc" in ended.err or ended.peak - base > GROWTH:
        return MEMORY, f"{(ended.peak - base) >> 20} MiB; {_last(ended.err)}"
    if "Traceback (most recent call last)" in ended.err:
        return TRACEBACK, _fault(ended.err)
    if ended.code < 0 or ended.code not in (0, 2, 3, 4):
        return CRASH, f"exit {ended.code}; {_last(ended.err)}"
    if ended.deeds:
        return ELSEWHERE, ended.deeds[0]
    if changed := sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name)):
        return ELSEWHERE, f"changed: {changed[0]}"
    if ended.code in (2, 4):
        return (REFUSED, "") if _is_clear(ended) else (UNCLEAR, _last(ended.err)[:300])
    return READ, ""


def _is_clear(ended: Ended) -> bool:
    """One line of ours, of a length that can be read, and nothing of a library beside it."""
    lines = [line for line in ended.err.split("\n") if line.strip()]
    if not lines:
        return bool(ended.out.strip())
    return ended.code == 4 or (lines[-1].startswith(_PROGRAMS) and len(lines[-1]) < _LONGEST)


def _last(text: str) -> str:
    lines = [line for line in text.split("\n") if line.strip()]
    return lines[-1] if lines else ""


def _fault(text: str) -> str:
    """The last line of the program's own in a traceback, and the error."""
    places = [line.strip() for line in text.split("\n") if line.strip().startswith("File ")]
    own = [
        place
        for place in places
        if "sequential_patchcore" in place or "blender_addon" in place or "reproduction" in place
    ]
    where = (own or places or ["?"])[-1]
    return f"{_last(text)[:160]} [{where.split('/')[-1][:80]}]"
