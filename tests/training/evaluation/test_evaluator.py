# SPDX-License-Identifier: Apache-2.0
"""The evaluation end to end on images made by code: numbers against a slow count, the folder, the page."""

import csv
import json
import re
from collections import namedtuple
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from sequential_patchcore.data.dataset import open_dataset
from sequential_patchcore.data.format import ClassInfo
from sequential_patchcore.data.writer import DatasetWriter
from sequential_patchcore.evaluation.evaluated_model import EvaluatedModel
from sequential_patchcore.evaluation.evaluator import evaluate_models
from sequential_patchcore.metrics.counts import COVERAGE_PERCENT
from sequential_patchcore.runtime.errors import UserError
from sklearn.metrics import average_precision_score, roc_auc_score

Class = namedtuple("Class", "id name kind")
Sample = namedtuple("Sample", "id split seed group instances")
SHAPE = (48, 60)


class Plates:
    """Five plates with the interface of a data set: scratches, stains, clean ones, a border that is masked out."""

    path, name, pixel_size_um = Path("data/plates"), "plates <test>", 50.0
    classes = (Class(1, "bump", "defect"), Class(4, "scratch", "defect"), Class(6, "water_stain", "impurity"))
    defect_ids, impurity_ids = (1, 4), (6,)
    samples = tuple(Sample(name, "test", k, f"plate{k // 2}", ()) for k, name in enumerate("abcde"))

    def split(self, name):
        return tuple(s for s in self.samples if s.split == name)

    def image(self, sample):
        grey = np.random.default_rng(sample.seed).random(SHAPE, np.float32) * 0.1 + 0.4 + 0.2 * (self.mask(sample) > 0)
        return np.repeat(grey[..., None], 3, 2).astype(np.float32)

    def mask(self, sample):
        mask = np.zeros(SHAPE, np.uint8)
        if sample.id in "ab":
            mask[10:12, 8:30] = 4
        if sample.id in "bc":
            mask[30:42, 20:40] = 6
        if sample.id == "a":
            mask[0, 5] = 4  # outside the region
        return mask

    def instances(self, sample):
        return cv2.connectedComponents((self.mask(sample) > 0).astype(np.uint8))[1].astype(np.uint16)

    def region(self, sample):
        region = np.ones(SHAPE, bool)
        region[0] = False
        return region


def brightness(image):
    return image.mean(2)


def noise(image):
    return np.random.default_rng(int(image.sum() * 1000)).random(image.shape[:2], np.float32)


def models(**info):
    return [
        EvaluatedModel("Real", "real.h5", 0.63, brightness, {"coreset_size": 64, "epochs": [9, 4, 0]} | info),
        EvaluatedModel("Synth & co", None, 0.999, noise, {"random_weights": False, "separation": np.float32(0.5)}),
    ]


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    out = tmp_path_factory.mktemp("evaluate") / "out"
    picture = np.full((20, 30, 3), 0.5, np.float32)
    return evaluate_models(models(training_pictures=[("plate 17", picture)]), Plates(), "test", out, "abc"), out


@pytest.fixture
def without_figures(monkeypatch):
    """For what has nothing to do with them: they take most of the time on small images."""
    monkeypatch.setattr("sequential_patchcore.report.figures.write", lambda *_: {})
    monkeypatch.setattr("sequential_patchcore.report.worst_images.write", lambda *_: None)


def test_numbers_equal_a_count_over_all_pixels_at_once(result):
    metrics, _ = result
    plates = Plates()
    region = np.stack([plates.region(s) for s in plates.samples])
    positive = np.isin(np.stack([plates.mask(s) for s in plates.samples]), [1, 4])[region]
    for model in models():
        scores = np.stack([model.score(plates.image(s)) for s in plates.samples])[region]
        predicted = scores >= np.float32(model.threshold)
        found = metrics["models"][model.name]
        assert found["pixel"]["precision"] == (predicted & positive).sum() / predicted.sum()
        assert found["pixel"]["recall"] == (predicted & positive).sum() / positive.sum()
        area, precision = roc_auc_score(positive, scores), average_precision_score(positive, scores)
        assert abs(found["pixel"]["auroc"] - area) <= found["pixel"]["auroc_error"] + 1e-12
        assert abs(found["pixel"]["average_precision"] - precision) <= (
            found["pixel"]["average_precision_error"] + 1e-12
        )
        assert found["threshold"] == model.threshold
        assert found["images"] == 5


