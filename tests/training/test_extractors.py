# SPDX-License-Identifier: Apache-2.0
"""The backbones with random weights: shapes, places, identity, and weights files good and bad."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from sequential_patchcore.errors import UserError
from sequential_patchcore.extractors import ExtractorSettings, build_extractor, identity, scaled_size, to_tensor
from sequential_patchcore.extractors.alignment import measure_offsets, resample
from sequential_patchcore.extractors.base import average_pool
from sequential_patchcore.extractors.timm_backbone import timm  # repaired where torchvision is
from sequential_patchcore.restore import restore_extractor

SMALL = "mobilenetv3_small_050"


@pytest.fixture(scope="module")
def mobilenet():
    return build_extractor(ExtractorSettings(), "none")


@pytest.fixture(scope="module")
def small_weights():
    """The whole small network's own state, other than the one that "none" draws."""
    torch.manual_seed(7)
    return timm.create_model(SMALL, pretrained=False).state_dict()


def image(height, width, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).random((1, 3, height, width), np.float32))


@pytest.mark.parametrize("size", [(100, 300), (64, 48), (33, 47), (8, 8)])
def test_one_vector_per_8_by_8_pixels_begun(mobilenet, size):
    patches = mobilenet(image(*size))
    assert patches.shape == (1, math.ceil(size[0] / 8), math.ceil(size[1] / 8), 152)
    assert patches.dtype == torch.float32 and patches.is_contiguous() and torch.isfinite(patches).all()
    assert mobilenet.dimension == 152 and mobilenet.stride == 8


def test_resnet18_gives_its_maps_at_strides_8_and_16():
    extractor = build_extractor(ExtractorSettings(backbone="resnet18"), "none")
    assert extractor.layers == ["layer2", "layer3"] and extractor.dimension == 128 + 256
    assert extractor(image(33, 47)).shape == (1, 5, 6, 384)


def test_features_are_the_same_every_time_and_for_every_instance(mobilenet):
    pixels = image(64, 48)
    again = build_extractor(ExtractorSettings(), "none")
    torch.testing.assert_close(mobilenet(pixels), mobilenet(pixels), rtol=0, atol=0)
    torch.testing.assert_close(mobilenet(pixels), again(pixels), rtol=0, atol=0)
    assert identity(mobilenet) == identity(again) and mobilenet.offset == again.offset
    assert mobilenet.weights == "random"


@pytest.mark.parametrize("pool", [1, 2, 3])
def test_a_dark_spot_is_seen_where_the_offset_says(pool):
    extractor = build_extractor(ExtractorSettings(backbone=SMALL, pool=pool), "none")
    plain = 0.5 + 0.1 * (image(256, 256)[:, :1] - 0.5).expand(1, 3, -1, -1)
    before, axis, errors = extractor(plain)[0], torch.arange(256), []
    for y, x in np.random.default_rng(1).uniform(80, 176, (16, 2)):
        square = (axis[:, None] - y) ** 2 + (axis[None] - x) ** 2
        change = (extractor(plain * (1 - 0.7 * torch.exp(-square / 18)))[0] - before).square().sum(-1).double()
        for place, cells in ((y, change.sum(1)), (x, change.sum(0))):
            seen = float((cells * torch.arange(len(cells))).sum() / cells.sum())
            errors.append(seen * extractor.stride + extractor.offset - place)
    assert abs(np.mean(errors)) < extractor.stride / 2


@pytest.mark.parametrize(("stride", "start"), [(4, 0), (8, 3), (8, 7), (16, 5)])
def test_the_offset_of_a_network_that_samples_known_pixels_is_measured(stride, start):
    def network(images):
        blurred = torch.nn.functional.avg_pool2d(images, 2 * stride + 1, 1, stride, count_include_pad=False)
        return [blurred[..., start::stride, start::stride]]

    assert measure_offsets(network, [stride])[0] == pytest.approx(start, abs=0.5)


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_average_pool_equals_a_loop(width):
    maps = image(5, 7)
    expected = torch.zeros_like(maps)
    reach = range(-((width - 1) // 2), width // 2 + 1)
    for y in range(5):
        for x in range(7):
            near = [maps[..., min(max(y + a, 0), 4), min(max(x + b, 0), 6)] for a in reach for b in reach]
            expected[..., y, x] = torch.stack(near).mean(0)
    torch.testing.assert_close(average_pool(maps, width), expected)


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (4, 6)])
def test_resampling_a_ramp_gives_the_ramp_and_repeats_the_border(size):
    height, width = size
    ramp = (10 * torch.arange(height)[:, None] + torch.arange(width)[None]).float()[None, None]
    found = resample(ramp, (9, 11), 0.5, -0.75)[0, 0]
    for y in range(9):
        for x in range(11):
            row, column = min(max(0.5 * y - 0.75, 0), height - 1), min(max(0.5 * x - 0.75, 0), width - 1)
            assert float(found[y, x]) == pytest.approx(10 * row + column, abs=1e-4)


