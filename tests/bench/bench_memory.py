# SPDX-License-Identifier: Apache-2.0
"""The memory that `train` announces and what it takes, for images of 2448 x 2050, as a table in Markdown.

    .venv/bin/python tests/bench/bench_memory.py [--images 3] [--engine torch] [--backbone "vgg16 1" "vgg16 0.5"]

Grey images of noise, random weights, one epoch, 2048 vectors; each backbone in a process of its own, whose peak
resident memory is what it says of itself at the end.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from sequential_patchcore.data.writer import DatasetWriter

BACKBONES = (
    "filters 1", "tf_mobilenetv3_large_minimal_100 1", "mobilenetv3_large_100 1", "resnet18 1", "wide_resnet50_2 1",
    "vgg16 1", "vit_small_patch16_dinov3 0.5", "wide_resnet50_2 0.25",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=3)
    parser.add_argument("--backbone", nargs="+", default=BACKBONES, metavar="NAME SCALE", help="name and image scale")
    parser.add_argument("--engine", default="auto", help="auto, torch or onnx")
    chosen = parser.parse_args()
    print("| backbone | image scale | estimate, GiB | measured, GiB | estimate / measured |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        data = _noise(Path(folder) / "noise", chosen.images)
        for each in chosen.backbone:
            name, scale = each.split()
            estimate, measured = _run(data, name, scale, chosen.engine, Path(folder) / "model.h5")
            print(f"| `{name}` | {scale} | {estimate:.2f} | {measured:.2f} | {estimate / measured:.2f} |", flush=True)


def _noise(folder: Path, images: int) -> Path:
    rng, nothing = np.random.default_rng(0), np.zeros((2050, 2448), np.uint8)
    with DatasetWriter(folder, "noise", "bench", ()) as writer:
        for number in range(images):
            image = rng.integers(0, 256, nothing.shape, np.uint8)
            writer.add(f"n{number}", image, nothing, nothing.astype(np.uint16), {}, "train", f"n{number}")
    return folder


def _run(data: Path, backbone: str, scale: str, engine: str, model: Path) -> tuple[float, float]:
    command = (
        sys.executable, "-m", "sequential_patchcore", "train", "--data", data, "--out", model, "--overwrite",
        "--backbone", backbone, "--image-scale", scale, "--weights", "none", "--epochs", "1", "--device", "cpu",
        "--engine", engine,
    )
    told = subprocess.run(command, capture_output=True, text=True, check=True)
    text = told.stdout + told.stderr
    estimate, measured = (float(re.search(f"memory: {word} ([0-9.]+) GiB", text)[1]) for word in ("about", "at most"))
    return estimate, measured


if __name__ == "__main__":
    main()
