# SPDX-License-Identifier: Apache-2.0
"""Whether an image fits into the memory budget, told from its header before it is decoded."""

import warnings
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from ..extractors.base import scaled_size
from ..extractors.footprint import activation_bytes_per_pixel, weight_bytes
from ..runtime.errors import UserError
from ..runtime.memory import gib, parse_size, plan
from .scorer import Scorer


def size_check(scorer: Scorer, vectors: int, budget: str) -> Callable[[Path], None]:
    """A check of picture files for a model of so many `vectors` and a budget such as "12GiB".

    The check raises a UserError for a picture that would not fit. One whose header cannot be read passes: the decoder
    will say what is wrong with it.
    """
    limit, extractor = parse_size(budget), scorer.extractor
    activation, weights = activation_bytes_per_pixel(extractor), weight_bytes(extractor)

    def check(path: Path) -> None:
        try:
            with warnings.catch_warnings(action="ignore"), Image.open(path) as header:
                width, height = header.size
        except Exception:
            return
        scaled = scaled_size((height, width), extractor.settings.image_scale)
        try:
            plan(
                (height, width), scaled, extractor.dimension, extractor.stride, activation, vectors, 2048, limit,
                workers=0, augmented=False, weights=weights,
            )
        except UserError as error:
            raise UserError(
                f"{width} x {height} pixels would not fit into the memory budget of {gib(limit)}; cut the image into "
                "parts, or raise `memory_budget`"
            ) from error

    return check
