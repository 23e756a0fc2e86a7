# SPDX-License-Identifier: Apache-2.0
"""`Scorer` and `evaluate` as a program uses them: no files, no command line."""

import json
from dataclasses import replace

import numpy as np
import pytest
import sequential_patchcore as sp
from sequential_patchcore.extractors.base import ExtractorSettings
from sequential_patchcore.extractors.builder import build_extractor, extractor_of
from sequential_patchcore.fitting.settings import RunOptions, TrainSettings
from sequential_patchcore.fitting.training import train
from sequential_patchcore.runtime.errors import UserError


@pytest.fixture(scope="module")
def made(plates, tmp_path_factory):
    """A data set and a model file."""
    folder = tmp_path_factory.mktemp("api")
    data = plates(folder / "d", train=3)
    extractor = build_extractor("filters")
    train([data], extractor, TrainSettings(64, 1), out=folder / "m.h5", options=RunOptions(record={"blur_sigma": 3.0}))
    return data, folder / "m.h5"


@pytest.fixture
def scorer(made):
    return sp.Scorer(sp.load_model(made[1]), path=made[1])


def test_an_image_becomes_a_map_of_its_size_with_the_models_blur(made, scorer):
    data = made[0]
    image = data.image(data.split("test")[0])
    found = scorer.anomaly_map(image)
    assert found.shape == image.shape[:2] and found.dtype == np.float32 and (found >= 0).all()
    assert scorer.conditions == {"precision": "float32", "blur_sigma": 3.0}
    sharper = sp.Scorer(scorer.model, blur_sigma=0)
    assert sharper.anomaly_map(image).max() == scorer.patches(image).distances.max() > found.max()


def test_no_weights_are_loaded_before_there_is_something_to_score(made, monkeypatch):
    def fail(*_):
        raise AssertionError("loaded")

    monkeypatch.setattr("sequential_patchcore.scoring.restore.extractor_of", fail)
    scorer = sp.Scorer(sp.load_model(made[1]))
    with pytest.raises(AssertionError, match="loaded"):
        scorer.anomaly_map(np.zeros((32, 32, 3), np.float32))


def test_calibrate_returns_and_keeps_the_threshold_and_writes_no_file(made, scorer):
    before = made[1].read_bytes()
    threshold = scorer.calibrate(made[0])
    assert scorer.threshold == scorer.model.threshold == threshold and threshold.method == "max_f1"
    assert "conditions" not in threshold.calibrated_on
    assert made[1].read_bytes() == before
    sharper = sp.Scorer(scorer.model, blur_sigma=1.0)
    assert sharper.calibrate(made[0]).calibrated_on["conditions"] == {"blur_sigma": 1.0}


def test_evaluate_returns_the_record_and_writes_nothing_unless_asked(made, scorer, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sequential_patchcore.report.figures.write", lambda *_: {})
    scorer.calibrate(made[0])
    record = sp.evaluate(scorer, made[0])
    assert list(tmp_path.iterdir()) == [] and json.loads(json.dumps(record, allow_nan=False)) == record
    assert record["models"]["m"]["pixel"]["auroc"] > 0.9 and record["models"]["m"]["path"] == str(made[1])
    assert record["dataset"]["split"] == "test" and [s["id"] for s in record["samples"]] == ["test0", "test1"]
    written = sp.evaluate(scorer, made[0], out=tmp_path / "out")
    assert {key: value for key, value in written.items() if key != "files"} == record
    assert json.loads((tmp_path / "out" / "metrics.json").read_text()) == written


def test_names_come_from_the_mapping_the_files_or_a_number(made, scorer):
    threshold = scorer.calibrate(made[0])
    bare = sp.Scorer(scorer.model)
    arrays = sp.Scorer.of_vectors(scorer.extractor, scorer.model.features, blur_sigma=3.0)
    arrays.threshold = threshold
    record = sp.evaluate([scorer, bare, arrays], made[0], split="val")
    assert list(record["models"]) == ["m", "model 2", "model 3"]
    first, *others = record["models"].values()
    assert all(other["pixel"] == first["pixel"] for other in others)
    assert list(sp.evaluate({"old": scorer, "new": bare}, made[0], split="val")["models"]) == ["old", "new"]


def test_what_cannot_be_evaluated_is_one_clear_line(made, scorer):
    calibrated = sp.Scorer(scorer.model, path=scorer.path)
    calibrated.calibrate(made[0])
    for scorers, words in (
        ([], "at least one"), (scorer, r"m\.h5 has no threshold"), ([calibrated] * 2, "both called m"),
    ):
        with pytest.raises(UserError, match=words):
            sp.evaluate(scorers, made[0])
    with pytest.raises(UserError, match="no samples in the split 'none'"):
        sp.evaluate(calibrated, made[0], split="none")


def test_an_extractor_that_the_model_was_not_made_with_is_refused(made):
    model = sp.load_model(made[1])
    for settings, words in (
        (ExtractorSettings("filters", pool=3), "another extractor: pool is 2 there and 3 here"),
        (ExtractorSettings("filters", image_scale=0.5), "another extractor: image_scale is 1.0 there and 0.5 here"),
        (ExtractorSettings("mobilenetv3_small_050"), "was trained with weights"),
    ):
        with pytest.raises(UserError, match=words):
            sp.Scorer(model, extractor=extractor_of(settings, "none"))
    other = replace(model, extractor=model.extractor | {"projection": 8})
    with pytest.raises(UserError, match="another extractor: projection is 8 there and 0 here"):
        sp.Scorer(other, extractor=build_extractor("filters"))
    with pytest.raises(UserError, match="either an `extractor`"):
        sp.Scorer(model, extractor=build_extractor("filters"), precision="bfloat16")


def test_images_that_were_trained_on_are_no_promise(made, scorer, capsys):
    scorer.calibrate(made[0], split="train")
    assert "note: 3 of the 3 images of the split 'train' were trained on" in capsys.readouterr().err
    scorer.calibrate(made[0])
    assert "trained on" not in capsys.readouterr().err
