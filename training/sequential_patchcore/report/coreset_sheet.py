# SPDX-License-Identifier: Apache-2.0
"""The coreset as a sheet of image pieces: what the detector takes for normal, at a glance."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from ..model.file import Model
from ..runtime.files import atomic_path
from ..runtime.progress import Progress
from ..scoring.provenance import Provenance
from .palette import model_colour

TILE = 44  # pixels of a piece on the sheet
_GAP = 2
_FRAME = 2  # in the data set's colour
_HEAD = 26
_MARGIN = 10
_MISSING = (70, 40, 40)
_PAPER = (24, 24, 26)


def write_sheet(model: Model, path: str | Path, places: Iterable[str | Path] = ()) -> int:
    """Draw every vector's piece of image, alike ones near each other, framed by the colour of their data set.

    Args:
        places: folders of data sets that are no longer where the model says.

    Returns:
        how many pieces are missing, their images not being found; they are shown as dark red squares.
    """
    order = alike(model.features)
    count = len(order)
    columns = max(1, round((count * 1.6) ** 0.5))
    step = TILE + 2 * _FRAME + _GAP
    names = list(dict.fromkeys(name for name, _ in model.sources))
    colour = {name: model_colour(number) if len(names) > 1 else _PAPER for number, name in enumerate(names)}
    rows = -(-count // columns)
    size = (2 * _MARGIN + columns * step - _GAP, 2 * _MARGIN + _HEAD + rows * step - _GAP)
    sheet = Image.new("RGB", size, _PAPER)
    where = {int(vector): divmod(place, columns) for place, vector in enumerate(order)}
    missing = 0
    with Progress("drawing the coreset", count, "vector") as progress:
        for vector, piece in Provenance(model, places).pieces((int(v) for v in order), TILE):
            row, column = where[vector]
            x, y = _MARGIN + column * step, _MARGIN + _HEAD + row * step
            name = model.sources[int(model.source[vector])][0]
            tile = Image.new("RGB", (TILE + 2 * _FRAME,) * 2, colour[name])
            inner = Image.new("RGB", (TILE, TILE), _MISSING) if piece is None else Image.fromarray(piece)
            missing += piece is None
            tile.paste(inner, (_FRAME, _FRAME))
            sheet.paste(tile, (x, y))
            progress.step()
    _write_head(sheet, model, names, colour)
    with atomic_path(path) as beside:
        sheet.save(beside)
    return missing


def alike(features: np.ndarray) -> np.ndarray:
    """(K, D) to an order (K,) in which neighbours are alike: rows along the first principal axis, then the second."""
    count = len(features)
    columns = max(1, round((count * 1.6) ** 0.5))
    centred = features.astype(np.float64) - features.mean(0, dtype=np.float64)
    _, axes = np.linalg.eigh(centred.T @ centred)
    scores = centred @ axes[:, [-1, -2]] if axes.shape[1] > 1 else np.repeat(centred, 2, 1)
    first = np.argsort(scores[:, 0], kind="stable")
    rows = [first[start : start + columns] for start in range(0, count, columns)]
    return np.concatenate([row[np.argsort(scores[row, 1], kind="stable")] for row in rows])


def _write_head(sheet: Image.Image, model: Model, names: list[str], colour: dict) -> None:
    draw = ImageDraw.Draw(sheet)
    text = f"{len(model.features)} vectors, {len(model.sources)} images, {model.extractor['backbone']}"
    draw.text((_MARGIN, _MARGIN), text, fill=(230, 230, 230), font_size=14)
    x = _MARGIN + int(draw.textlength(text, font_size=14)) + 24
    for name in names:
        draw.rectangle((x, _MARGIN + 2, x + 12, _MARGIN + 14), fill=colour[name])
        draw.text((x + 18, _MARGIN), name, fill=(230, 230, 230), font_size=14)
        x += 18 + int(draw.textlength(name, font_size=14)) + 24
