# SPDX-License-Identifier: Apache-2.0
"""The filter bank (`extractors.filters`) as nodes of a graph; all in one, not in bands."""

import numpy as np

from ..extractors import filters
from ..extractors.filters import FilterBank, Scale
from . import steps
from .graph_builder import GraphBuilder


def filter_cells(g: GraphBuilder, bank: FilterBank, images: str, grid: tuple[str, str]) -> str:
    """(1, 3, H, W) RGB in [0, 1] to (1, D, h, w), averaged over neighbouring cells."""
    luma = g.constant(np.reshape(filters.LUMA, (1, 3, 1, 1)))
    grey = g("Log", g("Add", g("Conv", images, luma), g.constant(filters.BLACK)))
    margin = filters.margin()
    for axis, cells in zip((2, 3), grid, strict=True):
        grey = _mirrored(g, grey, axis, margin, g("Mul", cells, g.integer(filters.STRIDE)))
    parts = []
    for scale in filters.SCALES:
        parts += _energies_and_laplacian(g, grey, margin, scale, grid)
    cells = g("Concat", *parts, _mean(g, grey, margin, grid), axis=1)
    spreads = g.constant(np.reshape(filters.SPREADS.per_channel(), (1, -1, 1, 1)))
    return steps.pooled(g, g("Div", cells, spreads), bank.settings.pool)


def _mirrored(g: GraphBuilder, plane: str, axis: int, margin: int, wanted: str) -> str:
    """Continued by its mirror images, whatever the margin."""
    twice = g("Mul", g.size(plane, axis), g.integer(2))
    places = g("Range", g.integer(-margin), g("Add", wanted, g.integer(margin)), g.integer(1))
    index = g("Mod", places, twice)
    return g("Gather", plane, g("Min", index, g("Sub", g("Sub", twice, g.integer(1)), index)), axis=axis)


def _energies_and_laplacian(g: GraphBuilder, grey: str, margin: int, scale: Scale, grid: tuple[str, str]) -> list[str]:
    kernels = filters.derivative_kernels(scale.sigma, scale.step).numpy()
    taps, apart = kernels.shape[1], filters.STRIDE // scale.step
    before = margin + int(scale.start - (taps - 1) / 2)
    lengths = []  # of the pixels that the places of an axis need
    for cells in grid:
        places = g("Add", g("Mul", g("Sub", cells, g.integer(1)), g.integer(apart)), g.integer(scale.window))
        span = g("Mul", g("Sub", places, g.integer(1)), g.integer(scale.step))
        lengths.append(g("Add", span, g.integer(taps)))
    band = _cut(g, grey, before, lengths)
    along_x = g("Conv", band, g.constant(kernels[:, None, None, :]), strides=[1, scale.step])
    down = np.zeros((5, 3, taps, 1), np.float32)
    for number, (order_x, order_y) in enumerate(filters.ORDERS):
        down[number, order_x, :, 0] = kernels[order_y]
    derivatives = g("Conv", along_x, g.constant(down), strides=[scale.step, 1])
    x, y, xx, xy, yy = g("Split", derivatives, axis=1, num_outputs=5, outputs=5)

    def product(one: str, other: str) -> str:
        return g("Mul", one, other)

    mixed = g("Add", product(xx, yy), g("Mul", product(xy, xy), g.constant(2.0)))
    products = g(
        "Concat", product(x, x), product(x, y), product(y, y), product(xx, xx), product(xx, xy), mixed,
        product(xy, yy), product(yy, yy), g("Add", xx, yy), axis=1,
    )
    window = [scale.window, scale.window]
    averages = g("AveragePool", products, kernel_shape=window, strides=[apart, apart])
    squares, laplacian = g("Split", averages, g.integers(8, 1), axis=1, outputs=2)
    steering = filters.steering_matrix(filters.DIRECTIONS).numpy()[:, :, None, None]
    energies = g("Max", g("Conv", squares, g.constant(steering)), g.constant(0.0))
    energies = g("Log", g("Add", g("Div", energies, g.constant(filters.FLOOR)), g.constant(1.0)))
    return [energies, laplacian]


def _mean(g: GraphBuilder, grey: str, margin: int, grid: tuple[str, str]) -> str:
    stride, window = filters.STRIDE, filters.MEAN_WINDOW
    lengths = [g("Mul", g("Add", cells, g.integer(window - 1)), g.integer(stride)) for cells in grid]
    band = _cut(g, grey, margin - window // 2 * stride, lengths)
    return g("AveragePool", band, kernel_shape=[window * stride] * 2, strides=[stride] * 2)


def _cut(g: GraphBuilder, plane: str, before: int, lengths: list[str]) -> str:
    ends = [g("Add", length, g.integer(before)) for length in lengths]
    return g("Slice", plane, g.integers(before, before), g.joined(*ends), g.integers(2, 3))
