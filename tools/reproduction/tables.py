# SPDX-License-Identifier: Apache-2.0
"""Tables I and II in the paper's layout, our figures beside the paper's: rows once, written as CSV and as Markdown."""

import csv
import io
from collections.abc import Mapping, Sequence

from .plan import FIGURES, Plan
from .results import Ratio, Results

PAPER_CLASSES = ("scratch", "bump", "dent", "water_stain", "fingerprint", "sticker")
_HEADS = {"precision": "P_PX", "recall": "R_PX", "f1": "F1_PX", "mean_defect_wise_recall": "mR_DW"}
_KINDS = (("pixel_recall", "R_PX"), ("defect_wise_recall", "R_DW"))

Row = Mapping[str, object]


def table_2(plan: Plan, results: Results, left_out: Mapping[str, str]) -> list[Row]:
    """A row a scenario: name, note, seconds, and per figure a `Ratio` and the paper's percent."""
    rows = []
    for of in plan.scenarios:
        row: dict[str, object] = {"id": of.id, "name": of.name, "note": left_out.get(of.id, "")}
        for k, figure in enumerate(FIGURES):
            row[figure] = results.ratio(of.id, figure) if of.id in results.metrics else None
            row[f"paper.{figure}"] = None if of.paper is None else of.paper[k]
        row["seconds"] = results.seconds.get(of.id)
        rows.append(row)
    return rows


def table_1(plan: Plan, results: Results) -> list[Row]:
    """A row a scenario of the paper's table I; per class and kind of recall a `Ratio` and the paper's percent."""
    rows = []
    for name, paper in plan.table_1.items():
        row: dict[str, object] = {"id": name, "name": plan.scenario(name).name}
        for of in classes_of(plan, results):
            for k, (kind, _) in enumerate(_KINDS):
                figure = f"{kind}.{of}"
                row[figure] = results.ratio(name, figure) if name in results.metrics else None
                row[f"paper.{figure}"] = paper[of][k] if of in paper else None
        rows.append(row)
    return rows


def classes_of(_plan: Plan, results: Results) -> list[str]:
    """The paper's order; then what else the data set has."""
    there = [each["name"] for each in results.classes]
    return [of for of in PAPER_CLASSES if of in there] + [of for of in there if of not in PAPER_CLASSES]


def as_csv(rows: Sequence[Row]) -> str:
    """Shares from 0 to 1, the paper's percent divided likewise; empty where there is none."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for number, row in enumerate(rows):
        flat = _flat(row)
        if not number:
            writer.writerow(flat)
        writer.writerow(flat.values())
    return text.getvalue()


def _flat(row: Row) -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, value in row.items():
        if f"paper.{key}" in row:
            of = value if isinstance(value, Ratio) else Ratio(None, None, None, None)
            low, high = of.interval or (None, None)
            flat |= {key: of.value, f"{key}_low": low, f"{key}_high": high, f"{key}_part": of.part,
                     f"{key}_whole": of.whole}
        elif key.startswith("paper."):
            flat[f"{key.removeprefix('paper.')}_paper"] = None if value is None else round(value / 100, 4)
        else:
            flat[key] = value
    return {key: "" if value is None else value for key, value in flat.items()}


def table_2_markdown(rows: Sequence[Row]) -> str:
    heads = "".join(f" {_HEADS[figure]} | paper |" for figure in FIGURES)
    lines = [f"| training scenario |{heads} training, s |", "|---|" + "---|---|" * len(FIGURES) + "---|"]
    for row in rows:
        if row["note"]:
            lines.append(f"| {row['name']} | {row['note']} |" + " |" * (2 * len(FIGURES)))
            continue
        cells = [f"{_cell(row[figure])} | {_percent(row[f'paper.{figure}'])}" for figure in FIGURES]
        seconds = row["seconds"]
        lines.append(f"| {row['name']} | {' | '.join(cells)} | {'–' if seconds is None else f'{seconds:.0f}'} |")
    return "\n".join(lines) + "\n"


def table_1_markdown(rows: Sequence[Row], classes: Sequence[str]) -> str:
    heads = "".join(f" {name.replace('_', ' ')}: {short} |" for name in classes for _, short in _KINDS)
    lines = [f"| trainset |{heads}", "|---|" + "---|" * (2 * len(classes))]
    for row in rows:
        cells = [
            f"{_cell(row[key])}<br>paper {_percent(row[f'paper.{key}'])}"
            for key in (f"{kind}.{of}" for of in classes for kind, _ in _KINDS)
        ]
        lines.append(f"| {row['name']} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def contents(plan: Plan, results: Results) -> list[Row]:
    """A row a class: its instances in the test pictures, its pixels, and those as a share of all pixels of defects."""
    of_any = results.model(next(iter(results.metrics)))["classes"]
    kinds = {each["name"]: each["kind"] for each in results.classes}
    defects = sum(of["pixels"] for name, of in of_any.items() if kinds[name] == "defect")
    rows = []
    for name in classes_of(plan, results):
        instances, share = plan.test_set.get(name, (None, None))
        of = of_any[name]
        rows.append({"name": name, "kind": kinds[name], "instances": of["instances"], "paper_instances": instances,
                     "pixels": of["pixels"], "share": of["pixels"] / defects if defects else None,
                     "paper_share": share})
    return rows


def contents_markdown(rows: Sequence[Row]) -> str:
    lines = ["| class | instances | paper | pixels | of the defects' pixels, % | paper |", "|---|" + "---|" * 5]
    for row in rows:
        share = None if row["share"] is None or row["kind"] != "defect" else 100 * row["share"]
        paper = "–" if row["paper_instances"] is None else f"{row['paper_instances']:.0f}"
        cells = [row["name"].replace("_", " "), row["instances"], paper, row["pixels"], _percent(share),
                 _percent(row["paper_share"])]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines) + "\n"


def composition(plan: Plan, results: Results) -> list[Row]:
    """A row a scenario: its name, and the share of its coreset's vectors at each kind of place, by name."""
    rows = []
    for of in plan.scenarios:
        if of.id in results.metrics and (found := results.model(of.id).get("info", {}).get("coreset_composition")):
            rows.append({"id": of.id, "name": of.name} | {place: each["share"] for place, each in found.items()})
    return rows


def composition_markdown(rows: Sequence[Row]) -> str:
    """Shares in percent; a dash where no training image of the scenario has such a place."""
    places = list(dict.fromkeys(place for row in rows for place in row if place not in ("id", "name")))
    lines = [f"| training scenario | {' | '.join(places)} |", "|---|" + "---|" * len(places)]
    for row in rows:
        cells = [f"{100 * row[place]:.1f}" if place in row else "–" for place in places]
        lines.append(f"| {row['name']} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(of: object) -> str:
    """Percent, below it the interval and the counts."""
    if not isinstance(of, Ratio) or of.value is None:
        return "–"
    parts = [f"**{100 * of.value:.1f}**"]
    parts += [f"{100 * of.interval[0]:.0f}..{100 * of.interval[1]:.0f}"] if of.interval else []
    parts += [f"{of.part}/{of.whole}"] if of.whole is not None else []
    return "<br>".join(parts)


def _percent(value: object) -> str:
    return "–" if value is None else f"{value:.1f}"
