# SPDX-License-Identifier: Apache-2.0
"""Where the inspected surface is on a photograph: found, read from a mask, or drawn; and a margin off its border."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import cv2
import numpy as np

from ...runtime.errors import UserError
from .. import png
from ..photographs import IMAGE_SUFFIXES
from .mask_file import half_of_largest, mask_values

FIND = "find"
PLATE_LABEL = "plate"  # a shape of this label is a region, unless it is listed as a class

_DARK = 0.5  # a background's mean is at most this share of the plate's: without one the plate fills the image
_BLUR = 1 / 400  # sigma over the longer side: grooves and noise go, the border stays
_CLOSE = 1 / 100  # radius over the longer side: what is narrower does not cut into the plate


def find_plate(image: np.ndarray) -> np.ndarray | None:
    """A bright plate on a dark background: the largest bright part of the image, its holes filled.

    The level between dark and bright is Otsu's, of the slightly blurred image.

    Args:
        image: uint8 or uint16, (H, W) grey or (H, W, 3) RGB.

    Returns:
        bool (H, W), or None where no dark background is seen, so that the plate fills the image.
    """
    grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    longer = max(grey.shape)
    grey = cv2.GaussianBlur(grey, (0, 0), max(longer * _BLUR, 0.5)).astype(np.float32)
    top = float(np.quantile(grey, 0.999))
    if top <= 0:
        return None
    grey = np.clip(grey * (255 / top), 0, 255).astype(np.uint8)
    _, bright = cv2.threshold(grey, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    inside = bright.astype(bool)
    if inside.all() or not inside.any() or grey[~inside].mean() > _DARK * grey[inside].mean():
        return None
    radius = max(round(longer * _CLOSE), 1)
    ball = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1,) * 2)
    count, parts, stats, _ = cv2.connectedComponentsWithStats(cv2.morphologyEx(bright, cv2.MORPH_CLOSE, ball))
    largest = 1 + int(np.argmax(stats[1:count, cv2.CC_STAT_AREA]))
    return _without_holes(parts == largest)


def shrink(region: np.ndarray, margin: float) -> np.ndarray:
    """The pixels of a bool (H, W) region that are farther than `margin` pixels from the nearest pixel outside it.

    The image's own edge is no border: there the surface goes on.
    """
    if margin <= 0 or region.all():
        return region
    return cv2.distanceTransform(region.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE) > margin


@dataclass
class RegionSource:
    """How an import comes by each image's region.

    Attributes:
        where: None (the whole image), "find", or a folder with a mask of each image's name.
        margin: pixels off the region's border.
        optional: whether an image without a mask in the folder is inspected as a whole.
        covered: the share of each image that is inspected, as they go by; for the report.
    """

    where: str | Path | None = None
    margin: float = 0.0
    optional: bool = False
    covered: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.where not in (None, FIND):
            self.where = Path(self.where)
            if not self.where.is_dir():
                raise UserError(f"`regions` {self.where}: no such folder; expected 'find', or a folder of masks")

    def as_dict(self) -> Mapping[str, object]:
        """For the data set's recipe: nothing where nothing was asked for."""
        if self.where is None and not self.margin:
            return {}
        return {"regions": FIND if self.where == FIND else self.where and "folder", "margin_px": self.margin}

    def file_of(self, name: str, sample_id: str) -> Path | None:
        """The mask file of an image, by its path below the source, its name, or its id.

        Raises:
            UserError: there is none, and one must be.
        """
        if not isinstance(self.where, Path):
            return None
        path = PurePosixPath(name)
        stems = dict.fromkeys([str(path.with_suffix("")), path.stem, sample_id, f"{path.stem}_mask"])
        for stem in stems:
            for suffix in IMAGE_SUFFIXES:
                file = self.where / (stem + suffix)
                if ".." not in PurePosixPath(stem).parts and file.is_file():
                    return file
        if self.optional:
            return None
        raise UserError(f"{name} has no region: expected {self.where / path.stem}.png")

    def region_of(
        self, image: np.ndarray, name: str, file: Path | None, drawn: np.ndarray | None
    ) -> np.ndarray | None:
        """The region of an image, bool (H, W), or None where all of it is inspected.

        Args:
            image: as `find_plate` takes it.
            name: for messages.
            file: of `file_of`.
            drawn: bool (H, W), what was drawn as the plate; it goes before the rest.

        Raises:
            UserError: a mask of another size, or nothing left to inspect.
        """
        region = drawn
        if region is None and file is not None:
            region = _read_mask(file, image.shape[:2])
        elif region is None and self.where == FIND:
            region = find_plate(image)
        if region is not None:
            region = shrink(region, self.margin)
            if not region.any():
                raise UserError(f"{name}: nothing of the plate is left to inspect"
                                + (f" inside a margin of {self.margin:g} pixels" if self.margin else ""))
        self.covered.append(1.0 if region is None else float(region.mean()))
        return None if region is None or region.all() else region

    @property
    def worth_saying(self) -> bool:
        """Whether anything was asked for or found."""
        return bool(self.covered) and (bool(self.as_dict()) or min(self.covered) < 1)

    def summary(self) -> str:
        """What a person should know before trusting what was found."""
        whole = sum(share == 1 for share in self.covered)
        parts = [share for share in self.covered if share < 1]
        text = f"plate region: in {len(parts)} of {len(self.covered)} images"
        if parts:
            text += f" it covers {np.median(parts):.0%} of the image (median; {min(parts):.0%} to {max(parts):.0%})"
        return text + (f"; {whole} are inspected as a whole" if whole else "")


def digest(file: Path) -> str:
    return hashlib.sha256(png.read_bytes(file)).hexdigest()


def _read_mask(file: Path, size: tuple[int, int]) -> np.ndarray:
    """Inside is what reaches half of the mask's largest value, so that 0 and 1 do as well as 0 and 255."""
    values = mask_values(png.read_bytes(file), file, size)
    return values >= half_of_largest(values)


def _without_holes(inside: np.ndarray) -> np.ndarray:
    """Parts of the outside that do not reach the image's edge become inside."""
    outside = np.pad(~inside, 1, constant_values=True).astype(np.uint8)
    _, parts = cv2.connectedComponents(outside, connectivity=4)
    return (parts != parts[0, 0])[1:-1, 1:-1]
