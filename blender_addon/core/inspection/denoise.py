# SPDX-License-Identifier: GPL-3.0-or-later
"""The path tracer's grain taken out by local regression on what is known of the surface.

Around every pixel the picture is a linear function of a few guides that the same paths brought along: slopes,
reflectance, roughness, what covers. With Gaussian weights w,

    (a, b) = argmin Σ w (picture - a - b·guide)² + λ |b|²      within the window around each pixel
    result = <a> + <b>·guide                                   <·> the same weighted mean, over the windows around

which keeps every groove, edge and ridge that the guides show, and averages what is left over the window: first-order
feature regression (B. Bitterli et al., "Nonlinearly weighted first-order regression for denoising Monte Carlo
renderings", EGSR 2016), in the closed form of the guided filter (K. He, J. Sun, X. Tang, ECCV 2010). Unlike a trained
network it can invent nothing, gives the same on every machine, and a change reaches `REACH_PX` pixels and no further.

Two things would be left of the grain, as black and white single pixels, and both are taken out where clean guides are
given:

- A pixel's few paths meet a few slopes of its grooves, and its guides are the means of these few. Picture and guides
  agree, so (a, b) is right, but a guide that is off its true mean puts the pixel off its neighbours. The result is
  therefore taken at guides of many paths, <a> + <b>·clean: what is fitted to noisy pairs is asked at the true value.
- Where a guide runs far out of its window, as slopes do at the wall of a dent, the linear function is extrapolated:
  past the light the picture stays dark while the squared slope goes on growing. `within_range` holds the result between
  the least and the greatest raw value of the 3 x 3 pixels around, which the true mean is between but by rare chance.
"""

from collections.abc import Sequence

import numpy as np

from ..parallel import side_by_side
from .cholesky import solve_planes

SIGMA_PX = 2.0
RADIUS_PX = 5
REACH_PX = 2 * RADIUS_PX
"""How far a change in picture or guides spreads."""
_RIDGE = 1e-4
_TILE_PX = (96, 192)
"""Rows and columns at a time: what is summed for them stays near the processor's cache."""
_WEIGHTS = np.exp(-0.5 * (np.arange(-RADIUS_PX, RADIUS_PX + 1) / SIGMA_PX) ** 2)
_KERNEL = _WEIGHTS / _WEIGHTS.sum()


def within_range(result: np.ndarray, picture: np.ndarray) -> np.ndarray:
    """The `result` of `regress`, held within the values of the `picture` in the 3 x 3 pixels around each."""
    least, greatest = np.pad(picture, 1, mode="edge"), np.pad(picture, 1, mode="edge")
    for axis in (0, 1):
        length = picture.shape[axis]
        least, greatest = (
            extreme.reduce([np.take(layer, np.arange(start, start + length), axis) for start in range(3)])
            for layer, extreme in ((least, np.minimum), (greatest, np.maximum))
        )
    return np.clip(result, least, greatest)


def regress(
    picture: np.ndarray, guides: Sequence[np.ndarray], clean: Sequence[np.ndarray] | None = None
) -> np.ndarray:
    """The picture without its grain.

    Args:
        picture: (H, W) float32, linear.
        guides: each (H, W) float32, scaled so that 1 is a large difference.
        clean: the same guides without grain of their own, at which the result is taken; None takes the guides.

    Returns:
        (H, W) float32, not negative.
    """
    if not guides:
        raise ValueError("without guides the picture would be blurred")
    if clean is not None and len(clean) != len(guides):
        raise ValueError(f"expected {len(guides)} clean guides, got {len(clean)}")
    layers = [
        np.pad(np.asarray(layer, np.float32), REACH_PX, mode="edge") for layer in (picture, *guides, *(clean or ()))
    ]
    count = len(guides)
    (height, width), (rows, columns) = picture.shape, _TILE_PX
    result = np.empty((height, width), np.float32)

    def fill(corner: tuple[int, int]) -> None:
        top, left = corner
        around = slice(top, top + rows + 2 * REACH_PX), slice(left, left + columns + 2 * REACH_PX)
        tile = _regress_tile([layer[around].astype(np.float64) for layer in layers], count)
        np.maximum(tile, 0.0, out=result[top : top + rows, left : left + columns], casting="same_kind")

    side_by_side(fill, [(top, left) for top in range(0, height, rows) for left in range(0, width, columns)])
    return result


def _regress_tile(layers: list[np.ndarray], count: int) -> np.ndarray:
    """Layers (h + 2 reach, w + 2 reach) float64, picture, `count` guides, as many clean ones or none -> (h, w) float64.

    Float64, since a guide may vary by a hundred within a window, and its variance then exceeds the ridge by more than
    float32 resolves.
    """
    picture, guides = layers[0], layers[1 : count + 1]
    taken_at = layers[count + 1 :] or guides
    mean, means = smooth(picture), [smooth(guide) for guide in guides]
    mixed = [_covariance(guide, picture, guide_mean, mean) for guide, guide_mean in zip(guides, means, strict=True)]
    moments = [
        [_covariance(guides[i], guides[j], means[i], means[j]) for j in range(i + 1)] for i in range(len(guides))
    ]
    for i in range(len(guides)):
        moments[i][i] += _RIDGE
    slopes = solve_planes(moments, mixed)

    offset = mean
    for slope, guide_mean in zip(slopes, means, strict=True):
        guide_mean *= slope
        offset -= guide_mean
    result = smooth(offset)
    for slope, guide in zip(slopes, taken_at, strict=True):
        part = smooth(slope)
        part *= guide[REACH_PX:-REACH_PX, REACH_PX:-REACH_PX]
        result += part
    return result


def _covariance(one: np.ndarray, other: np.ndarray, one_mean: np.ndarray, other_mean: np.ndarray) -> np.ndarray:
    """Weighted covariance of two layers within the window around each pixel."""
    covariance = smooth(one * other)
    covariance -= one_mean * other_mean
    return covariance


def smooth(layer: np.ndarray) -> np.ndarray:
    """Gaussian means (h, w) -> (h - 2 radius, w - 2 radius)."""
    for axis in (0, 1):
        length = layer.shape[axis] - 2 * RADIUS_PX
        parts = [layer[i : i + length] if axis == 0 else layer[:, i : i + length] for i in range(len(_KERNEL))]
        # The kernel is even: pairs first, which halves the products.
        total = parts[RADIUS_PX] * _KERNEL[RADIUS_PX]
        pair = np.empty_like(total)
        for k in range(RADIUS_PX):
            np.add(parts[k], parts[-1 - k], out=pair)
            pair *= _KERNEL[k]
            total += pair
        layer = total
    return layer
