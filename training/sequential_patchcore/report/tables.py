# SPDX-License-Identifier: Apache-2.0
"""The CSV tables of a results folder, from the dict that becomes metrics.json. Ratios are shares from 0 to 1."""

import csv
import io
from collections.abc import Callable, Sequence


def scenarios(metrics: dict) -> str:
    """One row a model, as in the paper's table II, with the counts."""
    rows = []
    for name, model in metrics["models"].items():
        pixel, counts, clean = model["pixel"], model["pixel"]["counts"], model["clean_images"]
        rows.append({
            "model": name,
            "precision": pixel["precision"],
            "recall": pixel["recall"],
            "f1": pixel["f1"],
            "mean_defect_wise_recall": model["mean_defect_wise_recall"],
            "auroc": pixel["auroc"],
            "average_precision": pixel["average_precision"],
            "aupro": pixel["aupro"],
            "image_auroc": model["image_auroc"],
            "image_precision": model["image_level"]["images"]["precision"],
            "image_recall": model["image_level"]["images"]["recall"],
            "image_f1": model["image_level"]["images"]["f1"],
            "plate_f1": model["image_level"]["plates"]["f1"],
            "plate_auroc": model["image_level"]["plates"]["auroc"],
            "threshold": model["threshold"],
            "true_positive": counts["true_positive"],
            "false_positive": counts["false_positive"],
            "false_negative": counts["false_negative"],
            "true_negative": counts["true_negative"],
            "false_positive_on_impurities": counts["false_positive_on_impurities"],
            "images": model["images"],
            "clean_images": clean["images"],
            "clean_images_with_false_positives": clean["images_with_false_positives"],
            "clean_false_positive_pixels": clean["false_positive_pixels"],
            "false_positive_regions": model["false_positive_regions"]["regions"],
            "false_positive_regions_per_image": model["false_positive_regions"]["per_image"],
            "false_positive_regions_per_clean_image": model["false_positive_regions"]["per_clean_image"],
            **_interval_columns(model, ("precision", "recall", "f1", "mean_defect_wise_recall", "auroc",
                                     "average_precision")),
            "groups": model["bootstrap"]["groups"],
        })
    return _csv(rows)


def per_class(metrics: dict) -> str:
    """One row a model and class, as in the paper's table I."""
    columns = (
        "kind", "pixel_recall", "predicted_pixels", "pixels", "defect_wise_recall", "detected_instances", "instances"
    )
    return _csv([
        {"model": name, "class": label, **{column: values[column] for column in columns},
         **_interval_columns(model, (f"pixel_recall.{label}", f"defect_wise_recall.{label}"), f".{label}")}
        for name, model in metrics["models"].items()
        for label, values in model["classes"].items()
    ])


def coverage_sweep(metrics: dict) -> str:
    """One row a model, class and coverage; the class "mean" is the mean over the defect classes."""
    rows = []
    for name, model in metrics["models"].items():
        sweep = model["coverage_sweep"]
        for label, values in sweep["classes"].items():
            for k, percent in enumerate(sweep["percent"]):
                rows.append({
                    "model": name, "class": label, "kind": values["kind"], "coverage_percent": percent,
                    "defect_wise_recall": values["recall"][k], "detected_instances": values["detected_instances"][k],
                    "instances": values["instances"],
                })
        for percent, mean in zip(sweep["percent"], sweep["mean_over_defect_classes"], strict=True):
            rows.append({
                "model": name, "class": "mean", "kind": "defect", "coverage_percent": percent,
                "defect_wise_recall": mean, "detected_instances": None, "instances": None,
            })
    return _csv(rows)


def filter_sweep(metrics: dict) -> str:
    """One row a model, hysteresis and smallest region."""
    return _csv([
        {"model": name} | {key: value for key, value in row.items() if not isinstance(value, dict)}
        for name, model in metrics["models"].items() for row in model["filter_sweep"]
    ])


def threshold_sweep(metrics: dict) -> str:
    """One row a model and threshold: what the report's slider shows."""
    columns = ("threshold", "precision", "recall", "f1", "true_positive", "false_positive", "mean_defect_wise_recall",
               "clean_images_with_false_positives")
    rows = []
    for name, model in metrics["models"].items():
        sweep = model["threshold_sweep"]
        for k in range(len(sweep["threshold"])):
            rows.append({"model": name} | {column: sweep[column][k] for column in columns})
    return _csv(rows)


def false_positive_regions(metrics: dict) -> str:
    """One row a model and size."""
    return _csv([
        {"model": name} | row for name, model in metrics["models"].items()
        for row in model["false_positive_regions"]["by_size"]
    ])


def verdicts(metrics: dict) -> str:
    """One row a model that names its alarms, and class: what its regions were taken for, or how many were lost."""
    rows = []
    for name, model in metrics["models"].items():
        found = model.get("verdicts", {"impurities": {}, "defects": {}})
        for label, shares in found["impurities"].items():
            rows.append({"model": name, "class": label, "kind": "impurity", "regions": shares["passed"]["of"]}
                        | {part: shares[part]["count"] for part in ("named", "passed", "unsure", "defect")}
                        | _share_columns(shares["passed"], "passed_share") | dict.fromkeys(_LOST))
        for label, lost in found["defects"].items():
            rows.append({"model": name, "class": label, "kind": "defect"}
                        | dict.fromkeys(key for key in rows[0] if key not in ("model", "class", "kind", *_LOST))
                        | {"views": lost["of"], "lost": lost["count"]} | _share_columns(lost, "lost_share")
                        | {"lost_at_most": lost["at_most"]})
    return _csv(rows) if rows else ""


_LOST = ("views", "lost", "lost_share", "lost_share_low", "lost_share_high", "lost_at_most")


def _share_columns(share: dict, name: str) -> dict[str, float | None]:
    low, high = share["interval"] or (None, None)
    return {name: share["share"], f"{name}_low": low, f"{name}_high": high}


TABLES: dict[str, Callable[[dict], str]] = {
    "scenarios": scenarios,
    "per_class": per_class,
    "coverage_sweep": coverage_sweep,
    "filter_sweep": filter_sweep,
    "threshold_sweep": threshold_sweep,
    "false_positive_regions": false_positive_regions,
    "verdicts": verdicts,
}
"""Name of the file to what makes it; empty text is no file."""


def _interval_columns(model: dict, names: Sequence[str], suffix: str = "") -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for name in names:
        low, high = model["bootstrap"]["intervals"].get(name) or (None, None)
        found |= {f"{name.removesuffix(suffix)}_low": low, f"{name.removesuffix(suffix)}_high": high}
    return found


def _csv(rows: list[dict]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)  # None becomes an empty field
    return text.getvalue()
