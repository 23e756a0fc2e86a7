# SPDX-License-Identifier: Apache-2.0
"""The backbones with random weights: shapes, places, identity, and weights files good and bad."""

import math
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from sequential_patchcore.extractors import timm_backbone
from sequential_patchcore.extractors.alignment import measure_offsets, resample
from sequential_patchcore.extractors.base import (
    ExtractorSettings,
    average_pool,
    channels_last,
    identity,
    scaled_size,
    to_tensor,
)
from sequential_patchcore.extractors.builder import extractor_of
from sequential_patchcore.extractors.projection import projection_matrix
from sequential_patchcore.runtime.errors import UserError
from sequential_patchcore.scoring.restore import restore_extractor

SMALL = "mobilenetv3_small_050"


@pytest.fixture(scope="module")
def mobilenet():
    return extractor_of(ExtractorSettings(), "none")


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
    extractor = extractor_of(ExtractorSettings(backbone="resnet18"), "none")
    assert extractor.layers == ["layer2", "layer3"] and extractor.dimension == 128 + 256
    assert extractor(image(33, 47)).shape == (1, 5, 6, 384)


def test_features_are_the_same_every_time_and_for_every_instance(mobilenet):
    pixels = image(64, 48)
    again = extractor_of(ExtractorSettings(), "none")
    torch.testing.assert_close(mobilenet(pixels), mobilenet(pixels), rtol=0, atol=0)
    torch.testing.assert_close(mobilenet(pixels), again(pixels), rtol=0, atol=0)
    assert identity(mobilenet) == identity(again) and mobilenet.offset == again.offset
    assert mobilenet.weights == "random"


@pytest.mark.parametrize("pool", [1, 2, 3])
def test_a_dark_spot_is_seen_where_the_offset_says(pool):
    extractor = extractor_of(ExtractorSettings(backbone=SMALL, pool=pool), "none")
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
    extractor = extractor_of(ExtractorSettings(backbone=SMALL, unit_maps=True), "none")
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
        extractor_of(ExtractorSettings(backbone="resnet18x"), "none")


def test_weights_for_the_filters_are_refused():
    with pytest.raises(UserError, match="has no weights"):
        extractor_of(ExtractorSettings(backbone="filters"), "weights.pth")


def test_a_backbone_without_such_maps_is_refused():
    with pytest.raises(UserError, match="choose another"):
        extractor_of(ExtractorSettings(backbone="mixer_s16_224"), "none")


# Layers, lengths, stride: by construction, with random weights.
BACKBONES = {
    "mobilenetv3_small_100": (None, 24 + 48, 8), "mobilenetv3_large_100": (None, 40 + 112, 8),
    "wide_resnet50_2": (["layer2", "layer3"], 512 + 1024, 8),
    "vgg16_bn": (None, 512 + 512, 8),
    "vit_small_patch14_dinov2": (["blocks.11"], 384, 14), "vit_small_patch16_dinov3": (["blocks.11"], 384, 16),
}


@pytest.mark.parametrize("backbone", BACKBONES)
def test_backbones_by_name(backbone, monkeypatch):
    monkeypatch.setattr(timm_backbone, "measure_offsets", lambda _, strides: [0.0] * len(strides))  # it takes a while
    layers, dimension, stride = BACKBONES[backbone]
    extractor = extractor_of(ExtractorSettings(backbone=backbone), "none")
    assert (extractor.dimension, extractor.stride) == (dimension, stride)
    assert layers is None or extractor.layers == layers
    patches = extractor(image(70, 45))
    assert patches.shape == (1, math.ceil(70 / stride), math.ceil(45 / stride), dimension)
    assert patches.dtype == torch.float32 and torch.isfinite(patches).all()


@pytest.mark.parametrize(
    ("backbone", "layers", "stride", "dimension"),
    [(SMALL, ("blocks.3", "blocks.0"), 4, 8 + 24), (SMALL, ("blocks.5",), 32, 288),
     ("vit_tiny_patch16_224", ("blocks.7", "blocks.3"), 16, 2 * 192)],
)
def test_layers_are_chosen_by_name_and_restored(backbone, layers, stride, dimension):
    settings = ExtractorSettings(backbone=backbone, layers=layers, normalisation="half", precision="bfloat16")
    extractor = extractor_of(settings, "none")
    assert sorted(extractor.layers) == sorted(layers)
    assert (extractor.stride, extractor.dimension) == (stride, dimension)
    model = SimpleNamespace(extractor=identity(extractor) | {"weights": "random"}, settings={"weights": "none"})
    again = restore_extractor(model, "m.h5")
    assert identity(again) == identity(extractor) and again.offset == extractor.offset
    torch.testing.assert_close(again(image(64, 64)), extractor(image(64, 64)), rtol=0, atol=0)
    with pytest.raises(UserError, match="'nowhere'"):
        extractor_of(ExtractorSettings(backbone=backbone, layers=("nowhere",)), "none")


