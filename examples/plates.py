# SPDX-License-Identifier: Apache-2.0
"""Pictures for the other examples: grey plates with a grain, some with a shallow dent; in MVTec AD's layout."""

from pathlib import Path

import cv2
import numpy as np


def make_plates(root: Path, train: int = 12, test: int = 12, side: int = 256, depth: float = 32) -> Path:
    """Write train/good, test/good, test/dent and ground_truth/dent below `root`: `side` pixels square, 8 bits, grey; a
    dent is darker by `depth`."""
    rng = np.random.default_rng(0)
    for folder, count in (("train/good", train), ("test/good", test), ("test/dent", test)):
        for number in range(count):
            picture = 140 + cv2.GaussianBlur(rng.normal(0, 60, (side, side)).astype(np.float32), (0, 0), 1.5)
            y, x = rng.integers(side // 6, side - side // 6, 2)
            rows, columns = np.ogrid[:side, :side]
            dent = np.hypot(rows - y, columns - x) <= side * rng.uniform(0.025, 0.04)
            if folder == "test/dent":
                picture[dent] -= depth
                _write(root / "ground_truth" / "dent" / f"{number:03}_mask.png", dent * 255.0)
            _write(root / folder / f"{number:03}.png", picture)
    return root


def _write(path: Path, picture: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), np.clip(picture, 0, 255).astype(np.uint8)):
        raise OSError(f"cannot write {path}")
