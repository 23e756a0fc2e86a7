# SPDX-License-Identifier: Apache-2.0
"""From a model back to the feature extractor that it was made with."""

from dataclasses import asdict
from pathlib import Path

from ..extractors.base import Extractor, ExtractorSettings, identity
from ..extractors.builder import extractor_of
from ..model.file import Model
from ..runtime.choices import AUTO, FILTERS
from ..runtime.errors import UserError

_FREE = {"precision"}  # of the settings: it may be another than in training


def restore_extractor(
    model: Model, name: str, weights: str | None = None, precision: str | None = None, engine: str = AUTO
) -> Extractor:
    """The extractor that a model was made with.

    Args:
        name: the model's, for messages.
        weights: "hub", "none" or a file, where the place recorded in the model no longer holds.
        precision: of the network, where another than in training is wanted.
        engine: what computes the network's maps on a CPU, see `build_extractor`.

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
        raise UserError(f"{name} was made with weights from {place}, which is not there; say where they are: `weights`")
    extractor = extractor_of(settings, place, engine)
    check_extractor(extractor, model, name, place)
    return extractor


def check_extractor(extractor: Extractor, model: Model, name: str, place: str = "the extractor given") -> None:
    """Refuse an extractor whose vectors do not compare with the model's.

    Args:
        name: the model's, for messages.
        place: where the weights came from, for messages.

    Raises:
        UserError: other weights or settings, or images come to the network in another way; the precision is free.
    """
    made_with = model.extractor
    if extractor.weights_fingerprint != made_with["weights_fingerprint"]:
        raise UserError(
            f"{name} was trained with weights {made_with['weights_fingerprint']} ({made_with['weights']}), but {place} "
            f"has {extractor.weights_fingerprint}; give the right ones: `weights`"
        )
    if extractor.preprocessing != made_with["preprocessing"]:
        raise UserError(
            f"{name} was made by another version of this program, in which images came to "
            f"{extractor.settings.backbone} otherwise ({made_with['preprocessing']}, now {extractor.preprocessing}); "
            "train it again"
        )
    # Settings that came later stand in no record while they have their defaults.
    there, here = asdict(ExtractorSettings()) | made_with, asdict(extractor.settings) | identity(extractor)
    if differing := sorted(key for key in here if key not in _FREE and there.get(key) != here[key]):
        key = differing[0]
        raise UserError(
            f"{name} was made with another extractor: {key} is {there.get(key)!r} there and {here[key]!r} here"
        )
