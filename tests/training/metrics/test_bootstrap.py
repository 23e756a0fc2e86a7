# SPDX-License-Identifier: Apache-2.0
"""Intervals over plates against a slow resampling of records, and where they must not exist."""

import cv2
import numpy as np
import pytest
from sequential_patchcore.metrics import bootstrap
from sequential_patchcore.metrics.ranking import AUPRO_LIMIT, CoarseHistogram, ScoreHistogram, overlap_area
from sklearn.metrics import average_precision_score, roc_auc_score

CLASSES = [{"id": 1, "name": "dent", "kind": "defect"}, {"id": 4, "name": "scratch", "kind": "defect"},
           {"id": 6, "name": "stain", "kind": "impurity"}]


def samples(plates=6, per_plate=3, models=("a", "b"), seed=0):
    rng = np.random.default_rng(seed)
    made = []
    for k in range(plates * per_plate):
        sample = {"id": str(k), "group": f"p{k // per_plate}", "models": {}}
        for model in models:
            of = [{"class_id": c, "pixels": 100, "predicted": int(rng.integers(0, 100))} for c in (1, 4, 6)]
            if k % per_plate == 0:
                of = []
            tp = sum(each["predicted"] for each in of if each["class_id"] != 6)
            sample["models"][model] = {
                "score": None if k == 4 else float(np.round(rng.random() + bool(of), 1)),
                "true_positive": tp, "false_negative": 200 * bool(of) - tp, "false_positive": int(rng.integers(0, 80)),
                "false_positive_regions": int(rng.integers(0, 4)), "classes": of,
                "instances": [{"class_id": each["class_id"], "detected": bool(rng.random() < 0.6)} for each in of],
            }
        made.append(sample)
    return made


def slow(chosen, model):
    """Every figure of a list of samples, in which a plate's may stand several times."""
    of = [sample["models"][model] for sample in chosen]
    tp, fp, fn = (sum(each[key] for each in of) for key in ("true_positive", "false_positive", "false_negative"))
    recalls = []
    for class_id in (1, 4):
        hits = [i["detected"] for each in of for i in each["instances"] if i["class_id"] == class_id]
        if hits:
            recalls.append(np.mean(hits))
    clean = [each for each in of if not each["classes"]]
    ranked = [each for each in of if each["score"] is not None]
    defective = [each["true_positive"] + each["false_negative"] > 0 for each in ranked]
    return {
        "image_auroc": roc_auc_score(defective, [each["score"] for each in ranked]),
        "precision": tp / (tp + fp), "recall": tp / (tp + fn), "f1": 2 * tp / (2 * tp + fp + fn),
        "mean_defect_wise_recall": np.mean(recalls),
        "false_positive_regions_per_image": sum(each["false_positive_regions"] for each in of) / len(of),
        "clean_images_alarmed": np.mean([each["false_positive"] > 0 for each in clean]),
    }


def test_each_draw_is_what_the_repeated_plates_give():
    records = samples()
    names, times = bootstrap.draw(bootstrap.groups_of(records), 20, seed=3)
    found = bootstrap.statistics(records, "a", CLASSES, times)
    for k, row in enumerate(times):
        times_of = dict(zip(names, row.tolist(), strict=True))
        chosen = [sample for sample in records for _ in range(times_of[sample["group"]])]
        for name, value in slow(chosen, "a").items():
            assert found[name][k] == pytest.approx(value, abs=1e-12), name


def test_whole_plates_are_drawn_as_many_as_there_are():
    _, times = bootstrap.draw([f"p{k // 3}" for k in range(18)], 500)
    assert times.shape == (500, 6) and (times.sum(1) == 6).all()
    assert times.mean() == pytest.approx(1) and times.max() > 2


def test_the_interval_holds_the_figure_and_shrinks_with_more_plates():
    few, many = samples(6), samples(60)
    widths = []
    for records in (few, many):
        made = bootstrap.intervals(records, "a", CLASSES)
        assert made["few_groups"] == (records is few)
        low, high = made["intervals"]["f1"]
        assert low < slow(records, "a")["f1"] < high
        widths.append(high - low)
    assert widths[1] < 0.6 * widths[0]


def test_images_of_one_plate_alone_give_no_interval():
    made = bootstrap.intervals(samples(1), "a", CLASSES)
    assert made["intervals"] == {} and made["groups"] == 1
    assert bootstrap.differences(samples(1), "a", "b", CLASSES) == {}


def test_images_without_a_plate_are_their_own():
    records = [sample | {"group": ""} for sample in samples(2)]
    assert len(set(bootstrap.groups_of(records))) == 6


def test_a_figure_undefined_in_most_draws_has_no_interval():
    records = samples(6)
    for sample in records:
        for of in sample["models"].values():
            of["classes"] = [each for each in of["classes"] if each["class_id"] != 4]
            of["instances"] = [each for each in of["instances"] if each["class_id"] != 4]
    made = bootstrap.intervals(records, "a", CLASSES)["intervals"]
    assert made["defect_wise_recall.scratch"] is None
    assert made["mean_defect_wise_recall"] is not None


