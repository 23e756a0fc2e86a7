# SPDX-License-Identifier: Apache-2.0
"""From a folder of labelled photographs to a data set: the same steps for every source."""

from collections.abc import Mapping
from pathlib import Path

from ...runtime.errors import UserError
from ...runtime.files import write_text
from ...runtime.progress import say, track
from ..format import LEFT_OUT_FILE
from ..writer import DatasetWriter
from .findings import Findings
from .items import Item
from .options import DEFAULTS, ImportOptions
from .planning import ImportPlan, make_plan
from .sources import SOURCES


def import_dataset(
    source: str, src: str | Path, out: str | Path, options: ImportOptions = DEFAULTS, *, progress: bool = True
) -> Path:
    """Make a data set of images and labels.

    Tables and label files are read and checked before anything is written; a picture is decoded when its turn comes. If
    one is broken the others are written all the same: the same import into the same folder goes on from there, and
    takes up changed sources. With `skip_bad` what is left out is listed in `left_out.txt` in the data set.

    Args:
        source: a name in `sources.SOURCES`.
        src: the folder with images and labels.
        out: the data set.
        progress: show a progress bar.

    Returns:
        The data set's folder.

    Raises:
        UserError: anything wrong with the input, in one line; of several things all are printed.
    """
    out = Path(out)
    findings = Findings()
    plan = make_plan(SOURCES[source], Path(src), out, options, findings)
    findings.refuse(options.skip_bad)
    wanted = _wanted(plan, findings)
    with DatasetWriter(out, classes=plan.classes, overwrite=options.overwrite, **plan.header) as writer:
        before = writer.photographs
        writer.keep_only(sample_id for _, sample_id, _, _ in wanted)
        for item, sample_id, split, group in track(wanted, "import", len(wanted)) if progress else wanted:
            _import_image(plan, writer, item, sample_id, split, group, findings)
        if options.skip_bad:
            writer.keep_only(sample_id for _, sample_id, _, _ in _wanted(plan, findings))
        _write_left_out(out, findings)
        changes = _changes(before, writer.photographs, len(writer.added))
    if changes:
        say(changes)
    _say_findings(plan, findings)
    findings.refuse(options.skip_bad)
    return out


def check_import(
    source: str, src: str | Path, options: ImportOptions = DEFAULTS, *, progress: bool = True
) -> list[str]:
    """All that is wrong with a source, one line each: everything that `import_dataset` does, but nothing is written.

    Raises:
        UserError: the source cannot be read at all.
    """
    findings = Findings()
    plan = make_plan(SOURCES[source], Path(src), None, options, findings)
    jobs = list(zip(plan.items, plan.ids, strict=True))
    for item, sample_id in track(jobs, "check", len(jobs)) if progress else jobs:
        with findings.catch(item.name):
            data, region_file, _ = plan.reader.sources(item, sample_id)
            plan.reader.read(item, data, region_file)
    _say_findings(plan, findings)
    return [problem.text for problem in findings.problems]


def _import_image(
    plan: ImportPlan, writer: DatasetWriter, item: Item, sample_id: str, split: str, group: str, findings: Findings
) -> None:
    """Import an image unless it is there already. What is wrong with it goes into the findings."""
    found = None
    with findings.catch(item.name):
        data, region_file, parameters = plan.reader.sources(item, sample_id)
        if writer.is_done(sample_id, split, group, parameters):
            return
        found = plan.reader.read(item, data, region_file)
    if found is not None:
        writer.add(
            sample_id, found.image, found.mask, found.instances, found.instance_classes, split, group, found.region,
            parameters=parameters, as_a_whole=found.as_a_whole, weak=found.weak, tags=item.tags,
        )


def _wanted(plan: ImportPlan, findings: Findings) -> list[tuple[Item, str, str, str]]:
    """(item, sample id, split, group) of each image that nothing is wrong with.

    Raises:
        UserError: there is none.
    """
    spoiled = findings.spoiled
    jobs = zip(plan.items, plan.ids, plan.splits, plan.groups, strict=True)
    wanted = [job for job in jobs if job[0].name not in spoiled]
    if not wanted:
        raise UserError(f"something is wrong with each of the {len(plan.items)} images, so that none is left; "
                        f"the first: {findings.problems[0].text}")
    return wanted


def _write_left_out(out: Path, findings: Findings) -> None:
    """List what was left out and why, a line each; without such a thing no list stays."""
    file = out / LEFT_OUT_FILE
    if findings.problems:
        lines = (f"{name}\t{problem.text}\n" for problem in findings.problems for name in problem.images)
        write_text(file, "".join(lines))
    else:
        file.unlink(missing_ok=True)


def _say_findings(plan: ImportPlan, findings: Findings) -> None:
    plan.reader.say_about_depth()
    findings.say_notes()
    if plan.reader.region.worth_saying:
        say(plan.reader.region.summary())


def _changes(before: Mapping[str, str], after: Mapping[str, str], written: int) -> str:
    """What an import into a folder of an earlier one changed, given sample id -> its photograph; "" for nothing."""
    new = [sample_id for sample_id in after if sample_id not in before]
    gone = [sample_id for sample_id in before if sample_id not in after]
    anew = written - len(new)
    if not before or not (new or gone or anew):
        return ""
    text = (f"{len(before) - len(gone) - anew} of the {len(before)} samples that were there stay as they are, {anew} "
            f"were made anew, {len(gone)} are gone, {len(new)} are new")
    now = {after[sample_id]: sample_id for sample_id in new}
    renamed = [(sample_id, now[before[sample_id]]) for sample_id in gone if now.get(before[sample_id])]
    if renamed:
        old, named = renamed[0]
        text += f"; {len(renamed)} ids follow the files' names now, the first: {old!r} is {named!r}"
    return text
