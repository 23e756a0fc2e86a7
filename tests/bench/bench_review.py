# SPDX-License-Identifier: Apache-2.0
"""From click to active model: seconds of a decision on images of 2048 x 152 pixels, the guard and the file included.

A model of made plates with 2048 vectors, a review of some images, a validation split with defects for the guard; then
every alarm is called sound, ten of them at most.
"""

import argparse
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from sequential_patchcore.data.dataset import open_dataset
from sequential_patchcore.data.format import ClassInfo
from sequential_patchcore.data.writer import DatasetWriter
from sequential_patchcore.extractors.builder import build_extractor
from sequential_patchcore.fitting.settings import TrainSettings
from sequential_patchcore.fitting.training import train
from sequential_patchcore.review.guard import ValidationDefects
from sequential_patchcore.review.review_set import ReviewSet
from sequential_patchcore.review.session import Session
from sequential_patchcore.scoring.scorer import Scorer

HEIGHT, WIDTH = 152, 2048


def plate(rng: np.random.Generator, change: float) -> tuple[np.ndarray, np.ndarray]:
    """uint8 (152, 2048) brushed metal with one blot, and its mask."""
    image = 140 + cv2.GaussianBlur(rng.normal(0, 25, (HEIGHT, WIDTH)), (0, 0), sigmaX=8, sigmaY=1)
    image += rng.normal(0, 4, image.shape)
    mask = np.zeros(image.shape, np.uint8)
    if change:
        cv2.circle(mask, (int(rng.integers(40, WIDTH - 40)), int(rng.integers(30, HEIGHT - 30))), 12, 1, -1)
        image[mask > 0] += change
    return np.clip(image, 0, 255).astype(np.uint8), mask


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="mobilenetv3_large_100")
    parser.add_argument("--weights", default="none")
    parser.add_argument("--images", type=int, default=30)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root)
        with DatasetWriter(folder / "d", "d", "bench", [ClassInfo(1, "dent", "defect")]) as writer:
            for split, count in (("train", 8), ("val", 10)):
                for number in range(count):
                    image, mask = plate(rng, 0 if split == "train" else -70)
                    writer.add(f"{split}{number}", image, mask, mask.astype(np.uint16), {1: 1} if mask.any() else {},
                               split, f"{split}{number}")
        (folder / "today").mkdir()
        for number in range(arguments.images):
            cv2.imwrite(str(folder / "today" / f"p{number:02}.png"),
                        plate(rng, rng.uniform(-100, 100) if number % 2 == 0 else 0)[0])
        data = open_dataset(folder / "d")
        extractor = build_extractor(arguments.backbone, weights=arguments.weights)
        model = train([data], extractor, TrainSettings(coreset_size=2048, epochs=1))
        scorer = Scorer(model, extractor=extractor)
        model = model.with_threshold(scorer.calibrate(data))
        start = time.monotonic()
        review_set = ReviewSet(scorer, sorted((folder / "today").iterdir()))
        begun = time.monotonic() - start
        validation = ValidationDefects(review_set, data)
        session = Session(model, review_set, folder / "review", folder / "taught.h5", validation)
        seconds = []
        while len(seconds) < 10:
            item = session.state()["items"][0]
            if item["decision"] or item["box"] is None:
                break
            start = time.monotonic()
            session.decide("bench", {"image": item["image"], "box": item["box"], "decision": "sound", "confirm": True})
            seconds.append(time.monotonic() - start)
        start = time.monotonic()
        session.undo("bench", {"confirm": True})
        undone = time.monotonic() - start
        review_set.close()
    print(f"{arguments.images} images of {WIDTH} x {HEIGHT} scored in {begun:.1f} s; {len(seconds)} decisions, from "
          f"click to active model at most {max(seconds):.2f} s, {np.median(seconds):.2f} s in the middle; undo "
          f"{undone:.2f} s; {len(validation)} validation defects; {arguments.backbone}, {arguments.threads} thread(s)")


if __name__ == "__main__":
    main()
