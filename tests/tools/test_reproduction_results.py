# SPDX-License-Identifier: Apache-2.0
"""What `make reproduce` makes of the figures: tables, intervals, verdicts, words; from records made by hand."""

import csv
import io
import sys
from pathlib import Path

import numpy as np
import pytest
from sequential_patchcore.runtime.errors import UserError

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "tools"))

from reproduction.command import PLAN  # noqa: E402
from reproduction.findings import FAILS, HOLDS, UNDECIDED, judge, judge_claim, verdict_of, verdict_on  # noqa: E402
from reproduction.findings_text import text_of  # noqa: E402
from reproduction.page import Circumstances, write_results  # noqa: E402
from reproduction.plan import FIGURES, Claim, Plan, load_plan  # noqa: E402
from reproduction.results import Results  # noqa: E402
from reproduction.tables import (  # noqa: E402
    as_csv,
    composition,
    composition_markdown,
    contents,
    contents_markdown,
    table_1,
    table_2,
    table_2_markdown,
)

CLASSES = [
    {"id": 1, "name": "bump", "kind": "defect"}, {"id": 2, "name": "dent", "kind": "defect"},
    {"id": 3, "name": "fingerprint", "kind": "impurity"}, {"id": 4, "name": "scratch", "kind": "defect"},
    {"id": 5, "name": "sticker", "kind": "impurity"}, {"id": 6, "name": "water_stain", "kind": "impurity"},
]
PLATES = 12


