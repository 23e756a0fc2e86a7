# SPDX-License-Identifier: Apache-2.0
"""What an import does not take from a folder: labels of another kind are a problem, the rest is counted and named."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from pathlib import Path, PurePosixPath

from ..picture_files import UNREAD_PICTURES, Survey
from .findings import Findings
from .items import Item
from .names import name_key, relative_name
from .recognise import BROKEN, OTHER, TITLES, recognise

_MOST_NAMES = 5

# A mask beside its image carries one of these words at the end of its name, or lies in a folder called so.
_MASK_ENDING = re.compile(r"[ _.\-]?(mask|masks|gt|ground[ _-]?truth|seg|segm|segmentation|label|labels|annotation|anno"
                          r"|matte|binary)$")
_MASK_FOLDER = re.compile(r"(.*[ _-])?(masks?|gt|ground[ _-]?truth|seg(mentations?)?|segmentationclass(png|raw)?"
                          r"|segmentationobject|labels?|annotations?|defect[ _-]?masks?)$")


def find_foreign_labels(source: str, survey: Survey, used: Collection[Path], findings: Findings) -> list[Path]:
    """Label files that the reader did not take: a problem for each of their kinds. Returns those files."""
    found: dict[str, list[Path]] = {}
    for path in survey.others:
        if path not in used:
            kind = recognise(path)
            if kind is not None:
                found.setdefault(kind, []).append(path)
    for kind, paths in found.items():
        cure = f"read them with `import {kind}`" if kind not in (OTHER, BROKEN, source) else "mend or convert them"
        findings.problem(
            f"{survey.root} holds labels of {TITLES[kind]} in {len(paths)} file(s) ({_names(paths, survey.root)}), "
            f"which this import of {source} does not take: {cure}, or leave the files out with `exclude`"
        )
    return [path for paths in found.values() for path in paths]


def find_masks(survey: Survey, images: Iterable[Path], findings: Findings) -> None:
    """Pictures among `images` that look like masks of others: a problem of both, since the labels would be lost and
    the mask be taken for a photograph."""
    names = [relative_name(path, survey.root) for path in images]
    by_stem: dict[str, list[str]] = {}
    for name in names:
        by_stem.setdefault(name_key(PurePosixPath(name).stem), []).append(name)
    pairs = [(name, whole) for name in names if (whole := _photograph_of(name, by_stem)) is not None]
    if not pairs:
        return
    mask, photograph = (survey.root / name for name in pairs[0])
    findings.problem(
        f"{len(pairs)} picture(s) look like masks of others, the first: {mask} of {photograph}; masks are read by "
        "`import mvtec` (ground_truth/TYPE/NAME_mask.png) and `import voc` (SegmentationClass/NAME.png); list the "
        "images to take in a table of `splits`, or leave the masks out with `exclude`",
        *sorted({name for pair in pairs for name in pair}),
    )


def find_unlabelled_copies(items: Iterable[Item], findings: Findings) -> None:
    """Images without labels that have the name of a labelled one beside them, but for the ending: they would count as
    clean."""
    by_stem: dict[str, list[Item]] = {}
    for item in items:
        by_stem.setdefault(name_key(str(PurePosixPath(item.name).with_suffix(""))), []).append(item)
    for alike in by_stem.values():
        labelled = [item for item in alike if item.is_labelled]
        for item in alike:
            if labelled and not item.is_labelled:
                findings.problem(f"{item.where} has no labels, and {labelled[0].where} of the same name has: leave one "
                                 "out with `exclude`", item.name)


def say_what_was_seen(
    survey: Survey, images: Set[Path], used: Collection[Path], findings: Findings
) -> None:
    """How many files were looked at, and by name which pictures were not taken.

    Args:
        images: the pictures that are imported.
        used: other files that something was read from.
    """
    left = [path for path in survey.others if path not in used]
    unread: dict[str, list[Path]] = {}
    for path in left:
        kind = UNREAD_PICTURES.get(path.suffix.lower())
        if kind:
            unread.setdefault(kind, []).append(path)
    for kind, paths in unread.items():
        findings.say(f"passed over: {len(paths)} {kind}, which are not read ({_names(paths, survey.root)}); convert "
                     "them to PNG or TIFF")
    pictures = [path for path in survey.images if path not in images and path not in used]
    if pictures:
        findings.say(f"passed over: {len(pictures)} pictures that the source does not list or whose place it does not "
                     f"know ({_names(pictures, survey.root)})")
    endings = Counter(path.suffix.lower() or "without ending" for path in left)
    named = ", ".join(f"{count} {ending}" for ending, count in endings.most_common(8))
    taken = len(survey.images) + len(survey.others) - len(left) - len(pictures) - len(images & set(survey.images))
    parts = [f"{len(images)} images"]
    parts += [f"{taken} with labels, masks or splits"] if taken > 0 else []
    parts += [f"{len(left) + len(pictures)} passed over" + (f" ({named})" if named else "")] if left or pictures else []
    findings.say(f"looked at {len(survey.images) + len(survey.others)} files in {survey.root}: {', '.join(parts)}")


def _photograph_of(name: str, by_stem: Mapping[str, Sequence[str]]) -> str | None:
    """The image that a picture is the mask of, as its name or its folder says."""
    stem = name_key(PurePosixPath(name).stem)
    shorter = _MASK_ENDING.sub("", stem)
    if shorter and shorter != stem and by_stem.get(shorter):
        return by_stem[shorter][0]
    if _lies_with_masks(name):
        return next((other for other in by_stem[stem] if not _lies_with_masks(other)), None)
    return None


def _lies_with_masks(name: str) -> bool:
    return any(_MASK_FOLDER.fullmatch(name_key(part)) for part in PurePosixPath(name).parts[:-1])


def _names(paths: Sequence[Path], root: Path) -> str:
    shown = ", ".join(relative_name(path, root) for path in paths[:_MOST_NAMES])
    return shown + (", …" if len(paths) > _MOST_NAMES else "")
