# SPDX-License-Identifier: Apache-2.0
"""MVTec-AD-like trees, layout in `mvtec_layout`: the folders' names are the labels, masks say where."""

from pathlib import Path

from ...runtime.errors import UserError
from ..mvtec_layout import FOLDERS, GOOD
from ..photographs import IMAGE_SUFFIXES, files_below
from .items import Item, Job, Shape
from .mask_file import MaskFile


def read_mvtec(job: Job) -> list[Item]:
    """Every image of the tree; each connected part of its mask (8 neighbours) is an instance of its folder's label."""
    items = []
    for split, (images, masks) in FOLDERS.items():
        for image in files_below(job.src / images, IMAGE_SUFFIXES):
            name = image.relative_to(job.src).as_posix()
            with job.findings.catch(name):
                item = _item(job, image, name, split, images, masks)
                if item is not None:
                    items.append(item)
    if not any(item.split in ("train", "test") for item in items) and not job.findings.problems:
        raise UserError(f"{job.src} is no MVTec-AD-like tree: expected images in train/good or test/TYPE below it")
    return items


def _item(job: Job, image: Path, name: str, split: str, images: str, masks: str) -> Item | None:
    """None where the type is ignored."""
    parts = name.split("/")
    if len(parts) != 3:
        raise UserError(f"{image}: expected {images}/TYPE/FILE below {job.src}")
    type_name = parts[1]
    if type_name == GOOD:
        return Item(name, image, str(image), split=split)
    if job.ignores(type_name):
        return None
    if not masks:
        raise UserError(f"{image}: {images}/ holds only the folder good; defects belong below test/")
    mask = _mask_of(image, job.src / masks / type_name)
    shape = Shape(type_name, MaskFile(mask), str(mask), connected=True)
    return Item(name, image, str(image), (shape,), digests={"mask_sha256": mask}, split=split)


def _mask_of(image: Path, folder: Path) -> Path:
    for stem in (f"{image.stem}_mask", image.stem):
        for suffix in IMAGE_SUFFIXES:
            if (folder / (stem + suffix)).is_file():
                return folder / (stem + suffix)
    raise UserError(f"{image} has no mask; expected {folder / image.stem}_mask.png")
