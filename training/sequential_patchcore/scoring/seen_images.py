# SPDX-License-Identifier: Apache-2.0
"""Whether a photograph is as large, and as near, as the images that a model was trained on."""

from collections.abc import Mapping, Sequence

_SAME_PIXEL = 0.05  # relative difference of two pixel sizes that are taken for one


class SeenImages:
    """The sizes of a model's training images, from what its file says of its data sets (`Model.data`).

    Files from before sizes were recorded, and those that hold something else in their place, know nothing.
    """

    def __init__(self, data: Sequence[Mapping]) -> None:
        sizes = [size for share in data for size in _pairs(share.get("image_sizes"))]
        self._heights, self._widths = ([size[axis] for size in sizes] for axis in (0, 1))
        pixels = [share.get("pixel_size_um") for share in data]
        self._pixels_um = [pixel for pixel in pixels if _is_number(pixel) and pixel > 0]

    def unlike(self, size: tuple[int, int], pixel_size_um: float | None) -> str | None:
        """What is different about an image, in words; None where nothing is, or nothing is known.

        Args:
            size: (H, W) in pixels.
            pixel_size_um: edge of a pixel on the surface, where that is known.
        """
        found = []
        (height, width), heights, widths = size, self._heights, self._widths
        inside = not heights or (
            min(heights) <= height <= max(heights) and min(widths) <= width <= max(widths)
        )
        if not inside:
            found.append(f"{width} x {height} pixels, the model saw {_range(widths)} x {_range(heights)}")
        alike = (abs(pixel_size_um / seen - 1) <= _SAME_PIXEL for seen in self._pixels_um if pixel_size_um)
        if pixel_size_um and self._pixels_um and not any(alike):
            found.append(f"pixels of {pixel_size_um:g} µm, the model saw {_range(self._pixels_um)} µm")
        return "; ".join(found) or None


def _range(values: Sequence[float]) -> str:
    low, high = min(values), max(values)
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def _pairs(value: object) -> list[list[int]]:
    if not isinstance(value, list):
        return []
    return [
        pair for pair in value
        if isinstance(pair, list) and len(pair) == 2 and all(isinstance(side, int) and side > 0 for side in pair)
    ]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
