# SPDX-License-Identifier: Apache-2.0
"""What an import will do, decided from labels and names alone: images, ids, splits, plates, classes, regions."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from ...runtime.errors import UserError
from ..dataset import Dataset, Sample, open_dataset, record_files
from ..format import HEADER_FILE, ClassInfo
from ..picture_files import IMAGE_SUFFIXES, survey
from .findings import Findings
from .items import Item, Job, sample_ids
from .labels import LabelRules, group_of, say_about_labels
from .one_image import ImageReader
from .options import ImportOptions
from .paging import pages_as_items
from .passed_over import find_foreign_labels, find_masks, find_unlabelled_copies, say_what_was_seen
from .plate_region import FIND, PLATE_LABEL, RegionSource
from .shapes import STROKE_WIDTH
from .sources import Source
from .split_table import SplitTable, read_table
from .splits import FOLDERS, draw_validation, refuse_shared_plates, share_out, split_of_folder

# What a data set holds besides photographs: pictures too, but not to be imported as such.
_PARTS_OF_A_DATA_SET = ("masks", "instances", "regions", "stain_distance", HEADER_FILE)


@dataclass(frozen=True)
class ImportPlan:
    """What will be imported: four lists of one length; and what holds for all.

    Attributes:
        header: arguments of the data set's writer.
    """

    items: Sequence[Item]
    ids: Sequence[str]
    splits: Sequence[str]
    groups: Sequence[str]
    classes: tuple[ClassInfo, ...]
    reader: ImageReader
    header: dict


def make_plan(source: Source, src: Path, out: Path | None, options: ImportOptions, findings: Findings) -> ImportPlan:
    """Read the labels, and decide everything that does not need pixels.

    Raises:
        UserError: something is wrong with the whole import; what is wrong with images is in the findings.
    """
    options.check()
    like = None if options.like is None else open_dataset(options.like)
    job = _job(source, src, out, options, _rules(options, like), findings)
    items = _items(source, job)
    rules = job.rules.with_kinds(job.kinds)
    items = [_with_tags_as_labels(item, rules) for item in items]
    _say_about_tags(items, findings)
    rules = rules.with_spellings(label for item in items for label in item.labels)
    for item in items:
        if item.labels and all(rules.class_of(label) is None for label in item.labels):
            findings.note("{count} images have ignored labels alone and count as clean", item.where)
    plate_label = _plate_label(source, rules)
    labels = sorted({label for item in items for label in item.labels if not _is(plate_label, label, rules)})
    if not _takes_classes(options, like):
        say_about_labels(labels, rules, findings)
    classes: tuple[ClassInfo, ...] = ()
    with findings.catch():
        classes = rules.classes(labels)
    if _takes_classes(options, like):
        classes = like.classes
    items, ids, splits, groups = _places(items, classes, rules, like, options, findings)
    is_drawn = any(_is(plate_label, label, rules) for item in items for label in item.labels)
    region = _region(options, like, is_drawn)
    reader = ImageReader(rules, classes, plate_label, region, options, findings)
    header = _header(source, src, options, rules, region, like)
    return ImportPlan(items, ids, splits, groups, classes, reader, header)


def _job(
    source: Source, src: Path, out: Path | None, options: ImportOptions, rules: LabelRules, findings: Findings
) -> Job:
    """What the reader needs: all files below the source, and the table of splits."""
    if not src.is_dir():
        raise UserError(f"no such folder: {src}")
    own = [src / name for name in _PARTS_OF_A_DATA_SET] if (src / HEADER_FILE).is_file() else []
    own += record_files(src) if own else []
    regions = [Path(options.regions)] if options.regions not in (None, FIND) else []
    files = survey(src, [*own, *regions, *([] if out is None else [out])], options.exclude)
    table = None
    if options.splits not in (None, FOLDERS):
        table = read_table(Path(options.splits), files, findings)
    return Job(src, files, options, table, rules, findings)


def _items(source: Source, job: Job) -> list[Item]:
    """The images that the reader finds, each page of a file as one, and what is to be said about the other files."""
    before = len(job.findings.problems)
    items = source.read(job)
    if job.table is not None:
        job.findings.forget_others({row.image for row in job.table.rows}, before)
        items = _only_listed(items, job.table, job.findings)
        job.used.add(Path(job.options.splits))
    images = {item.image for item in items if isinstance(item.image, Path)}
    if job.table is None:
        find_masks(job.survey, sorted(images), job.findings)
        find_unlabelled_copies(items, job.findings)
    if job.table is None or not job.table.names_labels:
        find_foreign_labels(source.name, job.survey, job.used, job.findings)
    if not items and not job.findings.problems:
        raise UserError(f"{job.src} holds no images ({', '.join(IMAGE_SUFFIXES)})")
    say_what_was_seen(job.survey, images, job.used, job.findings)
    return pages_as_items(items, job.options.group_by, job.findings) if job.options.pages else list(items)


def _places(
    items: Sequence[Item], classes: tuple[ClassInfo, ...], rules: LabelRules, like: Dataset | None,
    options: ImportOptions, findings: Findings,
) -> tuple[Sequence[Item], list[str], list[str], list[str]]:
    """The items, and for each its id, split and group; an image without a place is in the findings."""
    if like is None:
        ids = sample_ids([item.name for item in items])
        groups, items = _groups(items, ids, options, findings), _with_splits(items, options, findings)
        splits = _splits(items, groups, rules, classes, options, findings)
    else:
        samples = _samples_of(like, items)
        ids, splits, groups = ([getattr(sample, key) for sample in samples] for key in ("id", "split", "group"))
    with findings.catch():
        refuse_shared_plates(groups, splits)
    return items, ids, splits, groups


def _with_tags_as_labels(item: Item, rules: LabelRules) -> Item:
    """Tags that are named as classes are labels of the image as a whole."""
    named = tuple(tag for tag in item.tags if rules.class_of(tag) in rules.listed)
    return replace(item, as_a_whole=(*item.as_a_whole, *named)) if named else item


def _say_about_tags(items: Sequence[Item], findings: Findings) -> None:
    tagged = Counter(tag for item in items if not item.labels for tag in item.tags)
    if tagged:
        named = ", ".join(f"{tag!r} {count}" for tag, count in tagged.most_common(8))
        findings.say(f"images without labels have tags ({named}) and count as clean; a tag that means a defect becomes "
                     "a label when it is named in `defects`")


def _rules(options: ImportOptions, like: Dataset | None) -> LabelRules:
    defects, impurities = options.defects, options.impurities
    if _takes_classes(options, like):
        defects, impurities = ([c.name for c in like.classes if c.kind == k] for k in ("defect", "impurity"))
    return LabelRules.of(defects, impurities, options.aliases, options.ignore)


def _takes_classes(options: ImportOptions, like: Dataset | None) -> bool:
    return like is not None and options.defects is None and options.impurities is None


def _plate_label(source: Source, rules: LabelRules) -> str | None:
    """The class name that means the inspected region, if any does."""
    is_class = PLATE_LABEL in {name.casefold() for name in rules.listed}
    return PLATE_LABEL if source.draws_plates and not is_class else None


def _is(plate_label: str | None, label: str, rules: LabelRules) -> bool:
    name = rules.class_of(label)
    return plate_label is not None and name is not None and name.casefold() == plate_label


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
        if not any(math.isclose(sum(options.split_shares), whole) for whole in (1, 100)):
            shares = ", ".join(f"{share:g}" for share in options.split_shares)
            findings.say(f"`split_shares` {shares} add up to {sum(options.split_shares):g}, not to 100: only their "
                         "proportions count")
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
    if options.bit_depth is not None:
        recipe["bit_depth"] = options.bit_depth
    return {
        "name": options.name or (f"{like.name}_{source.name}" if like else src.resolve().name),
        "generator": f"sequential-patchcore import {source.name}",
        "pixel_size_um": options.pixel_size_um or (like.pixel_size_um if like else None),
        "recipe": recipe,
    }
