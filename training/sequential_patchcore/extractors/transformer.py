# SPDX-License-Identifier: Apache-2.0
"""Patch vectors from a vision transformer (DINOv2, DINOv3 and others of timm): its patch tokens.

Without `layers` the last block's tokens after the final norm are taken, as AnomalyDINO does (Damm, Laszkiewicz,
Lederer, Fischer, arXiv 2405.14529). A token is one patch of 14 or 16 pixels, and attention grows with the square of
their number: at 2448 x 2050 there are 25,725 or 19,737. `image_scale` is the way to fewer.
"""

import torch
from torch.nn import functional

from ..runtime.choices import TORCH
from ..runtime.errors import UserError
from .base import ExtractorSettings, average_pool, half_precision
from .timm_models import fingerprint_of, input_statistics, load_model, name_of_weights


class TransformerPatches:
    """Tokens of one or more blocks, each after the model's final norm, pooled like feature maps and concatenated.

    Args:
        settings: see `ExtractorSettings`; `layers` are names such as "blocks.5".
        weights: as for `TimmBackbone`.

    Attributes beyond those of `Extractor`:
        maps: how many blocks' tokens are put together.

    Raises:
        UserError: a model that cannot take images of any size, no such block, or no weights to be had.
    """

    def __init__(self, settings: ExtractorSettings, weights: str = "hub") -> None:
        self.settings = settings
        try:
            model = load_model(settings.backbone, weights, {"dynamic_img_size": True, "num_classes": 0})
            blocks, patch = len(model.blocks), model.patch_embed.patch_size[0]
        except (TypeError, AttributeError) as error:
            raise UserError(
                f"backbone {settings.backbone} cannot take images of any size ({error}); choose another, such as "
                "vit_small_patch14_dinov2, vit_small_patch16_dinov3 or mobilenetv3_large_100"
            ) from error
        self._blocks = _positions(settings, blocks)
        self.weights_fingerprint = fingerprint_of(model)
        self.preprocessing = input_statistics(model, settings.normalisation) | {"tokens": "after the final norm"}
        self.network = model.eval().requires_grad_(False)
        self.stride = int(patch)
        self.dimension: int = model.embed_dim * len(self._blocks)
        self.maps = len(self._blocks)
        self.layers = [f"blocks.{position}" for position in self._blocks]
        self.engine = TORCH
        self.weights = name_of_weights(weights)
        # A token is made of exactly its own square of pixels; the average over an even number looks half a cell on.
        self.offset = (self.stride - 1) / 2 + (self.stride / 2 if settings.pool % 2 == 0 else 0.0)
        self.to(torch.device("cpu"))

    def graph(self, size: tuple[int, int]) -> bytes:
        """The network alone, for images of (H, W) in whole patches, see `transformer_graph.transformer_graph`."""
        from .transformer_graph import transformer_graph

        return transformer_graph(self.network, self.settings.backbone, self._blocks, self.preprocessing, size)

    def to(self, device: torch.device) -> "TransformerPatches":
        self.network.to(device)
        self._mean, self._std = (
            torch.tensor(self.preprocessing[key], device=device)[:, None, None] for key in ("mean", "std")
        )
        return self

    @torch.inference_mode()
    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        images = (images - self._mean) / self._std
        height, width = images.shape[-2:]
        # The grid ends with the square begun last: the border is repeated up to its end.
        images = functional.pad(images, (0, -width % self.stride, 0, -height % self.stride), mode="replicate")
        with half_precision(self.settings.precision, images.device):
            tokens = self.network.forward_intermediates(
                images, indices=self._blocks, norm=True, stop_early=True, output_fmt="NCHW", intermediates_only=True
            )
        maps = [average_pool(block.float(), self.settings.pool) for block in tokens]
        if self.settings.unit_maps:
            maps = [functional.normalize(block, dim=1) for block in maps]
        return torch.cat(maps, 1).permute(0, 2, 3, 1).contiguous()


def _positions(settings: ExtractorSettings, blocks: int) -> list[int]:
    if not settings.layers:
        return [blocks - 1]
    names = {f"blocks.{position}": position for position in range(blocks)}
    unknown = [name for name in settings.layers if name not in names]
    if unknown:
        raise UserError(
            f"backbone {settings.backbone} has no block {unknown[0]!r}; it has blocks.0 to blocks.{blocks - 1}"
        )
    return sorted({names[name] for name in settings.layers})
