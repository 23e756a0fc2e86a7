# SPDX-License-Identifier: Apache-2.0
"""The data of the report's image browser: exact counts for every level of the threshold, and pictures of codes.

The page computes no figure from a picture. Counts come from tables that were made here over all pixels; the pictures,
which are smaller than the images, only show where.
"""

import base64
import json
from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup

from ..metrics.counts import COVERAGE_PERCENT
from ..metrics.threshold_sweep import ThresholdSweep
from . import overlays, palette
from .alarms import Alarm
from .cards import Card


def numbers(metrics: Mapping, cards: Sequence[Card], sweeps: Sequence[ThresholdSweep]) -> Markup:
    """The tables as JSON, safe inside a script element. Arrays are little-endian, as base64.

    `tp`, `fp`: uint32 (images, L). `highest`: int16 (instances of all images, 12), the highest level at which each is
    detected, for each coverage. `classPixels`: how many pixels of each class are predicted at each level.
    """
    classes = metrics["dataset"]["classes"]
    place = {class_info["id"]: k for k, class_info in enumerate(classes)}
    models: list[dict] = []
    for (name, model), sweep in zip(metrics["models"].items(), sweeps, strict=True):
        recorded = model["threshold_sweep"]
        models.append({
            "name": name,
            "colour": palette.css(palette.model_colour(len(models))),
            "levels": recorded["threshold"],
            "chosen": sweep.at,
            "top": overlays.scale_top(model["threshold"]),
            "tp": _packed(sweep.true_positive, "<u4"),
            "fp": _packed(sweep.false_positive, "<u4"),
            "highest": _packed([rows.reshape(-1) for rows in sweep.instances], "<i2"),
            "classPixels": [recorded["class_pixels"][class_info["name"]] for class_info in classes],
        })
    coverage = next(iter(metrics["models"].values()))["detection_coverage_percent"]
    return _json({
        "classes": [{**class_info, "colour": palette.class_colour(k)} for k, class_info in enumerate(classes)],
        "coverage": list(COVERAGE_PERCENT),
        "coverageChosen": coverage,
        "models": models,
        "colours": {
            "tp": palette.TRUE_POSITIVE, "fp": palette.FALSE_POSITIVE, "fn": palette.FALSE_NEGATIVE,
            "impurity": palette.IMPURITY_OUTLINE, "unplaced": palette.UNPLACED, "passed": palette.PASSED,
            "verdicts": {word: palette.css(palette.verdict_colour(word)) for word in ("defect", "unsure", "passed")},
            "map": overlays.colour_table()[::4].tolist(),
        },
        "images": [
            {
                "id": card.id,
                "width": card.width,
                "height": card.height,
                "positives": card.tiles[0].counts.tp + card.tiles[0].counts.fn,
                "clean": card.tiles[0].counts.clean,
                "whole": card.whole,
                "classPixels": {place[k]: v[0] for k, v in card.tiles[0].counts.class_pixels.items()},
                "instances": [place.get(i.class_id, -1) for i in card.tiles[0].counts.instances],
                "scores": [tile.counts.score for tile in card.tiles],
                "alarms": [[_alarm(alarm) for alarm in tile.alarms] for tile in card.tiles],
                "named": [tile.named for tile in card.tiles],
            }
            for card in cards
        ],
    })


def pictures(card: Card) -> Markup:
    """The pictures of one image as JSON: photograph (JPEG), labels and maps of levels (PNG), in base64.

    Of each model `maps` has how many levels the score reaches, `predicted` at how many the pixel is predicted; null
    where no filter acts, as both are the same. `passed` is what was passed under an impurity's name at the model's
    threshold; null of a model that does not name.
    """
    return _json({
        "photograph": _base64(card.photograph),
        "labels": _base64(card.labels),
        "maps": [_base64(tile.reached) for tile in card.tiles],
        "predicted": [tile.codes and _base64(tile.codes) for tile in card.tiles],
        "passed": [tile.passed and _base64(tile.passed) for tile in card.tiles],
        "alarms": [
            [{"here": _base64(alarm.picture), "nominal": alarm.nominal_picture and _base64(alarm.nominal_picture)}
             for alarm in tile.alarms]
            for tile in card.tiles
        ],
    })


def _alarm(alarm: Alarm) -> dict:
    nominal = alarm.explanation.nominal
    return {
        "x": alarm.x, "y": alarm.y, "code": alarm.code, "score": alarm.score, "distance": alarm.explanation.distance,
        "dataset": nominal.dataset, "sample": nominal.sample, "note": nominal.note,
        "place": None if nominal.position is None else [round(v) for v in reversed(nominal.position)],
    }


def _packed(arrays: Sequence[np.ndarray], kind: str) -> str:
    return _base64(np.concatenate(arrays).astype(kind).tobytes()) if arrays else ""


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _json(value: object) -> Markup:
    """JSON that cannot end the script element that holds it."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))