def test_the_default_layers_by_name_are_the_same_extractor(mobilenet):
    named = extractor_of(ExtractorSettings(layers=tuple(mobilenet.layers)), "none")
    assert identity(named) == identity(mobilenet)


def test_a_token_sees_its_own_square_first():
    """The patch embedding of a transformer without blocks' mixing would be exact; random blocks still favour it."""
    extractor = extractor_of(ExtractorSettings(backbone="vit_small_patch14_dinov2", pool=1), "none")
    assert extractor.offset == 6.5
    plain = image(140, 140)
    changed = plain.clone()
    changed[..., 42:56, 70:84] += 0.5
    change = (extractor(changed) - extractor(plain))[0].square().sum(-1)
    assert divmod(int(change.argmax()), 10) == (3, 5)


@pytest.mark.parametrize(("normalisation", "mean", "std"), [("half", 0.5, 0.5), ("none", 0.0, 1.0)])
def test_normalisation_is_a_setting_of_the_model(normalisation, mean, std):
    extractor = extractor_of(ExtractorSettings(backbone=SMALL, normalisation=normalisation), "none")
    assert extractor.preprocessing == {"mean": [mean] * 3, "std": [std] * 3}
    usual = extractor_of(ExtractorSettings(backbone=SMALL), "none")
    own_mean, own_std = (torch.tensor(usual.preprocessing[key])[:, None, None] for key in ("mean", "std"))
    pixels = image(64, 64)
    same_input = (pixels - mean) / std * own_std + own_mean
    found, expected = extractor._maps_of(pixels, "float32"), usual._maps_of(same_input, "float32")
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)
    assert identity(extractor) != identity(usual)


def test_bfloat16_features_are_near_and_known_as_such():
    exact = extractor_of(ExtractorSettings(backbone=SMALL), "none")
    rough = extractor_of(ExtractorSettings(backbone=SMALL, precision="bfloat16"), "none")
    one, other = exact(image(64, 64)), rough(image(64, 64))
    assert other.dtype == torch.float32 and 0 < (one - other).norm() / one.norm() < 0.05
    assert identity(exact) != identity(rough)
    with pytest.raises(UserError, match="float16 needs a GPU"):
        extractor_of(ExtractorSettings(backbone=SMALL, precision="float16"), "none")(image(64, 64))


def test_the_projection_keeps_distances_and_is_the_same_everywhere():
    matrix = projection_matrix(1536, 256)
    assert matrix.shape == (1536, 256) and np.array_equal(matrix, projection_matrix(1536, 256))
    assert (matrix != 0).mean() == pytest.approx(1536**-0.5, rel=0.05)
    vectors = np.random.default_rng(0).normal(size=(60, 1536))
    pairs = np.triu_indices(60, 1)
    before, after = (np.linalg.norm(rows[pairs[0]] - rows[pairs[1]], axis=1) for rows in (vectors, vectors @ matrix))
    # The squared ratio has the variance 2 / d, about, so the ratio a standard deviation of 1 / sqrt(2 d) = 0.044.
    assert np.abs(after / before - 1).max() < 5 * 0.044 and np.mean(after / before) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("backbone", ["filters", SMALL])
def test_projected_vectors_are_the_others_times_the_matrix(backbone):
    plain = extractor_of(ExtractorSettings(backbone=backbone), "none")
    shorter = extractor_of(ExtractorSettings(backbone=backbone, projection=20), "none")
    expected = plain(image(64, 64)).numpy() @ projection_matrix(plain.dimension, 20)
    np.testing.assert_allclose(shorter(image(64, 64)).numpy(), expected, rtol=1e-4, atol=1e-4)
    assert shorter.dimension == 20 and identity(shorter)["projection"] == 20
    with pytest.raises(UserError, match="`projection` 500"):
        extractor_of(ExtractorSettings(backbone=backbone, projection=500), "none")


