# SPDX-License-Identifier: Apache-2.0
"""What a report says about a model, and the summary that a command prints."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..data.dataset import open_dataset
from ..model.file import Model
from ..model.naming import promise_in_words
from ..runtime.errors import UserError
from .composition import coreset_composition

_PICTURES = 4  # of the training images, spread over the data sets


def describe_model(model: Model) -> dict:
    """The `info` of an `EvaluatedModel`."""
    threshold = model.threshold
    info = {
        "backbone": model.extractor["backbone"],
        "weights": model.extractor["weights"],
        "random_weights": model.extractor["weights"] == "random",
        "coreset_size": len(model.features),
        "dimension": model.features.shape[1],
        "image_scale": model.extractor["image_scale"],
        "trained_on": "; ".join(dict.fromkeys(f"{share['name']} ({share['images']} images)" for share in model.data)),
        "epochs": list(model.epochs),
        "converged": model.converged,
        "separation": model.separation,
        "covering_radius": model.covering_radius,
        "threshold_from": "by hand" if threshold is None or not threshold.calibrated_on else
        f"{threshold.method} on {threshold.calibrated_on['dataset']}/{threshold.calibrated_on['split']}",
        "fingerprint": model.fingerprint,
    }
    composition = coreset_composition(model)
    info |= {"coreset_composition": composition.as_dict(), "coreset_lies_on": "; ".join(composition.lines())}
    if model.memories:
        info["memories"] = ", ".join(f"{name} ({len(memory.vectors)})" for name, memory in model.memories.items())
    if model.naming is not None:
        info["verdicts"] = promise_in_words(model.naming.promise)
    if model.parents:
        info["made_from"] = ", ".join(model.parents)
    pictures = _training_pictures(model.data)
    return info | ({"training_pictures": pictures} if pictures else {})


def _training_pictures(data: Sequence[dict]) -> list[tuple[str, np.ndarray]]:
    """A few training images, while their data sets are still where they were."""
    shares = list({share["path"]: share for share in data}.values())
    pictures = []
    for share in shares:
        try:
            dataset = open_dataset(Path(share["path"]))
            samples = dataset.split("train")[: max(1, _PICTURES // len(shares))]
            pictures += [(f"{dataset.name}: {sample.id}", dataset.image(sample)) for sample in samples]
        except UserError:
            continue  # moved or deleted since: the report does without
    return pictures


def summary_table(metrics: dict) -> str:
    """The models side by side, as text."""
    columns = (
        "precision", "recall", "F1", "F1 from..to", "mean R_DW", "pixel AUROC", "pixel AP", "AUPRO", "image AUROC",
        "image F1", "threshold",
    )
    width = max(len("model"), *(len(name) for name in metrics["models"]))
    lines = [f"{'model':{width}}  " + "  ".join(f"{column:>11}" for column in columns)]
    for name, result in metrics["models"].items():
        pixel = result["pixel"]
        chance = result["bootstrap"]["intervals"].get("f1")
        values = (
            pixel["precision"], pixel["recall"], pixel["f1"], chance and "{:.3f}..{:.3f}".format(*chance),
            result["mean_defect_wise_recall"], pixel["auroc"], pixel["average_precision"], pixel["aupro"],
            result["image_auroc"], result["image_level"]["images"]["f1"], result["threshold"],
        )
        lines.append(f"{name:{width}}  " + "  ".join(f"{_short(value):>11}" for value in values))
    return "\n".join(lines)


def _short(value: float | str | None) -> str:
    if value is None:
        return "-"
    return value if isinstance(value, str) else format(value, ".4g")