def test_a_model_does_not_differ_from_itself_and_pairing_narrows_the_difference():
    records = samples(10)
    assert all(each in ([0.0, 0.0], None) for each in bootstrap.differences(records, "a", "a", CLASSES).values())
    for sample in records:  # b is a, but for one more false pixel an image
        sample["models"]["b"] = sample["models"]["a"] | {"false_positive": sample["models"]["a"]["false_positive"] + 1}
    low, high = bootstrap.differences(records, "b", "a", CLASSES)["precision"]
    alone = bootstrap.intervals(records, "a", CLASSES)["intervals"]["precision"]
    assert low <= high < 0 and high - low < 0.1 * (alone[1] - alone[0])


def test_ranking_intervals_hold_the_figures_of_scikit_learn():
    rng = np.random.default_rng(1)
    groups, made, scores, labels = [f"p{k % 8}" for k in range(24)], {}, [], []
    for group in groups:
        positive = rng.random(400) < 0.1
        values = (rng.random(400) + 0.5 * positive).astype(np.float32)
        made.setdefault(group, CoarseHistogram()).add(values, positive)  # without regions of defects
        scores.append(values)
        labels.append(positive)
    found = bootstrap.ranking_intervals(made, groups)
    scores, labels = np.concatenate(scores), np.concatenate(labels)
    for name, value in (("auroc", roc_auc_score(labels, scores)),
                        ("average_precision", average_precision_score(labels, scores))):
        low, high = found[name]
        assert low < value < high and high - low < 0.1
    assert found["aupro"] is None


def test_the_interval_of_aupro_is_that_of_repeated_plates():
    """Each draw against the fine histogram of its plates, a plate drawn twice counted twice."""
    rng = np.random.default_rng(2)
    plates = {}
    for k in range(9):
        positive = np.zeros((20, 20), bool)
        if k % 3:
            positive[2:6, 2:6], positive[12:18, 10:12] = True, True
        plates[f"p{k}"] = ((rng.random((20, 20)) + 0.4 * positive).astype(np.float32), positive,
                           cv2.connectedComponents(positive.astype(np.uint8), connectivity=8)[1])

    def histogram(kind, names):
        made = kind()
        for name in names:
            made.add(*(array.ravel() for array in plates[name]))
        return made

    groups = list(plates)
    coarse = {name: histogram(CoarseHistogram, [name]) for name in groups}
    found = bootstrap.ranking_intervals(coarse, groups, draws=60, seed=5)["aupro"]
    names, times = bootstrap.draw(groups, 60, seed=5)
    slow = [histogram(ScoreHistogram, np.repeat(names, row)).aupro()[0] for row in times]
    assert found == pytest.approx(np.quantile(slow, [0.025, 0.975]), abs=5e-3)
    assert found[1] - found[0] > 0.02


def test_ranking_intervals_are_those_of_sums_draw_by_draw():
    """AUROC and average precision to the bit, since their sums are of whole numbers; AUPRO, of shares, to rounding."""
    rng = np.random.default_rng(4)
    coarse = {}
    for k in range(130):  # more draws than one block holds, and groups that some draws leave out
        positive = rng.random((16, 16)) < 0.2
        scores = (rng.random((16, 16)) + 0.3 * positive).astype(np.float32)
        regions = cv2.connectedComponents(positive.astype(np.uint8), connectivity=8)[1]
        coarse[f"p{k}"] = CoarseHistogram()
        coarse[f"p{k}"].add(scores.ravel(), positive.ravel(), regions.ravel())
    found = bootstrap.ranking_intervals(coarse, list(coarse), draws=130, seed=3)
    names, times = bootstrap.draw(list(coarse), 130, seed=3)
    tables = CoarseHistogram.stack([coarse[name] for name in names])
    area, precision, aupro = [], [], []
    for drawn in times.tolist():
        n, p, overlap = (sum(count * row for count, row in zip(drawn, table, strict=True)) for table in tables)
        tp, fp, used = np.cumsum(p[::-1]), np.cumsum(n[::-1]), p[::-1] > 0
        precision.append((p[::-1][used] * tp[used] / (tp[used] + fp[used])).sum() / p.sum())
        area.append((p * (np.cumsum(n) - n / 2)).sum() / (p.sum() * n.sum()))
        regions = sum(count * coarse[name].regions for count, name in zip(drawn, names, strict=True))
        aupro.append(overlap_area(n, overlap, regions, AUPRO_LIMIT)[0])
    assert found["auroc"] == bootstrap.interval(np.array(area))
    assert found["average_precision"] == bootstrap.interval(np.array(precision))
    assert found["aupro"] == pytest.approx(bootstrap.interval(np.array(aupro)), rel=1e-12, abs=0)
