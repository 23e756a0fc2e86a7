# SPDX-License-Identifier: Apache-2.0
"""Where in the image a cell of a feature map looks.

Cell i of a map with stride s responds to the image around pixel s i + offset (pixel centres at whole numbers). The
offset is the trained network's own: the padding of its strides suggests 0 for mobilenetv2_100 and 7 for TensorFlow's
MobileNets at stride 8; training moves both towards the middle of the cell (about 3 and 5). Without it the maps lie
shifted against each other, and the anomaly map against the photograph, by up to half a cell. So it is measured.
TensorFlow's padding depends on the size; at one that is no whole number of the coarsest cells it looks up to a whole
cell elsewhere. So `timm_backbone` fills up that cell first.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch.nn import functional

_SIDE = 256  # pixels of the test image
_SPOTS = 48
_SPOT_SIGMA = 3.0  # pixels
_MARGIN = 64  # pixels between a spot and the border


@torch.inference_mode()
def measure_offsets(network: Callable[[torch.Tensor], list[torch.Tensor]], strides: Sequence[int]) -> list[float]:
    """The offset of each feature map in pixels, to the nearest half; the same in both directions.

    Dark spots at random places on a grey texture with a natural (1/f) spectrum: where the map changes is where the
    network sees the spot.

    Args:
        network: (1, 3, H, W) float32 RGB in [0, 1] to one (1, C, h, w) map per stride.
        strides: pixels per cell of each map.
    """
    rng = np.random.default_rng(0)
    texture = _pink_texture(rng)
    axis = np.arange(_SIDE)
    plain = network(_grey(texture))
    totals = [0.0] * len(strides)
    for y, x in rng.uniform(_MARGIN, _SIDE - _MARGIN, (_SPOTS, 2)):
        square = (axis[:, None] - y) ** 2 + (axis[None, :] - x) ** 2
        spotted = network(_grey(texture * (1 - 0.7 * np.exp(-square / (2 * _SPOT_SIGMA**2)))))
        for position, (before, after, stride) in enumerate(zip(plain, spotted, strides, strict=True)):
            change = (after - before).square().sum(1)[0].double()
            sides = (change.sum(1), change.sum(0))
            seen = sum(float((cells * torch.arange(len(cells))).sum() / cells.sum()) for cells in sides)
            totals[position] += y + x - stride * seen
    return [round(total / _SPOTS) / 2 for total in totals]


def _grey(texture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(texture.astype(np.float32)).expand(1, 3, -1, -1)


def _pink_texture(rng: np.random.Generator) -> np.ndarray:
    """(_SIDE, _SIDE) in [0.2, 0.8], amplitude 1 / frequency."""
    frequency = np.hypot(np.fft.fftfreq(_SIDE)[:, None], np.fft.rfftfreq(_SIDE)[None, :])
    frequency[0, 0] = np.inf
    phase = rng.uniform(0, 2 * np.pi, frequency.shape)
    texture = np.fft.irfft2(np.exp(1j * phase) / frequency, (_SIDE, _SIDE))
    low, high = texture.min(), texture.max()
    return 0.2 + 0.6 * (texture - low) / (high - low)


def resample(maps: torch.Tensor, size: Sequence[int], step: float, start: float) -> torch.Tensor:
    """(B, C, h, w) sampled bilinearly at start, start + step, ... along both axes to (B, C, *size); border repeated."""
    rows, columns = (start + step * torch.arange(n, dtype=torch.float32, device=maps.device) for n in size)
    height, width = maps.shape[-2:]
    # grid_sample wants -1 at the first cell's centre and 1 at the last one's.
    y = 2 * rows / max(height - 1, 1) - 1
    x = 2 * columns / max(width - 1, 1) - 1
    grid = torch.stack(torch.broadcast_tensors(x[None, :], y[:, None]), -1)[None].expand(len(maps), -1, -1, -1)
    return functional.grid_sample(maps, grid, mode="bilinear", padding_mode="border", align_corners=True)
