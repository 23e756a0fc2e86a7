# SPDX-License-Identifier: Apache-2.0
"""The journal: no decision is lost, whatever cuts it off, and two of them become one."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import sequential_patchcore
from sequential_patchcore.review.journal import Journal, effective, merged, new_entry, read_entries
from sequential_patchcore.review.merging import merge
from sequential_patchcore.runtime.errors import UserError


def entry(number: int, decision: str = "sound", who: str = "anna", **further):
    return new_entry(who, decision, "0" * 16, {"name": f"ü{number}.png", "sha256": f"{number:064x}", "size": [4, 4]},
                     {"box": [number, 0, 2, 2]}, **further)


def test_what_was_appended_is_read_again(folder) -> None:
    journal = Journal(folder)
    lines = [entry(1), entry(2, "dirt", impurity="stain"), entry(3, "defect"), entry(4, "skip")]
    for line in lines:
        journal.append(line)
    assert journal.entries == lines
    assert [vars(one) | {"confirmed": []} for one in Journal(folder).entries] == [
        vars(one) | {"confirmed": []} for one in lines]
    assert journal.path.read_bytes().count(b"\n") == 4


def test_undone_lines_and_earlier_answers_do_not_count() -> None:
    first, second, again = entry(1), entry(2), entry(1, "defect")
    undo = new_entry("anna", "undo", "0" * 16, of=second.id)
    assert effective([first, second]) == [first, second]
    assert effective([first, second, undo]) == [first]
    assert effective([first, second, again]) == [second, again]
    back = new_entry("anna", "undo", "0" * 16, of=again.id)
    assert effective([first, second, again, back]) == [first, second]


def test_cut_off_at_any_byte_only_the_last_line_is_lost(folder, capsys) -> None:
    journal = Journal(folder)
    for number in range(3):
        journal.append(entry(number))
    data = journal.path.read_bytes()
    ends = [index for index, byte in enumerate(data) if byte == 10]
    for length in range(len(data) + 1):
        journal.path.write_bytes(data[:length])
        cut = Journal(folder)
        whole = sum(end <= length for end in ends)  # a line without its line feed is whole
        assert [one.id for one in cut.entries] == [one.id for one in journal.entries[:whole]]
        assert len(cut.damaged) <= 1
        assert ("cannot be read" in capsys.readouterr().err) == bool(cut.damaged)
        before = journal.path.read_bytes()
        further = entry(9)
        cut.append(further)
        assert journal.path.read_bytes().startswith(before)  # never rewritten
        assert [one.id for one in Journal(folder).entries] == [one.id for one in [*journal.entries[:whole], further]]
        capsys.readouterr()


WRITER = """
import sys
sys.path.insert(0, {package!r})
from sequential_patchcore.review.journal import Journal, new_entry
journal, number = Journal({folder!r}), 0
while True:
    line = new_entry("anna", "sound", "0" * 16, {{"name": "p", "sha256": str(number)}}, {{"box": [1, 1, 2, 2]}})
    journal.append(line)
    print(line.id, flush=True)
    number += 1
