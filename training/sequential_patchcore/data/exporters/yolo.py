# SPDX-License-Identifier: Apache-2.0
"""Export to YOLO's text files: a segment for each instance."""

import json
from pathlib import Path

from ...runtime.files import make_folder
from ...runtime.progress import say, track
from .. import png
from ..dataset import Dataset, Sample
from ..format import SPLITS
from .outline import outline_of
from .whole_folder import whole_folder

_DIGITS = 7  # of a share: a hundredth of a pixel in an image of 100 000


def export_yolo(dataset: Dataset, out: str | Path, *, progress: bool = True) -> Path:
    """Write `images/SPLIT/ID.png`, `labels/SPLIT/ID.txt` and `data.yaml`, whole or not at all.

    Defects and impurities are classes, numbered from 0 in the order of their ids; which are which stands under `kinds`
    in data.yaml, where other readers pass it over. An instance is one line; its parts and holes are joined by bridges
    without width. Instances without a visible pixel are left out, and so are images that are labelled as a whole, since
    without a line they would pass for clean. Regions and plates do not survive the way.

    Raises:
        UserError: `out` is not empty or cannot be written; a broken sample.
    """
    located = [sample for sample in dataset.samples if sample.is_located]
    numbers = {info.name: number for number, info in enumerate(dataset.classes)}
    with whole_folder(out) as folder:
        for sample in track(located, "export", len(located)) if progress else located:
            images, labels = (make_folder(folder / kind / sample.split) for kind in ("images", "labels"))
            (images / f"{sample.id}.png").write_bytes(png.read_bytes(dataset.image_path(sample)))
            lines = _lines(dataset, sample, numbers)
            (labels / f"{sample.id}.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        (folder / "data.yaml").write_text(_description(dataset, located), encoding="utf-8")
    left_out = len(dataset.samples) - len(located)
    if left_out:
        say(f"{left_out} images that are labelled as a whole were left out: YOLO's files have no place for them")
    return Path(out)


def _lines(dataset: Dataset, sample: Sample, numbers: dict[str, int]) -> list[str]:
    instances = dataset.instances(sample)
    height, width = instances.shape
    lines = []
    for instance in sample.instances:
        inside = instances == instance.id
        if not inside.any():
            continue
        shares = outline_of(inside) / (width, height)
        places = " ".join(f"{share:.{_DIGITS}f}".rstrip("0").rstrip(".") for share in shares.ravel())
        lines.append(f"{numbers[instance.class_name]} {places}")
    return lines


def _description(dataset: Dataset, samples: list[Sample]) -> str:
    """data.yaml; names are quoted as JSON does, which YAML reads."""
    present = {sample.split for sample in samples}
    lines = [f"{split}: images/{split}" for split in SPLITS if split in present]
    lines += ["names:"] + [f"  {number}: {_quoted(info.name)}" for number, info in enumerate(dataset.classes)]
    lines += ["kinds:"] + [f"  {_quoted(info.name)}: {info.kind}" for info in dataset.classes]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
