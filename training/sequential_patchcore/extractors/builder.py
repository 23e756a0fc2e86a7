# SPDX-License-Identifier: Apache-2.0
"""From what a person chooses to the extractor that it names."""

import os
from collections.abc import Sequence
from pathlib import Path

from ..runtime.choices import AUTO, DEFAULT_BACKBONE, ENGINES, FILTERS, NORMALISATIONS, ONNX, PRECISIONS, TORCH
from ..runtime.errors import UserError
from .base import Extractor, ExtractorSettings


def build_extractor(
    backbone: str = DEFAULT_BACKBONE, *, weights: str | Path = "hub", layers: Sequence[str] = (), pool: int = 2,
    image_scale: float = 1.0, unit_maps: bool = False, normalisation: str = NORMALISATIONS[0], projection: int = 0,
    precision: str = PRECISIONS[0], engine: str = AUTO,
) -> Extractor:
    """A fixed function from images to patch vectors, on the CPU until it is moved by `.to(device)`.

    Called with images (B, 3, H, W), float32 RGB in [0, 1] on its device, it returns patches (B, h, w, D), float32, with
    h = ceil(H / stride) and w = ceil(W / stride). Its `dimension` is D, `stride` and `offset` say in pixels of the
    image given where a patch looks: patch (y, x) around (y * stride + offset, x * stride + offset).

    Args:
        backbone: a timm model, convolutional or a plain vision transformer, or "filters", a filter bank that needs no
            weights.
        weights: "hub" (timm's own, downloaded once), "none" (random, drawn with a fixed seed), or a file that timm can
            load into the model (.pth, .safetensors).
        layers: names of the feature maps, or of a transformer's blocks; by default the maps at strides 8 and 16, as in
            the paper, and a transformer's last block.
        pool: each patch is the average over pool x pool neighbours.
        image_scale: for whoever prepares the images (`train`, `Scorer`): the factor on their size.
        unit_maps: scale the vector of each feature map to unit length before they are put together.
        normalisation: of the images: "weights" (as the weights were trained), "imagenet", "half" or "none".
        projection: length of the vectors after a sparse random projection; 0 for none.
        precision: of the network's arithmetic: "float32", "bfloat16" or "float16"; the vectors are always float32.
        engine: what computes a convolutional network's maps on a CPU in float32: "onnx" (ONNX Runtime), "torch", or
            "auto" for the former where it is installed and agrees with the latter. On a GPU torch computes them.

    Raises:
        UserError: an unknown backbone or layer, a value out of its range, weights that cannot be had or do not fit;
            or the engine "onnx" where it cannot be.
    """
    if isinstance(layers, str):
        raise UserError(f"`layers` {layers!r}: expected a list of names, such as ['blocks.2', 'blocks.4']")
    settings = ExtractorSettings(
        backbone, image_scale, pool, unit_maps, tuple(layers), normalisation, projection, precision
    )
    return extractor_of(settings, os.fspath(weights), engine)


def extractor_of(settings: ExtractorSettings, weights: str = "hub", engine: str = AUTO) -> Extractor:
    """The extractor that the settings name, with `weights` and `engine` as for `build_extractor`.

    Raises:
        UserError: as `build_extractor`.
    """
    extractor = _unprojected(settings, weights, engine)
    if not settings.projection:
        return extractor
    from .projection import Projected

    return Projected(extractor, settings)


def _unprojected(settings: ExtractorSettings, weights: str, engine: str) -> Extractor:
    if engine not in ENGINES:
        raise UserError(f"`engine` {engine!r}: expected one of {', '.join(ENGINES)}")
    if settings.backbone == FILTERS:
        if engine == ONNX:
            raise UserError(f"`engine` {ONNX} is for networks; leave it out with `backbone` {FILTERS}")
        _refuse_what_filters_lack(settings, weights)
        from .filters import FilterBank

        return FilterBank(settings)
    from .timm_models import is_transformer  # timm takes seconds to import

    if is_transformer(settings.backbone):
        if engine == ONNX:
            raise UserError(
                f"`engine` {ONNX} would hold a transformer's attention as one matrix of patches x patches; take {TORCH}"
            )
        from .transformer import TransformerPatches

        return TransformerPatches(settings, weights)
    from .onnx_engine import choose_engine
    from .timm_backbone import TimmBackbone

    backbone = TimmBackbone(settings, weights)
    if choose_engine(engine, settings.precision) == ONNX:
        backbone.use_onnx(engine)
    return backbone


def _refuse_what_filters_lack(settings: ExtractorSettings, weights: str) -> None:
    if weights not in ("hub", "none"):
        raise UserError(f"`backbone` {FILTERS} has no weights, but `weights` {weights} was given; leave it out")
    only_networks = {
        "layers": bool(settings.layers), "normalisation": settings.normalisation != NORMALISATIONS[0],
        "precision": settings.precision != PRECISIONS[0],
    }
    for name, given in only_networks.items():
        if given:
            raise UserError(f"`{name}` is for networks; leave it out with `backbone` {FILTERS}")
