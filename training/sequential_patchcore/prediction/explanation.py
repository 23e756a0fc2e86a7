# SPDX-License-Identifier: Apache-2.0
"""Why a photograph was judged so: its strangest patches, each beside the nominal patch that it is nearest to."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from ..model.file import Model
from ..naming.verdict import RegionVerdict
from ..report.overlays import jpeg
from ..runtime.files import atomic_path, write_text
from ..scoring.anomaly_map import PatchScores
from ..scoring.nearest_nominal import Explanation
from ..scoring.provenance import Provenance, context_pixels, piece
from ..scoring.scorer import Scorer
from .verdict_pictures import VerdictPictures

_SIDE = 176
_LINE = 19
_PAPER, _INK, _PALE = (250, 250, 248), (20, 20, 20), (110, 110, 110)


def as_json(found: Sequence[Explanation]) -> list[dict]:
    return [
        {
            "grid": list(explanation.cell), "pixel": _rounded(explanation.pixel),
            "distance": explanation.map_distance, "nominal_vector": explanation.vector,
            "nominal": {
                "dataset": explanation.nominal.dataset, "image": explanation.nominal.sample,
                "grid": list(explanation.nominal.cell), "pixel": _rounded(explanation.nominal.position),
            },
        }
        for explanation in found
    ]


def _rounded(place: tuple[float, float] | None) -> list[float] | None:
    return None if place is None else [round(value, 1) for value in place]


def picture(image: np.ndarray, found: Sequence[Explanation], model: Model, provenance: Provenance) -> np.ndarray:
    """uint8 (h, w, 3) RGB: a column a patch, the photograph's piece above the nominal one.

    Args:
        image: the photograph, (H, W, 3) float32 RGB in [0, 1].
    """
    width, gap, head = _SIDE, 14, 2 * _LINE + 6
    block = head + 2 * (width + 2 * _LINE + 10)
    canvas = Image.new("RGB", (gap + max(1, len(found)) * (width + gap), block + 2 * _LINE), _PAPER)
    draw = ImageDraw.Draw(canvas)
    draw.text((gap, 8), "strangest patches", fill=_INK, font_size=15)
    pieces = dict(provenance.pieces((explanation.vector for explanation in found), width))
    for number, explanation in enumerate(found):
        x, y = gap + number * (width + gap), head
        canvas.paste(Image.fromarray(piece(image, explanation.pixel, context_pixels(model), width)), (x, y))
        _centre_mark(draw, x, y, width)
        row, column = (round(value) for value in explanation.pixel)
        draw.text((x, y + width + 3), f"distance {explanation.map_distance:.4g}", fill=_INK, font_size=14)
        draw.text((x, y + width + 3 + _LINE), f"at x {column}, y {row}", fill=_PALE, font_size=13)
        y += width + 2 * _LINE + 10
        _draw_nominal(canvas, draw, x, y, explanation, pieces.get(explanation.vector))
    return np.asarray(canvas)


def _draw_nominal(
    canvas: Image.Image, draw: ImageDraw.ImageDraw, x: int, y: int, explanation: Explanation, shown: np.ndarray | None
) -> None:
    """The nominal patch's piece of image at (x, y), with its name below; a grey square where it is not found."""
    width, nominal = _SIDE, explanation.nominal
    if shown is None:
        draw.rectangle((x, y, x + width - 1, y + width - 1), fill=(226, 222, 216))
        draw.text((x + 12, y + width // 2 - 10), "its image is not found", fill=_PALE, font_size=13)
    else:
        canvas.paste(Image.fromarray(shown), (x, y))
        _centre_mark(draw, x, y, width)
    draw.text((x, y + width + 3), _fitted(draw, f"nearest: {nominal.sample}", width), fill=_INK, font_size=14)
    where = f"{nominal.dataset}, patch {nominal.cell[1]}, {nominal.cell[0]}"
    draw.text((x, y + width + 3 + _LINE), _fitted(draw, where, width), fill=_PALE, font_size=13)


def _centre_mark(draw: ImageDraw.ImageDraw, x: int, y: int, width: int) -> None:
    """Corners of the cell in the middle."""
    half = width / 2 / 8 * 1.6
    centre_x, centre_y = x + width / 2, y + width / 2
    box = (centre_x - half, centre_y - half, centre_x + half, centre_y + half)
    draw.rectangle(box, outline=(0, 0, 0), width=3)
    draw.rectangle(tuple(value + step for value, step in zip(box, (1, 1, -1, -1), strict=True)), outline="white")


def _fitted(draw: ImageDraw.ImageDraw, text: str, width: int) -> str:
    """Shortened in the middle, so that the telling end stays."""
    if draw.textlength(text, font_size=14) <= width:
        return text
    head, tail = text[: len(text) // 2], text[len(text) // 2 :]
    while draw.textlength(f"{head}…{tail}", font_size=14) > width and (head or tail):
        head, tail = (head[:-1], tail) if len(head) >= len(tail) else (head, tail[1:])
    return f"{head}…{tail}"


class Explainer:
    """Writes `explain/NAME.jpg` for each photograph as it is judged, and `explanations.json` for all of them.

    Of a model that names, `explain/NAME.verdicts.jpg` and `verdicts.json` too.

    Args:
        scorer: made of `model`.
        out: the folder of the predictions.
        verdicts: of a model that names.
    """

    def __init__(
        self, scorer: Scorer, model: Model, out: str | Path, verdicts: VerdictPictures | None = None
    ) -> None:
        self._scorer, self._model, self._out, self._verdicts = scorer, model, Path(out), verdicts
        self._records: dict[str, list[dict]] = {}
        self._named: dict[str, list[dict]] = {}

    def __call__(
        self, path: str, name: str, image: np.ndarray, scored: PatchScores, named: Sequence[RegionVerdict] = ()
    ) -> None:
        """
        Args:
            path: of the photograph, for the record.
            name: of the picture to write, without suffix.
            image: (H, W, 3) float32 RGB in [0, 1].
            scored: what the scorer made of it.
            named: the verdicts of its regions, of a model that names.
        """
        found = self._scorer.explain(scored)
        self._records[path] = as_json(found)
        with atomic_path(self._out / "explain" / f"{name}.jpg") as beside:
            beside.write_bytes(jpeg(picture(image, found, self._model, self._scorer.provenance), 92))
        write_text(self._out / "explanations.json", json.dumps(self._records, indent=2) + "\n")
        if self._verdicts is not None:
            self._named[path] = explained = self._verdicts.explain(scored, named)
            with atomic_path(self._out / "explain" / f"{name}.verdicts.jpg") as beside:
                beside.write_bytes(jpeg(self._verdicts.draw(image, explained), 92))
            write_text(self._out / "verdicts.json", json.dumps(self._named, indent=2) + "\n")
