# SPDX-License-Identifier: Apache-2.0
"""Feature extractors: images in, patch vectors out."""

from ..errors import UserError
from ..names import FILTERS
from .base import Extractor, ExtractorSettings, digest, identity, scaled_size, to_tensor

__all__ = ["Extractor", "ExtractorSettings", "build_extractor", "digest", "identity", "scaled_size", "to_tensor"]


def build_extractor(settings: ExtractorSettings, weights: str = "hub") -> Extractor:
    """The extractor of that name: the filter bank, or a timm network with `weights` ("hub", "none" or a file).

    Raises:
        UserError: see `TimmBackbone`; or weights were given for the filter bank, which has none.
    """
    if settings.backbone == FILTERS:
        if weights not in ("hub", "none"):
            raise UserError(f"--backbone {FILTERS} has no weights, but --weights {weights} was given; leave it out")
        from .filters import FilterBank

        return FilterBank(settings)
    from .timm_backbone import TimmBackbone  # timm takes seconds to import

    return TimmBackbone(settings, weights)
