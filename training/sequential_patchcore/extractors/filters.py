# SPDX-License-Identifier: Apache-2.0
"""Patch vectors without trained weights: energies of oriented Gaussian derivatives on the logarithm of the grey value.

For each scale σ of `SCALES` and each direction θ of `DIRECTIONS`, with l = log(grey + `BLACK`) and l_θ, l_θθ its
derivatives of first and second order after a Gaussian blur of width σ,

    E(σ, θ) = average of (σ l_θ)² + (σ² l_θθ)²    over a window about as wide as the filter.

Both orders together answer to edges and to lines, wherever in the window they lie. The factors σ and σ² make the
derivatives free of the unit of length (Lindeberg, "Feature detection with automatic scale selection", 1998); on a
texture whose amplitude falls like 1 / frequency the two terms then have powers 4 : 3, equal at all scales, so they are
summed without further weights. The logarithm makes all of it independent of the exposure.

The derivatives are steerable (Freeman and Adelson, "The design and use of steerable filters", 1991): a derivative in
direction θ is a combination of l_x, l_y or of l_xx, l_xy, l_yy, hence E(σ, θ) one of eight averaged products. Five
separable filters per scale do for any number of directions.

Scaling
-------
    energy      log(1 + E / FLOOR)
    Laplacian   σ² ∇²l, averaged like the energies
    mean        average of l

each divided by its constant in `SPREADS`. Coresets meld only if their vectors have the same scaling, so it is fixed,
not learnt from the images at hand. The constants are the standard deviations of the channels (of the energies, the mean
over the directions), rounded to two digits, on 55 of the defect-free photographs of machined steel in BSData
(github.com/2Obe/BSData, arXiv 2103.13003), scaled by 768/1130. To measure them on other images:

    python -m sequential_patchcore.extractors.filters SCALE IMAGE...

Compared on these photographs (every second training image, coreset of 2048, 110 test images, pool 2; pixel AUROC and
AP, blur of 2 and of 4 pixels): logarithm .988 / .453 and .992 / .502, square root .988 / .434 and .993 / .471; the
logarithm with a common divisor for all scales and the Laplacian through arsinh .979 / .327 and .985 / .371.
"""

import math
import sys
from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch.nn import functional

from ..runtime.choices import TORCH
from ..runtime.errors import UserError
from ..runtime.requests import digest_of
from .base import ExtractorSettings, average_pool, to_tensor

STRIDE = 4  # pixels between cells
DIRECTIONS = 8  # over half a turn, from the x axis (right) towards the y axis (down)
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601: a grey image stored as RGB keeps its values
BLACK = 1 / 255  # one step of an 8-bit image: black gets a finite logarithm

FLOOR = 1e-3  # the square of a contrast of 3 %, below which an energy fades out

_VERSION = 1  # to be raised when the arithmetic changes: vectors of different versions are not comparable
_REACH = 4  # the kernels end at this many σ; at 3, energies would be off by several percent
_BAND = 64  # rows of cells at a time: bounds the memory, and the planes of a band stay in the cache
MEAN_WINDOW = 3  # cells


@dataclass(frozen=True)
class Scale:
    """One scale of the bank.

    Attributes:
        sigma: of the Gaussian, pixels.
        step: pixels between the places where the filters are evaluated; 1, 2 or 4. At most σ: the filters themselves
            are exact there, only the average over the window is a sum over fewer places.
        window: places, in each direction, that the energies of a cell are averaged over; even below step 4 and odd at
            step 4, so that the window lies symmetric about the cell.
    """

    sigma: float
    step: int
    window: int

    @property
    def start(self) -> float:
        """Pixel of cell 0's first place. Its window is centred on `CENTRE`."""
        return CENTRE - (self.window - 1) / 2 * self.step


CENTRE = (STRIDE - 1) / 2  # cell i is centred on pixel STRIDE i + CENTRE
SCALES = (Scale(1, 1, 4), Scale(2, 2, 4), Scale(4, 4, 3), Scale(8, 4, 7))


@dataclass(frozen=True)
class Spreads:
    """What the channels are divided by; one energy and one Laplacian per scale."""

    energies: tuple[float, ...]
    laplacians: tuple[float, ...]
    mean: float

    def per_channel(self) -> list[float]:
        """D numbers in the order of the channels."""
        pairs = zip(self.energies, self.laplacians, strict=True)
        return [s for energy, laplacian in pairs for s in [energy] * DIRECTIONS + [laplacian]] + [self.mean]


ORDERS = (1, 0), (0, 1), (2, 0), (1, 1), (0, 2)  # of the derivatives along x and y

