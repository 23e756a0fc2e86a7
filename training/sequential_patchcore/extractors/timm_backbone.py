# SPDX-License-Identifier: Apache-2.0
"""Patch vectors from a convolutional network that was trained on ImageNet: feature maps of a timm model."""

import torch
from torch.nn import functional

from ..runtime.choices import ONNX, TORCH
from ..runtime.errors import UserError
from .alignment import measure_offsets, resample
from .base import ExtractorSettings, average_pool, channels_last, half_precision
from .folding import folded
from .onnx_engine import TOLERANCE, OnnxEngine, agreeing_engine, largest_difference
from .onnx_graph import network_graph
from .timm_models import feature_network, fingerprint_of, input_statistics, name_of_weights

STRIDES = (8, 16)  # of the maps that are taken unless others are asked for


class TimmBackbone:
    """The paper's feature extractor (section IV): average-pooled maps, upsampled to the finest grid, concatenated.

    Args:
        settings: see `ExtractorSettings`; `layers` are names of timm's maps, by default those at strides 8 and 16.
        weights: "hub" (timm's own, downloaded once), "none" (random, drawn with a fixed seed), or a file that timm
            can load into the model of this name (.pth, .safetensors).

    Attributes beyond those of `Extractor`:
        strides: of the maps, the finest first.
        starts: where the first cell of the finest map looks, in cells of each map.
        whole_cells: whether images are continued to a whole number of the coarsest cells.

    Raises:
        UserError: unknown model, no such feature maps, no weights to be had, or a file that does not fit.
    """

    def __init__(self, settings: ExtractorSettings, weights: str = "hub") -> None:
        self.settings = settings
        self._engine: OnnxEngine | None = None
        self._for_cpu: torch.nn.Module | None = None
        network, self._maps = feature_network(settings.backbone, weights, lambda info: _wanted(info, settings))
        info = network.feature_info
        self.network = network.eval().requires_grad_(False).to(memory_format=torch.channels_last)
        self.strides = [info.reduction()[position] for position in self._maps]
        self.dimension = sum(info.channels()[position] for position in self._maps)
        self.stride = self.strides[0]
        self.layers = [info.module_name()[position] for position in self._maps]
        self.preprocessing = input_statistics(network, settings.normalisation)
        padded_by_size = _pads_by_size(network)
        if padded_by_size:  # models from before this was heeded have other features on most sizes
            self.preprocessing |= {"size": "whole cells"}
        self.weights = name_of_weights(weights)
        self.weights_fingerprint = fingerprint_of(network)
        self.to(torch.device("cpu"))
        # The average over an even number of cells looks half a cell further on.
        further = 0.5 if settings.pool % 2 == 0 else 0.0
        measured = measure_offsets(self._by_network, self.strides)
        offsets = [offset + further * stride for offset, stride in zip(measured, self.strides, strict=True)]
        self.offset = offsets[0]
        self.whole_cells = padded_by_size or self._drops_part_of_a_cell()
        self.starts = [(self.offset - offset) / stride for offset, stride in zip(offsets, self.strides, strict=True)]

    def graph(self) -> bytes:
        """The network alone as a serialised ONNX model, see `onnx_graph.network_graph`."""
        return network_graph(self.network, self._maps, self.preprocessing)

    @property
    def engine(self) -> str:
        """What computes the maps of images on a CPU in float32: "torch" or "onnx"."""
        return TORCH if self._engine is None else ONNX

    @torch.inference_mode()
    def use_onnx(self, asked: str = ONNX) -> None:
        """Compute the maps by ONNX Runtime from now on, where that agrees with torch; see `agreeing_engine`."""
        self._engine = agreeing_engine(
            self.network, self._maps, self.preprocessing, self.weights_fingerprint, self._by_network, asked,
        )

    @property
    def copies(self) -> int:
        """How many copies of the weights torch holds for the images so far."""
        return 1 if self._for_cpu in (None, self.network) else 2

    @property
    def running_network(self) -> torch.nn.Module:
        """What computed the maps of the last images in torch: the network, or its folded copy."""
        return self.network if self._for_cpu is None else self._for_cpu

    def to(self, device: torch.device) -> "TimmBackbone":
        self.network.to(device)
        self._for_cpu = None
        self._mean, self._std = (
            torch.tensor(self.preprocessing[key], device=device)[:, None, None] for key in ("mean", "std")
        )
        return self

    @torch.inference_mode()
    def _drops_part_of_a_cell(self) -> bool:
        """VGG's pooling drops the pixels behind the last whole cell, where the others begin one more."""
        side = 2 * self.strides[-1] + 1
        return self._by_network(torch.zeros(1, 3, side, side))[-1].shape[-1] < 3

    def _maps_of(self, images: torch.Tensor, precision: str) -> list[torch.Tensor]:
        """(B, 3, H, W) RGB in [0, 1] to the maps, the finest first."""
        if self._engine is not None and precision == "float32" and images.device.type == "cpu":
            single = [self._engine(image[None]) for image in images]
            return single[0] if len(single) == 1 else [torch.cat(maps) for maps in zip(*single, strict=True)]
        network = self.network
        if precision == "float32" and images.device.type == "cpu":
            if self._for_cpu is None:
                self._for_cpu = self._folded()
            network = self._for_cpu
        with half_precision(precision, images.device):
            return self._by_network(images, network)

    def _by_network(self, images: torch.Tensor, network: torch.nn.Module | None = None) -> list[torch.Tensor]:
        """The maps by torch; by the network as it is unless another is given."""
        images = ((images - self._mean) / self._std).contiguous(memory_format=torch.channels_last)
        maps = (self.network if network is None else network)(images)
        return [maps[position].float() for position in self._maps]

    def _folded(self) -> torch.nn.Module:
        """The network with its batch norms folded where its maps then are the same up to rounding, else as it is."""
        network = folded(self.network).to(memory_format=torch.channels_last)
        try:
            difference = largest_difference(lambda images: self._by_network(images, network), self._by_network)
        except RuntimeError:  # a network whose parts are computed in another order than they stand in
            return self.network
        return network if difference <= TOLERANCE else self.network

    @torch.inference_mode()
    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        parts = []
        height, width = images.shape[-2:]
        if self.whole_cells:
            coarse = self.strides[-1]
            images = functional.pad(images, (0, -width % coarse, 0, -height % coarse), mode="replicate")
        maps_of_image = self._maps_of(images, self.settings.precision)
        for maps, stride, start in zip(maps_of_image, self.strides, self.starts, strict=True):
            pooled = average_pool(channels_last(maps), self.settings.pool)
            if parts:
                pooled = channels_last(resample(pooled, parts[0].shape[-2:], self.stride / stride, start))
            parts.append(functional.normalize(pooled, dim=1) if self.settings.unit_maps else pooled)
        cells = torch.cat(parts, 1)[..., : -(-height // self.stride), : -(-width // self.stride)]
        return cells.permute(0, 2, 3, 1).contiguous()


def _pads_by_size(network: torch.nn.Module) -> bool:
    """Whether it pads as TensorFlow does: a stride of 2 begins at the first pixel of an odd size and at the second of
    an even one. On sizes that are no whole number of the coarsest cells its maps would look up to a cell elsewhere than
    `measure_offsets` says."""
    return any(type(module).__name__.endswith("Same") for module in network.modules())


def _wanted(info: object, settings: ExtractorSettings) -> list[int]:
    """Positions of the feature maps to take, finest first."""
    reductions, names = info.reduction(), info.module_name()
    if not settings.layers:
        chosen = [position for position, step in enumerate(reductions) if step in STRIDES]
        if [reductions[position] for position in chosen] != list(STRIDES):
            raise UserError(
                f"backbone {settings.backbone} has feature maps at strides {reductions}, needed are 8 and 16; name "
                f"others with `layers` (of {', '.join(names)}), or choose another, such as mobilenetv3_large_100"
            )
        return chosen
    unknown = [name for name in settings.layers if name not in names]
    if unknown:
        strides = ", ".join(f"{name} (stride {step})" for name, step in zip(names, reductions, strict=True))
        raise UserError(f"backbone {settings.backbone} has no feature map {unknown[0]!r}; it has {strides}")
    return sorted({names.index(name) for name in settings.layers}, key=lambda position: reductions[position])
