# SPDX-License-Identifier: Apache-2.0
"""A verdict from an export with ONNX Runtime, OpenCV and NumPy alone: deploy_minimal.py EXPORT PICTURE...

`sequential-patchcore export onnx --model M.h5 --out EXPORT` makes the folder. What stands here is all that a program
on the line has to do, in whatever language; `sequential-patchcore predict --model EXPORT` adds tables and overlays.
"""

import hashlib
import json
import sys
from pathlib import Path

import cv2
import numpy as np
import onnxruntime


def main(folder: str, *pictures: str) -> None:
    record, session = load(Path(folder))
    for picture in pictures:
        pixels = cv2.imread(picture, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
        if pixels is None:
            sys.exit(f"{picture} cannot be read as a picture")
        largest = np.iinfo(pixels.dtype).max  # 8 or 16 bit
        rgb = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB).astype(np.float32) / np.float32(largest)
        scores = session.run(["anomaly_map"], {"image": rgb})[0]
        found = boxes(scores, record["threshold"], record["min_region"], record["hysteresis"])
        print(f"{picture}: {'anomalous' if found else 'normal'}, score {scores.max():.6g}")
        for x, y, width, height, pixels_inside in found:
            print(f"  x {x} y {y} width {width} height {height}: {pixels_inside} pixels")


def load(folder: Path) -> tuple[dict, onnxruntime.InferenceSession]:
    """The record, and the graph that it belongs to."""
    record = json.loads((folder / "export.json").read_text(encoding="utf-8"))
    if record["format"] != "sequential-patchcore export" or record["format_version"] != 1 or record["kind"] != "onnx":
        sys.exit(f"{folder} is no ONNX export that this program knows")
    (name, digest), = record["files"].items()
    if hashlib.sha256((folder / name).read_bytes()).hexdigest() != digest:
        sys.exit(f"{folder / name} is damaged, or belongs to another export")
    options = onnxruntime.SessionOptions()
    options.enable_mem_pattern = False  # images of several sizes: half the memory, and no slower
    return record, onnxruntime.InferenceSession(str(folder / name), options, providers=["CPUExecutionProvider"])


def boxes(scores: np.ndarray, threshold: float, min_region: int, hysteresis: float) -> list[tuple[int, ...]]:
    """(x, y, width, height, pixels) of each region, largest first: it reaches the threshold, and takes in what is
    connected to it down to `hysteresis` times the threshold."""
    low = (scores >= np.float32(hysteresis * threshold)).astype(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(low, connectivity=8)
    reaching = np.unique(labels[scores >= np.float32(threshold)])
    found = [tuple(int(value) for value in stats[label]) for label in reaching if label > 0]
    return sorted((box for box in found if box[4] >= min_region), key=lambda box: -box[4])


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