def test_classes_without_instances_are_undefined_and_masked_instances_do_not_count(result):
    real = result[0]["models"]["Real"]
    assert real["classes"]["bump"]["defect_wise_recall"] is None
    assert real["classes"]["scratch"]["instances"] == 2
    assert real["classes"]["scratch"]["pixels"] == 88
    assert real["classes"]["water_stain"]["instances"] == 2
    assert real["mean_defect_wise_recall"] == real["classes"]["scratch"]["defect_wise_recall"]
    assert real["images_by_content"] == {"with_defects": 2, "with_impurities_only": 1, "clean": 2}


def test_the_folder_holds_what_the_contract_names(result):
    metrics, out = result
    files = {str(p.relative_to(out)) for p in out.rglob("*") if p.is_file()}
    assert {"metrics.json", "per_class.csv", "scenarios.csv", "coverage_sweep.csv", "report.html"} <= files
    assert {"filter_sweep.csv", "threshold_sweep.csv", "false_positive_regions.csv", "worst_images.png"} <= files
    for figure in ("class_recall", "coverage_sweep", "precision_recall", "filters", "replacements"):
        assert {f"{figure}.png", f"{figure}.svg"} <= files
    assert {f"overlays/{i}.Real.overlay.jpg" for i in "abcde"} <= files
    assert cv2.imread(str(out / "overlays/a.Real.overlay.jpg")).shape == (*SHAPE, 3)
    assert files - {"metrics.json"} == set(metrics["files"])
    assert not [p for p in out.iterdir() if p.name.startswith(".")]
    assert json.loads((out / "metrics.json").read_text()) == metrics


def test_tables_repeat_the_metrics(result):
    metrics, out = result
    rows = list(csv.DictReader((out / "scenarios.csv").open()))
    assert [r["model"] for r in rows] == ["Real", "Synth & co"]
    assert float(rows[0]["f1"]) == metrics["models"]["Real"]["pixel"]["f1"]
    rows = list(csv.DictReader((out / "per_class.csv").open()))
    assert len(rows) == 2 * 3
    assert rows[0]["class"] == "bump"
    assert rows[0]["pixel_recall"] == ""
    rows = list(csv.DictReader((out / "coverage_sweep.csv").open()))
    assert len(rows) == 2 * (3 + 1) * len(COVERAGE_PERCENT)


def test_the_same_input_gives_the_same_bytes(result, tmp_path):
    metrics, out = result
    picture = np.full((20, 30, 3), 0.5, np.float32)
    evaluate_models(models(training_pictures=[("plate 17", picture)]), Plates(), "test", tmp_path, "abc")
    for name in [*metrics["files"], "metrics.json"]:
        assert (tmp_path / name).read_bytes() == (out / name).read_bytes(), name


def test_a_known_fingerprint_is_not_evaluated_again(result, capsys):
    metrics, out = result

    def fail(image):
        raise AssertionError("scored again")

    again = [EvaluatedModel("Real", None, 1.0, fail)]
    assert evaluate_models(again, Plates(), "test", out, "abc") == metrics
    assert "already evaluated" in capsys.readouterr().err
    with pytest.raises(AssertionError):
        evaluate_models(again, Plates(), "test", out, "another")


@pytest.mark.usefixtures("without_figures")
def test_a_result_with_a_lost_file_is_made_again(tmp_path):
    evaluate_models(models(), Plates(), "test", tmp_path, "abc")
    (tmp_path / "report.html").unlink()
    evaluate_models(models(), Plates(), "test", tmp_path, "abc")
    assert (tmp_path / "report.html").exists()


@pytest.mark.usefixtures("without_figures")
def test_a_new_run_removes_the_pictures_of_the_old_and_nothing_else(tmp_path):
    plates = Plates()
    (tmp_path / "overlays").mkdir()
    (tmp_path / "overlays/mine.txt").write_text("keep")
    evaluate_models(models(), plates, "test", tmp_path)
    plates.samples = plates.samples[1:]
    evaluate_models(models()[:1], plates, "test", tmp_path)
    names = {p.name for p in (tmp_path / "overlays").iterdir()}
    assert names == {"mine.txt"} | {f"{i}.Real.{kind}.jpg" for i in "bcde" for kind in ("overlay", "map")}


