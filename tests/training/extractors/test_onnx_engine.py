# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime beside torch: the same vectors within rounding, bit for bit by itself, and what happens without it."""

import numpy as np
import pytest
import torch
from sequential_patchcore.extractors import onnx_engine
from sequential_patchcore.extractors.base import ExtractorSettings, identity
from sequential_patchcore.extractors.builder import extractor_of
from sequential_patchcore.extractors.footprint import Footprint
from sequential_patchcore.extractors.onnx_graph import cache_folder
from sequential_patchcore.fitting.settings import TrainSettings
from sequential_patchcore.fitting.training import train
from sequential_patchcore.model.file import load_model
from sequential_patchcore.runtime.errors import UserError
from sequential_patchcore.scoring.scorer import Scorer

pytest.importorskip("onnxruntime")

SMALL = ExtractorSettings(backbone="mobilenetv3_small_050")


def image(height, width, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).random((1, 3, height, width), np.float32))


def relative(ours, theirs):
    return float((ours - theirs).abs().max() / theirs.abs().max())


@pytest.fixture(scope="module")
def by_torch():
    return extractor_of(SMALL, "none", "torch")


@pytest.fixture(scope="module")
def by_onnx():
    return extractor_of(SMALL, "none")


@pytest.mark.parametrize("backbone", [
    "mobilenetv3_small_050", "tf_mobilenetv3_small_minimal_100",
    pytest.param("resnet18", marks=pytest.mark.long), pytest.param("vgg11", marks=pytest.mark.long),
])
def test_vectors_agree_with_torch_at_sizes_that_the_graph_was_not_made_with(backbone):
    settings = ExtractorSettings(backbone=backbone)
    ours, theirs = extractor_of(settings, "none", "onnx"), extractor_of(settings, "none", "torch")
    assert (ours.engine, theirs.engine) == ("onnx", "torch") and identity(ours) == identity(theirs)
    for size in [(97, 130), (64, 200), (33, 47)]:
        assert relative(ours(image(*size)), theirs(image(*size))) < onnx_engine.TOLERANCE


def test_the_engine_and_not_torch_computes_the_maps(by_onnx, monkeypatch):
    monkeypatch.setattr(by_onnx.network, "forward", None)
    assert by_onnx(image(40, 40)).isfinite().all()


def test_repeats_itself_bit_for_bit_whatever_the_threads_and_the_batch(by_onnx):
    first, second = image(90, 70, 1), image(90, 70, 2)
    alone = by_onnx(first)
    assert torch.equal(by_onnx(first), alone)
    assert torch.equal(by_onnx(torch.cat([first, second])), torch.cat([alone, by_onnx(second)]))
    torch.set_num_threads(2)
    try:
        assert torch.equal(by_onnx(first), alone)
    finally:
        torch.set_num_threads(1)


def test_the_memory_that_it_keeps_is_counted_beside_the_patches(by_onnx, by_torch):
    ours, theirs, size = Footprint(by_onnx), Footprint(by_torch), (512, 640)
    # torch holds them as they are and folded; ONNX Runtime has two copies beside the first.
    assert 2 * ours.weights == 3 * theirs.weights and ours.libraries > theirs.libraries
    # The first convolution alone has 3 channels in, and 16 out on a quarter of the pixels.
    assert ours.features(size) > (3 + 16 / 4) * 4 * size[0] * size[1] + 64 * 80 * by_onnx.dimension * 4


def test_a_projected_extractor_has_it_too():
    assert extractor_of(ExtractorSettings(backbone=SMALL.backbone, projection=8), "none").engine == "onnx"


@pytest.mark.parametrize("damage", [b"", b"no graph at all"])
def test_a_damaged_graph_in_the_cache_is_made_anew(damage, by_onnx):
    for file in cache_folder().glob(f"{by_onnx.weights_fingerprint}-*.onnx"):
        file.write_bytes(damage)
    assert torch.equal(extractor_of(SMALL, "none")(image(50, 60)), by_onnx(image(50, 60)))


def test_a_graph_with_other_weights_in_the_cache_is_made_anew(by_onnx):
    cached = cache_folder().glob(f"{by_onnx.weights_fingerprint}-*.onnx")  # with other settings too
    files = [file for file in cached if file.stat().st_size > 8192]
    assert files
    for file in files:
        data = bytearray(file.read_bytes())
        middle = np.frombuffer(data, np.uint8, 4096, len(data) // 2).copy()
        data[len(data) // 2 : len(data) // 2 + 4096] = np.roll(middle, 4).tobytes()
        file.write_bytes(data)
    assert torch.equal(extractor_of(SMALL, "none")(image(50, 60)), by_onnx(image(50, 60)))


def test_where_it_disagrees_torch_is_taken_and_a_line_says_so(monkeypatch, capsys):
    monkeypatch.setattr(onnx_engine, "TOLERANCE", -1.0)
    assert extractor_of(SMALL, "none").engine == "torch"
    assert "features by torch" in capsys.readouterr().err
    with pytest.raises(UserError, match="`engine` onnx cannot be used for this network"):
        extractor_of(SMALL, "none", "onnx")


def test_where_it_is_not_installed_torch_is_taken_and_asking_for_it_is_an_error(monkeypatch):
    monkeypatch.setattr(onnx_engine, "find_spec", lambda name: None)
    assert extractor_of(SMALL, "none").engine == "torch"
    with pytest.raises(UserError, match="`engine` onnx is not installed"):
        extractor_of(SMALL, "none", "onnx")


@pytest.mark.parametrize(("settings", "words"), [
    (ExtractorSettings(backbone="filters"), "is for networks"),
    (ExtractorSettings(backbone=SMALL.backbone, precision="bfloat16"), "computes in float32"),
])
def test_where_it_cannot_be_asking_for_it_is_an_error(settings, words):
    assert extractor_of(settings, "none").engine == "torch"
    with pytest.raises(UserError, match=words):
        extractor_of(settings, "none", "onnx")


def test_a_gpu_is_torchs_alone():
    assert onnx_engine.engine_on("cuda", "auto") == "torch" and onnx_engine.engine_on("cpu", "auto") == "auto"
    with pytest.raises(UserError, match="on a CPU alone"):
        onnx_engine.engine_on("cuda", "onnx")


def test_a_model_of_one_engine_is_scored_by_the_other_and_names_its_own(plates, by_onnx, by_torch, tmp_path):
    data = plates(tmp_path / "data")
    settings = TrainSettings(coreset_size=24, epochs=2)
    models = [train([data], extractor, settings, out=tmp_path / f"{extractor.engine}.h5")
              for extractor in (by_onnx, by_torch)]
    assert [load_model(tmp_path / f"{name}.h5").settings["engine"] for name in ("onnx", "torch")] == ["onnx", "torch"]
    assert models[0].request != models[1].request
    pixels = data.image(data.split("test")[0])
    for model in models:
        maps = [Scorer(model, extractor=extractor).anomaly_map(pixels) for extractor in (by_onnx, by_torch)]
        np.testing.assert_allclose(maps[0], maps[1], atol=1e-4 * maps[1].max(), rtol=0)
