# SPDX-License-Identifier: GPL-3.0-or-later
"""From a noise-free linear image to what the camera stores: lens blur, vignetting, noise, gamma, quantisation."""

from dataclasses import dataclass

import numpy as np

from ..parameter import parameter
from .camera import Camera

_TRUNCATE = 4.0
"""The blur's kernel ends at four standard deviations: the rest weighs under 1e-4."""


@dataclass(frozen=True)
class Sensor:
    """What the optics and the electronics add. With every value at zero (gamma 1) the picture passes unchanged."""

    blur_sigma_px: float = parameter(0.0, 0.0, 50.0, "standard deviation of the lens blur, in full-resolution pixels")
    vignetting: float = parameter(0.0, 0.0, 1.0, "share of light lost in the corners")
    shot_noise: bool = parameter(False, None, None, "photon noise of the camera's full well")
    read_noise_e: float = parameter(0.0, 0.0, 1000.0, "standard deviation of the electronics' noise, in electrons")
    gamma: float = parameter(1.0, 0.2, 5.0, "stored = linear ** (1 / gamma)")

    def reach_px(self, percent: float) -> int:
        """How far, in pixels of an image at `percent`, a change in the linear image spreads."""
        return int(np.ceil(_TRUNCATE * self.blur_sigma_px * percent / 100))


def expose(
    linear: np.ndarray, sensor: Sensor, camera: Camera, percent: float, noise_seed: int, bits: int
) -> np.ndarray:
    """Linear image (H, W) float, 1 = full well, row 0 on top -> grey values (H, W), uint8 or uint16.

    An image at a smaller `percent` stands for binned pixels: the blur shrinks with the pixels, and each pixel holds
    the electrons, and the noise, of all that it covers. The noise is drawn per pixel, so that a change in one place
    leaves the noise of all other pixels as it was.
    """
    scale = percent / 100
    image = blur(np.asarray(linear, dtype=np.float32), sensor.blur_sigma_px * scale)
    image = image * vignette(image.shape, sensor.vignetting)
    image = np.minimum(image, 1.0 + 6.0 * camera.full_well_e**-0.5)  # a full pixel holds no more
    if sensor.shot_noise or sensor.read_noise_e:
        binned = 1.0 / scale**2
        well = camera.full_well_e * binned
        variance = (image * well if sensor.shot_noise else 0.0) + sensor.read_noise_e**2 * binned
        normal = np.random.Generator(np.random.Philox(noise_seed)).standard_normal(image.shape, dtype=np.float32)
        image = image + normal * np.sqrt(np.maximum(variance, 0.0)).astype(np.float32) / np.float32(well)
    image = np.clip(image, 0.0, 1.0) ** np.float32(1.0 / sensor.gamma)
    top = 2**bits - 1
    return np.rint(image * top).astype(np.uint8 if bits == 8 else np.uint16)


def blur(image: np.ndarray, sigma_px: float) -> np.ndarray:
    """Gaussian blur of (H, W) float32; the border repeats its last pixel."""
    radius = int(np.ceil(_TRUNCATE * sigma_px))
    if radius == 0:
        return image
    offsets = np.arange(-radius, radius + 1)
    kernel = np.exp(-0.5 * (offsets / sigma_px) ** 2)
    kernel = (kernel / kernel.sum()).astype(np.float32)
    for axis in (0, 1):
        pad = [(radius, radius) if side == axis else (0, 0) for side in (0, 1)]
        padded = np.pad(image, pad, mode="edge")
        length = image.shape[axis]
        image = sum(weight * np.take(padded, range(i, i + length), axis=axis) for i, weight in enumerate(kernel))
    return image


def vignette(shape: tuple[int, int], loss: float) -> np.ndarray:
    """Factor (H, W) float32: 1 in the centre, 1 - `loss` in the corners, quadratic in the radius."""
    rows, columns = (np.linspace(-1.0, 1.0, length, dtype=np.float32) for length in shape)
    return 1.0 - np.float32(loss) * (rows[:, None] ** 2 + columns[None, :] ** 2) / 2.0
