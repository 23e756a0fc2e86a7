# SPDX-License-Identifier: Apache-2.0
"""Features, training, prediction and export by ONNX Runtime and by torch: CPU seconds, ratios and peak memory.

    .venv/bin/python tests/bench/bench_features.py [features] [train] [predict] [export] [--threads 1] [--side 2448]

Each number is of a process of its own (CPU seconds of user and system, resident memory at the most) that keeps what it
freed, as the commands do; ratios are of numbers of one run. "As it was": torch with its batch norms unfolded, memory
given back. Random weights, images of noise. Without a name of a part all are run.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

BACKBONES = ("mobilenetv3_large_100", "resnet18", "wide_resnet50_2", "tf_mobilenetv3_large_minimal_100")
PARTS = ("features", "train", "predict", "export")

# What runs in each process. Arguments: JSON; prints JSON.
_MEASURED = """
import json, sys, time
given = json.loads(sys.argv[1])
import numpy as np
def peak():
    lines = open("/proc/self/status").read().split("\\n")
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
def timed(action, repeats=3):
    action()
    best = []
    for _ in range(repeats):
        cpu, wall = time.process_time(), time.perf_counter()
        action()
        best.append((time.process_time() - cpu, time.perf_counter() - wall))
    return min(best)
height, width = given["size"]
pixels = np.random.default_rng(0).random((height, width, 3), np.float32)
"""
_FEATURES = _MEASURED + """
import torch
torch.set_num_threads(given["threads"])
from sequential_patchcore import build_extractor
from sequential_patchcore.extractors.base import to_tensor
from sequential_patchcore.runtime.allocation import keep_freed_memory
was = given["engine"] == "as it was"
extractor = build_extractor(given["backbone"], weights="none", engine="torch" if was else given["engine"])
if was:
    extractor._folded = lambda: extractor.network
else:
    keep_freed_memory()
images = to_tensor(pixels, 1.0, torch.device("cpu"))
cpu, wall = timed(lambda: extractor(images))
print(json.dumps({"cpu": cpu, "wall": wall, "peak": peak(), "engine": extractor.engine}))
"""
_MAPS = _MEASURED + """
from sequential_patchcore.runtime.allocation import keep_freed_memory
keep_freed_memory()
if given["engine"] == "export":
    from sequential_patchcore.export.exported_model import ExportedModel
    scorer = ExportedModel(given["model"], given["threads"])
else:
    import torch
    torch.set_num_threads(given["threads"])
    from sequential_patchcore import Scorer, load_model
    scorer = Scorer(load_model(given["model"]), engine=given["engine"])
cpu, wall = timed(lambda: scorer.anomaly_map(pixels), 2)
print(json.dumps({"cpu": cpu, "wall": wall, "peak": peak()}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], default=[], help="default: all")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--side", type=int, default=2448, help="width of the images; the height is 2050 / 2448 of it")
    parser.add_argument("--images", type=int, default=4, help="of the training")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--backbone", nargs="+", default=BACKBONES)
    chosen = parser.parse_args()
    size = round(chosen.side * 2050 / 2448), chosen.side
    parts = chosen.parts or PARTS
    print(f"images of {size[1]} x {size[0]}, {chosen.threads} thread(s)\n")
    if "features" in parts:
        features(chosen, size)
    with tempfile.TemporaryDirectory() as folder:
        if set(parts) & {"train", "predict", "export"}:
            whole(chosen, size, Path(folder), parts)


def features(chosen: argparse.Namespace, size: tuple[int, int]) -> None:
    print("| backbone | torch as it was, CPU s | torch | onnx | onnx over as it was | MiB: as it was | torch | onnx |"
          "\n|---|---|---|---|---|---|---|---|")
    for backbone in chosen.backbone:
        given = {"size": size, "threads": chosen.threads, "backbone": backbone}
        found = [measured(_FEATURES, given | {"engine": engine}) for engine in ("as it was", "torch", "auto")]
        cpu = [one["cpu"] for one in found]
        cells = [*(f"{one:.2f}" for one in cpu), f"{cpu[2] / cpu[0]:.2f}", *(f"{one['peak']:.0f}" for one in found)]
        print(f"| `{backbone}` | {' | '.join(cells)} |", flush=True)
    print()


def whole(chosen: argparse.Namespace, size: tuple[int, int], folder: Path, parts: list[str]) -> None:
    """Training with either engine; maps by either, and by the export."""
    data = noise(folder / "data", size, chosen.images)
    seconds = {}
    for engine in ("torch", "onnx"):
        model = folder / f"{engine}.h5"
        seconds[engine] = command(
            "train", "--data", data, "--out", model, "--weights", "none", "--epochs", str(chosen.epochs), "--augment",
            "--device", "cpu", "--threads", str(chosen.threads), "--engine", engine,
            "--backbone", chosen.backbone[0], "--overwrite",
        )
    if "train" in parts:
        ratio = seconds["onnx"] / seconds["torch"]
        print(f"train, {chosen.images} images, {chosen.epochs} epochs: torch {seconds['torch']:.1f}, onnx "
              f"{seconds['onnx']:.1f} CPU s, ratio {ratio:.2f}\n", flush=True)
    given = {"size": size, "threads": chosen.threads, "model": str(folder / "onnx.h5")}
    found = {}
    if "predict" in parts:
        found = {engine: measured(_MAPS, given | {"engine": engine}) for engine in ("torch", "onnx")}
    if "export" in parts:
        command("export", "onnx", "--model", given["model"], "--out", folder / "export")
        found["export"] = measured(_MAPS, given | {"engine": "export", "model": str(folder / "export")})
    print("| anomaly map by | CPU s | MiB |\n|---|---|---|")
    for engine, numbers in found.items():
        print(f"| {engine} | {numbers['cpu']:.2f} | {numbers['peak']:.0f} |", flush=True)


def noise(folder: Path, size: tuple[int, int], images: int) -> Path:
    from sequential_patchcore.data.writer import DatasetWriter

    rng, nothing = np.random.default_rng(0), np.zeros(size, np.uint8)
    with DatasetWriter(folder, "noise", "bench", ()) as writer:
        for number in range(images):
            image = rng.integers(0, 256, size, np.uint8)
            writer.add(f"n{number}", image, nothing, nothing.astype(np.uint16), {}, "train", f"n{number}")
    return folder


def measured(code: str, given: dict) -> dict:
    environment = os.environ | {"OMP_NUM_THREADS": str(given["threads"])}
    run = subprocess.run([sys.executable, "-c", code, json.dumps(given)], capture_output=True, text=True,
                         env=environment)
    if run.returncode:
        sys.exit(run.stderr)
    return json.loads(run.stdout.splitlines()[-1])


def command(*arguments: object) -> float:
    """CPU seconds of a command."""
    before = os.times()
    line = [sys.executable, "-m", "sequential_patchcore", *map(str, arguments)]
    subprocess.run(line, capture_output=True, check=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


if __name__ == "__main__":
    main()
