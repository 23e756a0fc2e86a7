# SPDX-License-Identifier: Apache-2.0
"""A model as one ONNX graph: (H, W, 3) pixels to the (H, W) anomaly map."""

import numpy as np
import onnx
from onnx import TensorProto, helper

from ..extractors.base import Extractor, scaled_size
from ..extractors.filters import FilterBank
from ..extractors.projection import Projected
from ..extractors.timm_backbone import TimmBackbone
from ..extractors.transformer import TransformerPatches
from ..runtime.errors import UserError
from . import steps
from .filters_graph import filter_cells
from .graph_builder import GraphBuilder, finished

INPUT, OUTPUT = "image", "anomaly_map"


def anomaly_graph(
    extractor: Extractor, vectors: np.ndarray, blur_sigma: float, size: tuple[int, int] | None, notes: dict[str, str]
) -> onnx.ModelProto:
    """What `Scorer.anomaly_map` computes, as a graph.

    Its input `image` is (H, W, 3) float32 RGB in [0, 1], its output `anomaly_map` (H, W) float32.

    Args:
        vectors: (K, D) float32, the coreset.
        size: (H, W) of all images, or None for a graph that takes images of any size.
        notes: metadata of the graph.

    Raises:
        UserError: an extractor that cannot be written as a graph.
    """
    g, settings = GraphBuilder(), extractor.settings
    lengths = g.size(INPUT, 0), g.size(INPUT, 1)
    scaled = tuple(steps.scaled_length(g, length, settings.image_scale) for length in lengths)
    pixels = INPUT
    if settings.image_scale != 1:
        for axis in (0, 1):
            pixels = steps.resized(g, pixels, axis, lengths[axis], scaled[axis], settings.image_scale)
    images = g("Unsqueeze", g("Transpose", pixels, perm=[2, 0, 1]), g.integers(0))
    grid = tuple(g.ceil_divided(length, extractor.stride) for length in scaled)
    inner = extractor.inner if isinstance(extractor, Projected) else extractor
    cells = _cells(g, inner, images, grid, size)
    patches = steps.as_vectors(g, cells, inner.dimension)
    if isinstance(extractor, Projected):
        patches = g("MatMul", patches, g.constant(extractor.matrix))
    least = g("Reshape", steps.distances(g, patches, vectors), g.joined(*grid))
    reach = steps.blur_reach(blur_sigma)
    spreads = []
    for length, shorter, count in zip(lengths, scaled, grid, strict=True):
        nearest = steps.nearest_cells(g, length, shorter, count, extractor.stride, extractor.offset, reach)
        spreads.append(steps.spread(g, nearest, count, blur_sigma))
    down, across = spreads
    g.named(g("MatMul", g("MatMul", down, least), g("Transpose", across, perm=[1, 0])), OUTPUT)
    shape = list(size) if size is not None else ["height", "width"]
    return finished(
        g.graph(
            "anomaly map", [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [*shape, 3])],
            [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, shape)],
        ),
        notes,
    )


def _cells(
    g: GraphBuilder, extractor: Extractor, images: str, grid: tuple[str, str], size: tuple[int, int] | None
) -> str:
    """(1, 3, H, W) to (1, D, h, w)."""
    if isinstance(extractor, FilterBank):
        return filter_cells(g, extractor, images, grid)
    if isinstance(extractor, TransformerPatches):
        return _tokens(g, extractor, images, grid, size)
    if not isinstance(extractor, TimmBackbone):
        raise UserError(f"an extractor of the kind {type(extractor).__name__} cannot be exported")
    if extractor.whole_cells:
        images = steps.whole_cells(g, images, extractor.strides[-1])
    network = onnx.load_model_from_string(extractor.graph())
    maps = g.include(network, [images], "network/")
    return steps.joined_maps(g, maps, extractor.strides, extractor.starts, extractor.settings, grid)


def _tokens(
    g: GraphBuilder, extractor: TransformerPatches, images: str, grid: tuple[str, str], size: tuple[int, int] | None
) -> str:
    backbone, stride = extractor.settings.backbone, extractor.stride
    if size is None:
        raise UserError(
            f"the `backbone` {backbone} can be exported for images of one size alone, since a transformer's position "
            "embedding is resampled for each; give `size`"
        )
    height, width = scaled_size(size, extractor.settings.image_scale)
    try:
        written = extractor.graph((height + -height % stride, width + -width % stride))
    except Exception as error:  # the exporter and timm raise classes of their own
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"the `backbone` {backbone} cannot be written as a graph: {reason}") from error
    images = steps.whole_cells(g, images, stride)
    maps = g.include(onnx.load_model_from_string(written), [images], "network/")
    count = extractor.maps
    return steps.joined_maps(g, maps, [stride] * count, [0.0] * count, extractor.settings, grid)
