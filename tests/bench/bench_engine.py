# SPDX-License-Identifier: Apache-2.0
"""The coreset engine against its limits, the naive loop and other implementations; writes docs/benchmarks.md.

    make bench-engine [ARGS="--full | --sizes 80000,300000 | --data DIR --weights FILE --backbone NAME
                             | --inference-only"]

Everything runs on one thread, each measurement of time and memory in a process of its own; seconds are its CPU time.
Peers are installed by make into `.venv-peers`; without it their rows are left out. Greedy peers are measured over a few
steps and extrapolated.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from bench_coreset import slow_against_chunked
from engine_coverage import rows, streams
from engine_worker import CLUSTERS

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PEERS = ROOT / ".venv-peers" / "bin" / "python"
SIZE, DIMENSION = 2048, 152
IMAGE_PATCHES = 78_642  # of 2448 x 2050 with MobileNetV3-Large
STEPS = {"anomalib": (4, 12), "plain": (8, 40), "greedy": (8, 40)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="1 million patches beside the peers, 10 million alone")
    parser.add_argument("--sizes", help="numbers of patches, instead of 80000 (--full: 80000,300000,1000000,10000000)")
    parser.add_argument("--data", help="data set for the coverage on real images, with --weights and --backbone")
    parser.add_argument("--weights", default="none")
    parser.add_argument("--backbone", default="mobilenetv3_large_100")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "benchmarks.md")
    parser.add_argument("--inference-only", action="store_true", help="make section 5 anew, and leave the others")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    sizes = [80_000, 300_000, 1_000_000, 10_000_000] if chosen.full else [80_000]
    if chosen.sizes:
        sizes = [int(float(size)) for size in chosen.sizes.split(",")]
    if chosen.inference_only:
        replace_inference(chosen.out)
        return
    parts = [heading(chosen)]
    real = real_patches(chosen) if chosen.data else None
    inference = measured_inference()
    for part in (lambda: update_part(inference, real), lambda: peers_part(sizes), lambda: coverage_part(chosen, real),
                 naive_part, lambda: inference_part(inference)):
        parts.append(part())
        print(parts[-1], flush=True)
    write(chosen.out, "\n\n".join(parts) + f"\n\nLoad average at the end: {load()}.\n")


def replace_inference(out: Path) -> None:
    """Section 5 alone, with the day and the command that made it."""
    others = out.read_text(encoding="utf-8").split("## 5. ")[0]
    heading, table = inference_part(measured_inference()).split("\n\n", 1)
    day = time.strftime("%Y-%m-%d")
    made = (f"Made by `make bench-engine ARGS=--inference-only` on {day}, load average at the end {load()}; the "
            "sections above are older.")
    write(out, f"{others}{heading}\n\n{made}\n\n{table}\n")


def write(out: Path, text: str) -> None:
    beside = out.with_suffix(".part")
    beside.write_text(text, encoding="utf-8")
    os.replace(beside, out)
    print(f"written: {out}")


def measured_inference() -> dict:
    with tempfile.TemporaryDirectory() as folder:
        return worker("inference", backbone="mobilenetv3_large_100", size=SIZE, png=os.path.join(folder, "a.png"))


def heading(chosen: argparse.Namespace) -> str:
    given = " ".join(sys.argv[1:])
    command = "make bench-engine" + (f' ARGS="{given}"' if given else "")
    for place in (chosen.data, chosen.weights):
        if place not in (None, "none"):
            command = command.replace(place, Path(place).name)
    return f"""# Benchmarks of the coreset engine

