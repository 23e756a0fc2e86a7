# SPDX-License-Identifier: Apache-2.0
"""What every feature extractor is: images in, a grid of patch vectors out, and an identity that models are bound to."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import cv2
import numpy as np
import torch

from ..runtime.choices import BOUNDS, DEFAULT_BACKBONE, NORMALISATIONS, PRECISIONS
from ..runtime.errors import UserError


@dataclass(frozen=True)
class ExtractorSettings:
    """Everything a person chooses about the features; stored in the model.

    Attributes:
        backbone: a timm model, or "filters".
        image_scale: factor on the image's size before the features (area average below 1).
        pool: width in grid cells of the average over neighbouring patches; 2 in the paper.
        unit_maps: scale each feature map's vector to unit length before the maps are put together.
        layers: names of the feature maps to take; empty: those at strides 8 and 16, of a transformer the last block.
        normalisation: of the images: "weights" (as the weights were trained), "imagenet", "half" or "none".
        projection: length of the vectors after a sparse random projection; 0 for none.
        precision: of the network's arithmetic: "float32", "bfloat16" or "float16"; distances are always float32.

    Raises:
        UserError: a value that cannot be.
    """

    backbone: str = DEFAULT_BACKBONE
    image_scale: float = 1.0
    pool: int = 2
    unit_maps: bool = False
    layers: tuple[str, ...] = ()
    normalisation: str = "weights"
    projection: int = 0
    precision: str = "float32"

    def __post_init__(self) -> None:
        for name in ("image_scale", "pool", "projection"):
            (least, most), value = BOUNDS[name], getattr(self, name)
            if not least <= value <= most:
                raise UserError(f"`{name}` {value}: expected {least:g} to {most:g}")
        for name, known in (("normalisation", NORMALISATIONS), ("precision", PRECISIONS)):
            if getattr(self, name) not in known:
                raise UserError(f"`{name}` {getattr(self, name)}: expected one of {', '.join(known)}")


class Extractor(Protocol):
    """A fixed function from images to patch vectors.

    Attributes:
        settings: what was chosen.
        dimension: D, the length of a patch vector.
        stride: pixels of the scaled image between neighbouring patches.
        offset: patch (y, x) looks at the scaled image around pixel (y, x) * stride + offset.
        weights: "hub", "random", "none needed", or the name of a weights file; for people.
        weights_fingerprint: hex digest of the weights' values; features are comparable only where it is equal.
        layers: names of the feature maps used.
        preprocessing: what happens to an image first, for the record.
        engine: what computes a network's maps on a CPU, "torch" or "onnx"; no part of the identity, since the vectors
            agree up to rounding.
    """

    settings: ExtractorSettings
    dimension: int
    stride: int
    offset: float
    weights: str
    weights_fingerprint: str
    layers: list[str]
    preprocessing: dict[str, Any]

    @property
    def engine(self) -> str: ...

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) float32 RGB in [0, 1] to (B, h, w, D) float32, h = ceil(H / stride), w = ceil(W / stride)."""
        ...

    def to(self, device: torch.device) -> "Extractor": ...


def identity(extractor: Extractor) -> dict[str, Any]:
    """What two models must share for their vectors to be comparable; JSON-ready.

    Settings that came later are left out at their defaults, so that older models still fit.
    """
    settings, default = asdict(extractor.settings), asdict(ExtractorSettings())
    later = ("normalisation", "projection", "precision")
    return {
        **{name: value for name, value in settings.items() if name not in later or value != default[name]},
        "dimension": extractor.dimension,
        "stride": extractor.stride,
        "layers": extractor.layers,
        "preprocessing": extractor.preprocessing,
        "weights_fingerprint": extractor.weights_fingerprint,
    }


def half_precision(precision: str, device: torch.device) -> AbstractContextManager:
    """Inside, a network computes in `precision` where that is harmless.

    Raises:
        UserError: float16 on a CPU, which computes it by emulation, a hundred times slower.
    """
    if precision == "float32":
        return nullcontext()
    if precision == "float16" and device.type == "cpu":
        raise UserError("`precision` float16 needs a GPU; on a CPU take bfloat16 or float32")
    return torch.autocast(device.type, dtype={"bfloat16": torch.bfloat16, "float16": torch.float16}[precision])


def to_tensor(image: np.ndarray, scale: float, device: torch.device) -> torch.Tensor:
    """(H, W, 3) float32 RGB in [0, 1] to (1, 3, H', W') on `device`, resized by `scale`."""
    if scale != 1.0:
        height, width = scaled_size(image.shape[:2], scale)
        mode = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        image = cv2.resize(image, (width, height), interpolation=mode)
    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].to(device)


def scaled_size(size: tuple[int, int], scale: float) -> tuple[int, int]:
    """(H, W) after scaling, at least one pixel each."""
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def average_pool(maps: torch.Tensor, width: int) -> torch.Tensor:
    """(B, C, h, w) averaged over `width` x `width` cells at stride 1, same size; the border is repeated."""
    if width == 1:
        return maps
    before, after = (width - 1) // 2, width // 2
    padded = torch.nn.functional.pad(maps, (before, after, before, after), mode="replicate")
    return torch.nn.functional.avg_pool2d(padded, width, stride=1)



def channels_last(maps: torch.Tensor) -> torch.Tensor:
    """(B, C, h, w) with the same values, on a CPU with those of a cell beside each other in memory.

    Averages over neighbours and the step to vectors are several times faster so.
    """
    if maps.device.type != "cpu" or maps.is_contiguous(memory_format=torch.channels_last):
        return maps
    if len(maps) > 1 or not maps.is_contiguous():
        return maps.contiguous(memory_format=torch.channels_last)
    channels, height, width = maps.shape[1:]  # torch transposes matrices in blocks, twice as fast as tensors
    return maps.view(channels, -1).t().contiguous().view(1, height, width, channels).permute(0, 3, 1, 2)
