# SPDX-License-Identifier: Apache-2.0
"""Unseen images of other metals scored by torch, by ONNX Runtime and by the export: the same verdicts?

    .venv/bin/python tests/bench/bench_verdicts.py [--images 300] [--backbone filters resnet18 ...]

Brushed metal drawn by code, 192 x 160 pixels: trained on one brushing, scored on others, every second image with a
scratch or a spot. The threshold is the median score of 40 images more, so that both verdicts occur. Random weights.
Exit code 1 where a verdict differs.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
import torch
from brushed_metal import as_bytes, metal
from sequential_patchcore.data.dataset import open_dataset
from sequential_patchcore.data.writer import DatasetWriter
from sequential_patchcore.export.exported_model import ExportedModel
from sequential_patchcore.export.exporter import export_model
from sequential_patchcore.extractors.base import ExtractorSettings
from sequential_patchcore.extractors.builder import extractor_of
from sequential_patchcore.fitting.settings import TrainSettings
from sequential_patchcore.fitting.training import train
from sequential_patchcore.model.file import Threshold
from sequential_patchcore.scoring.scorer import Scorer

SIZE = 160, 192
BACKBONES = ("filters", "mobilenetv3_small_050", "mobilenetv3_large_100", "resnet18", "wide_resnet50_2",
             "tf_mobilenetv3_small_minimal_100", "vit_tiny_patch16_224")


def defect(rng: np.random.Generator, plate: np.ndarray) -> np.ndarray:
    """With a scratch or a spot, from hardly visible to plain."""
    drawn, strength = np.zeros(SIZE, np.float32), rng.uniform(0.02, 0.4) * rng.choice((-1, 1))
    x, y = (int(rng.integers(30, side - 30)) for side in SIZE[::-1])
    if rng.random() < 0.5:
        cv2.line(drawn, (x, y), (x + int(rng.integers(-25, 25)), y + int(rng.integers(-25, 25))), 1.0, 2)
    else:
        cv2.circle(drawn, (x, y), int(rng.integers(2, 8)), 1.0, -1)
    return np.clip(plate + strength * cv2.GaussianBlur(drawn, (0, 0), 0.8), 0, 1).astype(np.float32)


def plates(seed: int, count: int, other: bool) -> list[np.ndarray]:
    """(H, W, 3) float32, 8 bits deep; every second one with a defect where they are of other metals."""
    rng, made = np.random.default_rng(seed), []
    for number in range(count):
        brushing = (rng.uniform(3, 12), rng.uniform(-60, 60), rng.uniform(0.4, 1.2)) if other else (6.0, 0.0, 0.6)
        plate = metal(rng, SIZE, *brushing)
        plate = defect(rng, plate) if other and number % 2 else plate
        made.append(np.repeat(np.round(plate * 255)[..., None] / np.float32(255), 3, 2).astype(np.float32))
    return made


def trained(backbone: str, folder: Path) -> Scorer:
    nothing = np.zeros(SIZE, np.uint8)
    with DatasetWriter(folder / "data", "metal", "bench", ()) as writer:
        for number, plate in enumerate(plates(0, 8, False)):
            writer.add(f"m{number}", as_bytes(plate[..., 0]), nothing,
                       nothing.astype(np.uint16), {}, "train", f"m{number}")
    extractor = extractor_of(ExtractorSettings(backbone), "none", "torch")
    model = train([open_dataset(folder / "data")], extractor, TrainSettings(coreset_size=256, epochs=2))
    scorer = Scorer(model, extractor=extractor)
    scores = np.array([scorer.anomaly_map(plate).max() for plate in plates(1, 40, True)])
    return Scorer(model.with_threshold(Threshold(float(np.median(scores)), "by_hand")), extractor=extractor)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--backbone", nargs="+", default=BACKBONES)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    unseen, wrong = plates(2, chosen.images, True), 0
    print("| backbone | anomalous / images | other verdicts: onnx | export | largest difference of a map, relative: "
          "onnx | export | nearest score to the threshold |\n|---|---|---|---|---|---|---|")
    for backbone in chosen.backbone:
        with tempfile.TemporaryDirectory() as folder:
            scorer = trained(backbone, Path(folder))
            is_fixed = backbone.startswith("vit")
            export_model(scorer, Path(folder) / "export", images=(), size=SIZE if is_fixed else None)
            others = [ExportedModel(Path(folder) / "export", 1)]
            if backbone != "filters" and not is_fixed:
                engine = extractor_of(scorer.extractor.settings, "none", "onnx")
                others.insert(0, Scorer(scorer.model, extractor=engine))
            threshold, found = scorer.threshold.value, []
            for plate in unseen:
                reference = scorer.anomaly_map(plate)
                maps = [other.anomaly_map(plate) for other in others]
                found.append([reference.max() >= threshold, abs(reference.max() / threshold - 1),
                              *(value for one in maps for value in (
                                  one.max() >= threshold, np.abs(one - reference).max() / reference.max()))])
            rows = np.array(found, float)
            differing = [int((rows[:, 0] != rows[:, 2 + 2 * n]).sum()) for n in range(len(others))]
            largest = [f"{rows[:, 3 + 2 * n].max():.1e}" for n in range(len(others))]
            pad = [] if len(others) == 2 else ["no network" if backbone == "filters" else "torch"]
            cells = [f"{int(rows[:, 0].sum())} / {len(rows)}", *pad, *differing, *pad, *largest]
            print(f"| `{backbone}` | " + " | ".join(map(str, cells)) + f" | {rows[:, 1].min():.1e} |", flush=True)
            wrong += sum(differing)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