@pytest.mark.parametrize("given", [{"layers": ("a",)}, {"normalisation": "half"}, {"precision": "bfloat16"}])
def test_options_of_networks_are_refused_for_the_filters(given):
    with pytest.raises(UserError, match=f"`{next(iter(given))}` is for networks"):
        extractor_of(ExtractorSettings(backbone="filters", **given))


def test_a_missing_weights_file_is_named(tmp_path):
    with pytest.raises(UserError, match=f"no weights file at {tmp_path / 'nowhere.pth'}"):
        extractor_of(ExtractorSettings(backbone=SMALL), str(tmp_path / "nowhere.pth"))


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
    extractor = extractor_of(settings, place)
    for key, value in extractor.network.state_dict().items():
        torch.testing.assert_close(value.contiguous(), small_weights[key], rtol=0, atol=0)
    assert extractor.weights == f"weights{suffix}"
    assert extractor.weights_fingerprint != extractor_of(settings, "none").weights_fingerprint
    without_classifier = {key: value for key, value in small_weights.items() if not key.startswith("classifier")}
    lean = extractor_of(settings, save(without_classifier, tmp_path / f"lean{suffix}"))
    assert lean.weights_fingerprint == extractor.weights_fingerprint

    model = SimpleNamespace(
        extractor=identity(extractor) | {"weights": extractor.weights}, settings={"weights": place}
    )
    pixels = image(64, 48)
    torch.testing.assert_close(restore_extractor(model, "model.h5")(pixels), extractor(pixels), rtol=0, atol=0)
    with pytest.raises(UserError, match=rf"model\.h5 was trained with weights {extractor.weights_fingerprint}"):
        restore_extractor(model, "model.h5", "none")
    (tmp_path / f"weights{suffix}").unlink()
    with pytest.raises(UserError, match=r"not there; say where they are: `weights`"):
        restore_extractor(model, "model.h5")


def test_a_weights_file_that_lacks_weights_is_refused(tmp_path, small_weights):
    settings = ExtractorSettings(backbone=SMALL)
    lacking = {key: value for key, value in small_weights.items() if not key.startswith("blocks.1.")}
    with pytest.raises(UserError, match=r"does not fit.*blocks\.1\."):
        extractor_of(settings, save(lacking, tmp_path / "lacking.pth"))
    other_shape = {**small_weights, "conv_stem.weight": torch.zeros(3, 3, 3, 3)}
    with pytest.raises(UserError, match="conv_stem"):
        extractor_of(settings, save(other_shape, tmp_path / "shape.safetensors"))
    with pytest.raises(UserError, match="does not fit"):
        extractor_of(settings, save({"something": torch.zeros(1)}, tmp_path / "foreign.pth"))


@pytest.mark.parametrize("name", ["damaged.pth", "damaged.safetensors"])
def test_a_damaged_weights_file_is_refused_in_one_line(tmp_path, name):
    (tmp_path / name).write_bytes(b"no weights at all")
    with pytest.raises(UserError) as caught:
        extractor_of(ExtractorSettings(backbone=SMALL), str(tmp_path / name))
    assert name in str(caught.value) and "\n" not in str(caught.value)


def test_a_torchvision_that_does_not_fit_torch_is_one_clear_error(tmp_path: Path) -> None:
    broken = tmp_path / "torchvision" / "__init__.py"
    broken.parent.mkdir()
    broken.write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    code = (
        "from sequential_patchcore.extractors.base import ExtractorSettings\n"
        "from sequential_patchcore.extractors.builder import extractor_of\n"
        "import sequential_patchcore.runtime.errors as e\n"
        "extractor_of(ExtractorSettings('filters'))\n"
        "try: extractor_of(ExtractorSettings('resnet18'), 'none')\n"
        "except e.UserError as error: print(error)"
    )
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True,
        env=os.environ | {"PYTHONPATH": path},
    )
    assert "does not fit torch" in done.stdout and "filters" in done.stdout
    assert done.stdout.count("\n") == 1


@pytest.mark.parametrize("shape", [(1, 40, 31, 50), (1, 7, 3, 9), (2, 24, 20, 20)])
def test_the_order_in_memory_changes_no_bit_of_the_averages(shape):
    maps = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    ordered = channels_last(maps)
    assert ordered.is_contiguous(memory_format=torch.channels_last) and torch.equal(ordered, maps)
    assert channels_last(ordered) is ordered
    assert torch.equal(channels_last(maps[:, :, 1:, 2:]), maps[:, :, 1:, 2:])
    for width in range(1, 9):
        assert torch.equal(average_pool(ordered, width), average_pool(maps, width))
