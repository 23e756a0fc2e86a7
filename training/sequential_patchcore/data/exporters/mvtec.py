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
    several to `combined`. Masks hold the defects only (255); impurities are nominal. Training images with defects are
    left out, since the layout has no place for them. Instances that touch, classes in `combined`, impurities and
    regions do not survive the way.

    Raises:
        UserError: `out` is not empty or cannot be written; a broken sample.
    """
    left_out = 0
    names = _type_names(dataset)
    samples = dataset.samples
    with whole_folder(out) as folder:
        for sample in track(samples, "export", len(samples)) if progress else samples:
            type_name = _type_of(sample, names)
            images, masks = FOLDERS[sample.split]
            if type_name != GOOD and not masks:
                left_out += 1
            else:
                copy = make_folder(folder / images / type_name) / f"{sample.id}.png"
                copy.write_bytes(png.read_bytes(dataset.image_path(sample)))
                if type_name != GOOD:
                    mask = np.isin(dataset.mask(sample), dataset.defect_ids).astype(np.uint8) * 255
                    file = make_folder(folder / masks / type_name) / f"{sample.id}_mask.png"
                    file.write_bytes(png.encode_image(mask))
    if left_out:
        say(f"{left_out} training images with defects were left out: an MVTec tree has no place for them")
    return Path(out)


def _type_names(dataset: Dataset) -> dict[str, str]:
    """Defect class -> the name of its folder."""
    defects = [info.name for info in dataset.classes if info.kind == "defect"]
    return dict(zip(defects, unique_names(defects, taken=(GOOD, COMBINED)), strict=True))


def _type_of(sample: Sample, names: Mapping[str, str]) -> str:
    visible = {instance.class_name for instance in sample.instances if instance.pixels} & names.keys()
    if len(visible) > 1:
        return COMBINED
    return names[visible.pop()] if visible else GOOD
