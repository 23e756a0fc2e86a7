# SPDX-License-Identifier: Apache-2.0
"""Pictures of one image: arrays in, RGB pictures out.

All pictures are uint8 (h, w, 3) RGB. `side` is the length of the longer side in pixels; images are never enlarged.
When a picture is smaller than its image, a label that covers any part of a picture's pixel stays visible: a defect of
one pixel must not vanish from a thumbnail.
"""

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..metrics.counts import ClassLike
from ..runtime.errors import UserError
from . import palette

_TINT = 0.75  # of the colour laid over the photograph; the rest shows the surface
_BASE = 0.85  # brightness of the photograph under colours, else they pale on glare
_OUTSIDE = 0.4  # brightness left outside the inspected region
_BAR_TICKS = 5


def picture_size(size: Sequence[int], side: int | None) -> tuple[int, int]:
    """(h, w) of the picture of an image of size (H, W)."""
    height, width = size
    scale = 1.0 if side is None else min(1.0, side / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def photograph(image: np.ndarray, side: int | None = None) -> np.ndarray:
    """The (H, W, 3) float32 RGB image of range [0, 1] as a picture."""
    return _to_bytes(_shrunk(image, picture_size(image.shape[:2], side)))


_TALLEST_BAR, _LONGEST_JPEG = 8192, 65_500  # pixels
OUTLINE, OUTSIDE, CLASS_BITS = 64, 128, 63  # of `label_codes`


def label_codes(
    mask: np.ndarray, region: np.ndarray, classes: Sequence[ClassLike], side: int | None = None
) -> np.ndarray:
    """The labels as (h, w) uint8 for the report: in the lower six bits 0 or the class's place in `classes`, from 1.

    Bit 64: the outline of an impurity. Bit 128: outside the inspected region. `mask` is (H, W) uint8 of class ids.
    Where classes share a picture's pixel, a defect wins over an impurity, then the first.
    """
    size = picture_size(mask.shape, side)
    codes = np.zeros(size, np.uint8)
    places = sorted(enumerate(classes), key=lambda place: (place[1].kind == "defect", -place[0]))
    for position, class_info in places:
        codes[_any_of((mask == class_info.id) & region, size)] = min(position + 1, CLASS_BITS)
    impurity = np.isin(mask, [c.id for c in classes if c.kind == "impurity"]) & region
    if impurity.any():
        codes[_outline(_any_of(impurity, size))] |= OUTLINE
    codes[~_any_of(region, size)] |= OUTSIDE
    return codes


def largest(codes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(H, W) to `size`, each pixel the largest value of those it covers, so that no prediction vanishes."""
    if codes.shape == size:
        return codes
    rows, columns = (np.arange(small) * whole // small for small, whole in zip(size, codes.shape, strict=True))
    return np.maximum.reduceat(np.maximum.reduceat(codes, rows, 0), columns, 1)


def png(picture: np.ndarray) -> bytes:
    """(h, w) uint8 as a PNG, which a browser decodes to the same values."""
    good, data = cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    if not good:
        raise UserError("a picture could not be encoded as PNG")
    return data.tobytes()


def overlay(
    image: np.ndarray,
    predicted: np.ndarray,
    mask: np.ndarray,
    region: np.ndarray,
    classes: Sequence[ClassLike],
    side: int | None = None,
    located: bool = True,
    passed: np.ndarray | None = None,
) -> np.ndarray:
    """True positives green, false positives red, false negatives blue, impurities outlined.

    `predicted` and `region` are (H, W) bool, `mask` is (H, W) uint8. Nothing is drawn outside the region. Where a
    pixel of the picture covers several kinds, it takes the one that covers most of it. Where labels are not `located`
    nobody knows what is false, and what is predicted outside the mask has a colour of its own. What of the prediction
    was `passed` (H, W) bool as an impurity is no alarm: it has a colour of its own too, and on a defect it is a miss.
    """
    size = picture_size(mask.shape, side)
    canvas = _grey_base(image, region, size)
    positive = np.isin(mask, [c.id for c in classes if c.kind == "defect"]) & region
    let_through = np.zeros(mask.shape, bool) if passed is None else passed & predicted & region
    predicted = predicted & region & ~let_through
    kinds = _prevailing(
        [positive & predicted, predicted & ~positive, positive & ~predicted, let_through & ~positive], size
    )
    elsewhere = palette.FALSE_POSITIVE if located else palette.UNPLACED
    colours = (palette.TRUE_POSITIVE, elsewhere, palette.FALSE_NEGATIVE, palette.PASSED)
    for kind, colour in zip(kinds, colours, strict=True):
        _tint(canvas, kind, colour, _TINT)
    impurity = np.isin(mask, [c.id for c in classes if c.kind == "impurity"]) & region
    if impurity.any():
        _tint(canvas, _outline(_any_of(impurity, size)), palette.IMPURITY_OUTLINE, 1.0)
    return canvas


def with_names(picture: np.ndarray, named: Sequence[tuple[Sequence[int], str, palette.RGB]]) -> np.ndarray:
    """The picture with boxes (x, y, width, height) and what each holds written over them, in the given colours."""
    line = max(1, round(max(picture.shape) / 800))
    page = Image.fromarray(picture)
    draw, font = ImageDraw.Draw(page), _font(max(11, round(max(picture.shape) / 55)))
    for (x, y, width, height), _, colour in named:
        draw.rectangle((x - 2 - line, y - 2 - line, x + width + 1 + line, y + height + 1 + line), None, colour, line)
    written: list[tuple[int, int, int, int, str]] = []
    for (x, y, _, height), text, colour in named:  # over all boxes
        left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
        at_x = min(max(0, x - 2 - line), max(0, picture.shape[1] - (right - left) - 6))
        above = y - 2 - line - (bottom - top) - 6
        at_y = above if above >= 0 else min(y + height + 2 + line, picture.shape[0] - (bottom - top) - 6)
        place = (at_x, at_y, at_x + right - left + 5, at_y + bottom - top + 5)
        if any(text == other and _overlap(place, taken) for *taken, other in written):
            continue  # the neighbour says it already
        written.append((*place, text))
        draw.rectangle(place, (20, 20, 20))
        draw.text((at_x + 3 - left, at_y + 3 - top), text, fill=colour, font=font)
    return np.asarray(page)


def _overlap(one: Sequence[int], other: Sequence[int]) -> bool:
    """Of two rectangles (left, top, right, bottom)."""
    return one[0] <= other[2] and other[0] <= one[2] and one[1] <= other[3] and other[1] <= one[3]


def scale_top(threshold: float) -> float:
    """The score at the bright end of a model's colour scale: twice its threshold, so that the threshold is its middle.

    One scale for all images of a model, known before the first: pictures compare, and no map needs to be kept.
    """
    return 2 * threshold if threshold > 0 else 1.0


def anomaly_map(scores: np.ndarray, threshold: float, region: np.ndarray, side: int | None = None) -> np.ndarray:
    """The (H, W) float32 scores in colour, from 0 to `scale_top`, with a white line where they cross the threshold.

    Scores above the scale take its brightest colour.
    """
    size = picture_size(scores.shape, side)
    small = _shrunk(scores, size)
    levels = np.minimum(small * np.float32(min(255 / scale_top(threshold), 1e30)), 255).astype(np.uint8)
    canvas = colour_table()[levels]
    above = _any_of((scores >= np.float32(threshold)) & region, size)
    _tint(canvas, _outline(above), (255, 255, 255), 0.9)
    _tint(canvas, ~_any_of(region, size), (0, 0, 0), 1 - _OUTSIDE)
    return canvas


def with_colour_bar(picture: np.ndarray, threshold: float) -> np.ndarray:
    """The anomaly map with a bar on its right: raw score units, the threshold marked."""
    height = max(picture.shape[0], 120)
    shown = min(height, _TALLEST_BAR)  # of a line camera's picture the bar would be wider than the picture
    text, bar = _text_size(shown), max(8, shown // 32)
    gap, room = bar, round(4.6 * text)
    canvas = np.full((height, picture.shape[1] + 2 * gap + bar + room, 3), 255, np.uint8)
    canvas[: picture.shape[0], : picture.shape[1]] = picture
    left, top, bottom = picture.shape[1] + gap, text, height - 1 - text
    levels = np.linspace(255, 0, bottom - top).round().astype(np.uint8)
    canvas[top:bottom, left : left + bar] = colour_table()[levels][:, None]
    page = Image.fromarray(canvas)
    draw, font = ImageDraw.Draw(page), _font(text)
    for step in range(_BAR_TICKS):
        share = step / (_BAR_TICKS - 1)
        y = bottom - share * (bottom - top)
        label = f"{share * scale_top(threshold):.3g}"
        if step == _BAR_TICKS - 1:
            label = f">= {label}"
        if 2 * step == _BAR_TICKS - 1:
            label += " = t"
        draw.line([(left + bar, y), (left + bar + gap / 2, y)], fill=(60, 60, 60), width=max(1, text // 12))
        draw.text((left + bar + 0.8 * gap, y), label, fill=(30, 30, 30), font=font, anchor="lm")
    return np.asarray(page)


@lru_cache(maxsize=1)
def colour_table() -> np.ndarray:
    """(256, 3) uint8: the colours of the anomaly map from low to high, in even steps of lightness."""
    return cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_INFERNO)[:, 0, ::-1].copy()


def jpeg(picture: np.ndarray, quality: int) -> bytes:
    """The picture as JPEG, colours at full resolution, since overlays have thin coloured lines.

    What is longer than the format's 65,535 pixels, as two pictures of a line camera side by side, is made smaller.
    """
    picture = _shrunk(picture, picture_size(picture.shape[:2], _LONGEST_JPEG))
    flags = [
        cv2.IMWRITE_JPEG_QUALITY, quality,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
        cv2.IMWRITE_JPEG_OPTIMIZE, 1,
    ]
    done, data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), flags)
    if not done:
        raise UserError(f"cannot encode a picture of {picture.shape[1]} x {picture.shape[0]} pixels as JPEG")
    return data.tobytes()


def _to_bytes(image: np.ndarray) -> np.ndarray:
    return (np.clip(image, 0, 1) * 255).round().astype(np.uint8)


def _shrunk(array: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    if array.shape[:2] == size:
        return array
    return cv2.resize(np.ascontiguousarray(array), size[::-1], interpolation=cv2.INTER_AREA)


def _prevailing(kinds: list[np.ndarray], size: tuple[int, int]) -> list[np.ndarray]:
    """Disjoint (H, W) bool kinds at another size, still disjoint: the one with the largest share takes a pixel."""
    if kinds[0].shape == size:
        return kinds
    shares = np.stack([_shrunk(kind.astype(np.float32), size) for kind in kinds])
    largest = shares.argmax(0)
    return [(largest == k) & (share > 0) for k, share in enumerate(shares)]


def _any_of(inside: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    if inside.shape == size:
        return inside
    return _shrunk(inside.astype(np.float32), size) > 0


def _grey_base(image: np.ndarray, region: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    grey = cv2.cvtColor(_shrunk(image, size), cv2.COLOR_RGB2GRAY)
    grey = grey * np.where(_any_of(region, size), _BASE, _OUTSIDE)
    return np.repeat(_to_bytes(grey)[..., None], 3, 2)


def _tint(canvas: np.ndarray, where: np.ndarray, colour: palette.RGB, share: float) -> None:
    if share == 1:
        canvas[where] = colour
        return
    before = np.arange(256) * (1 - share)
    for channel, value in enumerate(colour):
        after = (before + value * share).round().astype(np.uint8)
        canvas[..., channel][where] = after[canvas[..., channel][where]]


def _outline(inside: np.ndarray) -> np.ndarray:
    """The ring just outside of (h, w) bool, so that what it encloses stays visible; wider in large pictures."""
    width = max(1, round(max(inside.shape) / 700))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * width + 1, 2 * width + 1))
    return cv2.dilate(inside.astype(np.uint8), kernel).astype(bool) & ~inside


def _font(size: int) -> ImageFont.FreeTypeFont:
    # Pillow's own, without the sign ≥: where exported models run, there is no other.
    return ImageFont.load_default(size)


def _text_size(height: int) -> int:
    return int(np.clip(height // 28, 11, 48))
