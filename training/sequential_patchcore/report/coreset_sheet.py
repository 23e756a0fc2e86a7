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
_STEP = TILE + 2 * _FRAME + _GAP
_MISSING = (70, 40, 40)
_PAPER = (24, 24, 26)


def write_sheet(model: Model, path: str | Path, places: Iterable[str | Path] = ()) -> int:
    """Draw every vector's piece of image, alike ones near each other, framed by the colour of their data set.

    The nominal memory comes first; below it, each with a line of its own, the memories of the classes.

    Args:
        places: folders of data sets that are no longer where the model says.

    Returns:
        how many pieces are missing, their images not being found; they are shown as dark red squares.
    """
    parts = {"": model} | {name: model.of_memory(name) for name in model.memories}
    columns = max(_columns(len(part.features)) for part in parts.values())
    names = list(dict.fromkeys(name for part in parts.values() for name, _ in part.sources))
    colour = {name: model_colour(number) if len(names) > 1 else _PAPER for number, name in enumerate(names)}
    heights = [_HEAD + -(-len(part.features) // columns) * _STEP - _GAP for part in parts.values()]
    size = (2 * _MARGIN + columns * _STEP - _GAP, _MARGIN * (1 + len(parts)) + sum(heights))
    sheet = Image.new("RGB", size, _PAPER)
    places, top, missing = list(places), _MARGIN, 0
    with Progress("drawing the coreset", sum(len(part.features) for part in parts.values()), "vector") as progress:
        for (name, part), height in zip(parts.items(), heights, strict=True):
            title = f"{len(part.features)} vectors, {len(part.sources)} images, {part.extractor['backbone']}"
            if name:
                memory = model.memories[name]
                title = f"{name} ({memory.kind}): {len(part.features)} vectors of {memory.seen} patches, " \
                        f"{memory.images} images"
            _write_head(sheet, top, title, {} if name else colour)
            missing += _draw(sheet, (top + _HEAD, columns), part, colour, places, progress)
            top += height + _MARGIN
    with atomic_path(path) as beside:
        sheet.save(beside)
    return missing


def _draw(
    sheet: Image.Image, place: tuple[int, int], model: Model, colour: dict, places: list[str | Path], progress: Progress
) -> int:
    """The pieces of one memory, from (top, columns) on; how many are missing."""
    top, columns = place
    order = alike(model.features, columns)
    where = {int(vector): divmod(number, columns) for number, vector in enumerate(order)}
    missing = 0
    for vector, piece in Provenance(model, places).pieces((int(v) for v in order), TILE):
        row, column = where[vector]
        name = model.sources[int(model.source[vector])][0]
        tile = Image.new("RGB", (TILE + 2 * _FRAME,) * 2, colour[name])
        inner = Image.new("RGB", (TILE, TILE), _MISSING) if piece is None else Image.fromarray(piece)
        missing += piece is None
        tile.paste(inner, (_FRAME, _FRAME))
        sheet.paste(tile, (_MARGIN + column * _STEP, top + row * _STEP))
        progress.step()
    return missing


def _columns(count: int) -> int:
    return max(1, round((count * 1.6) ** 0.5))


def alike(features: np.ndarray, columns: int | None = None) -> np.ndarray:
    """(K, D) to an order (K,) in which neighbours are alike: rows along the first principal axis, then the second.

    Args:
        columns: length of a row; by default such that the sheet is wider than high.
    """
    count = len(features)
    columns = columns or _columns(count)
    centred = features.astype(np.float64) - features.mean(0, dtype=np.float64)
    _, axes = np.linalg.eigh(centred.T @ centred)
    scores = centred @ axes[:, [-1, -2]] if axes.shape[1] > 1 else np.repeat(centred, 2, 1)
    first = np.argsort(scores[:, 0], kind="stable")
    rows = [first[start : start + columns] for start in range(0, count, columns)]
    return np.concatenate([row[np.argsort(scores[row, 1], kind="stable")] for row in rows])


def _write_head(sheet: Image.Image, top: int, text: str, colour: dict) -> None:
    draw = ImageDraw.Draw(sheet)
    draw.text((_MARGIN, top), text, fill=(230, 230, 230), font_size=14)
    x = _MARGIN + int(draw.textlength(text, font_size=14)) + 24
    for name, shade in colour.items():
        draw.rectangle((x, top + 2, x + 12, top + 14), fill=shade)
        draw.text((x + 18, top), name, fill=(230, 230, 230), font_size=14)
        x += 18 + int(draw.textlength(name, font_size=14)) + 24