Written by `{command}` on {time.strftime("%Y-%m-%d")}; do not edit. Machine: {processor()}, {os.cpu_count()} cores,
{memory()} GiB, no GPU (the CUDA path has no figures); torch {torch.__version__}, one thread. Load average at the start:
{load()}. Seconds are CPU time of the measuring process: what passes on a machine to itself. Other work beside it still
takes its share of cache and memory, so compare within a row, measured in turns or one after the other. Coreset {SIZE},
vectors of {DIMENSION} numbers from {CLUSTERS} clusters with a falling spectrum, unless said otherwise."""


def update_part(inference: dict, real: torch.Tensor | None) -> str:
    features = inference["features"]
    lines = [
        "## 1. The update and its limit", "",
        "Bare: `addmm` and row minimum over the same chunks. Quiet: a pass that replaces nothing, covering radius",
        "included. Seconds are for as many patches as an image of 2448 x 2050 has, the shares of MobileNetV3-Large's",
        f"feature time for one ({features:.2f} s).", "",
        "| stream | eviction | bare, s | quiet, s | quiet / bare | µs per replacement, over bare (over quiet) "
        "| quiet epoch / features | first epoch / features | replaced in it | epochs to convergence |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    jobs = [("clusters", {"patches": 100_000, "dimension": DIMENSION})]
    with tempfile.TemporaryDirectory() as folder:
        if real is not None:
            np.save(f"{folder}/real.npy", real.numpy())
            jobs.append(("real images", {"file": f"{folder}/real.npy"}))
        for name, job in jobs:
            for eviction in ("lower-index", "seeded-random"):
                found = worker("update", **job, size=SIZE, eviction=eviction, rounds=5)
                image = IMAGE_PATCHES / found["patches"]
                lines.append(
                    f"| {name}, {found['patches']:,} | {eviction} | {found['bare'] * image:.2f} "
                    f"| {found['quiet'] * image:.2f} | {found['ratio']:.2f} "
                    f"| {found['us over bare']:.0f} ({found['us over quiet']:.0f}) "
                    f"| {found['quiet'] * image / features:.0%} | {found['first'] * image / features:.0%} "
                    f"| {found['replaced']} | {found['epochs']} |"
                )
    lines += [
        "",
        "µs per replacement: the first epoch less the bare products (less a quiet pass, which costs a part of them:",
        "while the coreset changes, more patches need the whole product), by the replacements. Most fall into the",
        "first patches; over more images the first epoch's share falls.",
    ]
    return "\n".join(lines)


def peers_part(sizes: list[int]) -> str:
    (few, more), (first, last) = STEPS["anomalib"], STEPS["greedy"]
    lines = [
        "## 2. Against implementations that hold every patch", "",
        "Ours: five epochs, patches made anew in each and not timed. The others: one pass, greedy k-center,",
        f"extrapolated to {SIZE} steps from runs of {few} and {more} (anomalib) or {first} and {last}. Plain greedy:",
        "an exact greedy as one writes it down in torch, by one matrix-vector product a step; `--coreset greedy`: this",
        "project's. Memory: peak above the process's base, N x D included. Times ours: in multiples of our row.", "",
        "| patches | | seconds | times ours | MiB | times ours |", "|---|---|---|---|---|---|",
    ]
    for count in sizes:
        common = {"patches": count, "dimension": DIMENSION, "size": SIZE}
        own = worker("ours", **common, epochs=5)
        epochs = ", ".join(f"{epoch['seconds']:.2f}" for epoch in own["epochs"])
        lines.append(f"| {count:,} | ours | {own['seconds']:.1f} ({epochs}) | | {mib(own['bytes'])} | |")
        print(lines[-1], flush=True)
        for kind, name, python in (
            ("anomalib", "anomalib", PEERS), ("plain", "plain greedy", Path(sys.executable)),
            ("greedy", "`--coreset greedy`", Path(sys.executable)),
        ):
            if count > 2_000_000 or not python.exists():
                continue
            other = worker(kind, python, **common, steps=STEPS[kind])
            lines.append(
                f"| {count:,} | {name} | {other['seconds']:.0f} | {other['seconds'] / own['seconds']:.1f} "
                f"| {mib(other['bytes'])} | {other['bytes'] / own['bytes']:.1f} |"
            )
            print(lines[-1], flush=True)
    return "\n".join(lines)


def coverage_part(chosen: argparse.Namespace, real: torch.Tensor | None) -> str:
    lines = [
        "## 3. Coverage", "",
        "Covering radius over that of offline greedy k-center, 20,000 vectors of 40 numbers, coreset 256 (real images:",
        "30 training images, coreset 1024).", "",
        "| stream | eviction | 1 epoch | 2 | 5 | at the end | epochs | certificate held |",
        "|---|---|---|---|---|---|---|---|",
    ]
    every = [(name, patches, 256) for name, patches in streams(20_000)]
    if real is not None:
        every.insert(0, (f"{Path(chosen.data).name}, {chosen.backbone}", real, 1024))
    for name, patches, size in every:
        for row in rows(name, patches, size):
            lines.append(
                f"| {row['stream']} | {row['eviction']} | {row['after 1']:.3f} | {row['after 2']:.3f} "
                f"| {row['after 5']:.3f} | {row['end']:.3f} "
                f"| {row['epochs']}{'' if row['converged'] else ', not converged'} | {'yes' if row['held'] else 'NO'} |"
            )
    return "\n".join(lines)


def real_patches(chosen: argparse.Namespace, images: int = 30, scale: float = 0.34) -> torch.Tensor:
    from sequential_patchcore.data.dataset import open_dataset
    from sequential_patchcore.extractors.base import ExtractorSettings, to_tensor
    from sequential_patchcore.extractors.builder import extractor_of

    data = open_dataset(chosen.data)
    extractor = extractor_of(ExtractorSettings(chosen.backbone, scale), chosen.weights)
    tensors = (to_tensor(data.image(sample), scale, torch.device("cpu")) for sample in data.split("train")[:images])
    with torch.inference_mode():
        found = [extractor(tensor)[0].reshape(-1, extractor.dimension) for tensor in tensors]
    return torch.cat(found).clone()


def naive_part() -> str:
    text = "The rule patch by patch in NumPy, against the chunked form: "
    return f"## 4. The naive loop\n\n{text}{slow_against_chunked()}"


def inference_part(found: dict) -> str:
    stages = ("decode", "features", "distances", "map")
    whole = sum(found[stage] for stage in stages)
    stages = (*stages, "features by torch", "features by torch, bfloat16")
    lines = ["## 5. Inference at 2448 x 2050", "",
             "One image, MobileNetV3-Large with random weights, no tiling, features by the default engine; the best of "
             "three. Freed memory is given back here, which the commands do not do; docs/deployment.md has theirs.", "",
             "| stage | seconds |", "|---|---|"]
    lines += [f"| {stage} | {found[stage]:.3f} |" for stage in stages]
    lines += [f"| bare matrix product of the distances | {found['bare product']:.3f} |"]
    tail = f"{1 / whole:.2f} images a second in all; distances over their matrix product: "
    tail += f"{found['distances'] / found['bare product']:.2f}."
    if PEERS.exists():
        common = {"patches": found["patches"], "dimension": DIMENSION, "size": SIZE}
        other = worker("neighbours", PEERS, **common)
        lines += [f"| anomalib's `nearest_neighbors` on as many vectors | {other['seconds']:.3f} |"]
        tail += (f" anomalib's distances take {other['seconds'] / found['distances']:.1f} times as long.")
    return "\n".join([*lines, "", tail])


def worker(kind: str, python: Path = Path(sys.executable), **job: object) -> dict:
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": str(1 << 20), "OMP_NUM_THREADS": "1"}
    command = [str(python), str(HERE / "engine_worker.py"), kind, json.dumps(job)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    for line in done.stdout.splitlines():
        if line.startswith("RESULT "):
            return json.loads(line.removeprefix("RESULT "))
    sys.exit(f"the measurement {kind} {job} failed:\n{done.stderr[-3000:]}")


def processor() -> str:
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    return names[0] if names else platform.machine()


def memory() -> int:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)


def load() -> str:
    return f"{os.getloadavg()[0]:.1f}"


def mib(count: float) -> str:
    return f"{count / 2**20:.0f}"


if __name__ == "__main__":
    main()
