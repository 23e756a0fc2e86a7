# SPDX-License-Identifier: GPL-3.0-or-later
"""What the stain costs: processor time of the picture with stains over that of the same plate without, in one run.

    python tests/bench/bench_stain.py [--scale 20] [--samples 16] [--rounds 3]

Each pair is rendered in turn, `rounds` times, and the medians are compared; stains with OSL are compared with a clean
plate under OSL. Seconds are of all cores together, so that other work on the machine counts little.
"""

import argparse
import os
import statistics
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from blender_addon.core.recipe.sample import draw_sample  # noqa: E402
from blender_addon.core.recipe.settings import load  # noqa: E402
from blender_addon.render import passes, session  # noqa: E402
from blender_addon.scene.inspection import build_inspection  # noqa: E402
from blender_addon.scene.stain_osl import osl_available  # noqa: E402

BEYOND = {"radius_spread": 0.5, "density": 0.7, "rim_gain": 1.5, "ring_count": 2, "deposit_contrast": 0.6}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=20.0, help="size of the image in percent")
    parser.add_argument("--samples", type=int, default=16, help="light paths per pixel")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()

    recipe = load(ROOT / "scenes" / "recipes" / "synth_ws.toml")
    recipe = recipe.with_values("render", "bench", scale_percent=options.scale, samples=options.samples)
    sample = draw_sample(recipe, 0)
    large = replace(sample.stain, radius_mm=7.0, noise_amplitude_mm=4.0)
    stains = {
        f"recipe synth_ws, {sample.stain.neighbours} cells": sample.stain,
        f"large, {large.neighbours} cells": large,
        "with spreads, rim, rings, patches": replace(sample.stain, cell_size_mm=18.0, **BEYOND),
    }
    print("| backend | stains | clean, s | stained, s | ratio |\n|---|---|---|---|---|")
    for backend in ("nodes", "osl") if osl_available()[0] else ("nodes",):
        with session.silence():
            scene, _ = session.start("CPU", needs_osl=backend == "osl")
        on = replace(sample, render=replace(sample.render, stain_backend=backend))
        for name, stain in stains.items():
            pair = [replace(on, stain=None), replace(on, stain=stain)]
            seconds = [[_picture(scene, plate) for plate in pair] for _ in range(options.rounds)]
            clean, stained = (statistics.median(column) for column in zip(*seconds, strict=True))
            print(f"| {backend} | {name} | {clean:.2f} | {stained:.2f} | {stained / clean:.2f} |", flush=True)


def _picture(scene, sample) -> float:
    """Processor seconds of one picture, the building of the scene included."""
    with tempfile.TemporaryDirectory() as folder, session.silence():
        start = os.times()
        passes.render_picture(scene, build_inspection(scene, sample), sample, Path(folder))
        end = os.times()
    return (end.user - start.user) + (end.system - start.system)


if __name__ == "__main__":
    main()
