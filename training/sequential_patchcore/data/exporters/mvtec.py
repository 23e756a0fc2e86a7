# SPDX-License-Identifier: Apache-2.0
"""Export to an MVTec-AD-like tree; its layout stands in `mvtec_layout`."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ...runtime.file_names import unique_names
from ...runtime.files import make_folder
from ...runtime.progress import say, track
from .. import png
from ..dataset import Dataset, Sample
from ..mvtec_layout import COMBINED, FOLDERS, GOOD
from .whole_folder import whole_folder


def export_mvtec(dataset: Dataset, out: str | Path, *, progress: bool = True) -> Path:
    """Write a data set as an MVTec-AD-like tree, whole or not at all.

    An image without visible defects is `good`, with one class of defects it goes to that class's folder, with
    several to `combined`. Masks hold the defects only (255); impurities are nominal. Images that are labelled as a
    whole have none, where no image of their type has one. Training images with defects are left out, since the layout
    has no place for them. Instances that touch, classes in `combined`, impurities and
    regions do not survive the way.

    Raises:
        UserError: `out` is not empty or cannot be written; a broken sample.
    """
    names = _type_names(dataset)
    samples = dataset.samples
    types = {sample.id: _type_of(sample, names) for sample in samples}
    masked = {(s.split, types[s.id]) for s in samples if types[s.id] != GOOD and _is_located(s, names)}
    without_place, beside_masks = 0, 0
    with whole_folder(out) as folder:
        for sample in track(samples, "export", len(samples)) if progress else samples:
            type_name, is_located = types[sample.id], _is_located(sample, names)
            images, masks = FOLDERS[sample.split]
            if type_name != GOOD and not masks:
                without_place += 1
                continue
            if type_name != GOOD and not is_located and (sample.split, type_name) in masked:
                beside_masks += 1
                continue
            copy = make_folder(folder / images / type_name) / f"{sample.id}.png"
            copy.write_bytes(png.read_bytes(dataset.image_path(sample)))
            if type_name != GOOD and is_located:
                mask = dataset.mask(sample, located_only=True)
                file = make_folder(folder / masks / type_name) / f"{sample.id}_mask.png"
                file.write_bytes(png.encode_image(np.isin(mask, dataset.defect_ids).astype(np.uint8) * 255))
    if without_place:
        say(f"{without_place} training images with defects were left out: an MVTec tree has no place for them")
    if beside_masks:
        say(f"{beside_masks} images that are labelled as a whole were left out: other images of their type have masks, "
            "and without one they would be taken for broken")
    return Path(out)


def _is_located(sample: Sample, names: Mapping[str, str]) -> bool:
    """Whether a mask can say where all its defects are."""
    return not any(i.pixels is None for i in sample.instances if i.class_name in names)


def _type_names(dataset: Dataset) -> dict[str, str]:
    """Defect class -> the name of its folder."""
    defects = [info.name for info in dataset.classes if info.kind == "defect"]
    return dict(zip(defects, unique_names(defects, taken=(GOOD, COMBINED)), strict=True))


def _type_of(sample: Sample, names: Mapping[str, str]) -> str:
    visible = {instance.class_name for instance in sample.instances if instance.is_visible} & names.keys()
    if len(visible) > 1:
        return COMBINED
    return names[visible.pop()] if visible else GOOD
