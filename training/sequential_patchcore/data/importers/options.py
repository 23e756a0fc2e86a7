# SPDX-License-Identifier: Apache-2.0
"""What a person chooses about an import, whatever the source is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...runtime.errors import UserError
from ..format import SPLITS
from .shapes import STROKE_WIDTH


@dataclass(frozen=True)
class ImportOptions:
    """Settings of an import; the command line has an option for each.

    Attributes:
        splits: a table (`split_table.read_table`), then only what it lists is taken; or "folders": by the folder
            train, val or test on an image's path.
        split_shares: of train, val, test: whole plates are shared out (`splits.share_out`).
        like: another data set with samples of the same names: split, group and region come from there, and classes
            and pixel size where they are not given. For other labels of the same images.
        default_split: the split of all images where nothing else says it.
        val_fraction: the share of the images of `test` that becomes `val` (`splits.draw_validation`).
        defects, impurities: class names by kind; without both every label is a defect.
        aliases: label -> class name.
        ignore: labels to leave out.
        good: labels of an image as a whole that say that it is clean: names of folders, tags, choices.
        group_by: regular expression for the physical part in an image's relative path.
        regions: "find" (a bright plate on a dark background), or a folder with a mask of each image's name. Shapes with
            the label `plate` are the region in any case, unless `plate` is listed as a class.
        margin: pixels off the region's border.
        line_width: pixels of what has no area of its own, lines and points.
        name: the data set's name; by default the folder's, or that of `like` and the source's.
        pixel_size_um: edge of a pixel on the surface in µm.
        exclude: patterns such as "*.xml" or "raw/*": files of these names or paths below the source are left out.
        pages: take each page of a file with several pictures as an image of its own.
        bit_depth: 9 to 15: the values of 16-bit pictures have so many bits and are scaled to the whole range.
        skip_bad: leave out the images that something is wrong with, instead of ending.
        overwrite: replace another data set in the output folder.
        memory_budget: what reading one image may take, such as "12GiB".
    """

    splits: str | Path | None = None
    split_shares: Sequence[float] | None = None
    like: str | Path | None = None
    default_split: str = "train"
    val_fraction: float = 0.0
    defects: Sequence[str] | None = None
    impurities: Sequence[str] | None = None
    aliases: Mapping[str, str] = field(default_factory=dict)
    ignore: Sequence[str] = ()
    good: Sequence[str] = ("good", "ok", "normal")
    group_by: str | None = None
    regions: str | Path | None = None
    margin: float = 0.0
    line_width: float = STROKE_WIDTH
    name: str | None = None
    pixel_size_um: float | None = None
    exclude: Sequence[str] = ()
    pages: bool = False
    bit_depth: int | None = None
    skip_bad: bool = False
    overwrite: bool = False
    memory_budget: str = "12GiB"

    def check(self) -> None:
        """
        Raises:
            UserError: a value out of its range, or two that exclude each other.
        """
        if self.default_split not in SPLITS:
            raise UserError(f"expected the split train, val or test, found {self.default_split!r}")
        ways = sum(way is not None for way in (self.splits, self.split_shares, self.like))
        if ways > 1 or (self.like is not None and self.group_by):
            raise UserError("the splits come from one place: `splits`, `split_shares`, or `like`, which has its own "
                            "plates")
        if not 0 <= self.val_fraction < 1:
            raise UserError(f"expected the validation share from 0 to below 1, found {self.val_fraction}")
        if self.bit_depth is not None and not 9 <= self.bit_depth <= 16:
            raise UserError(f"expected `bit_depth` from 9 to 16, found {self.bit_depth}")


DEFAULTS = ImportOptions()
