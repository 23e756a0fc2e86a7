# SPDX-License-Identifier: Apache-2.0
"""The exact max-F1 threshold over 60 million pixels: seconds and peak memory, beside sorting all of them at once.

Each way runs in a process of its own, so that the peak is its own; the pixels are drawn anew in every pass.
"""

import argparse
import resource
import subprocess
import sys
import time

import numpy as np
from sequential_patchcore.metrics.threshold import max_f1

BATCH = 5_018_400  # one image of 2448 x 2050


def batches(pixels: int):
    for number in range(-(-pixels // BATCH)):
        rng = np.random.default_rng(number)
        count = min(BATCH, pixels - number * BATCH)
        positive = rng.random(count, np.float32) < 0.01
        yield rng.gamma(8, size=count).astype(np.float32) + 6 * positive.astype(np.float32), positive


def by_sorting(pixels: int) -> float:
    scores, positive = (np.concatenate(column) for column in zip(*batches(pixels), strict=True))
    order = np.argsort(-scores)
    ranked = scores[order]
    found = np.cumsum(positive[order])
    f1 = 2 * found / (np.arange(1, pixels + 1) + found[-1])
    f1[:-1][ranked[:-1] == ranked[1:]] = 0  # not between equal scores
    return float(ranked[f1.argmax()])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pixels", type=int, default=60_000_000)
    parser.add_argument("--way", choices=("streaming", "sorting"))
    arguments = parser.parse_args()
    if arguments.way is None:
        for way in ("streaming", "sorting"):
            subprocess.run([sys.executable, __file__, "--pixels", str(arguments.pixels), "--way", way], check=True)
        return
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    if arguments.way == "streaming":
        value = max_f1(lambda: batches(arguments.pixels)).threshold
    else:
        value = by_sorting(arguments.pixels)
    seconds = time.process_time() - start
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**20
    print(f"{arguments.way:9}: {arguments.pixels} pixels, threshold {value:.9g}, {seconds:.1f} s of one core "
          f"(drawing the pixels included), {peak:.2f} GiB above the interpreter")


if __name__ == "__main__":
    main()
