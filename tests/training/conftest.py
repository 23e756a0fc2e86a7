# SPDX-License-Identifier: Apache-2.0
"""Small data sets made by code: grey plates with a noise texture, dark spots as defects, pale blots as impurities."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from sequential_patchcore.data.dataset import Dataset, open_dataset
from sequential_patchcore.data.format import ClassInfo
from sequential_patchcore.data.writer import DatasetWriter

HEIGHT, WIDTH = 96, 128
CLASSES = (ClassInfo(2, "dent", "defect"), ClassInfo(6, "water_stain", "impurity"))


def plate(rng: np.random.Generator, spotted: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """(96, 128) uint8 image and class ids; a spotted one has a dent (dark) and a stain (pale)."""
    image = rng.normal(140, 6, (HEIGHT, WIDTH))
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    if spotted:
        y, x = (int(rng.integers(20, limit)) for limit in (HEIGHT - 20, WIDTH // 2 - 10))
        rows, columns = np.ogrid[:HEIGHT, :WIDTH]
        for class_id, column, radius, change in ((2, x, 6, -90), (6, x + WIDTH // 2, 9, 12)):
            inside = (rows - y) ** 2 + (columns - column) ** 2 <= radius**2
            mask[inside] = class_id
            image[inside] += change
    return np.clip(image, 0, 255).astype(np.uint8), mask


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """The tensors of the tests are small: on a busy machine more threads only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """Graphs of networks are made anew, and nothing is left in the person's own cache folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEQUENTIAL_PATCHCORE_CACHE", str(tmp_path_factory.mktemp("graphs")))
        yield


@pytest.fixture(scope="session")
def plates() -> Callable[..., Dataset]:
    """Makes a data set: plates(folder, seed=0, train=4, val=2, test=2, regions={sample id: (H, W) bool}).

    Training plates train0, train1, ... are clean; the others, val0, ..., test0, ..., carry instance 1, a dent, and 2,
    a stain.
    """

    def make(
        folder: Path, seed: int = 0, train: int = 4, val: int = 2, test: int = 2, rendered: bool = False,
        regions: dict[str, np.ndarray] | None = None,
    ) -> Dataset:
        rng = np.random.default_rng(seed)
        with DatasetWriter(folder, folder.name, "test", CLASSES, rendered=rendered) as writer:
            for split, count in (("train", train), ("val", val), ("test", test)):
                for number in range(count):
                    image, mask = plate(rng, spotted=split != "train")
                    instances = np.where(mask == 2, 1, np.where(mask == 6, 2, 0)).astype(np.uint16)
                    classes = {1: 2, 2: 6} if mask.any() else {}
                    name = f"{split}{number}"
                    region = (regions or {}).get(name)
                    writer.add(name, image, mask, instances, classes, split, name, region=region)
        return open_dataset(folder)

    return make