def test_unit_maps_make_both_parts_unit_vectors():
    extractor = build_extractor(ExtractorSettings(backbone=SMALL, unit_maps=True), "none")
    lengths = extractor(image(64, 48)).square().sum(-1)
    torch.testing.assert_close(lengths, torch.full_like(lengths, 2.0))


def test_images_are_scaled_before_they_become_tensors():
    pixels = np.full((33, 47, 3), 0.25, np.float32)
    for scale in (1.0, 0.5, 1.5, 0.001):
        tensor = to_tensor(pixels, scale, torch.device("cpu"))
        assert tensor.shape == (1, 3, *scaled_size((33, 47), scale))
        assert torch.allclose(tensor, torch.tensor(0.25))


def test_an_unknown_backbone_is_named():
    with pytest.raises(UserError, match=r"unknown backbone 'resnet18x'.*filters"):
        build_extractor(ExtractorSettings(backbone="resnet18x"), "none")


def test_weights_for_the_filters_are_refused():
    with pytest.raises(UserError, match="has no weights"):
        build_extractor(ExtractorSettings(backbone="filters"), "weights.pth")


def test_a_backbone_without_such_maps_is_refused():
    with pytest.raises(UserError, match="choose another"):
        build_extractor(ExtractorSettings(backbone="vit_tiny_patch16_224"), "none")


def test_a_missing_weights_file_is_named(tmp_path):
    with pytest.raises(UserError, match=f"no weights file at {tmp_path / 'nowhere.pth'}"):
        build_extractor(ExtractorSettings(backbone=SMALL), str(tmp_path / "nowhere.pth"))


def save(state, file):
    if file.suffix == ".safetensors":
        save_file({key: value.contiguous() for key, value in state.items()}, file)
    else:
        torch.save(state, file)
    return str(file)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_weights_file_is_loaded_and_found_again(tmp_path, small_weights, suffix):
    settings = ExtractorSettings(backbone=SMALL)
    place = save(small_weights, tmp_path / f"weights{suffix}")
    extractor = build_extractor(settings, place)
    for key, value in extractor.network.state_dict().items():
        torch.testing.assert_close(value.contiguous(), small_weights[key], rtol=0, atol=0)
    assert extractor.weights == f"weights{suffix}"
    assert extractor.weights_fingerprint != build_extractor(settings, "none").weights_fingerprint
    without_classifier = {key: value for key, value in small_weights.items() if not key.startswith("classifier")}
    lean = build_extractor(settings, save(without_classifier, tmp_path / f"lean{suffix}"))
    assert lean.weights_fingerprint == extractor.weights_fingerprint

    model = SimpleNamespace(
        extractor=identity(extractor) | {"weights": extractor.weights}, settings={"weights": place}
    )
    pixels = image(64, 48)
    torch.testing.assert_close(restore_extractor(model, "model.h5")(pixels), extractor(pixels), rtol=0, atol=0)
    with pytest.raises(UserError, match=rf"model\.h5 was trained with weights {extractor.weights_fingerprint}"):
        restore_extractor(model, "model.h5", "none")
    (tmp_path / f"weights{suffix}").unlink()
    with pytest.raises(UserError, match=r"not there; give them with --weights"):
        restore_extractor(model, "model.h5")


def test_a_weights_file_that_lacks_weights_is_refused(tmp_path, small_weights):
    settings = ExtractorSettings(backbone=SMALL)
    lacking = {key: value for key, value in small_weights.items() if not key.startswith("blocks.1.")}
    with pytest.raises(UserError, match=r"does not fit.*blocks\.1\."):
        build_extractor(settings, save(lacking, tmp_path / "lacking.pth"))
    other_shape = {**small_weights, "conv_stem.weight": torch.zeros(3, 3, 3, 3)}
    with pytest.raises(UserError, match="conv_stem"):
        build_extractor(settings, save(other_shape, tmp_path / "shape.safetensors"))
    with pytest.raises(UserError, match="does not fit"):
        build_extractor(settings, save({"something": torch.zeros(1)}, tmp_path / "foreign.pth"))


@pytest.mark.parametrize("name", ["damaged.pth", "damaged.safetensors"])
def test_a_damaged_weights_file_is_refused_in_one_line(tmp_path, name):
    (tmp_path / name).write_bytes(b"no weights at all")
    with pytest.raises(UserError) as caught:
        build_extractor(ExtractorSettings(backbone=SMALL), str(tmp_path / name))
    assert name in str(caught.value) and "\n" not in str(caught.value)
