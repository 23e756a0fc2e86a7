# SPDX-License-Identifier: Apache-2.0
"""Whether drift is found and named on renders: stable plates, then ten changes, a few small pictures of each.

    python tests/bench/bench_drift.py OUT --renderer .venv-blender/bin/python            # renders what is missing first
    python tests/bench/bench_drift.py OUT --false-alarms 400000                          # stable images, drawn anew

All are the twin's plates, camera and light (scenes/recipes/inspection_twin.toml) without anything on them, one picture
a plate, with a light that varies by one percent as a lamp on a line does. A model of the filter bank is trained on
fifteen of the stable pictures; the others come first, in ten random orders, and those of the change after them, as
`predict --watch` would see them. "found after" is the median over the orders, of images after the change.
"""

import argparse
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from sequential_patchcore import Scorer, TrainSettings, build_extractor, open_dataset, train
from sequential_patchcore.prediction.drift import DriftWatch, RowWatch
from sequential_patchcore.prediction.picture_numbers import as_row, numbers_of

ROOT = Path(__file__).resolve().parents[2]
STABLE, TRAINED, CHANGED, ORDERS = 80, 15, 30, 10
HEAD = """extends = "{inspection}"
name = "{name}"
plates = "{name}"
description = "One picture each of plates without defects"
count = {count}
seed = {seed}
splits = {{ train = {count} }}

[acquisition]
columns = 1
rows = 1
pitch_x_mm = 33.0
pitch_y_mm = 30.0
sides = 1
jitter_mm = 0.6
border_mm = 3.0
"""
SECTIONS = {
    "plate": {"offset_x_mm": [-0.8, 0.8], "offset_y_mm": [-0.8, 0.8], "yaw_deg": [-0.7, 0.7]},
    "surface": {"grain_angle_deg": [-1.5, 1.5], "finest_spacing_um": [54.0, 72.0], "groove_width": [0.45, 0.6],
                "groove_length_mm": [6.0, 14.0], "groove_slope": [0.026, 0.04], "roughness": [0.23, 0.28],
                "anisotropy": [0.6, 0.74], "streak_contrast": [0.08, 0.18]},
    "light": {"outer_radius_mm": 45.0, "power_w": [5.25, 5.35], "angle_deg": 1.0, "shift_x_mm": 0.7, "shift_y_mm": -0.4,
              "segment_spread": 0.05, "ambient": 0.06},
    "camera": {"focal_length_mm": 50.0, "exposure_ms": 0.25},
    "sensor": {"blur_sigma_px": [1.1, 1.3], "vignetting": 0.06, "shot_noise": True, "read_noise_e": 7.0, "gamma": 1.3},
}
STAIN = {"radius_mm": [2.0, 4.0], "noise_frequency_per_mm": [0.15, 0.35], "noise_amplitude_mm": [0.6, 1.6],
         "decay": [2.0, 5.0], "intensity": [-0.5, -0.35], "cell_size_mm": [7.0, 8.0]}
CHANGES: dict[str, tuple[str, dict[str, dict]]] = {
    "10 % less light": ("light", {"light": {"power_w": [4.725, 4.815]}}),
    "20 % more light": ("light", {"light": {"power_w": [6.3, 6.42]}}),
    "a dead segment of the ring": ("light", {"light": {"dead_segment": 2}}),
    "slightly out of focus": ("focus", {"sensor": {"blur_sigma_px": [5.0, 5.4]}}),
    "far out of focus": ("focus", {"sensor": {"blur_sigma_px": [14.0, 15.0]}}),
    "gain up, exposure down": ("noise", {"camera": {"exposure_ms": 0.0025, "full_well_e": 107.0}}),
    "water stains everywhere": ("surface", {"stain": STAIN}),
    "another product, blasted": ("surface", {"surface": {
        "groove_slope": [0.004, 0.006], "roughness": [0.5, 0.55], "anisotropy": 0.0, "streak_contrast": 0.0}}),
    "another product, coarsely ground": ("surface", {"surface": {
        "finest_spacing_um": [150.0, 180.0], "groove_slope": [0.08, 0.1], "roughness": [0.4, 0.45],
        "anisotropy": [0.2, 0.3]}}),
    "plates laid in across": ("surface", {"surface": {"grain_angle_deg": [88.5, 91.5]}}),
}


def recipe(name: str, count: int, seed: int, change: dict[str, dict]) -> str:
    text = HEAD.format(inspection=ROOT / "scenes" / "inspection.toml", name=name, count=count, seed=seed)
    for section in dict.fromkeys((*SECTIONS, *change)):
        values = SECTIONS.get(section, {}) | change.get(section, {})
        text += f"\n[{section}]\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in values.items())
    return text


