# SPDX-License-Identifier: Apache-2.0
"""Batch norms folded on torch's CPU path: the same maps up to rounding, the network itself untouched."""

import pytest
import torch
from sequential_patchcore.extractors import timm_backbone
from sequential_patchcore.extractors.base import ExtractorSettings
from sequential_patchcore.extractors.builder import extractor_of
from sequential_patchcore.extractors.folding import folded
from sequential_patchcore.extractors.onnx_engine import TOLERANCE
from torch import nn

SMALL = ExtractorSettings("mobilenetv3_small_050")


def with_statistics(network):
    """Batch norms as training leaves them; random weights have those that change nothing."""
    generator = torch.Generator().manual_seed(0)
    for norm in (part for part in network.modules() if isinstance(part, nn.BatchNorm2d)):
        norm.running_mean.normal_(0, 0.1, generator=generator)
        norm.running_var.uniform_(0.5, 2, generator=generator)
        norm.weight.data.uniform_(0.5, 1.5, generator=generator)
        norm.bias.data.normal_(0, 0.1, generator=generator)
    return network


@pytest.mark.parametrize("backbone", ["mobilenetv3_small_050", "resnet18", "tf_mobilenetv3_small_minimal_100"])
def test_maps_agree_and_no_norm_is_left(backbone):
    extractor = extractor_of(ExtractorSettings(backbone), "none", "torch")
    with_statistics(extractor.network)
    image = torch.rand(1, 3, 97, 130, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected, found = extractor._by_network(image), extractor._maps_of(image, "float32")
    assert any(isinstance(part, nn.BatchNorm2d) for part in extractor.network.modules())
    assert not any(isinstance(part, nn.BatchNorm2d) for part in extractor._for_cpu.modules())
    assert extractor.copies == 2
    for one, other in zip(found, expected, strict=True):
        assert float((one - other).abs().max() / other.abs().max()) < TOLERANCE


def test_the_network_itself_stays_as_it_is():
    extractor = extractor_of(SMALL, "none", "torch")
    before = {name: value.clone() for name, value in extractor.network.state_dict().items()}
    extractor(torch.rand(1, 3, 40, 40))
    after = extractor.network.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)
    extractor.to(torch.device("cpu"))
    assert extractor.copies == 1  # made again when it is needed


@pytest.mark.parametrize("wrong", [lambda network: folded(network).eval().apply(doubled), lambda network: Fails()],
                         ids=["other maps", "cannot run"])
def test_where_it_would_be_another_network_it_stays_unfolded(monkeypatch, wrong):
    monkeypatch.setattr(timm_backbone, "folded", wrong)
    extractor = extractor_of(SMALL, "none", "torch")
    extractor(torch.rand(1, 3, 40, 40))
    assert extractor._for_cpu is extractor.network and extractor.copies == 1


def doubled(part):
    if isinstance(part, nn.Conv2d):
        part.weight.data *= 1.01


class Fails(nn.Module):
    def forward(self, _images):
        raise RuntimeError("sizes do not match")


def test_another_precision_takes_the_network_itself():
    extractor = extractor_of(ExtractorSettings(SMALL.backbone, precision="bfloat16"), "none", "torch")
    extractor(torch.rand(1, 3, 40, 40))
    assert extractor._for_cpu is None
