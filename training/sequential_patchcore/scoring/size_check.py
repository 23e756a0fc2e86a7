# SPDX-License-Identifier: Apache-2.0
"""Whether an image fits into the memory budget, told from its header before it is decoded."""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from ..coreset.engine import bytes_needed
from ..data.dataset import reading_bytes
from ..data.photographs import picture_size
from ..extractors.footprint import Footprint
from ..runtime.choices import CHUNK_SIZE
from ..runtime.errors import UserError
from ..runtime.memory import Needs, gib, parse_size, plan
from .scorer import Scorer


def size_check(scorer: Scorer, vectors: int, budget: str) -> Callable[[Path], None]:
    """A check of picture files for a model of so many `vectors` and a budget such as "12GiB".

    The check raises a UserError for a picture that would not fit. One whose header cannot be read passes: the decoder
    will say what is wrong with it.
    """
    limit, extractor = parse_size(budget), scorer.extractor
    footprint = Footprint(extractor)
    coreset = partial(bytes_needed, vectors, extractor.dimension)

    def check(path: Path) -> None:
        size = picture_size(path)
        if size is None:
            return
        needs = Needs(
            footprint.image(size), footprint.features(size), coreset, reading_bytes(size), footprint.libraries,
            footprint.weights,
        )
        needed = plan(needs, sys.maxsize, CHUNK_SIZE).total
        if needed > limit:
            height, width = size
            raise UserError(
                f"{width} x {height} pixels ({height * width / 1e6:.0f} megapixels) take about {gib(needed)}, which "
                f"would not fit into the memory budget of {gib(limit)}; cut the image into parts, or raise "
                "`memory_budget`"
            )

    return check