def metrics(name: str, precision: float, stains: float = 0.3, seed: int = 0, classes: list = CLASSES) -> dict:
    """A metrics.json of one model: a picture a plate, 1000 defect pixels each, 700 of them found, a precision about as
    given; of water stains the share `stains`.
    """
    rng = np.random.default_rng(seed)
    samples = []
    for plate in range(PLATES):
        tp = int(rng.integers(650, 750))
        fp = int(tp * (1 / precision - 1) * rng.uniform(0.9, 1.1))
        predicted = {1: tp // 2, 2: tp - tp // 2, 6: int(1000 * stains * rng.uniform(0.9, 1.1))}
        samples.append({"id": f"s{plate}", "group": f"p{plate}", "models": {name: {"score": float(plate),
            "true_positive": tp, "false_positive": fp, "false_negative": 1000 - tp, "false_positive_regions": 1,
            "classes": [{"class_id": of, "pixels": 1000 if of == 6 else 500, "predicted": count}
                        for of, count in predicted.items()],
            "instances": [{"class_id": of, "detected": bool(count)} for of, count in predicted.items()],
        }}})
    of_all = [sample["models"][name] for sample in samples]
    total = {key: sum(of[key] for of in of_all) for key in ("true_positive", "false_positive", "false_negative")}
    pixels = [each for of in of_all for each in of["classes"]]
    instances = [each for of in of_all for each in of["instances"]]
    found = {
        each["name"]: {
            "predicted_pixels": sum(one["predicted"] for one in pixels if one["class_id"] == each["id"]),
            "pixels": sum(one["pixels"] for one in pixels if one["class_id"] == each["id"]),
            "detected_instances": sum(one["detected"] for one in instances if one["class_id"] == each["id"]),
            "instances": sum(one["class_id"] == each["id"] for one in instances),
        }
        for each in classes
    }
    places = {"bare": 0.7, "water_stain outline": 0.3} if "ws" in name else {"bare": 1.0}
    sweep = {
        "percent": [0, 50], "mean_over_defect_classes": [1.0, 0.5],
        "classes": {of: {"kind": "defect", "recall": [1.0, 0.5], "detected_instances": [2, 1], "instances": 2}
                    for of in found},
    }
    return {"dataset": {"classes": classes}, "samples": samples,
            "models": {name: {"pixel": {"counts": total}, "classes": found, "coverage_sweep": sweep, "info": {
                "coreset_composition": {place: {"vectors": 1, "share": share} for place, share in places.items()}}}}}


@pytest.fixture(scope="module")
def plan() -> Plan:
    return load_plan(PLAN, "small")


@pytest.fixture(scope="module")
def results(plan: Plan) -> Results:
    """Fine-tuning and melding are better than Real; stains change nothing at all; DINOv2 and one row are missing."""
    good = {of.id: metrics(of.id, 0.5 if of.start or of.meld else 0.3) for of in plan.scenarios}
    for name in ("dinov2", "synth_da"):
        del good[name]
    return Results(good, {name: 1.0 if "melding" in name else 10.0 for name in good})


@pytest.mark.parametrize(
    ("expected", "chance", "margin", "verdict"),
    [
        ("higher", (0.01, 0.2), 0, HOLDS), ("higher", (-0.01, 0.2), 0, UNDECIDED), ("higher", (-0.2, -0.01), 0, FAILS),
        ("higher", (0.0, 0.2), 0, UNDECIDED), ("higher", None, 0, UNDECIDED),
        ("lower", (-0.2, -0.01), 0, HOLDS), ("lower", (0.01, 0.2), 0, FAILS), ("lower", (-0.1, 0.1), 0, UNDECIDED),
        ("near", (-0.02, 0.03), 0.03, HOLDS), ("near", (-0.02, 0.04), 0.03, UNDECIDED),
        ("near", (0.04, 0.06), 0.03, FAILS), ("near", (-0.06, -0.04), 0.03, FAILS), ("near", None, 0.03, UNDECIDED),
    ],
)
def test_the_rule_of_a_verdict(expected: str, chance: tuple | None, margin: float, verdict: str) -> None:
    assert verdict_on(expected, chance, margin) == verdict


def test_a_finding_is_as_good_as_its_claims() -> None:
    assert verdict_of([HOLDS, HOLDS]) == HOLDS
    assert verdict_of([HOLDS, UNDECIDED]) == UNDECIDED
    assert verdict_of([HOLDS, UNDECIDED, FAILS]) == FAILS
    assert verdict_of([]) == UNDECIDED


def test_verdicts_from_given_figures(plan: Plan, results: Results) -> None:
    verdicts = {finding.title: verdict for finding, verdict, _ in judge(plan, results)}
    assert list(verdicts.values()) == [HOLDS, UNDECIDED, UNDECIDED, HOLDS, UNDECIDED, UNDECIDED]
    first = judge(plan, results)[0][2]
    assert [claim.verdict for claim in first] == [HOLDS, HOLDS]
    same = judge_claim(Claim("precision", ("synth",), ("real",), "higher"), plan, results)
    assert same.verdict == UNDECIDED and same.difference == 0 and same.interval == (0, 0)
    missing = judge_claim(Claim("f1", ("synth_da",), ("real",), "higher"), plan, results)
    assert missing.verdict == UNDECIDED and missing.missing == ("Synth_DA",) and missing.difference is None


def test_a_difference_and_its_interval_are_those_of_a_slow_count(plan: Plan) -> None:
    of = {name: metrics(f"m{k}", 0.4 + 0.02 * k, seed=k) for k, name in enumerate(("real", "synth", "synth_ws"))}
    results = Results(of, {})
    judged = judge_claim(Claim("precision", ("synth", "synth_ws"), ("real",), "higher"), plan, results)

    def precision(name: str, times: np.ndarray) -> float:
        model, tp, fp = next(iter(of[name]["models"])), 0, 0
        for sample in of[name]["samples"]:
            n = times[results.groups.index(sample["group"])]
            tp += n * sample["models"][model]["true_positive"]
            fp += n * sample["models"][model]["false_positive"]
        return tp / (tp + fp)

    def difference(times: np.ndarray) -> float:
        return (precision("synth", times) + precision("synth_ws", times)) / 2 - precision("real", times)

    rng = np.random.default_rng(0)
    draws = rng.multinomial(PLATES, np.full(PLATES, 1 / PLATES), 2000)
    expected = np.quantile([difference(times) for times in draws], [0.025, 0.975])
    assert judged.interval == pytest.approx(tuple(expected))
    assert judged.difference == pytest.approx(difference(np.ones(PLATES, int)))
    assert judged.paper == pytest.approx((26.1 + 23.3) / 200 - 0.357)


def test_fewer_than_two_plates_decide_nothing(plan: Plan) -> None:
    of = {name: metrics(name, share) for name, share in (("real", 0.3), ("synth", 0.9))}
    for each in of.values():
        each["samples"] = each["samples"][:1]
    judged = judge_claim(Claim("precision", ("synth",), ("real",), "higher"), plan, Results(of, {}))
    assert judged.interval is None and judged.verdict == UNDECIDED and judged.difference > 0.5


def test_seconds_are_a_ratio_without_an_interval(plan: Plan, results: Results) -> None:
    for share, verdict in ((0.5, HOLDS), (0.05, FAILS)):
        claim = Claim("seconds", ("melding",), ("synth_ft", "synth_dr_ft"), "lower", share=share)
        judged = judge_claim(claim, plan, results)
        assert judged.verdict == verdict and judged.interval is None and (judged.ours, judged.other) == (1, 10)
    unknown = Results(results.metrics, {"melding": 1.0})
    assert judge_claim(claim, plan, unknown).verdict == UNDECIDED


def test_a_data_set_without_stains_decides_nothing_about_them(plan: Plan) -> None:
    classes = CLASSES[:5]
    of = {name: metrics(name, 0.3, classes=classes) for name in ("synth", "synth_ws", "synth_ft", "synth_ws_ft")}
    judged = judge(plan, Results(of, {}))[1]
    assert judged[1] == UNDECIDED
    assert "no figure for Synth_WS, Synth" in text_of([judged])


def test_the_text_has_every_verdict_and_number(plan: Plan, results: Results) -> None:
    judged = judge(plan, results)
    text = text_of(judged)
    for finding, verdict, claims in judged:
        assert f"| {finding.title} | **{verdict}** |" in text
        for each in claims:
            if each.interval:
                low, high = (f"{100 * value:+.1f}" for value in each.interval)
                assert f"{100 * each.difference:+.1f} ({low} to {high}) | {each.verdict}" in text
    assert "no figure for Synth_DA" in text and "ratio 0.10, measured once" in text


def test_scenarios_on_different_images_do_not_compare() -> None:
    one, other = metrics("a", 0.3), metrics("b", 0.3)
    other["samples"].pop()
    with pytest.raises(UserError, match="evaluated on other images"):
        Results({"real": one, "synth": other}, {})


def test_table_2_has_the_papers_rows_beside_ours(plan: Plan, results: Results) -> None:
    rows = table_2(plan, results, {"dinov2": "weights not available", "synth_da": "failed"})
    read = list(csv.DictReader(io.StringIO(as_csv(rows))))
    assert [row["name"] for row in read] == [each.name for each in plan.scenarios]
    real, absent = read[0], read[2]
    assert [float(real[f"{figure}_paper"]) for figure in FIGURES] == [0.357, 0.684, 0.47, 0.989]
    for figure in ("precision", "recall", "f1"):
        assert float(real[figure]) == pytest.approx(int(real[f"{figure}_part"]) / int(real[f"{figure}_whole"]))
        assert float(real[f"{figure}_low"]) <= float(real[figure]) <= float(real[f"{figure}_high"])
    assert absent["note"] == "failed" and absent["precision"] == "" and absent["precision_paper"] == "0.312"
    lines = table_2_markdown(rows).splitlines()
    assert len(lines) == 2 + len(plan.scenarios)
    assert len({line.count("|") for line in lines}) == 1
    assert f"**{100 * float(real['precision']):.1f}**" in lines[2] and "| 35.7 |" in lines[2]
    assert lines[-1].startswith("| Real, DINOv2 | weights not available |")


def test_table_1_has_counts_and_the_papers_gap(plan: Plan, results: Results) -> None:
    read = list(csv.DictReader(io.StringIO(as_csv(table_1(plan, results)))))
    assert [row["name"] for row in read] == ["Real", "Synth", "Synth_WS", "Synth (ft)", "Synth_WS (ft)"]
    real = read[0]
    assert real["pixel_recall.water_stain_paper"] == "" and real["defect_wise_recall.water_stain_paper"] == "0.759"
    part, whole = (int(real[f"pixel_recall.water_stain_{key}"]) for key in ("part", "whole"))
    assert whole == 1000 * PLATES and float(real["pixel_recall.water_stain"]) == pytest.approx(part / whole)
    assert real["pixel_recall.sticker"] == "" and real["pixel_recall.sticker_paper"] == "0.34"


def test_the_test_sets_contents_are_counted_and_stand_beside_the_papers(plan: Plan, results: Results) -> None:
    rows = {row["name"]: row for row in contents(plan, results)}
    assert rows["dent"]["instances"] == PLATES and rows["dent"]["paper_instances"] == 132
    assert sum(row["share"] for row in rows.values() if row["kind"] == "defect") == pytest.approx(1)
    assert sum(row["paper_share"] for row in rows.values() if row["kind"] == "defect") == pytest.approx(
        100, abs=0.2)
    assert rows["water_stain"]["paper_share"] is None
    text = contents_markdown(list(rows.values()))
    assert f"| dent | {PLATES} | 132 | {500 * PLATES} | 50.0 | 4.9 |" in text and "| sticker | 0 | 31 |" in text


def test_a_coresets_composition_has_a_row_a_scenario(plan: Plan, results: Results) -> None:
    text = composition_markdown(composition(plan, results))
    assert "| training scenario | bare | water_stain outline |" in text
    assert "| Synth | 100.0 | – |" in text and "| Synth_WS | 70.0 | 30.0 |" in text
    assert "DINOv2" not in text


def test_the_page_says_what_stands_for_real_plates_in_every_title(plan: Plan, results: Results, tmp_path: Path) -> None:
    how = Circumstances(
        "make reproduce", "2020-01-01", "a machine", (0.1, 0.2), "twin, synthetic", "filters", 25.0,
        {"dinov2": "weights not available"}, {"synth": 3}, {"training": 60.0}, 3000.0,
    )
    page = write_results(plan, results, how, tmp_path)
    titles = [line for line in page.splitlines() if line.startswith("## ")]
    assert len(titles) == 6 and all("twin, synthetic" in title for title in titles[1:])
    for name in ("table_1.md", "table_2.md", "findings.md"):
        assert "twin, synthetic" in (tmp_path / name).read_text().splitlines()[0]
    for name in ("table_1.csv", "table_2.csv", "coverage_curves.png", "coverage_curves.svg", "summary.json"):
        assert (tmp_path / name).stat().st_size > 100
    assert "From nothing to this page: 50 min." in page
    assert "fewer than eight" not in page and "over 12 plates" in page
