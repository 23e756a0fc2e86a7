# SPDX-License-Identifier: GPL-3.0-or-later
"""Single black and white pixels of denoised pictures at few paths, and what taking them out costs.

    .venv-blender/bin/python tests/bench/bench_specks.py [--recipe synth_ws] [--index 3] [--scale 25] [--samples 8]

Prints, for each `guide_samples`, the share of pixels more than 40 and 20 grey levels off the median of their eight
neighbours, sensor noise and lens blur off, and the processor seconds of the picture.
"""

import argparse
import dataclasses
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from blender_addon.core.inspection.sensor import expose  # noqa: E402
from blender_addon.core.recipe.sample import draw_sample  # noqa: E402
from blender_addon.core.recipe.settings import load  # noqa: E402
from blender_addon.render import passes, session  # noqa: E402
from blender_addon.scene.inspection import build_inspection  # noqa: E402


def off_neighbours(image: np.ndarray) -> np.ndarray:
    """(H, W) uint8 -> how far each pixel is from the median of the eight around it."""
    padded = np.pad(image.astype(int), 1, mode="edge")
    height, width = image.shape
    around = [padded[y : y + height, x : x + width] for y in range(3) for x in range(3) if (y, x) != (1, 1)]
    return np.abs(image - np.median(around, axis=0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="synth_ws")
    parser.add_argument("--index", type=int, default=3)
    parser.add_argument("--scale", type=float, default=25.0)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--guide-samples", type=int, nargs="+", default=[0, 16, 24])
    chosen = parser.parse_args()
    recipe = load(ROOT / "scenes" / "recipes" / f"{chosen.recipe}.toml")
    with session.silence():
        scene, _ = session.start("CPU", needs_osl=False)
    for count in chosen.guide_samples:
        values = {"scale_percent": chosen.scale, "samples": chosen.samples, "guide_samples": count}
        sample = draw_sample(recipe.with_values("render", "bench", **values), chosen.index)
        sensor = dataclasses.replace(sample.sensor, shot_noise=False, read_noise_e=0.0, blur_sigma_px=0.0)
        with tempfile.TemporaryDirectory() as folder, session.silence():
            built = build_inspection(scene, sample)
            start = time.process_time()
            linear = passes.render_picture(scene, built, sample, Path(folder))
            seconds = time.process_time() - start
        off = off_neighbours(expose(linear, sensor, sample.camera, chosen.scale, sample.seed, 8))
        print(f"{chosen.recipe} {chosen.index}: guide_samples {count}: {(off > 40).mean():.3%} off by 40, "
              f"{(off > 20).mean():.2%} off by 20, {seconds:.1f} s", flush=True)


if __name__ == "__main__":
    main()
