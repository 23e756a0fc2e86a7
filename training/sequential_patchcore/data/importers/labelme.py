# SPDX-License-Identifier: Apache-2.0
"""Import photographs that were labelled with LabelMe."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...runtime.errors import UserError
from ...runtime.file_names import unique_ids
from ...runtime.progress import say, track
from ..dataset import Dataset, open_dataset
from ..format import SPLITS, ClassInfo
from ..photographs import decode_image
from ..png import read_bytes
from ..writer import DatasetWriter
from . import plate_region
from .labelme_file import Shape, rasterise, read_image_data
from .labelme_source import Item, items_of_folder, items_of_table
from .labels import LabelRules, group_of
from .plate_region import PLATE_LABEL, RegionSource
from .shapes import STROKE_WIDTH, paint
from .splits import FOLDERS, refuse_shared_plates, share_out, split_of_folder


def import_labelme(
    src: str | Path,
    out: str | Path,
    *,
    splits: str | Path | None = None,
    split_shares: Sequence[float] | None = None,
    like: str | Path | None = None,
    defects: Sequence[str] | None = None,
    impurities: Sequence[str] | None = None,
    aliases: Mapping[str, str] | None = None,
    ignore: Iterable[str] = (),
    default_split: str = "train",
    group_by: str | None = None,
    regions: str | Path | None = None,
    margin: float = 0.0,
    line_width: float = STROKE_WIDTH,
    name: str | None = None,
    pixel_size_um: float | None = None,
    overwrite: bool = False,
    progress: bool = True,
) -> Path:
    """Make a data set of images and LabelMe files.

    The table and all label files are read and checked before anything is written; a picture is decoded when its turn
    comes. If one is broken the samples before it stay, whole: the same import into the same folder goes on from
    there, and takes up changed sources.

    Args:
        src: a folder with images anywhere below; label files beside them or elsewhere below. Images without a label
            file are clean.
        out: the data set.
        splits: a table (`labelme_source.items_of_table`), then only what it lists is taken; or "folders": by the
            folder train, val or test on an image's path.
        split_shares: of train, val, test: whole plates are shared out (`splits.share_out`).
        like: another data set with samples of the same names: split, group and region come from there, and classes
            and pixel size where they are not given. For other labels of the same images.
        defects, impurities: class names by kind; without both every label is a defect.
        aliases: label -> class name.
        ignore: labels to leave out.
        default_split: the split of all images where nothing else says it.
        group_by: regular expression for the physical part in an image's relative path.
        regions: "find" (a bright plate on a dark background), or a folder with a mask of each image's name. Shapes with
            the label `plate` are the region in any case, unless `plate` is listed as a class.
        margin: pixels off the region's border.
        line_width: pixels of what has no area of its own, lines and points.
        name: the data set's name; by default the folder's, or that of `like` with `_labelme`.
        pixel_size_um: edge of a pixel on the surface in µm.
        overwrite: replace another data set in `out`.
        progress: show a progress bar.

    Returns:
        The data set's folder.

    Raises:
        UserError: anything wrong with the input, in one line.
    """
    src, out = Path(src), Path(out)
    if not src.is_dir():
        raise UserError(f"no such folder: {src}")
    if default_split not in SPLITS:
        raise UserError(f"expected the split train, val or test, found {default_split!r}")
    if sum(each is not None for each in (splits, split_shares, like)) > 1 or (like and group_by):
        raise UserError("the splits come from one place: --splits, --split-shares, or --like, which has its own plates")
    model = None if like is None else open_dataset(like)
    kinds_of_model = model is not None and defects is None and impurities is None
    if kinds_of_model:
        defects, impurities = ([c.name for c in model.classes if c.kind == k] for k in ("defect", "impurity"))
    rules = LabelRules.of(defects, impurities, aliases, ignore)
    of_table = splits is not None and splits != FOLDERS
    items = items_of_table(src, Path(splits), out) if of_table else items_of_folder(src, out)
    shapes = [shape for item in items if item.label for shape in item.label.shapes]
    classes = rules.classes(shape.label for shape in shapes if not _is_plate(shape, rules))
    if kinds_of_model:
        classes = model.classes
    ids = unique_ids([item.name for item in items])
    if model is None:
        groups = [item.group or group_of(item.name, group_by, id_) for item, id_ in zip(items, ids, strict=True)]
        assigned = _splits(items, groups, rules, classes, splits, split_shares, default_split)
    else:
        assigned, groups = _of_model(model, ids)
        if regions is None and (model.path / "regions").is_dir():
            regions = model.path / "regions"
    refuse_shared_plates(groups, assigned)
    region = RegionSource(regions, margin, optional=model is not None)
    if margin and regions is None and not any(_is_plate(shape, rules) for shape in shapes):
        raise UserError("--margin is off the border of a plate's region; say where that is with --regions")

    recipe = {"import": "labelme", "labels": rules.as_dict(), "group_by": group_by, **region.as_dict()}
    if line_width != STROKE_WIDTH:
        recipe["line_width_px"] = line_width
    named_after = f"{model.name}_labelme" if model else src.resolve().name
    with DatasetWriter(out, name or named_after, "sequential-patchcore import labelme", classes,
                       pixel_size_um or (model.pixel_size_um if model else None), recipe, overwrite) as writer:
        writer.keep_only(ids)
        one = _Importer(writer, rules, classes, region, line_width)
        jobs = list(zip(items, ids, assigned, groups, strict=True))
        for item, sample_id, split, group in track(jobs, "import", len(jobs)) if progress else jobs:
            one.add(item, sample_id, split, group)
    if one.turned:
        say(f"{one.turned} images were turned upright by their EXIF orientation, as LabelMe shows them")
    if region.covered and (region.as_dict() or min(region.covered) < 1):
        say(region.summary())
    return out


@dataclass
class _Importer:
    """Imports one image after the other. `turned` counts those that their EXIF orientation turned."""

    writer: DatasetWriter
    rules: LabelRules
    classes: tuple[ClassInfo, ...]
    region: RegionSource
    line_width: float
    turned: int = 0

    def add(self, item: Item, sample_id: str, split: str, group: str) -> None:
        """Import an image unless it is there already."""
        data = read_bytes(item.image) if item.image else read_image_data(item.label.path)
        source = {"image": item.name, "image_sha256": hashlib.sha256(data).hexdigest()}
        if item.label:
            source["label"] = item.label.path.name
            source["label_sha256"] = hashlib.sha256(read_bytes(item.label.path)).hexdigest()
        region_file = self.region.file_of(item.name, sample_id)
        if region_file:
            source["region_sha256"] = plate_region.digest(region_file)
        parameters = {"source": source}
        if self.writer.is_done(sample_id, split, group, parameters):
            return
        where = item.image or f"{item.label.path}: imageData"
        image, orientation = decode_image(data, where)
        size = image.shape[:2]
        if item.label and any(said not in (None, true) for said, true in zip(item.label.size, size, strict=True)):
            height, width = item.label.size
            hint = "; its EXIF orientation may have been ignored when it was labelled" if orientation != 1 else ""
            raise UserError(f"{item.label.path} was drawn on an image of {width} x {height} pixels, "
                            f"{where} has {size[1]} x {size[0]}{hint}")
        shapes = item.label.shapes if item.label else ()
        plates = [rasterise(shape, size, self.line_width) for shape in shapes if _is_plate(shape, self.rules)]
        region = self.region.of(image, item.name, region_file, np.logical_or.reduce(plates) if plates else None)
        mask, instances, instance_classes = self._draw(shapes, size, item)
        self.writer.add(
            sample_id, image, mask, instances, instance_classes, split, group, region, parameters=parameters
        )
        self.turned += orientation != 1

    def _draw(
        self, shapes: tuple[Shape, ...], size: tuple[int, int], item: Item
    ) -> tuple[np.ndarray, np.ndarray, dict[int, int]]:
        """Mask, instances, and instance number -> class id. Shapes with one group_id and class are one instance."""
        by_name = {info.name: info for info in self.classes}
        members: dict[tuple[str, object], list[Shape]] = {}
        for position, shape in enumerate(shapes):
            class_name = self.rules.class_of(shape.label)
            if class_name is not None and not _is_plate(shape, self.rules):
                key = ("shape", position) if shape.group_id is None else ("group", shape.group_id)
                members.setdefault((class_name, key), []).append(shape)
        if len(members) > 65535:
            raise UserError(f"{item.name}: found {len(members)} instances, an image holds 65535")
        numbered = [(number, by_name[key[0]], group) for number, (key, group) in enumerate(members.items(), start=1)]
        bottom_to_top = sorted(numbered, key=lambda entry: entry[1].kind == "defect")
        mask, instances = paint(
            (
                (number, info.id, np.logical_or.reduce([rasterise(shape, size, self.line_width) for shape in group]))
                for number, info, group in bottom_to_top
            ),
            size,
        )
        return mask, instances, {number: info.id for number, info, _ in numbered}


def _is_plate(shape: Shape, rules: LabelRules) -> bool:
    listed = (*(rules.defects or ()), *(rules.impurities or ()))
    return rules.class_of(shape.label) == PLATE_LABEL and PLATE_LABEL not in listed


def _splits(
    items: Sequence[Item], groups: Sequence[str], rules: LabelRules, classes: tuple[ClassInfo, ...],
    splits: str | Path | None, shares: Sequence[float] | None, default: str,
) -> list[str]:
    if splits == FOLDERS:
        return [split_of_folder(item.name) for item in items]
    if shares is None:
        return [item.split or default for item in items]
    defects = {info.name for info in classes if info.kind == "defect"}
    defective = [
        any(rules.class_of(shape.label) in defects for shape in item.label.shapes) if item.label else False
        for item in items
    ]
    return share_out(groups, defective, shares)


def _of_model(model: Dataset, ids: Sequence[str]) -> tuple[list[str], list[str]]:
    """The splits and groups of the samples of the same names."""
    samples = {sample.id: sample for sample in model.samples}
    missing = [each for each in ids if each not in samples]
    if missing:
        raise UserError(f"--like {model.path} has no sample {missing[0]!r}"
                        + (f" (and {len(missing) - 1} more are missing)" if len(missing) > 1 else ""))
    return [samples[each].split for each in ids], [samples[each].group for each in ids]
