# SPDX-License-Identifier: Apache-2.0
"""Verdicts from data sets to predictions: what is written, what stays as it was, what is refused."""

import csv
import json
import shutil
from dataclasses import replace

import h5py
import numpy as np
import pytest
from sequential_patchcore import Scorer, load_model, save_model
from sequential_patchcore.cli import parser as cli
from sequential_patchcore.data.dataset import open_dataset
from sequential_patchcore.data.format import ClassInfo
from sequential_patchcore.data.writer import DatasetWriter
from sequential_patchcore.model.file import Product, Threshold, Zones
from sequential_patchcore.naming.namer import Namer, namer_of
from sequential_patchcore.naming.operating_point import operating_point
from sequential_patchcore.naming.setting import judged_regions, set_verdicts
from sequential_patchcore.runtime.errors import UserError

HEIGHT, WIDTH = 128, 256
CLASSES = (ClassInfo(2, "dent", "defect"), ClassInfo(6, "water_stain", "impurity"))
TRAIN = ("--backbone", "filters", "--coreset-size", "64", "--epochs", "1", "--no-border-mask")


def soiled(folder, seed, counts, clean=("train",)):
    """Plates of noise; on those of other splits than `clean` a speckled stain, and on two of three a dark dent."""
    rng = np.random.default_rng(seed)
    rows, columns = np.ogrid[:HEIGHT, :WIDTH]
    with DatasetWriter(folder, folder.name, "test", CLASSES) as writer:
        for split, count in counts.items():
            for number in range(count):
                image, mask = rng.normal(140, 6, (HEIGHT, WIDTH)), np.zeros((HEIGHT, WIDTH), np.uint8)
                marks = () if split in clean else ((6, 1, 22, 45), (2, 0, 10, -70))[: 2 if number % 3 else 1]
                for class_id, half, radius, change in marks:
                    y, x = rng.integers(30, HEIGHT - 30), rng.integers(30, WIDTH // 2 - 30) + half * WIDTH // 2
                    inside = (rows - y) ** 2 + (columns - x) ** 2 <= radius**2
                    image[inside] += change if class_id == 2 else rng.normal(0, change, int(inside.sum()))
                    mask[inside] = class_id
                instances = np.where(mask == 2, 1, np.where(mask == 6, 2, 0)).astype(np.uint16)
                listed = {1: 2, 2: 6} if 2 in mask else {2: 6} if 6 in mask else {}
                writer.add(f"{split}{number}", np.clip(image, 0, 255).astype(np.uint8), mask, instances, listed, split,
                           f"plate{number}")


@pytest.fixture(scope="module")
def day(tmp_path_factory):
    """Folder with `plates`, a library `dirty`, the model without verdicts `plain.h5` and with them `named.h5`."""
    folder = tmp_path_factory.mktemp("day")
    soiled(folder / "plates", 0, {"train": 4, "val": 8, "test": 8})
    soiled(folder / "dirty", 9, {"train": 16}, clean=())
    at = {name: str(folder / name) for name in ("plates", "dirty", "m.h5", "plain.h5", "named.h5")}
    assert cli.main(["train", "--data", at["plates"], "--out", at["m.h5"], *TRAIN]) == 0
    assert cli.main(["calibrate", "--model", at["m.h5"], "--data", at["plates"]]) == 0
    # Low enough that stains alarm too, as on a line where no scratch may be missed.
    model = load_model(at["m.h5"])
    save_model(model.with_threshold(Threshold(0.35 * model.threshold.value, "by_hand")), at["m.h5"])
    assert cli.main(["impurities", "--model", at["m.h5"], "--data", at["dirty"], "--out", at["plain.h5"]]) == 0
    shutil.copy(at["plain.h5"], at["named.h5"])
    assert cli.main(["verdicts", "--model", at["named.h5"], "--data", at["dirty"], "--val", at["plates"]]) == 0
    return folder


def predict(day, model, out, *options):
    images = str(day / "plates" / "images")
    return cli.main(["predict", "--model", str(day / model), images, "--out", str(out), *options])


def evaluate(day, model, out):
    return cli.main(["evaluate", "--model", str(day / model), "--data", str(day / "plates"), "--out", str(out)])


def test_stains_are_named_and_dents_are_not(day):
    scorer = Scorer(load_model(day / "named.h5"))
    found = judged_regions(Namer(scorer), scorer, open_dataset(day / "plates"), "test")
    dents = [region.likeness for region in found if region.defects]
    stains = [region.likeness for region in found if region.impurity and not region.defects]
    limit = scorer.model.naming.pass_below
    assert len(dents) >= 5 and len(stains) >= 6
    assert min(dents) >= limit and np.mean(np.array(stains) < limit) > 0.8


def test_the_point_is_that_of_the_validation_plates(day):
    scorer = Scorer(load_model(day / "named.h5"))
    naming = scorer.model.naming
    again = operating_point(judged_regions(Namer(scorer), scorer, open_dataset(day / "plates"), "val"))
    assert again.pass_below >= naming.pass_below, "the library and the form may only lower it"
    passed = naming.promise["passed_by_form"]
    assert set(passed) == {"linear", "networks"} and passed[naming.promise["form"]] == max(passed.values())
    assert naming.promise["at_most"] > again.promise["at_most"], "each form has half of the doubt"
    assert naming.promise["views"] == again.promise["views"] and naming.promise["library_views"] > 0
    assert naming.promise["lost"] == 0 and naming.impurities == ("water_stain",) and naming.kinds[1] == "defect"


def test_what_predict_writes_says_the_same_everywhere(day, tmp_path):
    assert predict(day, "named.h5", tmp_path, "--explain") == 0
    records = json.loads((tmp_path / "predictions.json").read_text())
    verdicts = {region["verdict"] for record in records for region in record["regions"]}
    assert "defect" in verdicts and "water_stain" in verdicts and verdicts <= {"defect", "water_stain", "unsure"}
    with open(tmp_path / "predictions.csv", newline="") as file:
        images = {row["image"]: row for row in csv.DictReader(file)}
    with open(tmp_path / "regions.csv", newline="") as file:
        regions = list(csv.DictReader(file))
    flat = [(record, region) for record in records for region in record["regions"]]
    assert [row["verdict"] for row in regions] == [region["verdict"] for _, region in flat]
    for row, (_, region) in zip(regions, flat, strict=True):
        figures = region["figures"]
        assert float(row["distance_to_water_stain"]) == pytest.approx(figures["memory_distances"]["water_stain"], 1e-5)
        assert float(row["distance_to_nominal"]) == pytest.approx(figures["nominal_distance"], 1e-5)
        assert sum(figures["patches"].values()) >= 1
    for record in records:
        alarms = [region for region in record["regions"] if region["verdict"] in ("defect", "unsure")]
        expected = "anomalous" if alarms else "dirty" if record["regions"] else "normal"
        assert record["verdict"] == images[record["image"]]["verdict"] == expected
        assert sum(record["dirt"].values()) == len(record["regions"]) - len(alarms)
    explained = json.loads((tmp_path / "verdicts.json").read_text())
    assert all("remembered" in each for found in explained.values() for each in found)
    assert len(list((tmp_path / "explain").glob("*.verdicts.jpg"))) == len(records)


def test_dirty_images_are_normal_to_the_exit_code(day, tmp_path, capsys):
    predict(day, "named.h5", tmp_path / "all")
    records = json.loads((tmp_path / "all" / "predictions.json").read_text())
    dirty = [record["image"] for record in records if record["verdict"] == "dirty"]
    clean = [record["image"] for record in records if record["verdict"] == "normal"]
    assert dirty and clean, "the plates show both"
    capsys.readouterr()
    code = cli.main(["predict", "--model", str(day / "named.h5"), *dirty, *clean, "--out", str(tmp_path / "some"),
                     "--exit-code"])
    said = capsys.readouterr().out
    assert code == 0 and "normal, dirty: water_stain x" in said and f"{len(dirty)} normal but dirty" in said
    assert predict(day, "named.h5", tmp_path / "every", "--exit-code") == 3


def test_a_model_without_a_rule_predicts_bit_for_bit_as_if_it_had_no_memories(day, tmp_path):
    for model in ("m.h5", "plain.h5"):
        assert predict(day, model, tmp_path / model) == 0
    for name in ("predictions.csv", "predictions.json", "regions.csv"):
        assert (tmp_path / "m.h5" / name).read_bytes() == (tmp_path / "plain.h5" / name).read_bytes()
    assert "verdict," in (tmp_path / "m.h5" / "predictions.csv").read_text().splitlines()[0]
    assert "dirt" not in (tmp_path / "m.h5" / "predictions.csv").read_text()
    assert (tmp_path / "m.h5" / "regions.csv").read_text().splitlines()[0].endswith("peak_y")


def test_scores_and_regions_are_those_of_the_model_without_verdicts(day, tmp_path):
    for model in ("m.h5", "named.h5"):
        predict(day, model, tmp_path / model)
    plain, named = (json.loads((tmp_path / model / "predictions.json").read_text()) for model in ("m.h5", "named.h5"))
    for one, other in zip(plain, named, strict=True):
        assert one["score"] == other["score"] and one["boxes"] == other["boxes"]


def test_at_another_threshold_and_with_a_hysteresis_nothing_is_named(day, tmp_path, capsys):
    for options in (("--threshold", "1000"), ("--hysteresis", "0.5")):
        predict(day, "named.h5", tmp_path / options[0], *options)
        assert "alarms are not named" in capsys.readouterr().err
        assert "dirt" not in (tmp_path / options[0] / "predictions.csv").read_text()
    model = load_model(day / "named.h5")
    assert model.with_threshold(Threshold(1000.0, "by_hand")).naming is None
    assert model.with_threshold(replace(model.threshold, method="by_hand")).naming is model.naming
    assert namer_of(Scorer(load_model(day / "plain.h5"))) is None


def test_evaluate_counts_what_the_regions_say(day, tmp_path):
    out = tmp_path / "results"
    assert evaluate(day, "named.h5", out) == 0
    record = json.loads((out / "metrics.json").read_text())
    model = record["models"]["named"]
    verdicts = model["verdicts"]
    regions = [region for sample in record["samples"] for region in sample["models"]["named"]["regions"]]
    dirt = [region for region in regions if not region["defects"]]
    passed = [region for region in dirt if region["verdict"] not in ("defect", "unsure")]
    assert verdicts["false_alarms"]["before"]["count"] == len(dirt) == model["false_positive_regions"]["regions"]
    assert verdicts["false_alarms"]["after"]["count"] == len(dirt) - len(passed)
    stains = [region for region in dirt if region["impurity"] == "water_stain"]
    assert verdicts["impurities"]["water_stain"]["passed"]["of"] == len(stains)
    views = {(number, k) for k, sample in enumerate(record["samples"])
             for region in sample["models"]["named"]["regions"] for number, _ in region["defects"]}
    assert verdicts["defects"]["all"]["of"] == len(views)
    pixels = model["pixel"]["counts"]
    lost = sum(region["on_defects"] for region in regions if region["verdict"] not in ("defect", "unsure"))
    whole = sum(region["pixels"] for region in regions if region["verdict"] not in ("defect", "unsure"))
    after = verdicts["after"]["pixel"]["counts"]
    assert after["true_positive"] == pixels["true_positive"] - lost
    assert after["false_positive"] == pixels["false_positive"] - (whole - lost)
    assert (out / "verdicts.csv").is_file() and 'id="verdicts"' in (out / "report.html").read_text()


def test_evaluating_a_model_without_a_rule_writes_nothing_of_verdicts(day, tmp_path):
    out = tmp_path / "results"
    assert evaluate(day, "plain.h5", out) == 0
    assert not (out / "verdicts.csv").exists() and 'id="verdicts"' not in (out / "report.html").read_text()
    assert "verdicts" not in json.loads((out / "metrics.json").read_text())["models"]["plain"]


def test_the_rule_survives_a_round_trip_and_finished_work_is_kept(day, tmp_path, capsys):
    model = load_model(day / "named.h5")
    save_model(model, tmp_path / "again.h5")
    one, other = model.naming, load_model(tmp_path / "again.h5").naming
    arrays = ("hidden_weights", "hidden_offsets", "weights", "offsets", "reach")
    for name in arrays:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    plain = replace(one, **dict.fromkeys(arrays, 0)), replace(other, **dict.fromkeys(arrays, 0))
    assert plain[0] == plain[1]
    before = (day / "named.h5").read_bytes()
    assert cli.main(["verdicts", "--model", str(day / "named.h5"), "--data", str(day / "dirty"), "--val",
                     str(day / "plates")]) == 0
    assert "kept" in capsys.readouterr().err and (day / "named.h5").read_bytes() == before


@pytest.mark.parametrize(("damage", "said"), [
    (lambda group: group.attrs.modify("pass_below", np.nan), "pass_below"),
    (lambda group: group.attrs.modify("pass_below", 5.0), "pass_below"),
    (lambda group: group.attrs.modify("window", 4), "window"),
    (lambda group: group.attrs.modify("likest", 10), "likest"),
    (lambda group: group.attrs.modify("near_from", -1.0), "near_from"),
    (lambda group: group.attrs.modify("near_cells", 1000), "near_cells"),
    (lambda group: group.__delitem__("hidden_weights"), "earlier form"),
    (lambda group: group.attrs.modify("unknown_share", 2.0), "unknown_share"),
    (lambda group: group.attrs.modify("promise", "[]"), "promise"),
    (lambda group: group.attrs.modify("promise", "{}"), "promise"),
    (lambda group: group.attrs.__delitem__("threshold"), "missing"),
    (lambda group: group.__delitem__("weights"), "missing"),
    (lambda group: (group.__delitem__("weights"), group.__setitem__("weights", np.zeros((4, 2, 3), np.float32))),
     "weights"),
    (lambda group: (group.__delitem__("offsets"), group.create_dataset("offsets", data=np.zeros(2))), "offsets"),
    (lambda group: (group.__delitem__("reach"), group.__setitem__("reach", h5py.SoftLink("/coreset/source"))), "link"),
    (lambda group: group["offsets"].__setitem__((0, 0), np.inf), "finite"),
    (lambda group: group["names"].__setitem__(0, "rust"), "rust"),
    (lambda group: group["kinds"].__setitem__(0, "defect"), "kinds"),
])
def test_a_damaged_rule_is_one_clear_line(day, tmp_path, damage, said):
    path = tmp_path / "m.h5"
    shutil.copy(day / "named.h5", path)
    with h5py.File(path, "r+") as file:
        damage(file["naming"])
    with pytest.raises(UserError, match=said) as found:
        load_model(path)
    assert "naming" in str(found.value) and "\n" not in str(found.value)


def test_what_verdicts_cannot_be_set_of_is_refused(day, tmp_path):
    plates, dirty = open_dataset(day / "plates"), open_dataset(day / "dirty")
    scorer = Scorer(load_model(day / "plain.h5"))
    with pytest.raises(UserError, match="test split"):
        set_verdicts(scorer, [dirty], plates, split="test")
    with pytest.raises(UserError, match="no memory of an impurity"):
        set_verdicts(Scorer(load_model(day / "m.h5")), [dirty], plates)
    with pytest.raises(UserError, match="no rule"):
        Namer(scorer)
    unset = Scorer(replace(scorer.model, threshold=None))
    with pytest.raises(UserError, match="threshold"):
        set_verdicts(unset, [dirty], plates)


def test_what_cannot_be_promised_is_unsure(day, tmp_path, capsys):
    path = tmp_path / "m.h5"
    shutil.copy(day / "plain.h5", path)
    assert cli.main(["verdicts", "--model", str(path), "--data", str(day / "dirty"), "--val", str(day / "plates"),
                     "--lost-defects", "0.01"]) == 0
    assert "cannot be promised" in capsys.readouterr().out
    predict(day, tmp_path / "m.h5", tmp_path / "out")
    records = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert {region["verdict"] for record in records for region in record["regions"]} <= {"defect", "unsure"}


@pytest.mark.long
def test_alarms_by_the_thresholds_of_products_and_zones_are_named(day, tmp_path, capsys):
    """Odd plates alarm in their right half alone, where the stains are: no dent of theirs is a region."""
    right = np.zeros((HEIGHT, WIDTH), np.uint8)
    right[:, WIDTH // 2 :] = 1
    model = load_model(day / "plain.h5")
    odd = Product(Threshold(1e6, "by_hand"), Zones(("right",), right), {"right": model.threshold})
    path = str(tmp_path / "m.h5")
    save_model(replace(model, products={"even": Product(model.threshold), "odd": odd}), path)
    command = ["verdicts", "--model", path, "--data", str(day / "dirty"), "--val", str(day / "plates")]
    rules = ["--product-rule", "*[02468].png=even", "--product-rule", "*[13579].png=odd"]
    assert cli.main(command) == 2
    assert "8 of 8 validation images of the split 'val' show none of these" in capsys.readouterr().err
    assert cli.main([*command, *rules]) == 0
    named = load_model(path)
    scorer, plates = Scorer(named), open_dataset(day / "plates")

    def product_of(sample):
        return "even" if int(sample.id[-1]) % 2 == 0 else "odd"

    found = judged_regions(Namer(scorer), scorer, plates, "val", product_of)
    dents = {region.image for region in found if region.defects}
    assert dents == {f"val{number}" for number in range(8) if number % 2 == 0 and number % 3}
    assert named.naming.promise["views"] == len(dents) < load_model(day / "named.h5").naming.promise["views"]
    assert cli.main(["predict", "--model", path, str(day / "plates" / "images"), "--out", str(tmp_path / "p"),
                     *rules]) == 0
    records = json.loads((tmp_path / "p" / "predictions.json").read_text())
    regions = [(record["product"], region) for record in records for region in record["regions"]]
    assert {name for name, _ in regions} == {"even", "odd"}
    assert {region["threshold_of"] for name, region in regions if name == "odd"} == {"odd: right"}
    assert {"defect", "water_stain"} <= {region["verdict"] for _, region in regions}
    capsys.readouterr()
    assert namer_of(scorer) is not None
    assert namer_of(scorer, by_product=False) is None and namer_of(scorer, threshold=1.0) is None
    assert "other thresholds by product" in capsys.readouterr().err
    assert namer_of(Scorer(replace(named, products={"even": Product(Threshold(5.0, "by_hand"))}))) is None
    assert cli.main(["calibrate", "--model", path, "--one-threshold"]) == 0
    assert load_model(path).naming is None
