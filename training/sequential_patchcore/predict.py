# SPDX-License-Identifier: Apache-2.0
"""Daily work: photographs in; a verdict, boxes, a table and an overlay for each out."""

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from io import StringIO
from pathlib import Path

import cv2
import numpy as np

from .data.sources import IMAGE_SUFFIXES, load_photograph
from .errors import UserError
from .explain import Explainer
from .files import atomic_path, write_text
from .model_file import Model
from .progress import Progress
from .report import overlays
from .results_folder import file_names
from .scoring import Scorer


@dataclass(frozen=True)
class Prediction:
    """What was found on one image.

    Attributes:
        image: its path as given.
        verdict: "anomalous" or "normal".
        score: the highest value of the anomaly map.
        anomalous_pixels: how many reach the threshold.
        boxes: (x, y, width, height) in pixels of each connected region, largest first.
    """

    image: str
    verdict: str
    score: float
    anomalous_pixels: int
    boxes: list[tuple[int, int, int, int]]


def find_images(paths: Sequence[str]) -> list[Path]:
    """Files as they are, folders as the images directly inside, by name.

    Raises:
        UserError: nothing there, or a folder without images.
    """
    found: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = sorted(each for each in path.iterdir() if each.suffix.lower() in IMAGE_SUFFIXES)
            if not inside:
                raise UserError(f"no images in the folder {path} (looked for {', '.join(IMAGE_SUFFIXES)})")
            found += inside
        elif path.is_file():
            found.append(path)
        else:
            raise UserError(f"no such image or folder: {path}")
    return found


def predict(
    scorer: Scorer, model: Model, images: Sequence[Path], out: str | Path, explainer: Explainer | None = None,
) -> list[Prediction]:
    """Score the images and write `predictions.csv`, `predictions.json` and `overlays/NAME.jpg` into `out`.

    The overlay is the photograph with the anomalous pixels in red, beside the anomaly map with a bar in raw units.

    Raises:
        UserError: the model has no threshold, an image cannot be read, or the folder cannot be written.
    """
    if model.threshold is None:
        raise UserError("the model has no threshold; run `sequential-patchcore calibrate --model M.h5 --data DIR`")
    threshold = model.threshold.value
    folder = Path(out) / "overlays"
    names = file_names([path.stem for path in images])
    predictions = []
    with Progress("predict", len(images)) as progress:
        for path, name in zip(images, names, strict=True):
            image = load_photograph(path)
            scores = scorer.anomaly_map(image)
            predicted = scores >= threshold
            predictions.append(_describe(str(path), scores, predicted))
            with atomic_path(folder / f"{name}.jpg") as beside:
                beside.write_bytes(overlays.jpeg(_picture(image, scores, predicted, threshold), 92))
            if explainer is not None:
                explainer(str(path), name, image)
            progress.step()
    _write_tables(predictions, Path(out))
    return predictions


def _describe(path: str, scores: np.ndarray, predicted: np.ndarray) -> Prediction:
    _, _, stats, _ = cv2.connectedComponentsWithStats(predicted.astype(np.uint8), connectivity=8)
    regions = sorted((tuple(int(v) for v in row) for row in stats[1:]), key=lambda row: -row[cv2.CC_STAT_AREA])
    return Prediction(
        image=path, verdict="anomalous" if regions else "normal", score=float(scores.max()),
        anomalous_pixels=int(predicted.sum()), boxes=[row[:4] for row in regions],
    )


def _picture(image: np.ndarray, scores: np.ndarray, predicted: np.ndarray, threshold: float) -> np.ndarray:
    whole = np.ones(scores.shape, bool)
    nothing = np.zeros(scores.shape, np.uint8)
    marked = overlays.overlay(image, predicted, nothing, whole, ())
    heat = overlays.with_colour_bar(overlays.anomaly_map(scores, threshold, whole), threshold)
    height = max(marked.shape[0], heat.shape[0])
    padded = [
        cv2.copyMakeBorder(each, 0, height - each.shape[0], 0, 0, cv2.BORDER_CONSTANT) for each in (marked, heat)
    ]
    return np.hstack(padded)


def _write_tables(predictions: Sequence[Prediction], out: Path) -> None:
    text = StringIO()
    table = csv.writer(text)
    table.writerow(["image", "verdict", "score", "anomalous_pixels", "regions"])
    for each in predictions:
        table.writerow([each.image, each.verdict, f"{each.score:.6g}", each.anomalous_pixels, len(each.boxes)])
    write_text(out / "predictions.csv", text.getvalue())
    write_text(out / "predictions.json", json.dumps([asdict(each) for each in predictions], indent=2) + "\n")
