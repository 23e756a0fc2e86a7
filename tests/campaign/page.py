# SPDX-License-Identifier: Apache-2.0
"""docs/campaign.md: the table of what was done."""

from pathlib import Path

from .kinds import KINDS
from .oracle import OUTCOMES
from .store import Store

_HEAD = """\
# The campaign

`make campaign` damages a sound file of every kind that the product reads and gives it to a command that reads
it. Allowed is to read it as valid, or to refuse it with exit code 2 and one line. Half of the cases change a
file by its structure, a fifth by its bytes, a fifth start from files that reached lines of the program that
none had reached, and a tenth put something else in its place (a pipe, a device, a link). A case runs in a
process of its own: a hang is 10 s of processor time, or 10 s of waiting; memory counts as too much from 1.25
GiB on top of the program's own; files are watched outside of the output, and so are programs started. Case N
of a kind depends on seed, kind and N, and, of the guided ones, on those before it.

Not run yet: kills, full disks, two machines, load, and the budget (the other points of the campaign's plan),
and any number of cases beyond those in this table. The table is of the files alone.

What a row shows under traceback, hang or memory was found by this run. Where the program has been mended
since, the row keeps what was seen until the campaign is run anew (remove out/campaign).

"""


def write_page(out: Path, seed: int, page: Path) -> None:
    """Write the page of the cases in `out`."""
    records = Store(out / "files.jsonl").records
    shown = [each for each in OUTCOMES if any(record["outcome"] == each for record in records)]
    rows = [f"Seed {seed}, {len(records)} cases; `make campaign` goes on from there.", ""]
    rows += [f"| kind | cases | {' | '.join(shown)} | seconds |", "|---" * (len(shown) + 3) + "|"]
    for kind in dict.fromkeys(record["kind"] for record in records):
        mine = [record for record in records if record["kind"] == kind]
        counts = [str(sum(record["outcome"] == each for record in mine)) for each in shown]
        rows.append(f"| {kind} | {len(mine)} | {' | '.join(counts)} | {sum(r['seconds'] for r in mine):.0f} |")
    if left := [kind.name for kind in KINDS if all(record["kind"] != kind.name for record in records)]:
        rows += ["", f"No case was run of: {', '.join(left)}."]
    page.write_text(_HEAD + "\n".join(rows) + "\n", encoding="utf-8")
