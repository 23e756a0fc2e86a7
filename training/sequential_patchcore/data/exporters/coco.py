# SPDX-License-Identifier: Apache-2.0
"""Export to COCO: one annotation file for each split, masks as uncompressed run lengths (pixel-exact)."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from ...runtime.progress import say, track
from .. import png
from ..dataset import Dataset, Sample
from ..format import SPLITS
from .whole_folder import whole_folder


def export_coco(dataset: Dataset, out: str | Path, *, progress: bool = True) -> Path:
    """Write `images/ID.png` and `annotations/instances_SPLIT.json`, whole or not at all.

    Defects and impurities are categories; the category's `supercategory` is its kind. Instances without a visible
    pixel are left out, and so are images that are labelled as a whole, since without annotations they would pass for
    clean. Boxes around what was labelled carry `"weak": true`. Image and annotation ids count from 1 over all splits.

    Raises:
        UserError: `out` is not empty or cannot be written; a broken sample.
    """
    categories = [{"id": info.id, "name": info.name, "supercategory": info.kind} for info in dataset.classes]
    splits: dict[str, dict[str, Any]] = {
        split: {"info": {"description": dataset.name}, "images": [], "annotations": [], "categories": categories}
        for split in SPLITS
    }
    samples = [sample for sample in dataset.samples if sample.is_located]
    with whole_folder(out) as folder:
        (folder / "images").mkdir()
        (folder / "annotations").mkdir()
        next_id = 1
        for image_id, sample in enumerate(track(samples, "export", len(samples)) if progress else samples, start=1):
            content = splits[sample.split]
            copy = folder / "images" / f"{sample.id}.png"
            copy.write_bytes(png.read_bytes(dataset.image_path(sample)))
            height, width = dataset.image_size(sample)
            content["images"].append({"id": image_id, "file_name": copy.name, "width": width, "height": height})
            for annotation in _annotations(dataset, sample):
                content["annotations"].append({"id": next_id, "image_id": image_id, **annotation})
                next_id += 1
        for split, content in splits.items():
            if content["images"]:
                file = folder / "annotations" / f"instances_{split}.json"
                file.write_text(json.dumps(content), encoding="utf-8")
    left_out = len(dataset.samples) - len(samples)
    if left_out:
        say(f"{left_out} images that are labelled as a whole were left out: COCO's files have no place for them")
    return Path(out)


def run_lengths(instances: np.ndarray) -> dict[int, list[int]]:
    """COCO's uncompressed run lengths of every instance of an image.

    Args:
        instances: (H, W) integers, 0 = none.

    Returns:
        instance number -> lengths of alternating runs of outside and inside pixels, beginning with outside (perhaps
        0 of them), column by column from the left.
    """
    flat = instances.ravel(order="F")
    starts = np.flatnonzero(np.diff(flat, prepend=flat[0] + 1))
    stops = np.append(starts[1:], flat.size)
    values = flat[starts]
    lengths = {}
    for number in np.unique(values[values > 0]).tolist():
        own = values == number
        # Bounds of the inside runs, one after the other; their differences are the run lengths.
        bounds = np.stack([starts[own], stops[own]], axis=1).ravel()
        counts = np.diff(bounds, prepend=0).tolist()
        if bounds[-1] < flat.size:
            counts.append(int(flat.size - bounds[-1]))
        lengths[number] = counts
    return lengths


def _annotations(dataset: Dataset, sample: Sample) -> list[dict[str, Any]]:
    instances = dataset.instances(sample)
    class_ids = {info.name: info.id for info in dataset.classes}
    lengths = run_lengths(instances)
    annotations = []
    for instance in sample.instances:
        if instance.id not in lengths:
            continue
        counts = lengths[instance.id]
        annotations.append({
            "category_id": class_ids[instance.class_name],
            "segmentation": {"size": list(instances.shape), "counts": counts},
            "area": sum(counts[1::2]),
            "bbox": _box(counts, instances.shape[0]),
            "iscrowd": 0,
            **({"weak": True} if instance.weak else {}),
        })
    return annotations


def _box(counts: list[int], height: int) -> list[int]:
    """[x, y, width, height] in pixels of a mask given by run lengths; a run may go on in the next column."""
    bounds = np.cumsum(counts)
    first, last = bounds[0:-1:2] if len(bounds) % 2 else bounds[0::2], bounds[1::2] - 1
    left, right = first // height, last // height
    spans_columns = bool((left != right).any())
    top = 0 if spans_columns else int((first % height).min())
    bottom = height - 1 if spans_columns else int((last % height).max())
    return [int(left.min()), top, int(right.max() - left.min() + 1), bottom - top + 1]
