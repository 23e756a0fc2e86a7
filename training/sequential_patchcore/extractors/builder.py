# SPDX-License-Identifier: Apache-2.0
"""From the settings to the extractor that they name."""

from ..runtime.choices import AUTO, FILTERS, ONNX
from ..runtime.errors import UserError
from .base import Extractor, ExtractorSettings


def build_extractor(settings: ExtractorSettings, weights: str = "hub", engine: str = AUTO) -> Extractor:
    """The extractor of that name: the filter bank, or a timm model with `weights` ("hub", "none" or a file).

    Args:
        engine: what computes a convolutional network's maps on a CPU in float32: "onnx" (ONNX Runtime), "torch", or
            "auto" for the former where it is installed and agrees with the latter. On a GPU torch computes them.

    Raises:
        UserError: see `TimmBackbone`; weights were given for the filter bank, which has none; or the engine "onnx"
            where it cannot be.
    """
    extractor = _unprojected(settings, weights, engine)
    if not settings.projection:
        return extractor
    from .projection import Projected

    return Projected(extractor, settings)


def _unprojected(settings: ExtractorSettings, weights: str, engine: str) -> Extractor:
    if engine == ONNX and settings.backbone == FILTERS:
        raise UserError(f"the `engine` onnx is for networks; leave it out with the `backbone` {FILTERS}")
    if settings.backbone == FILTERS:
        if weights not in ("hub", "none"):
            raise UserError(f"--backbone {FILTERS} has no weights, but --weights {weights} was given; leave it out")
        only_networks = {"--layers": settings.layers, "--normalisation": settings.normalisation != "weights",
                         "--precision": settings.precision != "float32"}  # fmt: skip
        for option, given in only_networks.items():
            if given:
                raise UserError(f"{option} is for networks; leave it out with --backbone {FILTERS}")
        from .filters import FilterBank

        return FilterBank(settings)
    from .timm_models import is_transformer  # timm takes seconds to import

    if is_transformer(settings.backbone):
        if engine == ONNX:
            raise UserError(
                "the `engine` onnx holds a transformer's attention as one matrix of patches x patches; take torch"
            )
        from .transformer import TransformerPatches

        return TransformerPatches(settings, weights)
    from .onnx_engine import choose_engine
    from .timm_backbone import TimmBackbone

    backbone = TimmBackbone(settings, weights)
    if choose_engine(engine, settings.precision) == ONNX:
        backbone.use_onnx(engine)
    return backbone
