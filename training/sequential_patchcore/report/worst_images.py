# SPDX-License-Identifier: Apache-2.0
"""worst_images.png: the worst misses and the worst false alarms, every model's overlay of an image side by side."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from matplotlib.figure import Figure

from ..runtime.errors import UserError
from ..runtime.files import atomic_path
from .figures import style

NAME = "worst_images.png"
_ROWS = 3  # of each kind
_SIDE = 640  # pixels of a picture's longer side


def write(metrics: dict, folder: Path, image_names: Sequence[str], model_names: Sequence[str]) -> None:
    """Draw from the overlays in `folder`, named IMAGE.MODEL.overlay.jpg in the order of the record; none, no sheet."""
    rows = worst(metrics["samples"], [c["id"] for c in metrics["dataset"]["classes"] if c["kind"] == "defect"])
    if not rows:
        return
    models = list(metrics["models"])
    with style():
        figure = Figure(figsize=(3.4 * len(models), 2.95 * len(rows) + 0.4), layout="constrained")
        axes = figure.subplots(len(rows), len(models), squeeze=False)
        for line, (index, text) in zip(axes, rows, strict=True):
            sample = metrics["samples"][index]
            for axis, model, name in zip(line, models, model_names, strict=True):
                counts = sample["models"][model]
                picture = _picture(folder / "overlays" / f"{image_names[index]}.{name}.overlay.jpg")
                axis.imshow(picture)
                axis.set_axis_off()
                axis.set_title(
                    f"{sample['id']} · {model}\n{text}, {counts['false_positive']} px false, "
                    f"{counts['false_negative']} px missed", fontsize=7,
                )
        with atomic_path(folder / NAME) as beside:
            figure.savefig(beside, dpi=140)


def _picture(path: Path) -> np.ndarray:
    """uint8 (h, w, 3) RGB, its longer side at most `_SIDE`."""
    picture = cv2.imread(str(path))
    if picture is None:
        raise UserError(f"cannot read {path}, which was just written; is the disk full?")
    scale = min(1.0, _SIDE / max(picture.shape[:2]))
    return cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)[..., ::-1]


def worst(samples: Sequence[dict], defect_ids: Sequence[int]) -> list[tuple[int, str]]:
    """(row of `samples`, what is wrong), over all models: first by missed defects, then by false pixels without one."""
    missed = [
        sum(_missed(model, sample.get("whole"), defect_ids) for model in sample["models"].values())
        for sample in samples
    ]
    false = [sum(model["false_positive"] for model in sample["models"].values()) for sample in samples]
    order = sorted(range(len(samples)), key=lambda k: (-missed[k], -false[k], samples[k]["id"]))
    misses = [k for k in order if missed[k]][:_ROWS]
    rest = sorted((k for k in order if false[k] and k not in misses), key=lambda k: -false[k])[:_ROWS]
    return [(k, "defects missed") for k in misses] + [(k, "false alarms") for k in rest]


def _missed(result: dict, whole: str | None, defect_ids: Sequence[int]) -> int:
    if whole is not None:
        return int(whole == "defect" and not result["alarmed"])
    return sum(not i["detected"] for i in result["instances"] if i["class_id"] in defect_ids)
