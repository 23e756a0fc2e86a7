# SPDX-License-Identifier: Apache-2.0
"""Why a region got its verdict: its deciding patch beside the nominal and the remembered patch that are nearest."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from ..model.file import Model
from ..naming.namer import Namer
from ..naming.verdict import RegionVerdict
from ..scoring.anomaly_map import PatchScores
from ..scoring.provenance import Provenance, context_pixels, piece
from ..scoring.scorer import Scorer

SHOWN = 6  # regions of an image, alarms first
_SIDE, _LINE, _GAP = 168, 19, 14
_PAPER, _INK, _PALE = (250, 250, 248), (20, 20, 20), (110, 110, 110)


class VerdictPictures:
    """Looks up the patches that regions were compared with.

    Args:
        scorer: made of the model.
        places: folders of data sets that are no longer where the model says.
    """

    def __init__(self, scorer: Scorer, model: Model, namer: Namer, places: Sequence[str] = ()) -> None:
        self._scorer, self._model, self._namer = scorer, model, namer
        self._memories = {name: Provenance(model.of_memory(name), places) for name in model.memories}

    def explain(self, scored: PatchScores, named: Sequence[RegionVerdict]) -> list[dict]:
        """Of the first `SHOWN` regions, alarms first, the verdict and the nearest remembered patch; JSON-ready."""
        found = []
        for region in sorted(named, key=lambda region: region.passed)[:SHOWN]:
            vector = scored.vectors[region.cell]
            nominal, _ = self._scorer.search.nearest_exactly(vector)
            memory = region.verdict if region.passed else region.nearest_memory
            record = {"verdict": region.verdict, **region.figures(), "nominal_vector": nominal}
            if memory is not None:
                row, distance = self._namer.searches[memory].nearest_exactly(vector)
                patch = self._memories[memory].nominal(row)
                record["remembered"] = {
                    "memory": memory, "vector": row, "distance": distance, "dataset": patch.dataset,
                    "image": patch.sample, "grid": list(patch.cell),
                }
            found.append(record)
        return found

    def draw(self, image: np.ndarray, explained: Sequence[dict]) -> np.ndarray:
        """uint8 (h, w, 3) RGB: a column a region, its patch above the nominal and the remembered one.

        Args:
            image: the photograph, (H, W, 3) float32 RGB in [0, 1].
            explained: of `explain`.
        """
        head, block = 2 * _LINE + 10, _SIDE + _LINE + 8
        size = _GAP + max(1, len(explained)) * (_SIDE + _GAP), head + 3 * block
        canvas = Image.new("RGB", size, _PAPER)
        draw = ImageDraw.Draw(canvas)
        nominal = dict(self._scorer.provenance.pieces((each["nominal_vector"] for each in explained), _SIDE))
        for column, each in enumerate(explained):
            x = _GAP + column * (_SIDE + _GAP)
            draw.text((x, 6), each["verdict"], fill=_INK, font_size=15)
            draw.text((x, 6 + _LINE), f"likeness {each['defect_likeness']:.3g}", fill=_PALE, font_size=13)
            where = each["at"][1], each["at"][0]
            remembered = each.get("remembered")
            rows = [
                (piece(image, where, context_pixels(self._model), _SIDE), f"at x {where[1]}, y {where[0]}"),
                (nominal.get(each["nominal_vector"]), f"nominal: {each['nominal_distance']:.4g}"),
            ]
            if remembered is not None:
                pieces = dict(self._memories[remembered["memory"]].pieces([remembered["vector"]], _SIDE))
                rows.append((pieces.get(remembered["vector"]),
                             f"{remembered['memory']}: {remembered['distance']:.4g}"))
            for row, (shown, text) in enumerate(rows):
                y = head + row * block
                if shown is None:
                    draw.rectangle((x, y, x + _SIDE - 1, y + _SIDE - 1), fill=(226, 222, 216))
                    draw.text((x + 12, y + _SIDE // 2 - 10), "its image is not found", fill=_PALE, font_size=13)
                else:
                    canvas.paste(Image.fromarray(shown), (x, y))
                draw.text((x, y + _SIDE + 2), text, fill=_INK, font_size=13)
        return np.asarray(canvas)
