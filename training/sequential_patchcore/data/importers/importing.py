# SPDX-License-Identifier: Apache-2.0
"""From a folder of labelled photographs to a data set: the same steps for every source."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from ...runtime.errors import UserError
from ...runtime.progress import say, track
from ..dataset import Dataset, Sample, open_dataset
from ..format import ClassInfo
from ..writer import DatasetWriter
from .findings import Findings
from .items import Item, Job, sample_ids
from .labels import LabelRules, group_of
from .one_image import ImageReader
from .options import DEFAULTS, ImportOptions
from .plate_region import PLATE_LABEL, RegionSource
from .shapes import STROKE_WIDTH
from .sources import SOURCES, Source
from .split_table import SplitTable, read_table
from .splits import FOLDERS, draw_validation, refuse_shared_plates, share_out, split_of_folder


@dataclass(frozen=True)
class ImportPlan:
    """What will be imported: four lists of one length, and what holds for all."""

    items: Sequence[Item]
    ids: Sequence[str]
    splits: Sequence[str]
    groups: Sequence[str]
    classes: tuple[ClassInfo, ...]
    reader: ImageReader
    header: dict


def import_dataset(
    source: str, src: str | Path, out: str | Path, options: ImportOptions = DEFAULTS, *, progress: bool = True
) -> Path:
    """Make a data set of images and labels.

    Tables and label files are read and checked before anything is written; a picture is decoded when its turn comes. If
    one is broken the others are written all the same: the same import into the same folder goes on from there, and
    takes up changed sources.

    Args:
        source: a name in `sources.SOURCES`.
        src: the folder with images and labels.
        out: the data set.
        progress: show a progress bar.

    Returns:
        The data set's folder.

    Raises:
        UserError: anything wrong with the input, in one line.
    """
    out = Path(out)
    findings = Findings()
    plan = _plan(SOURCES[source], Path(src), out, options, findings)
    with DatasetWriter(out, classes=plan.classes, overwrite=options.overwrite, **plan.header) as writer:
        before = writer.photographs
        writer.keep_only(plan.ids)
        jobs = list(zip(plan.items, plan.ids, plan.splits, plan.groups, strict=True))
        for item, sample_id, split, group in track(jobs, "import", len(jobs)) if progress else jobs:
            with findings.catch(item.name):
                plan.reader.write(writer, item, sample_id, split, group)
    changes = _changes(before, writer.photographs, len(writer.added))
    if changes:
        say(changes)
    findings.say_notes()
    if plan.reader.region.worth_saying:
        say(plan.reader.region.summary())
    findings.refuse()
    return out


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


def _plan(source: Source, src: Path, out: Path | None, options: ImportOptions, findings: Findings) -> ImportPlan:
    """Read the labels, and decide everything that does not need pixels.

    Raises:
        UserError: something is wrong.
    """
    if not src.is_dir():
        raise UserError(f"no such folder: {src}")
    options.check()
    like = None if options.like is None else open_dataset(options.like)
    rules = _rules(options, like)
    table = None
    if options.splits not in (None, FOLDERS):
        table = read_table(Path(options.splits), src, findings)
    items = source.read(Job(src, out, options, table, rules, findings))
    if table is not None:
        items = _only_listed(items, table, findings)
    if not items and not findings.problems:
        raise UserError(f"{src} holds no images")
    plate_label = _plate_label(source, rules)
    classes = _classes(items, rules, plate_label, options, like, findings)
    if like is None:
        ids = sample_ids([item.name for item in items])
        groups, items = _groups(items, ids, options, findings), _with_splits(items, options, findings)
        splits = _splits(items, groups, rules, classes, options, findings)
    else:
        samples = _samples_of(like, items)
        ids, splits, groups = ([getattr(sample, key) for sample in samples] for key in ("id", "split", "group"))
    findings.refuse()
    refuse_shared_plates(groups, splits)
    is_drawn = any(rules.class_of(label) == plate_label for item in items for label in item.labels)
    region = _region(options, like, is_drawn)
    reader = ImageReader(rules, classes, plate_label, region, options.line_width, findings)
    header = _header(source, src, options, rules, region, like)
    return ImportPlan(items, ids, splits, groups, classes, reader, header)


def _rules(options: ImportOptions, like: Dataset | None) -> LabelRules:
    defects, impurities = options.defects, options.impurities
    if _takes_classes(options, like):
        defects, impurities = ([c.name for c in like.classes if c.kind == k] for k in ("defect", "impurity"))
    return LabelRules.of(defects, impurities, options.aliases, options.ignore)


def _takes_classes(options: ImportOptions, like: Dataset | None) -> bool:
    return like is not None and options.defects is None and options.impurities is None


def _plate_label(source: Source, rules: LabelRules) -> str | None:
    """The class name that means the inspected region, if any does."""
    listed = (*(rules.defects or ()), *(rules.impurities or ()))
    return PLATE_LABEL if source.draws_plates and PLATE_LABEL not in listed else None


def _classes(
    items: Sequence[Item], rules: LabelRules, plate_label: str | None, options: ImportOptions, like: Dataset | None,
    findings: Findings,
) -> tuple[ClassInfo, ...]:
    labels = {label for item in items for label in item.labels}
    classes: tuple[ClassInfo, ...] = ()
    with findings.catch():
        classes = rules.classes(
            label for label in labels if plate_label is None or rules.class_of(label) != plate_label
        )
    return like.classes if _takes_classes(options, like) else classes


def _only_listed(items: Sequence[Item], table: SplitTable, findings: Findings) -> list[Item]:
    """What the table lists, in its order, with its splits and plates."""
    by_name = {item.name: item for item in items}
    listed = []
    for row in table.rows:
        item = by_name.get(row.image)
        if item is None:
            findings.problem(f"{row.where}: {row.image} is not among the images of the source", row.image)
        else:
            listed.append(replace(item, split=row.split, group=row.group))
    return listed


def _groups(items: Sequence[Item], ids: Sequence[str], options: ImportOptions, findings: Findings) -> list[str]:
    groups = list(ids)
    for place, (item, sample_id) in enumerate(zip(items, ids, strict=True)):
        with findings.catch(item.name):
            groups[place] = item.group or group_of(item.name, options.group_by, sample_id)
    return groups


def _with_splits(items: Sequence[Item], options: ImportOptions, findings: Findings) -> list[Item]:
    """What the source says about splits, or the folders' names, with the validation's share of the test images."""
    if options.splits == FOLDERS:
        placed = []
        for item in items:
            with findings.catch(item.name):
                item = replace(item, split=split_of_folder(item.name))
            placed.append(item)
        items = placed
    if not options.val_fraction:
        return list(items)
    with findings.catch():
        items = draw_validation(items, options.val_fraction, options.group_by)
    return list(items)


def _splits(
    items: Sequence[Item], groups: Sequence[str], rules: LabelRules, classes: tuple[ClassInfo, ...],
    options: ImportOptions, findings: Findings,
) -> list[str]:
    splits = [item.split or options.default_split for item in items]
    if options.split_shares is not None:
        defects = {info.name for info in classes if info.kind == "defect"}
        defective = [any(rules.class_of(label) in defects for label in item.labels) for item in items]
        with findings.catch():
            splits = share_out(groups, defective, options.split_shares)
    return splits


def _samples_of(like: Dataset, items: Sequence[Item]) -> list[Sample]:
    """The samples of the same names; by the name of the photograph where their ids were made otherwise."""
    by_id = {sample.id: sample for sample in like.samples}
    by_photograph = {}
    for sample in like.samples:
        source = sample.parameters.get("source")
        if isinstance(source, dict) and isinstance(source.get("image"), str):
            by_photograph[PurePosixPath(source["image"]).stem] = sample
    ids = sample_ids([item.name for item in items])
    found = [
        by_id.get(sample_id) or by_photograph.get(PurePosixPath(item.name).stem)
        for item, sample_id in zip(items, ids, strict=True)
    ]
    missing = [sample_id for sample_id, sample in zip(ids, found, strict=True) if sample is None]
    if missing:
        raise UserError(f"`like` {like.path} has no sample {missing[0]!r}"
                        + (f" (and {len(missing) - 1} more are missing)" if len(missing) > 1 else ""))
    return found


def _region(options: ImportOptions, like: Dataset | None, is_drawn: bool) -> RegionSource:
    where = options.regions
    if where is None and like is not None and (like.path / "regions").is_dir():
        where = like.path / "regions"
    if options.margin and where is None and not is_drawn:
        raise UserError("`margin` is off the border of a plate's region; say where that is with `regions`")
    return RegionSource(where, options.margin, optional=like is not None)


def _header(
    source: Source, src: Path, options: ImportOptions, rules: LabelRules, region: RegionSource, like: Dataset | None
) -> dict:
    """What the data set says about itself, as arguments of its writer."""
    recipe = {"import": source.name, "labels": rules.as_dict(), "group_by": options.group_by, **region.as_dict()}
    if source.has_splits or options.val_fraction:
        recipe["val_fraction"] = options.val_fraction
    if options.line_width != STROKE_WIDTH:
        recipe["line_width_px"] = options.line_width
    return {
        "name": options.name or (f"{like.name}_{source.name}" if like else src.resolve().name),
        "generator": f"sequential-patchcore import {source.name}",
        "pixel_size_um": options.pixel_size_um or (like.pixel_size_um if like else None),
        "recipe": recipe,
    }
