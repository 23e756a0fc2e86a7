# SPDX-License-Identifier: Apache-2.0
"""What a model's scores depend on beside the image; known without loading any weights.

Neither the device nor the engine of the features is among it: by them scores differ in rounding alone
(docs/deployment.md), and a threshold, an evaluation or a prediction of one holds for the other.
"""

from ..model.file import Model, Threshold

BLUR_SIGMA = 2.0  # pixels of the image; section V-B of the paper


def conditions_of(model: Model, precision: str | None = None, blur_sigma: float | None = None) -> dict:
    """The precision of the network and the sigma of the map's blur, JSON-ready: the model's own unless given."""
    return {
        "precision": precision or model.extractor.get("precision", "float32"),
        "blur_sigma": float(model.settings.get("blur_sigma", BLUR_SIGMA) if blur_sigma is None else blur_sigma),
    }


def departures(model: Model, conditions: dict) -> dict:
    """Those of the conditions that are not the model's own."""
    own = conditions_of(model)
    return {name: value for name, value in conditions.items() if value != own[name]}


def was_set_under(threshold: Threshold, model: Model, conditions: dict) -> bool:
    """Whether a threshold comes from scores under these conditions; what it does not name was the model's own."""
    named = threshold.calibrated_on.get("conditions")
    return conditions_of(model) | (named if isinstance(named, dict) else {}) == conditions
