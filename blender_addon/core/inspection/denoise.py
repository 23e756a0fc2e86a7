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
"""

from collections.abc import Sequence

import numpy as np

SIGMA_PX = 2.0
RADIUS_PX = 5
REACH_PX = 2 * RADIUS_PX
"""How far a change in picture or guides spreads."""
_RIDGE = 1e-4
_ROWS = 96
"""Rows at a time, so that the moments of a large picture need not all be held."""


def regress(picture: np.ndarray, guides: Sequence[np.ndarray]) -> np.ndarray:
    """The picture without its grain.

    Args:
        picture: (H, W) float32, linear.
        guides: each (H, W) float32, scaled so that 1 is a large difference.

    Returns:
        (H, W) float32, not negative.
    """
    height = picture.shape[0]
    if not guides:
        raise ValueError("without guides the picture would be blurred")
    layers = [np.pad(np.asarray(layer, np.float32), REACH_PX, mode="edge") for layer in (picture, *guides)]
    parts = [
        _strip([layer[start : min(start + _ROWS, height) + 2 * REACH_PX] for layer in layers])
        for start in range(0, height, _ROWS)
    ]
    return np.maximum(np.concatenate(parts), 0.0)


def _strip(layers: list[np.ndarray]) -> np.ndarray:
    """Layers (h + 2 reach, W + 2 reach), the picture first -> (h, W)."""
    picture, *guides = layers
    n = len(guides)
    mean = smooth(picture)
    means = [smooth(guide) for guide in guides]
    moments = np.empty((*mean.shape, n, n), np.float32)
    mixed = np.empty((*mean.shape, n, 1), np.float32)
    for i in range(n):
        mixed[..., i, 0] = smooth(guides[i] * picture) - means[i] * mean
        for j in range(i + 1):
            moments[..., i, j] = moments[..., j, i] = smooth(guides[i] * guides[j]) - means[i] * means[j]
        moments[..., i, i] += np.float32(_RIDGE)
    slopes = np.linalg.solve(moments, mixed)[..., 0]
    offset = mean - sum(slopes[..., i] * means[i] for i in range(n))
    inner = (slice(REACH_PX, -REACH_PX),) * 2
    return smooth(offset) + sum(smooth(slopes[..., i]) * guides[i][inner] for i in range(n))


def smooth(layer: np.ndarray) -> np.ndarray:
    """Gaussian means (h, w) -> (h - 2 radius, w - 2 radius)."""
    offsets = np.arange(-RADIUS_PX, RADIUS_PX + 1)
    kernel = np.exp(-0.5 * (offsets / SIGMA_PX) ** 2)
    kernel = (kernel / kernel.sum()).astype(np.float32)
    for axis in (0, 1):
        length = layer.shape[axis] - 2 * RADIUS_PX
        parts = [layer[i : i + length] if axis == 0 else layer[:, i : i + length] for i in range(len(kernel))]
        # The kernel is even: pairs first, which halves the products.
        total = kernel[RADIUS_PX] * parts[RADIUS_PX]
        for k in range(RADIUS_PX):
            total += kernel[k] * (parts[k] + parts[-1 - k])
        layer = total
    return layer
