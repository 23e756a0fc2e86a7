# SPDX-License-Identifier: Apache-2.0
"""The paper's data augmentation (section V-B) in OpenCV and NumPy, with one generator for each (seed, epoch, image).

The paper names the operations, not their strengths; the defaults here are modest changes of exposure, focus and
sensor. Each operation draws from the generator in a fixed order, whether it is applied or not.
"""

from dataclasses import asdict, dataclass
from functools import cache
from statistics import NormalDist
from typing import Any

import cv2
import numpy as np

BORDER_DEPTH = (0.03, 0.3)
"""How far a cut border reaches into the image, as a share of its height or width."""
BORDER_ANGLE_DEG = 3.0
"""Standard deviation of the border's angle to the image's edge."""
CORNER_SHARE = 1 / 3
"""The share of images that show a corner of the part: two cut sides instead of one."""


@dataclass(frozen=True)
class AugmentSettings:
    """Strengths of the augmentation; 0 switches an operation off."""

    probability: float = 0.5
    """The chance of each of: brightness and contrast, blur, noise, and a flip along each axis."""
    brightness: float = 0.2
    """Largest increase of the exposure: values are multiplied by up to 1 + brightness."""
    contrast: float = 0.2
    """Largest increase of the contrast about the image's mean value."""
    blur_sigma_px: float = 1.0
    """Largest standard deviation of the Gaussian blur, in pixels."""
    noise_sigma: float = 0.02
    """Largest standard deviation of the Gaussian noise, where white is 1."""
    flip: bool = True
    """Whether to flip along both axes."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def augmentation_rng(seed: int, epoch: int, index: int) -> np.random.Generator:
    """The generator of one image in one epoch, the same on any worker. All three are >= 0."""
    return np.random.default_rng((seed, epoch, index))


def augment(
    image: np.ndarray, region: np.ndarray, rng: np.random.Generator, settings: AugmentSettings
) -> tuple[np.ndarray, np.ndarray]:
    """Flip, brighten, blur and add noise at random.

    Brightness is a gain and contrast is about the mean, so black stays black.

    Args:
        image: float32 (H, W, 3), RGB in [0, 1].
        region: bool (H, W), the inspected surface; flipped together with the image.
        rng: see `augmentation_rng`.
        settings: strengths.

    Returns:
        new arrays of the same shapes and types; the arguments stay as they are.
    """
    draws = rng.random(8)
    apply = draws[:5] < settings.probability
    image, region = _flip(image, region, bool(apply[0]) and settings.flip, bool(apply[1]) and settings.flip)
    if apply[2]:
        _brighten(image, 1 + settings.brightness * draws[5], 1 + settings.contrast * draws[6])
    if apply[3] and settings.blur_sigma_px > 0:
        # A sigma below a fifth of a pixel would not change the image.
        sigma = max(settings.blur_sigma_px * draws[7], 0.2)
        image = cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101)
    if apply[4] and settings.noise_sigma > 0:
        _add_noise(image, settings.noise_sigma * rng.random(), rng)
    np.clip(image, 0, 1, out=image)
    return image, region


def flips_of(rng: np.random.Generator, settings: AugmentSettings) -> tuple[bool, bool]:
    """Whether `augment` with a generator in the same state flips (up-down, left-right)."""
    left_right, up_down = (bool(draw < settings.probability) and settings.flip for draw in rng.random(8)[:2])
    return up_down, left_right


def mask_border(
    image: np.ndarray, region: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Cut away a border of a rendered surface that fills the frame: the abrupt change to a black background.

    One side, or two that meet in a corner; each cut is a straight line at a slight angle,
    its edge antialiased over one pixel. Outside the returned region the image is exactly black.

    Args:
        image: float32 (H, W, 3), RGB in [0, 1].
        region: bool (H, W).
        rng: see `augmentation_rng`.

    Returns:
        new image and region.
    """
    height, width = region.shape
    coverage = np.ones((height, width), np.float32)
    # Sides: 0 left, 1 top, 2 right, 3 bottom; the neighbour of a side makes a corner with it.
    first = int(rng.integers(4))
    second = (first + rng.choice((1, 3))) % 4
    corner = rng.random() < CORNER_SHARE
    angle = np.deg2rad(BORDER_ANGLE_DEG) * np.clip(rng.standard_normal(), -3, 3)  # the part's: a corner stays square
    for side in (first, second) if corner else (first,):
        depth = rng.uniform(*BORDER_DEPTH) * (width if side % 2 == 0 else height)
        np.minimum(coverage, _half_plane(side, depth, angle, (height, width)), out=coverage)
    return image * coverage[..., None], region & (coverage > 0)


def _half_plane(side: int, depth: float, angle: float, size: tuple[int, int]) -> np.ndarray:
    """float32 (H, W): the share of each pixel on the inner side of a line `depth` pixels from a side, in its middle."""
    height, width = size
    normal = np.deg2rad(90 * side) + angle  # of the line, towards the inside: right, down, left, up
    nx, ny = float(np.cos(normal)), float(np.sin(normal))
    cx, cy = [(depth, height / 2), (width / 2, depth), (width - depth, height / 2), (width / 2, height - depth)][side]
    along_x = (np.arange(width, dtype=np.float32) + 0.5 - np.float32(cx)) * nx
    along_y = (np.arange(height, dtype=np.float32) + 0.5 - np.float32(cy)) * ny
    coverage = along_x[None, :] + (along_y[:, None] + np.float32(0.5))
    return np.clip(coverage, 0, 1, out=coverage)


def _flip(image: np.ndarray, region: np.ndarray, left_right: bool, up_down: bool) -> tuple[np.ndarray, np.ndarray]:
    if not (left_right or up_down):
        return image.copy(), region.copy()
    code = -1 if left_right and up_down else 1 if left_right else 0
    return cv2.flip(image, code), cv2.flip(region.astype(np.uint8), code).astype(bool)


def _brighten(image: np.ndarray, gain: float, contrast: float) -> None:
    """In place: (image · gain − mean) · contrast + mean, where mean is that of image · gain."""
    mean = float(np.mean(cv2.mean(image)[:3])) * gain
    image *= np.float32(gain * contrast)
    image += np.float32(mean * (1 - contrast))


def _add_noise(image: np.ndarray, sigma: float, rng: np.random.Generator) -> None:
    """In place. A grey image gets the same noise in all channels, as a grey sensor would."""
    height, width, channels = image.shape
    probe = image[::8, ::8]
    if np.array_equal(probe[..., 0], probe[..., 1]) and np.array_equal(probe[..., 0], probe[..., 2]):
        channels = 1
    levels = np.frombuffer(rng.bytes(height * width * channels), np.uint8).reshape(height, width, channels)
    noise = cv2.LUT(levels, (_gaussian_levels() * np.float32(sigma)).reshape(1, 256))
    if channels == 1:
        noise = cv2.cvtColor(noise.reshape(height, width), cv2.COLOR_GRAY2RGB)
    cv2.add(image, noise, dst=image)


@cache
def _gaussian_levels() -> np.ndarray:
    """256 equally likely values of a standard normal, float32: its quantiles at (i + 1/2) / 256, scaled to variance 1.

    A byte of the generator picks one. That is ten times as fast as true normal numbers, and within 8-bit accuracy
    the same; the values end at 2.9 sigma.
    """
    values = np.array([NormalDist().inv_cdf((i + 0.5) / 256) for i in range(256)])
    return (values / values.std()).astype(np.float32)
