# SPDX-License-Identifier: Apache-2.0
"""Two reviewers' journals to one: lines are appended, none is changed, and where they disagree both are shown."""

import shutil
from pathlib import Path

from ..runtime.errors import UserError
from ..runtime.files import make_folder
from .journal import FILE, UNDO, Conflict, Journal, merged, new_entry, read_entries
from .patches import patches_file


def merge(folder: Path, other: Path, theirs: bool = False) -> tuple[int, list[Conflict]]:
    """Append what only the other journal says, with its kept patches.

    Args:
        theirs: in a conflict the other answer counts; otherwise a line after it takes it back.

    Returns:
        how many lines were appended, and the conflicts.

    Raises:
        UserError: there is no other journal, its patches are gone, or ours cannot be written.
    """
    if not (other / FILE).is_file():
        raise UserError(f"{other} holds no journal ({FILE})")
    journal = Journal(folder)
    lines, _ = read_entries(other / FILE)
    new, conflicts = merged(journal.entries, lines)
    if not theirs:  # what they have taken back and counts with us goes on counting
        new = [entry for entry in new if not any(entry is conflict.theirs and entry.decision == UNDO
                                                 for conflict in conflicts)]
    for entry in new:
        kept = patches_file(other, entry.id)
        if kept.is_file():
            target = patches_file(folder, entry.id)
            make_folder(target.parent)
            shutil.copyfile(kept, target)
        elif entry.region and entry.decision != UNDO:
            raise UserError(f"{other}: the patches of the decision {entry.id} are gone ({kept.name}); restore the file")
        journal.append(entry)
    for conflict in conflicts:
        loser, winner = (conflict.ours, conflict.theirs) if theirs else (conflict.theirs, conflict.ours)
        undone = {entry.of for entry in journal.entries}
        if UNDO not in (loser.decision, winner.decision) and loser.id not in undone:
            journal.append(new_entry(winner.who, UNDO, winner.model, of=loser.id))
    return len(new), conflicts
