# SPDX-License-Identifier: Apache-2.0
"""From folders of pictures to a model, a threshold and a report, with the public functions alone.

    python examples/train_from_folders.py [DATA] [--out DIR] [--backbone mobilenetv3_large_100]

DATA is a data set as `sequential-patchcore import` makes it; without, plates are made by code and imported.
`filters`, the default, needs no weights; those of a network come from timm's hub or from a file (`--weights`).
"""

import argparse
import subprocess
import sys
from pathlib import Path

from plates import make_plates
from sequential_patchcore import Scorer, TrainSettings, build_extractor, evaluate, open_dataset, train


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", type=Path)
    parser.add_argument("--out", type=Path, default=Path("out/train_from_folders"))
    parser.add_argument("--backbone", default="filters")
    parser.add_argument("--weights", default="hub")
    parser.add_argument("--coreset-size", type=int, default=512)
    chosen = parser.parse_args()

    data = open_dataset(chosen.data or imported_plates(chosen.out))
    extractor = build_extractor(chosen.backbone, weights=chosen.weights)
    settings = TrainSettings(coreset_size=chosen.coreset_size, epochs=3)
    model = train([data], extractor, settings, out=chosen.out / "model.h5")
    print(f"{len(model.features)} vectors, within {model.certified_factor:.3f} times the best covering radius")

    scorer = Scorer(model, extractor=extractor)
    threshold = scorer.calibrate(data)
    result = evaluate({"plates": scorer}, data, out=chosen.out / "results")
    print(f"threshold {threshold.value:.4g}, pixel AUROC {result['models']['plates']['pixel']['auroc']:.3f}")
    print(f"report: {chosen.out / 'results' / 'report.html'}")

    sample = data.split("test")[0]
    scores = scorer.anomaly_map(data.image(sample))
    print(f"{sample.id}: {(scores >= threshold.value).mean():.2%} of the pixels are anomalous")


def imported_plates(out: Path) -> Path:
    """A data set of pictures in folders train/good, test/good, test/dent; half of the test pictures become val."""
    pictures = make_plates(out / "pictures", side=128, depth=60)
    command = ["import", "mvtec", str(pictures), "--out", str(out / "data"), "--val-fraction", "0.5", "--overwrite"]
    subprocess.run([sys.executable, "-m", "sequential_patchcore", *command], check=True)
    return out / "data"


if __name__ == "__main__":
    main()
