# SPDX-License-Identifier: Apache-2.0
"""Which part of a photograph is judged: all of it, the plate that is found on it, or what a mask says."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from ..data.importers.plate_region import FIND, RegionSource
from ..runtime.errors import UserError
from ..runtime.progress import say

if TYPE_CHECKING:  # torch: an exported model needs none
    from ..scoring.anomaly_map import PatchScores

_LEAST_SHARE = 0.98  # of the usual; the border that `find_plate` finds moves by less than a percent of the area
_KNOWN_FROM, _REMEMBERED = 3, 200  # images


class InspectedRegions:
    """The inspected region of each photograph, as `import` finds it.

    Args:
        where: None for the whole image, "find" for a bright plate on a dark background, or a folder with a mask of each
            image's name.
        margin: pixels off the region's border that are left out too.

    Raises:
        UserError: no such folder, or a margin of nothing.
    """

    def __init__(self, where: str | Path | None, margin: float) -> None:
        if margin and where is None:
            raise UserError("`margin` is off the border of the inspected region; say where that is with `regions`")
        self._source, self._where, self._margin = RegionSource(where, margin), where, margin
        self._shares: list[float] = []

    @property
    def words(self) -> str:
        """What is judged, as a short text; "" where it is all of each image."""
        return f"{self._where} margin {self._margin:g}" if self.wanted else ""

    @property
    def wanted(self) -> bool:
        return self._where is not None

    def identity(self, path: Path) -> list:
        """What the region of an image depends on, JSON-ready; empty where all of every image is judged."""
        if not self.wanted:
            return []
        try:
            file = self._source.file_of(path.name, path.stem)
            mask = FIND if file is None else hashlib.sha256(file.read_bytes()).hexdigest()
        except (UserError, OSError) as error:
            mask = str(error)
        return [mask, self._margin]

    def of(self, path: Path, image: np.ndarray) -> np.ndarray:
        """(H, W) bool, the region of an (H, W, 3) image. A plate that looks smaller than the others is named.

        Raises:
            UserError: no mask of its name, a mask of another size, or nothing left inside the margin.
        """
        region = None
        if self.wanted:
            region = self._source.region_of(image, path.name, self._source.file_of(path.name, path.stem), None)
            self._compare(path, 1.0 if region is None else float(region.mean()))
        return np.ones(image.shape[:2], bool) if region is None else region

    def _compare(self, path: Path, share: float) -> None:
        """Say where a found plate covers less than those before: what is missing may be dark, or broken off."""
        usual = float(np.median(self._shares)) if len(self._shares) >= _KNOWN_FROM else 0.0
        if self._where == FIND and share < _LEAST_SHARE * usual:
            say(f"note: {path}: the plate that was found covers {share:.1%} of the image, {usual:.1%} in those before; "
                "look at what is left out, it was not judged")
        self._shares.append(share)
        del self._shares[:-_REMEMBERED]

    def say_summary(self) -> None:
        """How much of the images was judged, where regions were asked for."""
        if self.wanted and self._source.covered:
            say(self._source.summary())


def inspected_part(image: np.ndarray, scores: np.ndarray, region: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Image (h, w, 3) and map (h, w) of the rectangle around a (H, W) region, with the region's medians outside it.

    What numbers of a whole picture may be taken of.
    """
    x, y, width, height = cv2.boundingRect(region.astype(np.uint8))
    window = slice(y, y + height), slice(x, x + width)
    image, scores, outside = image[window].copy(), scores[window].copy(), ~region[window]
    if outside.any():
        image[outside] = np.median(image[~outside], axis=0)
        scores[outside] = np.median(scores[~outside])
    return image, scores


def inside_alone(scored: "PatchScores", region: np.ndarray) -> "PatchScores":
    """The patches with a distance of 0 where a cell is nearest to no pixel of the (H, W) region."""
    rows, columns = scored.grid.nearest_cells()
    first_rows, first_columns = (np.flatnonzero(np.diff(cells, prepend=-1)) for cells in (rows, columns))
    touched = np.logical_or.reduceat(np.logical_or.reduceat(region, first_rows, axis=0), first_columns, axis=1)
    inside = np.zeros(scored.distances.shape, bool)
    inside[np.ix_(rows[first_rows], columns[first_columns])] = touched
    return replace(scored, distances=np.where(inside, scored.distances, np.float32(0)))
