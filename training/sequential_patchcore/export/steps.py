# SPDX-License-Identifier: Apache-2.0
"""The steps from pixels to the anomaly map, as nodes of a graph; each does what the module that it names does.

Places are computed in float64, as NumPy does there, so that each pixel takes the same cell.
"""

import math

import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper

from ..extractors.base import ExtractorSettings
from .graph_builder import GraphBuilder

PATCHES_AT_ONCE = 1024  # rows of a matrix of distances
VECTORS_AT_ONCE = 2048  # its columns


def scaled_length(g: GraphBuilder, length: str, scale: float) -> str:
    """`extractors.base.scaled_size` of one axis: int64, half to even as Python rounds."""
    if scale == 1:
        return length
    whole = g("Round", g("Mul", g.cast(length, np.float64), g.double(scale)))
    return g("Max", g.cast(whole, np.int64), g.integer(1))


def resized(g: GraphBuilder, image: str, axis: int, length: str, scaled: str, scale: float) -> str:
    """One axis of `extractors.base.to_tensor`: averaged over areas below scale 1, else sampled linearly."""
    ratio = g("Div", g.cast(length, np.float64), g.cast(scaled, np.float64))
    pixels = g.cast(g.range(scaled), np.float64)
    if scale > 1:
        place = g("Sub", g("Mul", g("Add", pixels, g.double(0.5)), ratio), g.double(0.5))
        return _sampled(g, image, axis, length, place, 3)
    begin = g("Mul", pixels, ratio)
    end, first, total = g("Add", begin, ratio), g("Floor", begin), None
    # One pixel of the result covers at most 1.5 / scale of the image: the length may have been rounded up to 1.5.
    for step in range(math.ceil(1.5 / scale) + 1):
        left = g("Add", first, g.double(step))
        overlap = g("Sub", g("Min", end, g("Add", left, g.double(1))), g("Max", begin, left))
        weight = g("Div", g("Max", overlap, g.double(0)), ratio)
        index = g("Min", g.cast(left, np.int64), g("Sub", length, g.integer(1)))
        part = g("Mul", g("Gather", image, index, axis=axis), _along(g, g.cast(weight, np.float32), axis, 3))
        total = part if total is None else g("Add", total, part)
    return total


def whole_cells(g: GraphBuilder, images: str, stride: int) -> str:
    """(1, C, H, W) with its border repeated, so that the size is a whole number of `stride`."""
    more = [g("Mod", g("Neg", g.size(images, axis)), g.integer(stride)) for axis in (2, 3)]
    zeros = [g.integer(0)] * 2
    return g("Pad", images, g.joined(*zeros, *zeros, *zeros, *more), mode="edge")


def pooled(g: GraphBuilder, maps: str, width: int) -> str:
    """`extractors.base.average_pool`."""
    if width == 1:
        return maps
    before, after = (width - 1) // 2, width // 2
    padded = g("Pad", maps, g.integers(0, 0, before, before, 0, 0, after, after), mode="edge")
    return g("AveragePool", padded, kernel_shape=[width, width], strides=[1, 1])


def resampled(g: GraphBuilder, maps: str, size: tuple[str, str], step: float, start: float) -> str:
    """`extractors.alignment.resample`: (1, C, h, w) bilinearly at start, start + step, ... along both axes."""
    for axis, count in zip((2, 3), size, strict=True):
        place = g("Add", g("Mul", g.cast(g.range(count), np.float64), g.double(step)), g.double(start))
        maps = _sampled(g, maps, axis, g.size(maps, axis), place, 4)
    return maps


def _sampled(g: GraphBuilder, values: str, axis: int, length: str, place: str, dimensions: int) -> str:
    """Linearly between neighbours along an axis, the border repeated; `place` is (n,) float64."""
    last = g("Sub", length, g.integer(1))
    place = g.clipped(place, g.double(0), g.cast(last, np.float64))
    below = g("Floor", place)
    share = _along(g, g.cast(g("Sub", place, below), np.float32), axis, dimensions)
    index = g.cast(below, np.int64)
    low = g("Gather", values, index, axis=axis)
    high = g("Gather", values, g("Min", g("Add", index, g.integer(1)), last), axis=axis)
    return g("Add", low, g("Mul", g("Sub", high, low), share))


def _along(g: GraphBuilder, values: str, axis: int, dimensions: int) -> str:
    """(n,) so that it is multiplied along that axis."""
    others = [other for other in range(dimensions) if other != axis]
    return g("Unsqueeze", values, g.integers(*others))


def unit_length(g: GraphBuilder, maps: str) -> str:
    """`torch.nn.functional.normalize` over the channels."""
    norm = g("ReduceL2", maps, g.integers(1), keepdims=1)
    return g("Div", maps, g("Max", norm, g.constant(1e-12)))


def joined_maps(
    g: GraphBuilder, maps: list[str], strides: list[int], starts: list[float], settings: ExtractorSettings,
    size: tuple[str, str],
) -> str:
    """`TimmBackbone.__call__` behind the network: pooled, on the finest grid, concatenated; (1, D, h, w).

    Args:
        maps, strides, starts: of each map, the finest first.
        size: (h, w) of the wanted grid.
    """
    parts, finest = [], None
    for values, stride, start in zip(maps, strides, starts, strict=True):
        part = pooled(g, values, settings.pool)
        if finest is None:
            finest = g.size(part, 2), g.size(part, 3)
        elif (stride, start) != (strides[0], 0.0):
            part = resampled(g, part, finest, strides[0] / stride, start)
        parts.append(unit_length(g, part) if settings.unit_maps else part)
    whole = parts[0] if len(parts) == 1 else g("Concat", *parts, axis=1)
    return g("Slice", whole, g.integers(0, 0), g.joined(*size), g.integers(2, 3))


