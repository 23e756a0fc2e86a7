# SPDX-License-Identifier: Apache-2.0
"""The CSV tables of a results folder, from the dict that becomes metrics.json. Ratios are shares from 0 to 1."""

import csv
import io


def scenarios(metrics: dict) -> str:
    """One row a model, as in the paper's table II, with the counts."""
    rows = []
    for name, of in metrics["models"].items():
        pixel, counts, clean = of["pixel"], of["pixel"]["counts"], of["clean_images"]
        rows.append({
            "model": name,
            "precision": pixel["precision"],
            "recall": pixel["recall"],
            "f1": pixel["f1"],
            "mean_defect_wise_recall": of["mean_defect_wise_recall"],
            "auroc": pixel["auroc"],
            "average_precision": pixel["average_precision"],
            "image_auroc": of["image_auroc"],
            "threshold": of["threshold"],
            "true_positive": counts["true_positive"],
            "false_positive": counts["false_positive"],
            "false_negative": counts["false_negative"],
            "true_negative": counts["true_negative"],
            "false_positive_on_impurities": counts["false_positive_on_impurities"],
            "images": of["images"],
            "clean_images": clean["images"],
            "clean_images_with_false_positives": clean["images_with_false_positives"],
            "clean_false_positive_pixels": clean["false_positive_pixels"],
        })
    return _csv(rows)


def per_class(metrics: dict) -> str:
    """One row a model and class, as in the paper's table I."""
    columns = (
        "kind", "pixel_recall", "predicted_pixels", "pixels", "defect_wise_recall", "detected_instances", "instances"
    )
    return _csv([
        {"model": name, "class": of, **{column: values[column] for column in columns}}
        for name, model in metrics["models"].items()
        for of, values in model["classes"].items()
    ])


def coverage_sweep(metrics: dict) -> str:
    """One row a model, class and coverage; the class "mean" is the mean over the defect classes."""
    rows = []
    for name, model in metrics["models"].items():
        sweep = model["coverage_sweep"]
        for of, values in sweep["classes"].items():
            for k, percent in enumerate(sweep["percent"]):
                rows.append({
                    "model": name, "class": of, "kind": values["kind"], "coverage_percent": percent,
                    "defect_wise_recall": values["recall"][k], "detected_instances": values["detected_instances"][k],
                    "instances": values["instances"],
                })
        for percent, mean in zip(sweep["percent"], sweep["mean_over_defect_classes"], strict=True):
            rows.append({
                "model": name, "class": "mean", "kind": "defect", "coverage_percent": percent,
                "defect_wise_recall": mean, "detected_instances": None, "instances": None,
            })
    return _csv(rows)


def _csv(rows: list[dict]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)  # None becomes an empty field
    return text.getvalue()