@pytest.mark.usefixtures("without_figures")
def test_a_fault_on_the_way_leaves_the_earlier_result(tmp_path):
    evaluate_models(models()[:1], Plates(), "test", tmp_path)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}

    def interrupted(image):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate_models([EvaluatedModel("Real", None, 1.0, interrupted)], Plates(), "test", tmp_path)
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_a_model_without_threshold_names_the_command(tmp_path):
    with pytest.raises(UserError, match=r"a\.h5 has no threshold.*`sequential-patchcore calibrate`"):
        evaluate_models([EvaluatedModel("A", "a.h5", None, brightness)], Plates(), "test", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_two_models_of_one_name_are_refused(tmp_path):
    with pytest.raises(UserError, match="both called Real"):
        evaluate_models([models()[0]] * 2, Plates(), "test", tmp_path)


def test_an_output_that_is_a_file_is_one_clear_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot make the folder"):
        evaluate_models(models(), Plates(), "test", tmp_path / "file")


@pytest.mark.usefixtures("without_figures")
def test_names_that_differ_only_in_odd_characters_keep_their_own_files(tmp_path):
    plates = Plates()
    plates.samples = tuple(s._replace(id=i) for s, i in zip(plates.samples, ["a/b", "a b", "../x"], strict=False))
    evaluate_models(models()[:1], plates, "test", tmp_path / "out")
    assert len(list((tmp_path / "out/overlays").iterdir())) == 6
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


@pytest.mark.usefixtures("without_figures")
def test_models_whose_names_make_one_file_name_keep_their_own_pictures(tmp_path):
    twins = [EvaluatedModel(name, None, 0.6, brightness) for name in ("a/b", "a b", "A_b")]
    evaluate_models(twins, Plates(), "test", tmp_path)
    assert len(list((tmp_path / "overlays").iterdir())) == 3 * 2 * 5


@pytest.mark.usefixtures("without_figures")
def test_a_data_set_folder_gives_the_same_counts(result, tmp_path):
    plates = Plates()
    classes = [ClassInfo(*c) for c in Plates.classes]
    with DatasetWriter(tmp_path / "data", "plates", "test", classes, 50.0) as writer:
        for s in plates.samples:
            mask, numbers = plates.mask(s), plates.instances(s)
            class_of = {int(n): int(mask[numbers == n][0]) for n in np.unique(numbers[numbers > 0])}
            grey = (plates.image(s)[..., 0] * 255).round().astype(np.uint8)
            writer.add(s.id, grey, mask, numbers, class_of, "test", s.group, plates.region(s))
    found = evaluate_models(models(), open_dataset(tmp_path / "data"), "test", tmp_path / "out")["models"]["Real"]
    expected = result[0]["models"]["Real"]
    for name in ("positives", "pixels"):
        assert found["pixel"]["counts"][name] == expected["pixel"]["counts"][name]
    assert found["images_by_content"] == expected["images_by_content"]
    for name, of in expected["classes"].items():
        for key in ("instances", "pixels"):
            assert found["classes"][name][key] == of[key]


def test_aupro_and_regions_are_in_the_record_and_intervals_hold_their_figures(result):
    for found in result[0]["models"].values():
        assert 0 <= found["pixel"]["aupro"] <= 1 and found["pixel"]["aupro_limit"] == 0.3
        assert found["bootstrap"]["groups"] == 3 and found["bootstrap"]["few_groups"]
        for name in ("precision", "recall", "f1"):
            low, high = found["bootstrap"]["intervals"][name]
            assert low <= found["pixel"][name] <= high
        swept = found["filter_sweep"][0]  # the plain rule
        assert (swept["hysteresis"], swept["min_region"]) == (1.0, 0)
        assert swept["f1"] == found["pixel"]["f1"]
        assert swept["false_positive_regions"] == found["false_positive_regions"]["regions"]
        assert swept["mean_defect_wise_recall"] == found["mean_defect_wise_recall"]
        sweep = found["threshold_sweep"]
        assert sweep["precision"][sweep["chosen"]] == found["pixel"]["precision"]
    assert set(result[0]["differences"]["intervals"]) == {"Synth & co"}


def test_the_samples_alone_give_every_figure_of_the_tables(result):
    metrics = result[0]
    for name, found in metrics["models"].items():
        results = [sample["models"][name] for sample in metrics["samples"]]
        tp, fp = (sum(result[key] for result in results) for key in ("true_positive", "false_positive"))
        assert tp / (tp + fp) == found["pixel"]["precision"]
        for info in metrics["dataset"]["classes"]:
            parts = [c for result in results for c in result["classes"] if c["class_id"] == info["id"]]
            hits = [i["detected"] for result in results for i in result["instances"] if i["class_id"] == info["id"]]
            expected = found["classes"][info["name"]]
            assert sum(c["pixels"] for c in parts) == expected["pixels"]
            assert sum(c["predicted"] for c in parts) == expected["predicted_pixels"]
            assert (sum(hits), len(hits)) == (expected["detected_instances"], expected["instances"])


def test_a_detection_that_asks_for_an_odd_coverage_is_refused(tmp_path):
    with pytest.raises(UserError, match="can ask for one of 0, 1, 2"):
        evaluate_models(models(), Plates(), "test", tmp_path / "out", coverage=7)
    assert not (tmp_path / "out").exists()


def test_maps_without_any_contrast_give_a_whole_report(tmp_path):
    flat = EvaluatedModel("flat", None, 0.0, lambda image: np.zeros(image.shape[:2], np.float32))
    metrics = evaluate_models([flat], Plates(), "test", tmp_path)
    assert metrics["models"]["flat"]["pixel"]["auroc"] == 0.5
    assert metrics["models"]["flat"]["pixel"]["recall"] == 1.0


@pytest.mark.usefixtures("without_figures")
def test_an_image_that_is_masked_out_wholly_counts_nothing(tmp_path):
    plates, whole = Plates(), Plates()
    plates.region = lambda sample: whole.region(sample) & (sample.id != "b")
    found = evaluate_models(models(), plates, "test", tmp_path)
    left = found["samples"][1]["models"]["Real"]
    assert (left["score"], left["true_positive"], left["false_negative"], left["instances"]) == (None, 0, 0, [])
    plates.samples = tuple(s for s in plates.samples if s.id != "b")
    without = evaluate_models(models(), plates, "test", tmp_path / "without")
    for name, of in found["models"].items():
        assert of["pixel"] == without["models"][name]["pixel"]
        assert of["classes"] == without["models"][name]["classes"]
        assert of["threshold_sweep"]["precision"] == without["models"][name]["threshold_sweep"]["precision"]


@pytest.mark.parametrize("threshold", [-1.0, 1e39, float("nan")])
def test_a_threshold_that_no_score_can_have_is_refused(tmp_path, threshold):
    with pytest.raises(UserError, match="scores are float32"):
        evaluate_models([EvaluatedModel("A", None, threshold, brightness)], Plates(), "test", tmp_path)


@pytest.mark.usefixtures("without_figures")
@pytest.mark.parametrize("threshold", [0.0, 1e-42, 3e38])
def test_extreme_thresholds_give_a_whole_report(tmp_path, threshold):
    models = [EvaluatedModel("A", None, threshold, brightness)]
    found = evaluate_models(models, Plates(), "test", tmp_path)["models"]["A"]
    sweep = found["threshold_sweep"]
    assert sweep["threshold"] == sorted(set(sweep["threshold"]))
    assert sweep["recall"][sweep["chosen"]] == found["pixel"]["recall"] == float(threshold < 1)


def test_a_split_without_defects_gives_a_whole_report(tmp_path):
    plates = Plates()
    plates.samples = plates.samples[3:]
    metrics = evaluate_models(models(), plates, "test", tmp_path)
    assert metrics["models"]["Real"]["pixel"]["f1"] is None or metrics["models"]["Real"]["pixel"]["f1"] == 0
    assert metrics["models"]["Real"]["mean_defect_wise_recall"] is None
    assert not (tmp_path / "coverage_sweep.svg").exists()


class Page(HTMLParser):
    """Every address in the page, the pictures' captions, and the text."""

    def __init__(self, text):
        super().__init__()
        self.addresses, self.captions, self.text, self.classes = [], [], "", []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.addresses += [attributes[k] for k in ("src", "href", "srcset", "action", "data") if attributes.get(k)]
        self.captions.append(attributes.get("data-caption", ""))
        self.classes.append(attributes.get("class", ""))

    def handle_data(self, data):
        self.text += data


def test_the_page_is_one_file_that_fetches_nothing(result):
    text = (result[1] / "report.html").read_text()
    page = Page(text)
    assert page.addresses
    assert all(a.startswith(("data:image/", "#")) for a in page.addresses)
    assert not re.search(r"https?://|@import|url\(|fetch\(|XMLHttpRequest", text)


def test_every_link_within_the_page_has_its_place(result):
    text = (result[1] / "report.html").read_text()
    for target in re.findall(r'href="#([^"]+)"', text):
        assert f'id="{target}"' in text


def test_the_page_shows_every_image_for_every_model(result):
    page = Page((result[1] / "report.html").read_text())
    for name in "abcde":
        for what in ("photograph", "labels", "prediction of Real", "anomaly map of Synth & co"):
            assert f"{name}: {what}" in page.captions
    assert "plate 17" in page.text
    assert "plates <test>" in page.text  # escaped in the source, whole to the reader


@pytest.mark.usefixtures("without_figures")
def test_red_banner_if_and_only_if_weights_are_random(result, tmp_path):
    assert "banner" not in Page((result[1] / "report.html").read_text()).classes
    evaluate_models(models(random_weights=True), Plates(), "test", tmp_path)
    page = Page((tmp_path / "report.html").read_text())
    assert "banner" in page.classes
    assert "Random weights." in page.text
