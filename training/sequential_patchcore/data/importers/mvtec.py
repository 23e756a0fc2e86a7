# SPDX-License-Identifier: Apache-2.0
"""Import of MVTec-AD-like trees; their layout stands in `mvtec_layout`."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from ...runtime.errors import UserError
from ...runtime.file_names import unique_ids
from ...runtime.progress import say, track
from .. import png
from ..mvtec_layout import FOLDERS
from ..photographs import IMAGE_SUFFIXES, decode_image, files_below
from ..writer import DatasetWriter
from . import plate_region
from .labels import LabelRules, group_of
from .plate_region import RegionSource
from .splits import refuse_shared_plates


@dataclass(frozen=True)
class _Item:
    image: Path
    mask: Path | None
    split: str
    type_name: str
    name: str


def import_mvtec(
    src: str | Path,
    out: str | Path,
    *,
    defects: Sequence[str] | None = None,
    impurities: Sequence[str] | None = None,
    aliases: Mapping[str, str] | None = None,
    ignore: Iterable[str] = (),
    val_fraction: float = 0.0,
    group_by: str | None = None,
    regions: str | Path | None = None,
    margin: float = 0.0,
    name: str | None = None,
    pixel_size_um: float | None = None,
    overwrite: bool = False,
    progress: bool = True,
) -> Path:
    """Make a data set of an MVTec-AD-like tree. The folders' names are the labels; each connected part of a mask
    (8 neighbours) is an instance; any value but 0 in a mask is defect.

    Args:
        val_fraction: the share of each test folder that becomes the split val, chosen by a hash of the file's path;
            with `group_by` the share of the plates of test/, whole. For trees without a validation folder.
        others: as for `import_labelme`.

    Raises:
        UserError: anything wrong with the input, in one line.
    """
    src, out = Path(src), Path(out)
    if not src.is_dir():
        raise UserError(f"no such folder: {src}")
    if not 0 <= val_fraction < 1:
        raise UserError(f"expected the validation share from 0 to below 1, found {val_fraction}")
    rules = LabelRules.of(defects, impurities, aliases, ignore)
    items = _draw_validation(_plan(src, rules), val_fraction, group_by)
    classes = rules.classes(item.type_name for item in items if item.mask)
    class_ids = {info.name: info.id for info in classes}
    ids = unique_ids([item.name for item in items])
    groups = [group_of(item.name, group_by, sample_id) for item, sample_id in zip(items, ids, strict=True)]
    refuse_shared_plates(groups, [item.split for item in items])
    region = RegionSource(regions, margin)
    if margin and regions is None:
        raise UserError("--margin is off the border of a plate's region; say where that is with --regions")
    recipe = {"import": "mvtec", "labels": rules.as_dict(), "val_fraction": val_fraction, "group_by": group_by,
              **region.as_dict()}
    with DatasetWriter(out, name or src.resolve().name, "sequential-patchcore import mvtec", classes,
                       pixel_size_um, recipe, overwrite) as writer:
        writer.keep_only(ids)
        jobs = list(zip(items, ids, groups, strict=True))
        for item, sample_id, group in track(jobs, "import", len(jobs)) if progress else jobs:
            class_id = class_ids[rules.class_of(item.type_name)] if item.mask else 0
            _import_item(writer, item, sample_id, group, class_id, region)
    if region.covered and region.as_dict():
        say(region.summary())
    return out


def _plan(src: Path, rules: LabelRules) -> list[_Item]:
    items = []
    for split, (images, masks) in FOLDERS.items():
        for image in files_below(src / images, IMAGE_SUFFIXES):
            name = image.relative_to(src).as_posix()
            parts = name.split("/")
            if len(parts) != 3:
                raise UserError(f"{image}: expected {images}/TYPE/FILE below {src}")
            type_name = parts[1]
            if type_name != "good" and rules.class_of(type_name) is None:
                continue
            if type_name != "good" and not masks:
                raise UserError(f"{image}: {images}/ holds only the folder good; defects belong below test/")
            mask = None if type_name == "good" else _mask_of(image, src / masks / type_name)
            items.append(_Item(image, mask, split, type_name, name))
    if not any(item.split == "train" for item in items) and not any(item.split == "test" for item in items):
        raise UserError(f"{src} is no MVTec-AD-like tree: expected images in train/good or test/TYPE below it")
    return items


def _draw_validation(items: list[_Item], fraction: float, group_by: str | None) -> list[_Item]:
    """Move a share of every test folder to val, those whose path has the smallest SHA-256; or a share of the plates."""
    tested = [item for item in items if item.split == "test"]
    of_name = {item.name: item.name if group_by is None else group_of(item.name, group_by, "") for item in tested}
    chosen: set[str] = set()
    for type_name in {item.type_name if group_by is None else "" for item in tested}:
        names = {of_name[item.name] for item in tested if group_by is not None or item.type_name == type_name}
        ordered = sorted(names, key=lambda text: hashlib.sha256(text.encode()).digest())
        chosen.update(ordered[: round(fraction * len(ordered))])
    return [replace(item, split="val") if of_name.get(item.name) in chosen else item for item in items]


def _mask_of(image: Path, folder: Path) -> Path:
    for stem in (f"{image.stem}_mask", image.stem):
        for suffix in IMAGE_SUFFIXES:
            if (folder / (stem + suffix)).is_file():
                return folder / (stem + suffix)
    raise UserError(f"{image} has no mask; expected {folder / image.stem}_mask.png")


def _import_item(
    writer: DatasetWriter, item: _Item, sample_id: str, group: str, class_id: int, source_of_region: RegionSource
) -> None:
    data = png.read_bytes(item.image)
    source = {"image": item.name, "image_sha256": hashlib.sha256(data).hexdigest()}
    mask_data = png.read_bytes(item.mask) if item.mask else b""
    if item.mask:
        source["mask_sha256"] = hashlib.sha256(mask_data).hexdigest()
    region_file = source_of_region.file_of(item.name, sample_id)
    if region_file:
        source["region_sha256"] = plate_region.digest(region_file)
    parameters = {"source": source}
    if writer.is_done(sample_id, item.split, group, parameters):
        return
    image, _ = decode_image(data, item.image)
    defect = np.zeros(image.shape[:2], np.uint8)
    if item.mask:
        truth, _ = decode_image(mask_data, item.mask)
        truth = truth if truth.ndim == 2 else truth.max(axis=2)
        if truth.shape != defect.shape:
            raise UserError(f"{item.mask} is {truth.shape[1]} x {truth.shape[0]} pixels, its image "
                            f"{defect.shape[1]} x {defect.shape[0]}")
        defect = (truth > 0).astype(np.uint8)
    count, parts = cv2.connectedComponents(defect, connectivity=8)
    if count > 65536:
        raise UserError(f"{item.mask}: found {count - 1} separate parts, an image holds 65535 instances")
    writer.add(
        sample_id, image, defect * np.uint8(class_id), parts.astype(np.uint16),
        dict.fromkeys(range(1, count), class_id), item.split, group,
        source_of_region.of(image, item.name, region_file, None), parameters=parameters,
    )
