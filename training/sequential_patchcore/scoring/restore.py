# SPDX-License-Identifier: Apache-2.0
"""From a model file back to something that scores images."""

from pathlib import Path

from ..extractors.base import Extractor, ExtractorSettings
from ..extractors.builder import build_extractor
from ..model.file import Model
from ..runtime.choices import FILTERS
from ..runtime.errors import UserError
from .scorer import Scorer


def restore_extractor(
    model: Model, name: str, weights: str | None = None, precision: str | None = None
) -> Extractor:
    """The extractor that a model was made with.

    Args:
        name: the model's, for messages.
        weights: "hub", "none" or a file, where the place recorded in the model no longer holds.
        precision: of the network, where another than in training is wanted.

    Raises:
        UserError: its weights cannot be had, or have other values than the model was trained with; or another version
            of the program made it with other features.
    """
    made_with = model.extractor
    settings = ExtractorSettings(
        backbone=made_with["backbone"], image_scale=made_with["image_scale"], pool=made_with["pool"],
        unit_maps=made_with["unit_maps"],
        layers=() if made_with["backbone"] == FILTERS else tuple(made_with["layers"]),
        normalisation=made_with.get("normalisation", "weights"), projection=made_with.get("projection", 0),
        precision=precision or made_with.get("precision", "float32"),
    )
    place = weights or model.settings.get("weights") or "hub"
    if place not in ("hub", "none") and not Path(place).is_file():
        raise UserError(f"{name} was made with weights from {place}, which is not there; give them with --weights FILE")
    extractor = build_extractor(settings, place)
    if extractor.weights_fingerprint != made_with["weights_fingerprint"]:
        raise UserError(
            f"{name} was trained with weights {made_with['weights_fingerprint']} ({made_with['weights']}), but {place} "
            f"has {extractor.weights_fingerprint}; give the right ones with --weights"
        )
    if extractor.preprocessing != made_with["preprocessing"]:
        raise UserError(
            f"{name} was made by another version of this program, in which images came to {settings.backbone} "
            f"otherwise ({made_with['preprocessing']}, now {extractor.preprocessing}); train it again, with --overwrite"
        )
    return extractor


def scorer_of(
    model: Model, name: str, weights: str | None = None, device: object = "cpu", blur_sigma: float | None = None,
    precision: str | None = None,
) -> Scorer:
    """A model ready to score; the blur is the one it was made with unless given."""
    sigma = blur_sigma if blur_sigma is not None else float(model.settings.get("blur_sigma", 2.0))
    return Scorer(restore_extractor(model, name, weights, precision), model.features, sigma, device=device)
