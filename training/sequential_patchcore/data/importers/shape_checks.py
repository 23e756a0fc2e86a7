# SPDX-License-Identifier: Apache-2.0
"""Whether labels fit their image: shapes outside it, without extent, without a pixel."""

import numpy as np

from ...runtime.errors import UserError
from .findings import Findings
from .items import Shape
from .outlines import Box, Polygon, Strokes

_OVERHANG = 1.0  # pixels beyond the border that are not worth a word: drawing tools round so


def checked_pixels(shape: Shape, size: tuple[int, int], line_width: float, findings: Findings) -> np.ndarray:
    """The pixels of a shape, bool (H, W), cut to the image; that something was cut or thin is noted.

    Raises:
        UserError: it lies outside, has no extent, or covers no pixel.
    """
    outline = shape.outline
    if outline.flaw:
        raise UserError(f"{shape.where}: {outline.flaw}")
    reach = line_width / 2 if isinstance(outline, Strokes) else 0.0
    if outline.bounds is not None:
        _check_place(shape, outline.bounds, reach, size, findings)
    if isinstance(outline, Polygon) and outline.is_flat:
        findings.note("{count} areas have no width: the pixels that they touch are labelled", shape.where)
    try:
        inside = outline.pixels(size, line_width)
    except UserError as error:
        text = str(error)
        raise UserError(text if text.startswith(shape.where) else f"{shape.where}: {text}") from error
    if not inside.any():
        raise UserError(f"{shape.where} covers no pixel of its image of {size[1]} x {size[0]} pixels")
    return inside


def _check_place(shape: Shape, bounds: Box, reach: float, size: tuple[int, int], findings: Findings) -> None:
    left, top, right, bottom = bounds
    height, width = size
    place = f"x {left:g} to {right:g}, y {top:g} to {bottom:g}"
    if right + reach <= 0 or bottom + reach <= 0 or left - reach >= width or top - reach >= height:
        raise UserError(f"{shape.where} lies outside its image of {width} x {height} pixels: {place}")
    if min(left, top) < -_OVERHANG or right > width + _OVERHANG or bottom > height + _OVERHANG:
        findings.note("{count} shapes reach beyond their image and were cut", f"{shape.where}: {place} of {width} x "
                      f"{height}")
