# SPDX-License-Identifier: Apache-2.0
"""What a data set holds, as numbers and as a table."""

from collections import Counter
from typing import Any

import numpy as np

from .dataset import Dataset
from .format import SPLITS

_QUANTILES = {"min": 0.0, "q25": 0.25, "median": 0.5, "q75": 0.75, "max": 1.0}


def summarise(dataset: Dataset) -> dict[str, Any]:
    """A data set in JSON values. Areas are visible pixels of an instance; hidden instances count in `instances` only.

    Raises:
        UserError: an image whose size cannot be read.
    """
    kinds = {info.name: info.kind for info in dataset.classes}
    sizes = Counter(f"{width}x{height}" for height, width in map(dataset.image_size, dataset.samples))
    splits = {}
    for split in SPLITS:
        samples = [sample for sample in dataset.samples if sample.split == split]
        found = [{kinds[i.class_name] for i in sample.instances if i.is_visible} for sample in samples]
        if samples:
            splits[split] = {
                "images": len(samples),
                "groups": len({sample.group for sample in samples}),
                "with_defects": sum("defect" in kind for kind in found),
                "with_impurities": sum("impurity" in kind for kind in found),
                "clean": sum(not kind for kind in found),
                "as_a_whole": sum(not sample.is_located for sample in samples),
            }
    classes = {}
    for info in dataset.classes:
        found = [
            (instance, sample.id) for sample in dataset.samples for instance in sample.instances
            if instance.class_name == info.name
        ]
        visible = np.array([instance.pixels for instance, _ in found if instance.pixels], dtype=np.int64)
        classes[info.name] = {
            "id": info.id,
            "kind": info.kind,
            "images": len({sample_id for instance, sample_id in found if instance.is_visible}),
            "instances": len(found),
            "as_a_whole": sum(instance.pixels is None for instance, _ in found),
            "weak": sum(instance.weak for instance, _ in found),
            "pixels": int(visible.sum()),
            "area": {
                name: float(np.quantile(visible, q)) for name, q in _QUANTILES.items()
            } if len(visible) else None,
        }
    return {
        "path": str(dataset.path),
        "name": dataset.name,
        "generator": dataset.generator,
        "is_render": dataset.is_render,
        "pixel_size_um": dataset.pixel_size_um,
        "fingerprint": dataset.fingerprint,
        "images": len(dataset.samples),
        "sizes": dict(sizes.most_common()),
        "splits": splits,
        "classes": classes,
    }


def as_text(summary: dict[str, Any]) -> str:
    """The summary as a table for a terminal; ends without a newline."""
    sizes = ", ".join(f"{size} ({count})" for size, count in list(summary["sizes"].items())[:5])
    if len(summary["sizes"]) > 5:
        sizes += f" and {len(summary['sizes']) - 5} further sizes"
    pixel = "unknown" if summary["pixel_size_um"] is None else f"{summary['pixel_size_um']:g} µm"
    split_rows = [["split", "images", "groups", "with defects", "with impurities", "clean"]]
    for name, split in summary["splits"].items():
        split_rows.append([name, *(str(split[key]) for key in
                                   ("images", "groups", "with_defects", "with_impurities", "clean"))])
    class_rows = [["id", "class", "kind", "images", "instances", "pixels",
                   "area min", "q25", "median", "q75", "max"]]
    for name, entry in summary["classes"].items():
        area = entry["area"]
        class_rows.append([
            str(entry["id"]), name, entry["kind"], *(str(entry[key]) for key in ("images", "instances", "pixels")),
            *(f"{area[key]:g}" if area else "-" for key in _QUANTILES),
        ])
    remarks = _remarks(summary)
    return "\n".join([
        f"{summary['name']}: {summary['images']} images, made by {summary['generator'] or 'an unknown program'}",
        f"size {sizes}; pixel size {pixel}; fingerprint {summary['fingerprint'][:16]}",
        "",
        *_table(split_rows),
        "",
        *(_table(class_rows) if len(class_rows) > 1 else ["no classes"]),
        *(["", *remarks] if remarks else []),
    ])


def _remarks(summary: dict[str, Any]) -> list[str]:
    """What the tables' figures do not say about the labels."""
    whole = sum(split["as_a_whole"] for split in summary["splits"].values())
    weak = sum(entry["weak"] for entry in summary["classes"].values())
    remarks = []
    if whole:
        remarks.append(f"{whole} images are labelled as a whole: that there is something, not where")
    if weak:
        remarks.append(f"{weak} instances are boxes around what was labelled (weak labels)")
    return remarks


def _table(rows: list[list[str]]) -> list[str]:
    """Columns aligned: words to the left, numbers to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    left = [any(row[column][:1].isalpha() for row in rows[1:]) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if is_left else cell.rjust(width)
            for cell, width, is_left in zip(row, widths, left, strict=True)
        ).rstrip()
        for row in rows
    ]