"""


@pytest.mark.parametrize("moment", [0.0, 0.003, 0.011, 0.05, 0.12])
def test_killed_at_a_moment_no_decision_that_was_taken_is_lost(folder, moment: float) -> None:
    package = str(Path(sequential_patchcore.__file__).parents[1])
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER.format(package=package, folder=str(folder))], stdout=subprocess.PIPE, text=True)
    taken = [writer.stdout.readline().strip()]
    time.sleep(moment)
    os.kill(writer.pid, signal.SIGKILL)
    taken += writer.stdout.read().split("\n")[:-1]
    writer.wait()
    kept = [one.id for one in Journal(folder).entries]
    assert taken and kept[: len(taken)] == taken and len(kept) <= len(taken) + 1


def test_lines_that_are_none_of_ours_are_passed_over(folder, capsys) -> None:
    journal = Journal(folder)
    journal.append(entry(1))
    with open(journal.path, "ab") as file:
        file.write(b'{"a": 1}\n[]\nnull\n\xff\xfe\n{"id": 3}\n')
        file.write(b'{"id":"a","time":"","who":"","decision":"eat","model":"","image":{},"region":{},"confirmed":[]}\n')
        file.write(b"[" * 5000 + b"\n")
    journal.append(entry(2))
    again = Journal(folder)
    assert len(again.entries) == 2 and again.damaged == [2, 3, 4, 5, 6, 7, 8]
    assert "2, 3, 4, 5, 6, 7, 8 cannot be read" in capsys.readouterr().err


def test_two_reviewers_become_one_and_their_conflicts_are_shown() -> None:
    shared = entry(1)
    ours = [shared, entry(2), entry(3, "dirt", impurity="stain")]
    theirs = [shared, entry(2, "defect", "bert"), entry(3, "dirt", "bert", impurity="stain"), entry(4, "skip", "bert")]
    new, conflicts = merged(ours, theirs)
    assert new == theirs[1:]
    assert [(one.ours.id, one.theirs.id) for one in conflicts] == [(ours[1].id, theirs[1].id)]
    assert merged([*ours, *new], theirs) == ([], [])


def test_boxes_that_nearly_agree_are_one_place_and_others_are_not() -> None:
    def at(*box: int, decision: str = "sound", who: str = "anna"):
        return new_entry(who, decision, "0" * 16, {"name": "a.png", "sha256": "ab", "size": [90, 90]},
                         {"box": list(box)})

    ours = [at(10, 10, 35, 20), at(60, 60, 10, 10)]
    theirs = [at(10, 10, 36, 20, decision="defect", who="bert"), at(66, 60, 10, 10, decision="defect", who="bert"),
              at(10, 9, 35, 20, who="bert")]
    new, conflicts = merged(ours, theirs)
    assert new == theirs
    assert [(one.ours.id, one.theirs.id) for one in conflicts] == [(ours[0].id, theirs[0].id)]


def test_what_they_took_back_and_counts_with_us_is_a_conflict(tmp_path) -> None:
    ours, theirs = Journal(tmp_path / "a"), Journal(tmp_path / "b")
    shared = new_entry("anna", "sound", "0" * 16, {"name": "a.png", "sha256": "ab", "size": [9, 9]})
    for journal in (ours, theirs):
        journal.append(shared)
    undo = new_entry("bert", "undo", "0" * 16, of=shared.id)
    theirs.append(undo)
    taken, conflicts = merge(tmp_path / "a", tmp_path / "b")
    assert taken == 0 and [(one.ours.id, one.theirs.id) for one in conflicts] == [(shared.id, undo.id)]
    assert [entry.id for entry in Journal(tmp_path / "a").effective()] == [shared.id]
    taken, _ = merge(tmp_path / "a", tmp_path / "b", theirs=True)
    assert taken == 1 and Journal(tmp_path / "a").effective() == []


@pytest.mark.parametrize(
    "change", [{"id": "../../x"}, {"id": ""}, {"region": {"outline": []}}, {"region": {"box": [1]}}]
)
def test_a_line_whose_id_or_region_is_none_is_passed_over(folder, change) -> None:
    journal = Journal(folder)
    journal.append(entry(1))
    line = json.loads((folder / "journal.jsonl").read_text(encoding="utf-8"))
    with open(folder / "journal.jsonl", "a", encoding="utf-8") as file:
        file.write(json.dumps(line | change) + "\n")
    again = Journal(folder)
    assert len(again.entries) == 1 and again.damaged == [2]


def test_a_journal_that_cannot_be_read_is_no_empty_one(folder) -> None:
    (folder / "journal.jsonl").mkdir(parents=True)
    with pytest.raises(UserError, match="cannot read"):
        read_entries(folder / "journal.jsonl")


@pytest.mark.parametrize(("decision", "further"), [("eat", {}), ("dirt", {}), ("sound", {"impurity": "rust"})])
def test_decisions_that_cannot_be_are_refused(decision: str, further: dict) -> None:
    with pytest.raises(UserError, match="expected"):
        entry(1, decision, **further)