def _toml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value).replace("'", '"')


def rendered(out: Path, renderer: str, scale: float, first_seed: int) -> None:
    """Render what is missing; a finished data set is left as it is by the renderer."""
    sets = {"stable": (STABLE, {})} | {
        f"change{number}": (50 if number == 0 else CHANGED, change)
        for number, (_, change) in enumerate(CHANGES.values())
    }
    for seed, (name, (count, change)) in enumerate(sets.items(), first_seed):
        file = out / f"{name}.toml"
        file.write_text(recipe(name, count, seed, change))
        subprocess.run([renderer, str(ROOT / "blender_addon" / "render.py"), "--recipe", str(file), "--out",
                        str(out / name), "--scale", f"{scale:g}", "--samples", "4", "--threads", "1"],
                       check=True, stdout=subprocess.DEVNULL)
        print(f"rendered {name}", flush=True)


def numbers(out: Path) -> dict[str, list[dict[str, float]]]:
    """Name of a set to the numbers of each of its pictures that was not trained on."""
    stable = open_dataset(out / "stable")
    part = type(stable)(**vars(stable) | {"samples": stable.samples[:TRAINED]})
    extractor = build_extractor("filters", image_scale=0.5)
    scorer = Scorer(train([part], extractor, TrainSettings(coreset_size=128, epochs=1)), extractor=extractor)
    found = {}
    for folder in sorted(path for path in out.iterdir() if (path / "dataset.json").is_file()):
        data = open_dataset(folder)
        samples = data.samples[TRAINED:] if folder.name == "stable" else data.samples
        found[folder.name] = []
        for sample in samples:
            image = data.image(sample)
            found[folder.name].append(numbers_of(image, scorer.anomaly_map(image)))
    return found


def seen(before: list[dict], after: list[dict], order: int) -> tuple[str, int | None, int]:
    """(cause, after how many images of the change, false alarms before it) of one random order."""
    rng = np.random.default_rng(order)
    with tempfile.TemporaryDirectory() as folder:
        watch, false = DriftWatch(Path(folder)), 0
        for place, row in enumerate(rng.permutation(len(before))):
            false += watch._step(f"s{place}", before[row]) is not None
        for place, row in enumerate(rng.permutation(len(after))):
            drift = watch._step(f"c{place}", after[row])
            if drift is not None:
                return drift.cause, place + 1, false
    return "", None, false


def false_alarms(stable: list[dict], images: int) -> int:
    """Alarms among so many rows that are drawn from the stable ones; each alarm begins anew, as the watch does."""
    rng = np.random.default_rng(1)
    table = np.array([as_row(one) for one in stable])
    spread = table.std(0) / len(table)  # drawn rows are not all equal to one of a few
    alarms, watch = 0, RowWatch()
    for number in range(images):
        if number % 4000 == 0:  # a watch of a day or two
            watch = RowWatch(seed=number)
        if watch.see(table[rng.integers(len(table))] + spread * rng.normal(size=table.shape[1])) is not None:
            alarms, watch = alarms + 1, RowWatch(seed=number)
    return alarms


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--renderer", help="a Python with bpy; without it nothing is rendered")
    parser.add_argument("--seed", type=int, default=900, help="of the first set; the others count on from it")
    parser.add_argument("--scale", type=float, default=10, help="percent of the camera's pixels")
    parser.add_argument("--false-alarms", type=int, default=0, metavar="IMAGES")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.renderer:
        rendered(arguments.out, arguments.renderer, arguments.scale, arguments.seed)
    found = numbers(arguments.out)
    print("| change | should be | named, in ten orders | found after |\n|---|---|---|---|")
    right = false = 0
    for number, (name, (cause, _)) in enumerate(CHANGES.items()):
        runs = [seen(found["stable"], found[f"change{number}"], order) for order in range(ORDERS)]
        named = Counter(run[0] or "not found" for run in runs)
        after = sorted(run[1] or 999 for run in runs)
        right += named.most_common(1)[0][0] == cause
        false += sum(run[2] for run in runs)
        words = ", ".join(f"{what} {count}" for what, count in named.most_common())
        print(f"| {name} | {cause} | {words} | {after[ORDERS // 2]} images (most {after[-1]}) |")
    print(f"the most frequent name is right for {right} of {len(CHANGES)}; {false} false alarms before the change, in "
          f"{ORDERS * len(CHANGES)} runs of {len(found['stable'])} stable images")
    if arguments.false_alarms:
        alarms = false_alarms(found["stable"], arguments.false_alarms)
        print(f"{alarms} false alarms among {arguments.false_alarms} stable images, drawn anew")


if __name__ == "__main__":
    main()
