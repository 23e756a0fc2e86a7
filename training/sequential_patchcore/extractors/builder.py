# SPDX-License-Identifier: Apache-2.0
"""From the settings to the extractor that they name."""

from ..runtime.choices import FILTERS
from ..runtime.errors import UserError
from .base import Extractor, ExtractorSettings


def build_extractor(settings: ExtractorSettings, weights: str = "hub") -> Extractor:
    """The extractor of that name: the filter bank, or a timm model with `weights` ("hub", "none" or a file).

    Raises:
        UserError: see `TimmBackbone`; or weights were given for the filter bank, which has none.
    """
    extractor = _unprojected(settings, weights)
    if not settings.projection:
        return extractor
    from .projection import Projected

    return Projected(extractor, settings)


def _unprojected(settings: ExtractorSettings, weights: str) -> Extractor:
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
        from .transformer import TransformerPatches

        return TransformerPatches(settings, weights)
    from .timm_backbone import TimmBackbone

    return TimmBackbone(settings, weights)
