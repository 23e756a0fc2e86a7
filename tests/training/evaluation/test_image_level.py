# SPDX-License-Identifier: Apache-2.0
"""Good and bad images without masks: calibration and evaluation count images and plates, and no pixel."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import sequential_patchcore as sp
from sequential_patchcore.data.format import ClassInfo
from sequential_patchcore.data.writer import DatasetWriter
from sequential_patchcore.evaluation.evaluated_model import EvaluatedModel
from sequential_patchcore.evaluation.evaluator import evaluate_models
from sequential_patchcore.scoring.calibration import calibrate, is_of_request
from sklearn.metrics import f1_score, precision_score, recall_score, roc_auc_score

SHAPE = (40, 50)
CLASSES = (ClassInfo(1, "dent", "defect"), ClassInfo(2, "stain", "impurity"))


class Darkness:
    def anomaly_map(self, image: np.ndarray) -> np.ndarray:
        return (1 - image.mean(2)).astype(np.float32)


def dataset(folder, located=False, count=12):
    """Images of rising darkness, some of the dark ones labelled; two to a plate; alike in `val` and `test`.

    Of every third image the label is a dent, of image 2 a stain. `located` gives each dent its pixels.
    """
    rng = np.random.default_rng(4)
    with DatasetWriter(folder, folder.name, "test", CLASSES) as writer:
        for split in ("val", "test"):
            for number in range(count):
                image = np.full(SHAPE, 200, np.uint8)
                depth = 20 + 10 * number + int(rng.integers(0, 60))
                image[5:12, 5:15] = 255 - depth
                dented, stained = number % 3 == 1, number == 2
                mask = np.zeros(SHAPE, np.uint8)
                if located and dented:
                    mask[5:12, 5:15] = 1
                numbers = (mask > 0).astype(np.uint16)
                as_a_whole = ([1] if dented and not located else []) + ([2] if stained else [])
                writer.add(
                    f"{split}{number:02}", image, mask, numbers, {1: 1} if located and dented else {}, split,
                    f"{split}-plate{number // 2}", as_a_whole=as_a_whole,
                )
    return sp.open_dataset(folder)


def truth(data, split, per="image"):
    """(highest score, has a dent) of each image or plate, by the records alone."""
    units = {}
    for sample in data.split(split):
        unit = sample.group if per == "plate" else sample.id
        peak = float(Darkness().anomaly_map(data.image(sample)).max())
        dented = any(instance.class_name == "dent" for instance in sample.instances)
        before = units.get(unit, (0.0, False))
        units[unit] = max(before[0], peak), before[1] or dented
    scores, dents = zip(*units.values(), strict=True)
    return np.array(scores), np.array(dents)


@pytest.fixture(scope="module")
def bad(tmp_path_factory):
    return dataset(tmp_path_factory.mktemp("bad") / "bad")


@pytest.fixture(scope="module")
def result(bad, tmp_path_factory):
    out = tmp_path_factory.mktemp("evaluated")
    models = [EvaluatedModel(name, None, value, Darkness().anomaly_map) for name, value in (("A", 0.35), ("B", 2.0))]
    return evaluate_models(models, bad, "test", out), out


@pytest.mark.parametrize("per", ["image", "plate"])
def test_the_threshold_is_that_of_largest_f1_over_images_or_plates(bad, capsys, per):
    threshold = calibrate(Darkness(), bad, per=None if per == "image" else per)
    scores, dents = truth(bad, "val", per)
    best = max(f1_score(dents, scores >= value) for value in scores)
    assert threshold.method == "max_unit_f1" and threshold.calibrated_on["f1"] == pytest.approx(best, abs=1e-12)
    assert f1_score(dents, scores >= threshold.value) == pytest.approx(best, abs=1e-12)
    assert (threshold.calibrated_on["f1_of"], threshold.calibrated_on["units"]) == (per, len(scores))
    assert "4 images are labelled as a whole" in capsys.readouterr().err
    assert is_of_request(threshold, None, None if per == "image" else per)
    assert not is_of_request(threshold, None, "pixel") and not is_of_request(threshold, 0.1, per)


def test_a_rate_is_one_of_images_that_have_no_label_of_any_kind(bad):
    threshold = calibrate(Darkness(), bad, "val", 0.4, "image")
    assert threshold.calibrated_on["images"] == 12 - 4 - 1


@pytest.mark.parametrize(("level", "per"), [("images", "image"), ("plates", "plate")])
def test_figures_of_images_and_plates_are_those_of_scikit_learn(bad, result, level, per):
    scores, dents = truth(bad, "test", per)
    for name, threshold in (("A", 0.35), ("B", 2.0)):
        found = result[0]["models"][name]["image_level"][level]
        alarmed = scores >= np.float32(threshold)
        assert found["auroc"] == pytest.approx(roc_auc_score(dents, scores))
        assert found["recall"] == recall_score(dents, alarmed)
        assert found["f1"] == pytest.approx(f1_score(dents, alarmed))
        assert found["precision"] == (precision_score(dents, alarmed) if alarmed.any() else None)
        assert sum(found["counts"].values()) == len(scores)
    assert result[0]["models"]["A"]["image_auroc"] == result[0]["models"]["A"]["image_level"]["images"]["auroc"]


def test_no_figure_of_pixels_is_made_up(result):
    found = result[0]["models"]["A"]
    ratios = ("precision", "recall", "f1", "auroc", "average_precision", "aupro")
    assert {found["pixel"][name] for name in ratios} == {None}
    assert set(found["threshold_sweep"]["precision"]) == set(found["threshold_sweep"]["f1"]) == {None}
    assert found["mean_defect_wise_recall"] is None
    assert found["images_labelled_as_a_whole"] == 5  # four dents, one stain
    assert found["images_by_content"] == {"with_defects": 4, "with_impurities_only": 1, "clean": 7}
    assert found["clean_images"]["images"] == 7
    outcomes = {sample["id"]: sample["models"]["A"] for sample in result[0]["samples"]}
    for name, one in outcomes.items():
        dented = int(name[-2:]) % 3 == 1
        assert one["outcome"] == (("found" if one["alarmed"] else "missed") if dented else
                                  ("alarm" if one["alarmed"] else "passed"))
    assert [sample.get("whole") for sample in result[0]["samples"]][:3] == [None, "defect", "impurity"]


def test_intervals_are_over_the_images_too(result):
    for name in ("image_f1", "image_recall", "image_auroc"):
        low, high = result[0]["models"]["A"]["bootstrap"]["intervals"][name]
        value = result[0]["models"]["A"]["image_level"]["images"][name.removeprefix("image_")]
        assert low <= value <= high
    assert result[0]["models"]["A"]["bootstrap"]["intervals"]["f1"] is None


def test_the_folder_says_the_same_with_dashes_for_pixels(result):
    metrics, out = result
    row = next(csv.DictReader((out / "scenarios.csv").open()))
    assert row["f1"] == row["auroc"] == row["mean_defect_wise_recall"] == ""
    assert float(row["image_f1"]) == metrics["models"]["A"]["image_level"]["images"]["f1"]
    assert float(row["plate_f1"]) == metrics["models"]["A"]["image_level"]["plates"]["f1"]
    page = (out / "report.html").read_text()
    assert "5 are labelled as a whole" in page and "dent, as a whole" in page
    assert json.loads((out / "metrics.json").read_text()) == metrics


def test_with_masks_the_figures_of_images_are_the_same(result, tmp_path):
    """The same images and labels, each dent with its pixels: those figures do not hang on the masks."""
    located = dataset(tmp_path / "located", located=True)
    models = [EvaluatedModel("A", None, 0.35, Darkness().anomaly_map)]
    found = evaluate_models(models, located, "test")["models"]["A"]
    assert found["image_level"] == result[0]["models"]["A"]["image_level"]
    assert found["pixel"]["f1"] > 0 and found["images_labelled_as_a_whole"] == 1  # the stain


def test_an_image_labelled_as_a_whole_changes_no_figure_of_pixels(tmp_path):
    located = dataset(tmp_path / "located", located=True)
    models = [EvaluatedModel("A", None, 0.35, Darkness().anomaly_map)]
    found = evaluate_models(models, located, "test")["models"]["A"]
    stained = next(sample for sample in located.split("test") if sample.id == "test02")
    without = replace(located, samples=tuple(sample for sample in located.samples if sample is not stained))
    other = evaluate_models(models, without, "test")["models"]["A"]
    for name in ("pixel", "classes", "coverage_sweep", "filter_sweep", "threshold_sweep", "clean_images"):
        assert found[name] == other[name], name
    assert found["false_positive_regions"] == other["false_positive_regions"]