SPREADS = Spreads((0.54, 0.79, 1.0, 1.0), (0.013, 0.022, 0.044, 0.057), 0.39)


class FilterBank:
    """The weights-free extractor, the backbone "filters"; 4 scales x (8 directions + Laplacian) + mean: D = 37.

    Args:
        settings: `unit_maps` has no meaning here; `pool` averages the finished vectors over neighbouring cells.

    Raises:
        UserError: `unit_maps` is set.
    """

    def __init__(self, settings: ExtractorSettings) -> None:
        if settings.unit_maps:
            raise UserError("the filter bank has one fixed scaling and no feature maps to scale; leave `unit_maps` off")
        self.settings = settings
        self.stride = STRIDE
        # The average over an even number of cells looks half a cell further on.
        self.offset = CENTRE + (STRIDE / 2 if settings.pool % 2 == 0 else 0)
        self.layers = [f"{kind} sigma {s.sigma}" for s in SCALES for kind in ("energies", "laplacian")] + ["mean"]
        self.dimension = len(SCALES) * (DIRECTIONS + 1) + 1
        self.preprocessing = {"luma": list(LUMA), "log_offset": BLACK}
        self.engine = TORCH
        self.weights = "none needed"
        scales = [[s.sigma, s.step, s.window] for s in SCALES]
        self.weights_fingerprint = digest_of(
            [_VERSION, STRIDE, DIRECTIONS, LUMA, BLACK, FLOOR, _REACH, MEAN_WINDOW, scales, SPREADS.per_channel()]
        )
        self.to(torch.device("cpu"))

    def to(self, device: torch.device) -> "FilterBank":
        self._luma = torch.tensor(LUMA, device=device)[:, None, None]
        self._kernels = [derivative_kernels(s.sigma, s.step).to(device) for s in SCALES]
        self._spreads = torch.tensor(SPREADS.per_channel(), device=device)[:, None, None]
        self._steering = steering_matrix(DIRECTIONS).to(device)
        return self

    @torch.inference_mode()
    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        return torch.cat([self._vectors(image) for image in images])

    def _vectors(self, image: torch.Tensor) -> torch.Tensor:
        """(3, H, W) to (1, h, w, D)."""
        channels = self.channels(image).div_(self._spreads)
        return average_pool(channels[None], self.settings.pool).permute(0, 2, 3, 1).contiguous()

    @torch.inference_mode()
    def channels(self, image: torch.Tensor) -> torch.Tensor:
        """(3, H, W) float32 RGB in [0, 1] to (D, h, w) float32, not yet divided by the spreads.

        Per scale the energies by direction, then the Laplacian; last the mean.
        """
        log_grey = torch.log((image * self._luma).sum(0) + BLACK)
        rows, columns = (-(-length // STRIDE) for length in log_grey.shape)
        reach = margin()
        padded = _mirrored(log_grey, reach, (STRIDE * rows, STRIDE * columns))
        out = torch.empty(self.dimension, rows, columns, device=image.device)
        for first in range(0, rows, _BAND):
            count = min(_BAND, rows - first)
            band = padded[STRIDE * first : STRIDE * (first + count) + 2 * reach]
            target = out[:, first : first + count]
            for n, (scale, kernels) in enumerate(zip(SCALES, self._kernels, strict=True)):
                self._analyse(band, reach, scale, kernels, target[n * (DIRECTIONS + 1) : (n + 1) * (DIRECTIONS + 1)])
            _mean(band, reach, target[-1])
        return out

    def _analyse(self, band: torch.Tensor, margin: int, scale: Scale, kernels: torch.Tensor, out: torch.Tensor) -> None:
        """Write one scale's energies and Laplacian into `out` (DIRECTIONS + 1, h, w)."""
        places = [(cells - 1) * (STRIDE // scale.step) + scale.window for cells in out.shape[1:]]
        taps = kernels.shape[1]
        before = margin + int(scale.start - (taps - 1) / 2)
        rows, columns = (slice(before, before + (count - 1) * scale.step + taps) for count in places)
        x, y, xx, xy, yy = derivatives(band[rows, columns], kernels, scale.step)
        products = torch.stack(
            [x * x, x * y, y * y, xx * xx, xx * xy, xx * yy + 2 * xy * xy, xy * yy, yy * yy, xx + yy]
        )
        averages = functional.avg_pool2d(products[None], scale.window, STRIDE // scale.step)[0]
        energies = torch.tensordot(self._steering, averages[:-1], 1).clamp_min_(0)  # 0 may come out as -1e-10
        out[:-1] = energies.div_(FLOOR).log1p_()
        out[-1] = averages[-1]


def derivative_kernels(sigma: float, step: int) -> torch.Tensor:
    """(3, taps) float32: Gaussian, σ x its first and σ² x its second derivative, to be correlated with the image.

    Sampled about a pixel where `step` is odd and between two where it is even, so that the places of a cell lie
    symmetric about it. Truncation and sampling are made good: the answers to polynomials of second degree are exact,
    to a constant in particular 0.
    """
    reach = math.ceil(_REACH * sigma)
    x = torch.arange(-reach, reach + 1).double() if step % 2 else torch.arange(-reach, reach).double() + 0.5
    gauss = torch.exp(-x * x / (2 * sigma**2))
    gauss /= gauss.sum()
    first = x * gauss
    first /= (first * x).sum()
    second = (x * x - (x * x * gauss).sum()) * gauss
    second /= (second * x * x).sum() / 2
    return torch.stack([gauss, sigma * first, sigma**2 * second]).float()


def steering_matrix(directions: int) -> torch.Tensor:
    """(directions, 8) float32: energy in each direction from the averaged products.

    With c = cos θ and s = sin θ: (c l_x + s l_y)² + (c² l_xx + 2 c s l_xy + s² l_yy)², in the order x x, x y, y y,
    xx xx, xx xy, xx yy + 2 xy xy, xy yy, yy yy.
    """
    angles = torch.arange(directions, dtype=torch.float64) * (math.pi / directions)
    c, s = angles.cos(), angles.sin()
    first = [c * c, 2 * c * s, s * s]
    second = [c**4, 4 * c**3 * s, 2 * (c * s) ** 2, 4 * c * s**3, s**4]
    return torch.stack(first + second, 1).float()


def derivatives(plane: torch.Tensor, kernels: torch.Tensor, step: int) -> torch.Tensor:
    """(H, W) to (5, h, w): x, y, xx, xy, yy at every `step`-th place where the kernels fit."""
    along_x = functional.conv2d(plane[None, None], kernels[:, None, None, :], stride=(1, step))
    down = kernels.new_zeros(5, 3, kernels.shape[1], 1)
    for n, (order_x, order_y) in enumerate(ORDERS):
        down[n, order_x, :, 0] = kernels[order_y]
    return functional.conv2d(along_x, down, stride=(step, 1))[0]


def _mean(band: torch.Tensor, margin: int, out: torch.Tensor) -> None:
    before = margin - (MEAN_WINDOW // 2) * STRIDE
    rows, columns = (slice(before, before + (cells + MEAN_WINDOW - 1) * STRIDE) for cells in out.shape)
    out[:] = functional.avg_pool2d(band[None, None, rows, columns], MEAN_WINDOW * STRIDE, STRIDE)[0, 0]


def margin() -> int:
    """Pixels beyond the outermost cells that the bank looks at."""
    return max(_margin(scale) for scale in SCALES)


def _margin(scale: Scale) -> int:
    """Pixels beyond the outermost cells that a scale looks at."""
    return math.ceil(_REACH * scale.sigma) + (scale.window * scale.step - STRIDE) // 2 + 1


def _mirrored(plane: torch.Tensor, margin: int, size: tuple[int, int]) -> torch.Tensor:
    """(H, W) continued by its mirror images to `size` and a margin all round; any margin, however small the plane."""
    for axis, (length, wanted) in enumerate(zip(plane.shape, size, strict=True)):
        index = torch.arange(-margin, wanted + margin, device=plane.device) % (2 * length)
        plane = plane.index_select(axis, torch.minimum(index, 2 * length - 1 - index))
    return plane


def measured_spreads(images: Iterable[torch.Tensor]) -> Spreads:
    """How `SPREADS` was found: standard deviations over all cells of the images, each (3, H, W) RGB in [0, 1]."""
    bank = FilterBank(ExtractorSettings(backbone="filters"))
    deviations = torch.cat([bank.channels(image).flatten(1) for image in images], 1).std(1)
    scales = deviations[:-1].reshape(len(SCALES), DIRECTIONS + 1)
    return Spreads(tuple(scales[:, :-1].mean(1).tolist()), tuple(scales[:, -1].tolist()), float(deviations[-1]))


def _read(path: str, scale: float) -> torch.Tensor:
    image = cv2.imread(path, cv2.IMREAD_COLOR)
    if image is None:
        raise UserError(f"{path} is no image that can be read")
    rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB).astype(np.float32) / 255
    return to_tensor(rgb, scale, torch.device("cpu"))[0]


if __name__ == "__main__":
    print(measured_spreads(_read(path, float(sys.argv[1])) for path in sys.argv[2:]))
