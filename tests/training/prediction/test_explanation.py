# SPDX-License-Identifier: Apache-2.0
"""A coreset vector leads back to its piece of image; a patch to its nearest nominal one."""

import json
import shutil

import cv2
import numpy as np
import pytest
import torch
from sequential_patchcore.cli import parser as cli
from sequential_patchcore.extractors.base import ExtractorSettings, to_tensor
from sequential_patchcore.extractors.builder import extractor_of
from sequential_patchcore.model.file import load_model
from sequential_patchcore.report.coreset_sheet import alike
from sequential_patchcore.scoring.provenance import Provenance, piece


@pytest.fixture(scope="module")
def made(plates, tmp_path_factory):
    folder = tmp_path_factory.mktemp("explain")
    data = plates(folder / "plates", train=4, val=1, test=1)
    model = folder / "m.h5"
    arguments = ["train", "--data", str(data.path), "--out", str(model), "--backbone", "filters", "--epochs", "3"]
    assert cli.main([*arguments, "--coreset-size", "30", "--augment", "--threads", "1"]) == 0
    assert cli.main(["calibrate", "--model", str(model), "--data", str(data.path)]) == 0
    return data, model


def patches(extractor, image):
    return extractor(to_tensor(image, 1.0, torch.device("cpu")))[0].numpy()


def test_a_piece_is_cut_around_its_centre_and_dark_beyond_the_border():
    image = np.zeros((20, 30, 3), np.float32)
    image[10, 12] = 1
    cut = piece(image, (10.0, 12.0), 5, 5)
    assert cut.shape == (5, 5, 3) and cut[2, 2].tolist() == [255] * 3 and cut.sum() == 3 * 255
    corner = piece(image, (0.0, 0.0), 5, 5)
    assert (corner[:2] > 0).all() and (corner[:, :2] > 0).all() and (corner[2:, 2:] == 0).all()


def test_predict_explains_with_the_nearest_vector(made, tmp_path):
    data, path = made
    photograph = next(data.image_path(sample) for sample in data.split("test"))
    command = ["predict", "--model", str(path), str(photograph), "--out", str(tmp_path), "--explain"]
    assert cli.main(command) == 0
    (found,) = json.loads((tmp_path / "explanations.json").read_text()).values()
    model, extractor = load_model(path), extractor_of(ExtractorSettings("filters"))
    image = cv2.imread(str(photograph)).astype(np.float32)[..., ::-1] / 255
    grid = patches(extractor, np.ascontiguousarray(image))
    all_distances = np.linalg.norm(grid[:, :, None].astype(float) - model.features.astype(float), axis=3)
    assert found[0]["distance"] == pytest.approx(all_distances.min(2).max(), rel=1e-3)
    for each in found:
        y, x = each["grid"]
        assert each["nominal_vector"] == all_distances[y, x].argmin()
        source = model.sources[model.source[each["nominal_vector"]]]
        assert (each["nominal"]["dataset"], each["nominal"]["image"]) == source
        assert each["nominal"]["pixel"] is not None
    picture = cv2.imread(str(tmp_path / "explain" / f"{photograph.stem}.jpg"))
    assert picture is not None and picture.std() > 10


def test_the_sheet_shows_every_vector_and_tells_what_is_missing(made, tmp_path, capsys):
    data, path = made
    pictures = ["--coreset-sheet", str(tmp_path / "s.png"), "--plot", str(tmp_path / "p.png")]
    assert cli.main(["info", str(path), *pictures]) == 0
    assert "30 pieces of image\n" in capsys.readouterr().out
    assert cv2.imread(str(tmp_path / "s.png")).std() > 10 and cv2.imread(str(tmp_path / "p.png")).std() > 10
    moved = tmp_path / "moved"
    shutil.move(data.path, moved)
    try:
        assert cli.main(["info", str(path), "--coreset-sheet", str(tmp_path / "s.png")]) == 0
        assert "images of 30 are not found" in capsys.readouterr().out
        assert cli.main(["info", str(path), "--coreset-sheet", str(tmp_path / "t.png"), "--data", str(moved)]) == 0
        assert "not found" not in capsys.readouterr().out
        assert Provenance(load_model(path)).nominal(0).position is None
    finally:
        shutil.move(moved, data.path)


def test_alike_orders_every_vector_once():
    features = np.random.default_rng(0).normal(size=(37, 5)).astype(np.float32)
    assert sorted(alike(features)) == list(range(37))
    assert sorted(alike(features[:, :1])) == list(range(37))
