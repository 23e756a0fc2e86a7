# SPDX-License-Identifier: Apache-2.0
"""report.html: one file that holds its pictures, its style and its script, and asks nothing of a network."""

import base64
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from .. import __version__
from ..metrics.threshold_sweep import ThresholdSweep
from . import browser, overlays, palette
from .cards import OUTCOMES, QUALITY, Card, worst_first

_HERE = Path(__file__).parent
_TRAINING_PICTURES = 8  # of each model
_TRAINING_SIDE = 320
_FIGURE_TITLES = {
    "class_recall": "Recall by class",
    "coverage_sweep": "Defect-wise recall when detection asks for more coverage",
    "precision_recall": "Precision and recall over all thresholds",
    "filters": "What a smallest region and hysteresis would change",
    "replacements": "Coreset replacements in each epoch of training",
}
# Shown as a figure, as the banner, and in words beside it.
_HIDDEN_INFO = ("epochs", "random_weights", "coreset_composition")


def render(
    metrics: dict,
    cards: Sequence[Card],
    sweeps: Sequence[ThresholdSweep],
    figures: Mapping[str, Path],
    training_pictures: Mapping[str, Sequence[tuple[str, np.ndarray]]],
) -> str:
    """The page.

    Args:
        metrics: what metrics.json holds.
        cards: one per image, in the order of metrics["samples"].
        sweeps: one per model, with the counts of the same images.
        figures: name to the path of an SVG.
        training_pictures: model name to pairs of caption and (H, W, 3) picture, float in [0, 1] or uint8.
    """
    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": percent, "count": count, "number": number, "decimals": decimals, "jpeg": _jpeg_uri,
        "words": _words, "info": _info_text, "css": palette.css, "interval": interval, "breakable": _breakable,
    }
    models, classes = metrics["models"], metrics["dataset"]["classes"]
    return environment.get_template("report.html").render(
        metrics=metrics,
        models=[_shown_model(name, model, k) for k, (name, model) in enumerate(models.items())],
        named=[
            _shown_model(name, model, k) for k, (name, model) in enumerate(models.items()) if "verdicts" in model
        ],
        random_models=[name for name, model in models.items() if model["info"].get("random_weights")],
        classes=[{**info, "colour": palette.css(palette.class_colour(k))} for k, info in enumerate(classes)],
        cards=[(cards.index(card), card) for card in worst_first(cards)],
        outcomes=OUTCOMES,
        outcome_counts={key: sum(key in card.outcomes for card in cards) for key in OUTCOMES},
        data=browser.numbers(metrics, cards, sweeps),
        pictures=[browser.pictures(card) for card in cards],
        class_counts={info["name"]: sum(info["name"] in card.content for card in cards) for info in classes},
        filtered=any(
            model["rule"]["min_region"] > 1 or model["rule"]["hysteresis"] < 1 for model in models.values()
        ),
        training=_training_strips(training_pictures),
        figures=[(_FIGURE_TITLES.get(name, _words(name)), _svg_uri(path)) for name, path in figures.items()],
        gradient=_gradient(),
        palette=palette,
        style=Markup((_HERE / "report.css").read_text(encoding="utf-8")),
        script=Markup((_HERE / "report.js").read_text(encoding="utf-8")),
        version=__version__,
    )


def _shown_model(name: str, model: Mapping, position: int) -> dict:
    """A model of the record with what the page needs beside it."""
    return {
        "name": name,
        "colour": palette.css(palette.model_colour(position)),
        "top": overlays.scale_top(model["threshold"]),
        **model,
        "promise": model["info"].get("verdicts", ""),
        "info": {key: value for key, value in model["info"].items() if key not in _HIDDEN_INFO},
    }


def percent(share: float | None, digits: int = 1) -> str:
    """0.357 to "35.7"; a dash where the ratio is undefined. Not rounded up to 100 nor down to 0."""
    if share is None:
        return "–"
    text = f"{100 * share:.{digits}f}"
    least = 10.0**-digits
    if share > 0 and float(text) == 0:
        return f"< {least:.{digits}f}"
    if share < 1 and float(text) == 100:
        return f"> {100 - least:.{digits}f}"
    return text


def count(value: int) -> str:
    """12345 to "12 345", with narrow no-break spaces."""
    return f"{value:,}".replace(",", "\u202f")


def number(value: float | None, digits: int = 4) -> str:
    return "–" if value is None else f"{value:.{digits}g}"


def decimals(value: float | None) -> str:
    """Four decimals, for ratios that are usually near 1."""
    return "–" if value is None else f"{value:.4f}"


def interval(model: Mapping, name: str, digits: int = 1, factor: float = 100) -> str:
    """The bootstrap interval of a figure, "12.3 to 45.6"; empty where there is none."""
    found = model["bootstrap"]["intervals"].get(name)
    return "" if found is None else f"{factor * found[0]:.{digits}f} to {factor * found[1]:.{digits}f}"


def _training_strips(
    pictures: Mapping[str, Sequence[tuple[str, np.ndarray]]]
) -> list[tuple[list[str], list[tuple[str, bytes]]]]:
    """Per set of pictures the models that saw it, and its captions with JPEG files; equal sets are shown once."""
    strips: list[tuple[list[str], list[tuple[str, bytes]]]] = []
    for name, captioned in pictures.items():
        encoded = [(caption, _training_jpeg(picture)) for caption, picture in captioned[:_TRAINING_PICTURES]]
        if not encoded:
            continue
        same = next((names for names, strip in strips if strip == encoded), None)
        if same is None:
            strips.append(([name], encoded))
        else:
            same.append(name)
    return strips


def _training_jpeg(picture: np.ndarray) -> bytes:
    picture = np.asarray(picture)
    if picture.ndim == 2:
        picture = np.repeat(picture[..., None], 3, 2)
    if picture.dtype == np.uint8:
        picture = picture.astype(np.float32) / 255
    return overlays.jpeg(overlays.photograph(picture.astype(np.float32), _TRAINING_SIDE), QUALITY)


def _jpeg_uri(data: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(data).decode("ascii")


def _svg_uri(path: Path) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(path.read_bytes()).decode("ascii")


def _gradient() -> str:
    """The colour scale of the anomaly maps for CSS."""
    stops = [palette.css((int(r), int(g), int(b))) for r, g, b in overlays.colour_table()[::17]]
    return f"linear-gradient(to right, {', '.join(stops)})"


def _breakable(name: str) -> Markup:
    """The name with places where a narrow column may break it."""
    return Markup("<wbr>").join(re.split(r"(?<=[_.-])", name))


def _words(name: str) -> str:
    return name.replace("_", " ")


def _info_text(value: object) -> str:
    """A value of a model's info for reading."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return count(value) if abs(value) >= 10_000 else str(value)
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping):
        return "; ".join(f"{_words(str(key))}: {_info_text(inner)}" for key, inner in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(_info_text(inner) for inner in value)
    return str(value)
