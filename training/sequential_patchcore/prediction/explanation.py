# SPDX-License-Identifier: Apache-2.0
"""Why a photograph was judged so: its strangest patches, each beside the nominal patch that it is nearest to."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from ..model.file import Model
from ..report.overlays import jpeg
from ..runtime.files import atomic_path, write_text
from ..scoring.provenance import Provenance, context_pixels, piece
from ..scoring.scorer import Scorer

PATCHES = 4  # shown for each photograph
_APART = 8  # cells: the neighbours of a strange patch are strange for the same reason
_SIDE = 176
_LINE = 19
_PAPER, _INK, _PALE = (250, 250, 248), (20, 20, 20), (110, 110, 110)


@dataclass(frozen=True)
class Explanation:
    """One patch of a photograph, and the nominal patch nearest to it.

    Attributes:
        grid: (y, x) on the feature grid; `pixel` (row, column) in the photograph.
        distance: to the nearest coreset vector, before the map's blur.
        vector: that vector's row in the coreset.
        nominal: where it came from, see `Provenance.place`.
    """

    grid: tuple[int, int]
    pixel: tuple[float, float]
    distance: float
    vector: int
    nominal: dict


def explain(
    image: np.ndarray, scorer: Scorer, model: Model, provenance: Provenance, count: int = PATCHES
) -> list[Explanation]:
    """The patches with the largest distances, at least `_APART` cells from each other, the strangest first.

    Args:
        image: (H, W, 3) float32 RGB in [0, 1].
    """
    scored = scorer.patches(image)
    cells = scored.distances.shape
    left = scored.distances.copy()
    found = []
    while len(found) < count and np.isfinite(left.max()):
        y, x = (int(value) for value in np.unravel_index(int(left.argmax()), cells))
        left[max(0, y - _APART) : y + _APART + 1, max(0, x - _APART) : x + _APART + 1] = -np.inf
        vector, _ = scorer.nearest_vector(scored.vectors[y, x])
        found.append(
            Explanation(
                (y, x), scored.grid.pixel(y, x), float(scored.distances[y, x]), vector, provenance.place(vector)
            )
        )
    return found


def as_json(found: Sequence[Explanation]) -> list[dict]:
    return [
        {"grid": list(each.grid), "pixel": [round(value, 1) for value in each.pixel], "distance": each.distance,
         "nominal_vector": each.vector, "nominal": each.nominal}
        for each in found
    ]


def picture(image: np.ndarray, found: Sequence[Explanation], model: Model, provenance: Provenance) -> np.ndarray:
    """uint8 (h, w, 3) RGB: a column a patch, the photograph's piece above the nominal one."""
    width, gap, head = _SIDE, 14, 2 * _LINE + 6
    block = head + 2 * (width + 2 * _LINE + 10)
    canvas = Image.new("RGB", (gap + max(1, len(found)) * (width + gap), block + 2 * _LINE), _PAPER)
    draw = ImageDraw.Draw(canvas)
    draw.text((gap, 8), "strangest patches", fill=_INK, font_size=15)
    nominal = dict(provenance.pieces((each.vector for each in found), width))
    for number, each in enumerate(found):
        x, y = gap + number * (width + gap), head
        canvas.paste(Image.fromarray(piece(image, each.pixel, context_pixels(model), width)), (x, y))
        _centre_mark(draw, x, y, width)
        row, column = (round(value) for value in each.pixel)
        draw.text((x, y + width + 3), f"distance {each.distance:.4g}", fill=_INK, font_size=14)
        draw.text((x, y + width + 3 + _LINE), f"at x {column}, y {row}", fill=_PALE, font_size=13)
        y += width + 2 * _LINE + 10
        shown = nominal.get(each.vector)
        if shown is None:
            draw.rectangle((x, y, x + width - 1, y + width - 1), fill=(226, 222, 216))
            draw.text((x + 12, y + width // 2 - 10), "its image is not found", fill=_PALE, font_size=13)
        else:
            canvas.paste(Image.fromarray(shown), (x, y))
            _centre_mark(draw, x, y, width)
        place = each.nominal
        draw.text((x, y + width + 3), _fitted(draw, f"nearest: {place['image']}", width), fill=_INK, font_size=14)
        where = f"{place['dataset']}, patch {place['grid'][1]}, {place['grid'][0]}"
        draw.text((x, y + width + 3 + _LINE), _fitted(draw, where, width), fill=_PALE, font_size=13)
    return np.asarray(canvas)


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
    """Writes `explain/NAME.jpg` for each photograph as it is judged, and `explanations.json` for all of them."""

    def __init__(self, scorer: Scorer, model: Model, out: str | Path, places: Sequence[str] = ()) -> None:
        self._scorer, self._model, self._out = scorer, model, Path(out)
        self._provenance = Provenance(model, places)
        self._records: dict[str, list[dict]] = {}

    def __call__(self, path: str, name: str, image: np.ndarray) -> None:
        """
        Args:
            path: of the photograph, for the record.
            name: of the picture to write, without suffix.
            image: (H, W, 3) float32 RGB in [0, 1].
        """
        found = explain(image, self._scorer, self._model, self._provenance)
        self._records[path] = as_json(found)
        with atomic_path(self._out / "explain" / f"{name}.jpg") as beside:
            beside.write_bytes(jpeg(picture(image, found, self._model, self._provenance), 92))
        write_text(self._out / "explanations.json", json.dumps(self._records, indent=2) + "\n")
