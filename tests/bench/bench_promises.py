# SPDX-License-Identifier: Apache-2.0
"""Whether promised false-alarm rates are kept: random resplits by plate, a memory and a threshold made anew for each.

Each resplit trains a coreset on some plates and sets thresholds in five ways; the plates that are left are new. The
realised rate is the share of new plates that alarm, over all resplits. Patch vectors are computed once and kept:

    python tests/bench/bench_promises.py                                    # made plates that differ
    python tests/bench/bench_promises.py --data DATASET --weights FILE --backbone NAME --image-scale 0.15
    python tests/bench/bench_promises.py --data OUT --twin 184 --renderer .venv-blender/bin/python …    # rendered first

Of a data set all images without a defect are taken, whatever their split. A promise is kept where the realised rate is
at most the promised one and two standard errors of as many independent draws as there were resplits.
"""

import argparse
import re
import subprocess
import time
from pathlib import Path

import numpy as np
import torch
from sequential_patchcore.coreset.engine import CoresetEngine
from sequential_patchcore.metrics.conformal import false_alarm_threshold, plates_needed

RATES = (0.1, 0.05, 0.01)
ROWS = ("held out", "left out one by one", "the same + covering radius", "naive: trained-on scores",
        "naive: quantile of few")


def made_plates(plates: int, seed: int) -> list[np.ndarray]:
    """Per plate (48, 12) float32: a place of its own, a spread of its own, and now and then a mark."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(plates):
        vectors = rng.normal(size=12) * 0.5 + rng.normal(size=(48, 12)) * rng.gamma(6, 1 / 6)
        if rng.random() < 0.15:
            vectors[:4] += rng.standard_t(3, size=12)
        found.append(vectors.astype(np.float32))
    return found


def photographed_plates(arguments: argparse.Namespace) -> list[np.ndarray]:
    """Per plate (N, D) float32, the patches of its images without a defect."""
    from sequential_patchcore.data.dataset import open_dataset
    from sequential_patchcore.extractors.base import to_tensor
    from sequential_patchcore.extractors.builder import build_extractor

    data = open_dataset(arguments.data)
    extractor = build_extractor(arguments.backbone, weights=arguments.weights, image_scale=arguments.image_scale)
    defects = {info.name for info in data.classes if info.kind == "defect"}
    spoilt = {one.group or one.id for one in data.samples if defects & {each.class_name for each in one.instances}}
    by_plate: dict[str, list[np.ndarray]] = {}
    with torch.inference_mode():
        for sample in data.samples:
            if (plate := sample.group or sample.id) not in spoilt:
                patches = extractor(to_tensor(data.image(sample), arguments.image_scale, torch.device("cpu")))[0]
                by_plate.setdefault(plate, []).append(patches.reshape(-1, patches.shape[-1]).numpy().copy())
    return [np.concatenate(images) for images in by_plate.values()]


def render_twin(out: Path, plates: int, renderer: str) -> None:
    """Clean plates of the twin, two pictures of each, at 12 percent; what is there already is kept."""
    root = Path(__file__).resolve().parents[2]
    recipe = (root / "scenes" / "recipes" / "inspection_twin.toml").read_text().partition("[bump]")[0]
    changed = {"extends": f'"{root / "scenes" / "inspection.toml"}"', "name": '"twin_clean"', "plates": '"promise"',
               "count": str(2 * plates), "splits": f"{{ train = {plates} }}", "columns": "2", "rows": "1", "sides": "1"}
    for key, value in changed.items():
        recipe = re.sub(rf"(?m)^{key} = .*$", lambda _, key=key, value=value: f"{key} = {value}", recipe, count=1)
    file = out.with_suffix(".toml")
    file.write_text(recipe)
    subprocess.run([renderer, str(root / "blender_addon" / "render.py"), "--recipe", str(file), "--out", str(out),
                    "--scale", "12", "--samples", "4", "--threads", "1"], check=True)


def distances(patches: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """(N, D), (K, D) to (N, K) squared distances in float64."""
    patches, vectors = patches.astype(np.float64), vectors.astype(np.float64)
    squares = (patches**2).sum(1)[:, None] + (vectors**2).sum(1) - 2 * patches @ vectors.T
    return np.maximum(squares, 0)


def one_resplit(plates: list[np.ndarray], rng: np.random.Generator, trained: int, held: int, size: int) -> dict:
    """Thresholds by (row, rate), and the scores of the new plates."""
    order = rng.permutation(len(plates))
    engine = CoresetEngine(size, plates[0].shape[1])
    for number in order[:trained]:
        engine.update(torch.from_numpy(plates[number]), np.full(len(plates[number]), number))
    memory = engine.result()
    own, left_out, radius_sq = [], [], 0.0
    for number in order[:trained]:
        squares = distances(plates[number], memory.features)
        own.append(squares.min(1).max())
        radius_sq = max(radius_sq, own[-1])
        left_out.append(np.where(memory.patch_ids == number, np.inf, squares).min(1).max())
    rest = [float(np.sqrt(distances(plates[number], memory.features).min(1).max())) for number in order[trained:]]
    at_hand, new = np.float32(rest[:held]), np.float32(rest[held:])
    left = np.float32(np.sqrt(left_out))
    found = {}
    for rate in RATES:
        by_row = {
            "held out": false_alarm_threshold(at_hand[:, None], rate) if held >= plates_needed(rate) else None,
            "left out one by one": false_alarm_threshold(left[:, None], rate),
            "naive: trained-on scores": false_alarm_threshold(np.float32(np.sqrt(own))[:, None], rate),
            "naive: quantile of few": float(np.quantile(at_hand[:20], 1 - rate)),
        }
        if by_row["left out one by one"] is not None:
            by_row["the same + covering radius"] = by_row["left out one by one"] + float(np.sqrt(radius_sq))
        found |= {(row, rate): value for row, value in by_row.items() if value is not None}
    return {"thresholds": found, "new": new}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--backbone", default="filters")
    parser.add_argument("--weights", default="none")
    parser.add_argument("--image-scale", type=float, default=0.15)
    parser.add_argument("--cache", type=Path, help="NPZ of the patch vectors, made where it is not there")
    parser.add_argument("--twin", type=int, metavar="PLATES", help="render so many clean ones of the twin into --data")
    parser.add_argument("--renderer", default=".venv-blender/bin/python", help="of --twin: a Python with bpy")
    parser.add_argument("--plates", type=int, default=320, help="of the made ones")
    parser.add_argument("--resplits", type=int, default=200)
    parser.add_argument("--trained", type=int, default=100)
    parser.add_argument("--held-out", type=int, default=100)
    parser.add_argument("--coreset-size", type=int, default=256)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.twin:
        render_twin(arguments.data, arguments.twin, arguments.renderer)
    if arguments.data is None:
        plates, what = made_plates(arguments.plates, 1), "made plates"
    elif arguments.cache is not None and arguments.cache.is_file():
        with np.load(arguments.cache) as kept:
            plates, what = [kept[name] for name in kept.files], arguments.data.name
    else:
        plates, what = photographed_plates(arguments), arguments.data.name
        if arguments.cache is not None:
            np.savez(arguments.cache, *plates)
    start = time.monotonic()
    alarms: dict[tuple, int] = {}
    shown: dict[tuple, int] = {}
    for number in range(arguments.resplits):
        rng = np.random.default_rng((7, number))
        split = one_resplit(plates, rng, arguments.trained, arguments.held_out, arguments.coreset_size)
        for key, value in split["thresholds"].items():
            alarms[key] = alarms.get(key, 0) + int((split["new"] >= np.float32(value)).sum())
            shown[key] = shown.get(key, 0) + len(split["new"])
    print(f"{what}: {len(plates)} plates, {arguments.resplits} resplits, {arguments.trained} trained on, "
          f"{arguments.held_out} held out, {len(plates) - arguments.trained - arguments.held_out} new; coreset of "
          f"{arguments.coreset_size}; {time.monotonic() - start:.0f} s")
    print("| threshold from | " + " | ".join(f"promised {rate:g}" for rate in RATES) + " |")
    print("|---|" + "---|" * len(RATES))
    for row in ROWS:
        cells = []
        for rate in RATES:
            if (row, rate) not in shown:
                cells.append(f"needs {plates_needed(rate)} plates")
                continue
            realised = alarms[row, rate] / shown[row, rate]
            kept = realised <= rate + 2 * np.sqrt(rate * (1 - rate) / arguments.resplits)
            cells.append(f"{realised:.4f} {'kept' if kept else 'broken'}")
        print(f"| {row} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
