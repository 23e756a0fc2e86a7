# SPDX-License-Identifier: Apache-2.0
"""anomalib's PatchCore as it is and in constant memory: the same metrics, and the memory of both.

    make bench-anomalib [ARGS="--images 40,120 --seeds 3"]

Runs examples/anomalib_patchcore.py in the environment `.venv-peers`, each model in a process of its own, with glibc
told to give large blocks back, on one thread. The metrics are those of the smaller number of images, over seeds, which
draw the order of the images and the start of anomalib's coreset: what they change is the noise that a difference of
the two has to be held against. Memory is the peak of the process, what Python and its libraries take included.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PEERS = ROOT / ".venv-peers" / "bin" / "python"
METRICS = ("image_AUROC", "pixel_AUROC")
MODELS = {"anomalib's": ("--plain",), "constant memory": ()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", default="24,96", help="numbers of training images, rising")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--python", type=Path, default=PEERS, help="one that has anomalib and numba")
    chosen = parser.parse_args()
    few, *more = (int(number) for number in chosen.images.split(","))
    found = {
        name: [run(chosen.python, "--images", str(few), "--seed", str(seed), *how) for seed in range(chosen.seeds)]
        for name, how in MODELS.items()
    }
    print(f"{few} training images, {found['constant memory'][0]['vectors']} vectors, {chosen.seeds} seeds: mean, range")
    for metric in METRICS:
        for name, runs in found.items():
            values = [one[metric] for one in runs]
            spread = f"{min(values):.4f} to {max(values):.4f}"
            print(f"  {metric}, {name}: {statistics.mean(values):.4f}, {spread}", flush=True)
    for count in (few, *more):
        peaks = []
        for name, how in MODELS.items():
            one = found[name][0] if count == few else run(chosen.python, "--images", str(count), *how)
            peaks.append(f"{name} {one['peak_mib']} MiB")
        print(f"peak memory, {count} images: " + ", ".join(peaks))


def run(python: Path, *options: str) -> dict:
    """What the example prints."""
    environment = os.environ | {
        "PYTHONPATH": str(ROOT / "training"), "OMP_NUM_THREADS": "1", "MALLOC_MMAP_THRESHOLD_": str(1 << 20)
    }
    command = [str(python), "-W", "ignore", str(ROOT / "examples" / "anomalib_patchcore.py"), *options]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
