# SPDX-License-Identifier: Apache-2.0
"""What other programs make of this project's output: anomalib's metrics on the same maps, anomalib on exported data.

    make .venv-peers/.done
    .venv/bin/python tests/bench/check_peers.py [DATASET]

Metrics: pixel AUROC, average precision and AUPRO of made-up maps, by this project and by anomalib (in `.venv-peers`).
Export: DATASET in the MVTec layout, read by anomalib's `MVTecADDataset`: images a folder, defect pixels, and the same
number counted in the data set itself. Exit code 1 where they disagree.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PEERS = ROOT / ".venv-peers" / "bin" / "python"
ROUNDING = 1e-5  # of float32 sums over 500,000 pixels


def main() -> int:
    agreed = metrics()
    if len(sys.argv) > 1:
        agreed &= exported(Path(sys.argv[1]))
    return 0 if agreed else 1


def metrics() -> bool:
    from sequential_patchcore.metrics.ranking import ScoreHistogram

    rng = np.random.default_rng(0)
    scores, masks = [], []
    for _ in range(6):
        mask = np.zeros((256, 320), np.uint8)
        for _ in range(4):
            centre = [int(rng.integers(20, side - 20)) for side in mask.T.shape]
            cv2.circle(mask, centre, int(rng.integers(3, 18)), 1, -1)
        noise = rng.normal(size=mask.shape)
        smooth = 10 + 8 * cv2.GaussianBlur(noise, (0, 0), 3)
        scores.append((smooth + mask * rng.uniform(0.5, 1.5)).astype(np.float32))
        masks.append(mask)
    own = ScoreHistogram()
    for values, mask in zip(scores, masks, strict=True):
        own.add(values.ravel(), mask.ravel() > 0, cv2.connectedComponents(mask, connectivity=8)[1].ravel())
    ours = {"AUROC": own.auroc(), "average precision": own.average_precision(), "AUPRO": own.aupro()}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "maps.npz"
        np.savez(file, scores=np.stack(scores), masks=np.stack(masks))
        theirs = _worker("metrics_by_anomalib", file)
    for name, (value, error) in ours.items():
        print(f"{name}: {value:.6f}, stated error {error:.1g}, anomalib {theirs[name]:.6f}")
    return all(abs(value - theirs[name]) <= error + ROUNDING for name, (value, error) in ours.items())


def exported(path: Path) -> bool:
    from sequential_patchcore.data.dataset import open_dataset

    data = open_dataset(path)
    defects = [each.id for each in data.classes if each.kind == "defect"]
    pixels = sum(int(np.isin(data.mask(sample), defects).sum()) for sample in data.split("test"))
    counts = {split: len(data.split(split)) for split in ("train", "test")}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "mvtec"
        command = (sys.executable, "-m", "sequential_patchcore", "export", "mvtec", path, "--out", out)
        subprocess.run(command, check=True, capture_output=True)
        theirs = _worker("export_by_anomalib", out)
    print(f"{path}: {counts}, {pixels} defect pixels; anomalib: {theirs}")
    return theirs["pixels"] == pixels and theirs["counts"] == counts


def _worker(name: str, argument: Path) -> dict:
    done = subprocess.run((PEERS, __file__, "--as", name, argument), check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def metrics_by_anomalib(file: str) -> dict:
    import torch
    from anomalib.metrics.aupro import _AUPRO
    from torchmetrics.functional.classification import binary_auroc, binary_average_precision

    found = np.load(file)
    scores, masks = torch.from_numpy(found["scores"]), torch.from_numpy(found["masks"]).long()
    aupro = _AUPRO(fpr_limit=0.3)
    # anomalib takes maps between 0 and 1; the order of the scores is all that counts.
    unit = (scores - scores.min()) / (scores.max() - scores.min())
    aupro.update(unit, masks)
    return {
        "AUROC": float(binary_auroc(unit.flatten(), masks.flatten())),
        "average precision": float(binary_average_precision(unit.flatten(), masks.flatten())),
        "AUPRO": float(aupro.compute()),
    }


def export_by_anomalib(folder: str) -> dict:
    from anomalib.data.datasets.image.mvtecad import MVTecADDataset

    root, sets = Path(folder), {}
    for split in ("train", "test"):
        sets[split] = MVTecADDataset(root=root.parent, category=root.name, split=split)
    test = sets["test"]
    return {
        "counts": {split: len(each) for split, each in sets.items()},
        "folders": test.samples.label.value_counts().to_dict(),
        "pixels": sum(int(test[k].gt_mask.sum()) for k in range(len(test))),
    }


if __name__ == "__main__":
    if sys.argv[1:2] == ["--as"]:
        workers = {each.__name__: each for each in (metrics_by_anomalib, export_by_anomalib)}
        print(json.dumps(workers[sys.argv[2]](sys.argv[3])))
    else:
        sys.exit(main())
