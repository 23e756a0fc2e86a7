# SPDX-License-Identifier: Apache-2.0
"""MVTec-AD-like trees, layout in `mvtec_layout`: the folders' names are the labels, masks say where."""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from ...runtime.errors import UserError
from ..mvtec_layout import FOLDERS, GOOD, OTHER_NAMES
from .items import Item, Job, Shape
from .mask_file import MaskFile
from .names import name_key, relative_name

_Masks = Mapping[tuple[str, str, str], list[Path]]  # by folder, type and stem, all as `name_key` writes them


def read_mvtec(job: Job) -> list[Item]:
    """Every image of the tree; each connected part of its mask (8 neighbours) is an instance of its folder's label.

    Where a type has no folder of masks its images are labelled as a whole.
    """
    splits = {images: split for split, (images, _) in FOLDERS.items()}
    places = {path: _place(path, job.src) for path in job.survey.images}
    masks: dict[tuple[str, str, str], list[Path]] = {}
    for path, (folder, parts) in places.items():
        if folder in {masks for _, masks in FOLDERS.values()} and len(parts) == 3:
            masks.setdefault((folder, name_key(parts[1]), name_key(path.stem)), []).append(path)
    items = []
    for path, (folder, parts) in places.items():
        if folder in splits:
            with job.findings.catch(relative_name(path, job.src)):
                items += _item(job, path, parts, splits[folder], masks)
    if not any(item.split in ("train", "test") for item in items) and not job.findings.problems:
        raise UserError(f"{job.src} is no MVTec-AD-like tree: expected images in train/good or test/TYPE below it")
    for path in (path for paths in masks.values() for path in paths if path not in job.used):
        job.used.add(path)
        if not job.ignores(path.parent.name):
            job.findings.note("{count} masks belong to no image", str(path))
    return items


def _place(path: Path, src: Path) -> tuple[str, tuple[str, ...]]:
    """The folder of the layout that a file lies in, as the layout spells it, and the parts of its path."""
    parts = PurePosixPath(relative_name(path, src)).parts
    folder = name_key(parts[0])
    return OTHER_NAMES.get(folder, folder), parts


def _item(job: Job, image: Path, parts: tuple[str, ...], split: str, masks: _Masks) -> list[Item]:
    """One item; none where the type is ignored."""
    name = "/".join(parts)
    images, mask_folder = FOLDERS[split]
    if len(parts) != 3:
        raise UserError(f"{image}: expected {parts[0]}/TYPE/FILE below {job.src}")
    label = parts[1]
    if name_key(label) == GOOD:
        if label != GOOD:
            what = f"{{count}} images lie in a folder that is spelt {label!r}; it is taken for {GOOD!r}"
            job.findings.note(what, name)
        return [Item(name, image, str(image), split=split)]
    if job.ignores(label):
        job.findings.note("{count} images of ignored types are left out", name)
        return []
    if not mask_folder:
        raise UserError(f"{image}: {images}/ holds only the folder good; defects belong below test/")
    if not any(folder == mask_folder and kind == name_key(label) for folder, kind, _ in masks) and not _is_folder(
            job.src, mask_folder, label):
        job.findings.note("{count} images of types without a folder of masks are labelled as a whole", name)
        return [Item(name, image, str(image), as_a_whole=(label,), split=split)]
    mask = _mask_of(image, label, mask_folder, job, masks)
    job.used.add(mask)
    shape = Shape(label, MaskFile(mask, job.findings), str(mask), connected=True)
    return [Item(name, image, str(image), (shape,), digests={"mask_sha256": mask}, split=split)]


def _is_folder(src: Path, masks: str, label: str) -> bool:
    return any((src / name / label).is_dir() for name in (masks, *(k for k, v in OTHER_NAMES.items() if v == masks)))


def _mask_of(image: Path, label: str, folder: str, job: Job, masks: _Masks) -> Path:
    stem = name_key(image.stem)
    found = [path for ending in ("_mask", "") for path in masks.get((folder, name_key(label), stem + ending), ())]
    if len(found) > 1:
        raise UserError(f"{image} has {len(found)} masks: {', '.join(map(str, found))}; keep one")
    if not found:
        raise UserError(f"{image} has no mask; expected {job.src / folder / label / image.stem}_mask.png")
    return found[0]
