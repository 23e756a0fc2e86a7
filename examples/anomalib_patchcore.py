# SPDX-License-Identifier: Apache-2.0
"""anomalib's PatchCore in constant memory: its memory bank is a sequential coreset, built batch by batch.

    python examples/anomalib_patchcore.py [--data MVTEC_FOLDER --category NAME] [--pretrained] [--plain]

anomalib keeps the patches of all training images and thins them out at the end. `ConstantMemoryPatchcore` shows each
batch to a `SequentialCoreset` and forgets it; more epochs improve the coreset until one changes nothing. Everything
else is anomalib's: data, backbone, scores, metrics, checkpoints. `--plain` trains anomalib's own model instead, with a
coreset of the same size. Without `--data` plates with dents are made by code; without `--pretrained` the backbone is
random, and the same for both models.

Written for anomalib 2.7, beside which it needs this package. Prints one JSON object: the metrics, and the most memory
that the process held. tests/bench/bench_anomalib.py compares the two models.
"""

import argparse
import json
import tempfile
from pathlib import Path

import torch
from anomalib.data import MVTecAD
from anomalib.engine import Engine
from anomalib.models import Patchcore
from lightning.pytorch import seed_everything
from plates import make_plates
from sequential_patchcore import SequentialCoreset

PATCHES = 32 * 32  # of an image: 256 x 256 pixels, at the stride 8 of a ResNet's layer2


class ConstantMemoryPatchcore(Patchcore):
    """PatchCore with a bank of `coreset_size` vectors, and as many epochs as they need, at most `epochs`."""

    def __init__(self, coreset_size: int = 2048, epochs: int = 5, **arguments: object) -> None:
        super().__init__(**arguments)
        self.coreset, self.epochs = SequentialCoreset(coreset_size), epochs

    @property
    def trainer_arguments(self) -> dict:
        return super().trainer_arguments | {"max_epochs": self.epochs}

    def on_train_epoch_start(self) -> None:
        self._is_fitted = torch.tensor([False], device=self.device)  # anomalib then calls `fit` after this epoch too

    def training_step(self, batch: object, *args: object, **kwargs: object) -> torch.Tensor:
        loss = super().training_step(batch, *args, **kwargs)
        self.coreset.partial_fit(torch.cat(self.model.embedding_store))
        self.model.embedding_store.clear()
        return loss

    def fit(self) -> None:
        self.coreset.end_epoch()
        self.model.memory_bank = self.coreset.vectors_.to(self.model.memory_bank.dtype)
        self.trainer.should_stop = self.coreset.converged_


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of MVTec AD's layout; by default plates made by code")
    parser.add_argument("--category", default="plates")
    parser.add_argument("--images", type=int, default=24, help="training images that are made by code")
    parser.add_argument("--test-images", type=int, default=24, help="good ones, and as many with a dent")
    parser.add_argument("--plain", action="store_true", help="anomalib's own PatchCore, to compare with")
    parser.add_argument("--pretrained", action="store_true", help="with the backbone's weights, from timm's hub")
    parser.add_argument("--coreset-size", type=int, default=256)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0, help="of the order of the images, and of anomalib's coreset")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = chosen.data or Path(folder) / "data"
        if chosen.data is None:
            make_plates(root / chosen.category, chosen.images, chosen.test_images)
        data = MVTecAD(root, chosen.category, train_batch_size=4, eval_batch_size=4, num_workers=0)
        model = make_model(chosen, len(list((root / chosen.category / "train" / "good").glob("*.png"))))
        engine = Engine(default_root_dir=folder, accelerator="cpu", logger=False, enable_progress_bar=False)
        seed_everything(chosen.seed)
        engine.fit(model, datamodule=data)
        (metrics,) = engine.test(model, datamodule=data, verbose=False)
    print(json.dumps({"vectors": len(model.model.memory_bank), **metrics, "peak_mib": round(peak_mib())}))


def make_model(chosen: argparse.Namespace, images: int) -> Patchcore:
    seed_everything(0)  # of the random backbone
    common = {"backbone": "resnet18", "layers": ["layer2", "layer3"], "pre_trained": chosen.pretrained,
              "visualizer": False}
    if chosen.plain:
        return Patchcore(coreset_sampling_ratio=(chosen.coreset_size + 0.5) / (images * PATCHES), **common)
    return ConstantMemoryPatchcore(chosen.coreset_size, chosen.epochs, **common)


def peak_mib() -> float:
    """The most memory that this process held at one time (Linux)."""
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024


if __name__ == "__main__":
    main()