def as_vectors(g: GraphBuilder, cells: str, dimension: int) -> str:
    """(1, D, h, w) to (h * w, D)."""
    return g("Reshape", g("Transpose", cells, perm=[0, 2, 3, 1]), g.integers(-1, dimension))


def distances(g: GraphBuilder, patches: str, vectors: np.ndarray) -> str:
    """`coreset.search.NearestSearch.distances`: (N, D) to (N,), never holding N x K numbers.

    The patches go by in blocks (the operator Scan), filled up at the end with zeros that are cut off afterwards.
    """
    dimension = vectors.shape[1]
    count = g.size(patches, 0)
    missing = g("Mod", g("Neg", count), g.integer(PATCHES_AT_ONCE))
    zero = g.integer(0)
    padded = g("Pad", patches, g.joined(zero, zero, missing, zero))
    blocks = g("Reshape", padded, g.integers(-1, PATCHES_AT_ONCE, dimension))
    least = g("Scan", blocks, body=_block(vectors), num_scan_inputs=1)
    return g("Slice", g("Reshape", least, g.integers(-1)), g.integers(0), g.joined(count), g.integers(0))


def _block(vectors: np.ndarray) -> onnx.GraphProto:
    """(B, D) to the (B,) distances to the nearest of the vectors.

    A matrix product finds the nearest; its distance is then computed from the difference, which loses no digits.
    """
    g = GraphBuilder("block_")
    centre = vectors.mean(0, dtype=np.float64).astype(np.float32)  # about it the matrix form loses fewer digits
    centred = vectors - centre
    patches, nearest, rows = g("Sub", "block", g.constant(centre)), None, None
    for first in range(0, len(vectors), VECTORS_AT_ONCE):
        part = centred[first : first + VECTORS_AT_ONCE]
        norms = np.square(part).sum(1, dtype=np.float32)
        product = g("Gemm", patches, g.constant(part.T), g.constant(norms), alpha=-2.0, beta=1.0)
        row = g("ArgMin", product, axis=1, keepdims=0)
        if len(vectors) <= VECTORS_AT_ONCE:
            rows = row
            break
        least, row = g("ReduceMin", product, g.integers(1), keepdims=0), g("Add", row, g.integer(first))
        rows = row if rows is None else g("Where", g("Less", least, nearest), row, rows)
        nearest = least if nearest is None else g("Min", nearest, least)
    apart = g("Sub", "block", g("Gather", g.constant(vectors), rows, axis=0))
    g.named(g("ReduceL2", apart, g.integers(1), keepdims=0), "block_least")
    block = helper.make_tensor_value_info("block", TensorProto.FLOAT, [PATCHES_AT_ONCE, vectors.shape[1]])
    least = helper.make_tensor_value_info("block_least", TensorProto.FLOAT, [PATCHES_AT_ONCE])
    return g.graph("nearest", [block], [least])


def nearest_cells(
    g: GraphBuilder, length: str, scaled: str, cells: str, stride: int, offset: float, border: int
) -> str:
    """`extractors.grid.Grid.nearest_cells` of one axis, int64, with `border` pixels more on both sides, repeated."""
    pixels = g("Range", g.integer(-border), g("Add", length, g.integer(border)), g.integer(1))
    pixels = g.clipped(pixels, g.integer(0), g("Sub", length, g.integer(1)))
    ratio = g("Div", g.cast(scaled, np.float64), g.cast(length, np.float64))
    place = g("Mul", g("Add", g.cast(pixels, np.float64), g.double(0.5)), ratio)
    place = g("Sub", g("Sub", place, g.double(0.5)), g.double(offset))
    cell = g("Floor", g("Add", g("Div", place, g.double(stride)), g.double(0.5)))
    return g.clipped(g.cast(cell, np.int64), g.integer(0), g("Sub", cells, g.integer(1)))


def blur_reach(sigma: float) -> int:
    """Pixels to each side that the Gaussian of `scoring.anomaly_map` takes in."""
    return round(4 * sigma) if sigma > 0 else 0


def spread(g: GraphBuilder, cells: str, count: str, sigma: float) -> str:
    """(H, h) float32: how much of each cell is in each pixel, after the blur along this axis.

    The blur is linear and its two axes are independent, so that the map is spread(y) @ distances @ spread(x).T.

    Args:
        cells: of `nearest_cells`, with a border of `blur_reach`.
        count: h.
    """
    chosen = g("Equal", g("Unsqueeze", cells, g.integers(1)), g("Unsqueeze", g.range(count), g.integers(0)))
    chosen = g.cast(chosen, np.float32)
    if (reach := blur_reach(sigma)) == 0:
        return chosen
    kernel = cv2.getGaussianKernel(2 * reach + 1, sigma, cv2.CV_32F)
    blurred = g("Conv", g("Unsqueeze", chosen, g.integers(0, 1)), g.constant(kernel[None, None]),
                kernel_shape=[2 * reach + 1, 1])
    return g("Squeeze", blurred, g.integers(0, 1))
