# SPDX-License-Identifier: Apache-2.0
"""Features, training, prediction and export by ONNX Runtime and by torch: CPU seconds, ratios and peak memory.

    .venv/bin/python tests/bench/bench_features.py [features] [train] [predict] [export] [--threads 1] [--side 2448]

Each number is of a process of its own (CPU seconds of user and system, resident memory at the most) that keeps what it
freed, as the commands do; ratios are of numbers of one run. "As it was": torch with its batch norms unfolded, memory
given back. Random weights. Features are those of noise; `train`, `predict` and `export` work on brushed metal drawn by
code, and train 20 images over five epochs with augmentation, unless told otherwise. `predict` gives the anomaly map
alone, and a picture's share of the command: reading, map, overlay, journal. The last three parts are of the first
backbone. Without a name of a part all are run.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from brushed_metal import as_bytes, metal

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
def timed(action, repeats=given["repeats"]):
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
MAPS = _MEASURED + """
from sequential_patchcore.runtime.allocation import keep_freed_memory
was = given["engine"] == "as it was"
if not was:
    keep_freed_memory()
if given["engine"] == "export":
    from sequential_patchcore.export.exported_model import ExportedModel
    scorer = ExportedModel(given["model"], given["threads"])
else:
    import torch
    torch.set_num_threads(given["threads"])
    from sequential_patchcore import Scorer, load_model
    scorer = Scorer(load_model(given["model"]), engine="torch" if was else given["engine"])
    if was and hasattr(scorer.extractor, "_folded"):
        scorer.extractor._folded = lambda: scorer.extractor.network
cpu, wall = timed(lambda: scorer.anomaly_map(pixels))
print(json.dumps({"cpu": cpu, "wall": wall, "peak": peak()}))
"""
# The command line with torch as it was.
_AS_IT_WAS = """
import sys
from sequential_patchcore.runtime import allocation
allocation.keep_freed_memory = lambda: False
from sequential_patchcore.extractors.timm_backbone import TimmBackbone
TimmBackbone._folded = lambda self: self.network
from sequential_patchcore.cli.parser import main
sys.exit(main([*sys.argv[1:], "--engine", "torch"]))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], default=[], help="default: all")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--side", type=int, default=2448, help="width of the images; the height is 2050 / 2448 of it")
    parser.add_argument("--images", type=int, default=20, help="of the training")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=3, help="calls after one, of which the fastest counts")
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
        given = {"size": size, "threads": chosen.threads, "backbone": backbone, "repeats": chosen.repeats}
        found = [measured(_FEATURES, given | {"engine": engine}) for engine in ("as it was", "torch", "auto")]
        cpu = [one["cpu"] for one in found]
        cells = [*(f"{one:.2f}" for one in cpu), f"{cpu[2] / cpu[0]:.2f}", *(f"{one['peak']:.0f}" for one in found)]
        print(f"| `{backbone}` | {' | '.join(cells)} |", flush=True)
    print()


def whole(chosen: argparse.Namespace, size: tuple[int, int], folder: Path, parts: list[str]) -> None:
    """Training as it was and as it is; maps and the command `predict` likewise, and by the export."""
    data, model = plates(folder / "data", size, chosen.images), folder / "model.h5"
    training = (
        "train", "--data", data, "--out", model, "--weights", "none", "--augment", "--device", "cpu",
        "--threads", str(chosen.threads), "--backbone", chosen.backbone[0], "--overwrite",
    )
    if "train" in parts:
        epochs = "--epochs", str(chosen.epochs)
        was = command(*training, *epochs, threads=chosen.threads, as_it_was=True)
        now = command(*training, *epochs, threads=chosen.threads)
        print(f"train, {chosen.images} images, {chosen.epochs} epochs: as it was {was:.1f}, now {now:.1f} CPU s, ratio "
              f"{now / was:.2f}\n", flush=True)
    else:
        command(*training, "--epochs", "1", "--shard", f"1/{chosen.images}")
    command("calibrate", "--model", model, "--threshold", "1000")
    is_transformer = chosen.backbone[0].startswith("vit")  # computed by torch, and exported for one size
    ways = ["as it was", "torch", *(() if is_transformer else ("onnx",))] if "predict" in parts else []
    if "export" in parts:
        fixed = ("--size", f"{size[1]}x{size[0]}") if is_transformer else ()
        command("export", "onnx", "--model", model, "--out", folder / "export", *fixed)
        ways.append("export")
    if not ways:
        return
    print("| by | anomaly map, CPU s | over as it was | MiB | a picture of `predict`, CPU s | over as it was |\n"
          "|---|---|---|---|---|---|")
    first = None
    for way in ways:
        place = str(folder / "export" if way == "export" else model)
        given = {"size": size, "threads": chosen.threads, "model": place, "engine": way, "repeats": chosen.repeats}
        found, picture = measured(MAPS, given), a_picture(way, place, data, chosen, folder / f"of {way}")
        first = first or (found["cpu"], picture)
        print(f"| {way} | {found['cpu']:.2f} | {found['cpu'] / first[0]:.2f} | {found['peak']:.0f} | {picture:.2f} | "
              f"{picture / first[1]:.2f} |", flush=True)


def a_picture(way: str, model: str, data: Path, chosen: argparse.Namespace, out: Path) -> float:
    """CPU seconds of a picture of the command `predict`: what more pictures add to one."""
    pictures = sorted((data / "images").iterdir())[:5]
    options = ["--threads", str(chosen.threads)] + (["--engine", way] if way in ("torch", "onnx") else [])
    seconds: dict[int, list[float]] = {1: [], len(pictures): []}
    for turn in range(2):  # the least counts, since other work on the machine adds to each
        for count, found in seconds.items():
            found.append(command(
                "predict", "--model", model, *pictures[:count], "--out", f"{out} {count} {turn}", *options,
                threads=chosen.threads, as_it_was=way == "as it was",
            ))
    return (min(seconds[len(pictures)]) - min(seconds[1])) / (len(pictures) - 1)


def plates(folder: Path, size: tuple[int, int], images: int) -> Path:
    from sequential_patchcore.data.writer import DatasetWriter

    rng, nothing = np.random.default_rng(0), np.zeros(size, np.uint8)
    with DatasetWriter(folder, "metal", "bench", ()) as writer:
        for number in range(images):
            plate = as_bytes(metal(rng, size))
            writer.add(f"m{number}", plate, nothing, nothing.astype(np.uint16), {}, "train", f"m{number}")
    return folder


def measured(code: str, given: dict) -> dict:
    run = subprocess.run([sys.executable, "-c", code, json.dumps(given)], capture_output=True, text=True,
                         env=environment(given["threads"]))
    if run.returncode:
        sys.exit(run.stderr)
    return json.loads(run.stdout.splitlines()[-1])


def environment(threads: int) -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": str(threads)}


def command(*arguments: object, threads: int = 1, as_it_was: bool = False) -> float:
    """CPU seconds of a command."""
    before = os.times()
    program = ["-c", _AS_IT_WAS] if as_it_was else ["-m", "sequential_patchcore"]
    run = subprocess.run([sys.executable, *program, *map(str, arguments)], capture_output=True, text=True,
                         env=environment(threads))
    if run.returncode:
        sys.exit(run.stderr)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


if __name__ == "__main__":
    main()
