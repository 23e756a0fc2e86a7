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
    for entry in new:
        kept = patches_file(other, entry.id)
        if kept.is_file():
            target = patches_file(folder, entry.id)
            make_folder(target.parent)
            shutil.copyfile(kept, target)
        elif entry.region and entry.decision != UNDO:
            raise UserError(f"{other}: the patches of the decision {entry.id} are gone ({kept.name}); restore the file")
        journal.append(entry)
    if not theirs:
        for conflict in conflicts:
            undone = {entry.of for entry in journal.entries}
            if conflict.theirs.id not in undone:
                journal.append(new_entry(conflict.ours.who, UNDO, conflict.ours.model, of=conflict.theirs.id))
    return len(new), conflicts
