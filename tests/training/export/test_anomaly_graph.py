# SPDX-License-Identifier: Apache-2.0
"""The graph beside the scorer: the same map for every setting and size, and never a tensor of patches x memory."""

import numpy as np
import pytest
import torch
from sequential_patchcore.extractors import transformer_graph
from sequential_patchcore.extractors.base import ExtractorSettings
from sequential_patchcore.extractors.builder import extractor_of
from sequential_patchcore.runtime.errors import UserError
from sequential_patchcore.scoring.scorer import Scorer

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from sequential_patchcore.export import steps  # noqa: E402
from sequential_patchcore.export.anomaly_graph import anomaly_graph  # noqa: E402

SMALL = "mobilenetv3_small_050"
SIZES = [(97, 130), (64, 64), (40, 41), (9, 70)]


def image(size, seed=0):
    return np.random.default_rng(seed).random((*size, 3), np.float32)


def scorer_of(settings, vectors=40):
    """A memory of an image's own patches, some of them moved a little."""
    extractor = extractor_of(settings, "none", "torch")
    rng = np.random.default_rng(1)
    bare = Scorer.of_vectors(extractor, np.zeros((1, extractor.dimension), np.float32))
    patches = bare.patches(image((120, 100), 5)).vectors.reshape(-1, extractor.dimension).numpy()
    chosen = patches[rng.integers(0, len(patches), vectors)]
    chosen = chosen + rng.normal(0, 0.1 * patches.std(), chosen.shape).astype(np.float32)
    return Scorer.of_vectors(extractor, chosen, blur_sigma=1.5)


def run(graph, pixels):
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"image": pixels})[0]


def graph_of(scorer, size=None):
    return anomaly_graph(scorer.extractor, scorer.search.vectors, scorer.blur_sigma, size, {})


def assert_same(scorer, graph, sizes):
    for size in sizes:
        expected = scorer.anomaly_map(image(size))
        found = run(graph, image(size))
        assert found.shape == size and found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * expected.max())


@pytest.mark.parametrize("settings", [
    ExtractorSettings("filters"),
    ExtractorSettings("filters", pool=3, image_scale=0.6, projection=9),
    ExtractorSettings(SMALL),
    ExtractorSettings(SMALL, image_scale=0.37, projection=20, pool=3, unit_maps=True),
    ExtractorSettings(SMALL, image_scale=1.7, pool=1, normalisation="half"),
    ExtractorSettings("resnet18"),
    ExtractorSettings("tf_mobilenetv3_small_minimal_100", image_scale=0.5),
], ids=lambda settings: f"{settings.backbone} {settings.image_scale:g} pool {settings.pool}")
def test_the_map_is_the_scorers_at_every_size(settings):
    scorer = scorer_of(settings)
    assert_same(scorer, graph_of(scorer), SIZES)


def test_a_memory_of_many_vectors_goes_by_in_parts(monkeypatch):
    monkeypatch.setattr(steps, "VECTORS_AT_ONCE", 16)
    monkeypatch.setattr(steps, "PATCHES_AT_ONCE", 8)
    scorer = scorer_of(ExtractorSettings("filters"))
    assert_same(scorer, graph_of(scorer), SIZES[:2])


def test_no_tensor_holds_patches_times_memory():
    scorer = scorer_of(ExtractorSettings("filters"), vectors=3000)
    scan, = (node for node in graph_of(scorer, (512, 512)).graph.node if node.op_type == "Scan")
    body = onnx.shape_inference.infer_shapes(onnx.helper.make_model(scan.attribute[0].g)).graph
    largest = max(np.prod([side.dim_value for side in value.type.tensor_type.shape.dim]) for value in body.value_info)
    assert 0 < largest <= steps.PATCHES_AT_ONCE * steps.VECTORS_AT_ONCE < 128 * 128 * 3000


def test_a_graph_of_one_size_takes_that_alone():
    scorer = scorer_of(ExtractorSettings("filters"))
    graph = graph_of(scorer, (64, 80))
    assert_same(scorer, graph, [(64, 80)])
    with pytest.raises(Exception, match="image"):
        run(graph, image((64, 81)))


@pytest.mark.parametrize("settings", [
    ExtractorSettings("vit_tiny_patch16_224", pool=1),
    ExtractorSettings("vit_tiny_patch16_224", image_scale=0.8, unit_maps=True, layers=("blocks.3", "blocks.1")),
    ExtractorSettings("vit_small_patch16_dinov3", layers=("blocks.1",), projection=30),  # a rotary embedding
], ids=lambda settings: f"{settings.backbone} {settings.image_scale:g} pool {settings.pool}")
def test_a_transformer_of_one_size_agrees_with_attention_in_blocks(settings, monkeypatch):
    monkeypatch.setattr(transformer_graph, "_BLOCK", 2**10)
    monkeypatch.setattr(transformer_graph, "_FEWEST", 8)
    scorer = scorer_of(settings)
    graph = graph_of(scorer, (97, 130))
    assert_same(scorer, graph, [(97, 130)])
    softmaxes = [node for node in graph.graph.node if node.op_type == "Softmax"]
    assert len(softmaxes) > 2 * 12 if not settings.layers else len(softmaxes) > 2 * 2  # several a layer


def test_attention_in_blocks_is_attention(monkeypatch):
    monkeypatch.setattr(transformer_graph, "_BLOCK", 2**10)
    monkeypatch.setattr(transformer_graph, "_FEWEST", 3)
    queries, keys, values = torch.randn(3, 1, 2, 50, 8, generator=torch.Generator().manual_seed(0))
    attention = torch.nn.functional.scaled_dot_product_attention
    whole, mask = attention(queries, keys, values), torch.eye(50, dtype=torch.bool)
    with transformer_graph.BlockwiseAttention():
        torch.testing.assert_close(attention(queries, keys, values), whole)
        torch.testing.assert_close(attention(queries, keys, values, attn_mask=mask), values)


def test_a_transformer_of_any_size_is_refused_in_one_line():
    scorer = scorer_of(ExtractorSettings("vit_tiny_patch16_224"))
    with pytest.raises(UserError, match="`backbone` vit_tiny_patch16_224 can be exported for images of one size alone"):
        graph_of(scorer)


def test_a_transformer_that_cannot_be_written_is_refused_in_one_line(monkeypatch):
    scorer = scorer_of(ExtractorSettings("vit_tiny_patch16_224"))
    monkeypatch.setattr(scorer.extractor, "_blocks", ["none"])
    with pytest.raises(UserError, match="`backbone` vit_tiny_patch16_224 cannot be written as a graph: ") as caught:
        graph_of(scorer, (64, 64))
    assert "\n" not in str(caught.value)


def test_an_extractor_of_another_kind_is_refused():
    class Tokens:
        settings, stride, offset, dimension = ExtractorSettings("vit_tiny"), 16, 7.5, 4

    with pytest.raises(UserError, match="of the kind Tokens cannot be exported"):
        anomaly_graph(Tokens(), np.zeros((2, 4), np.float32), 2.0, None, {})
