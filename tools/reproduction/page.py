# SPDX-License-Identifier: Apache-2.0
"""The result folder of a reproduction, and docs/reproduction.md: written from the figures, by nobody's hand."""

import json
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import jinja2
from sequential_patchcore.runtime.files import write_text

from . import tables
from .curves import write_coverage_curves
from .findings import judge
from .findings_text import text_of
from .plan import DRAWN, EXACT, Plan
from .results import Results


@dataclass(frozen=True)
class Circumstances:
    """How a run came about.

    Attributes:
        command: that makes it again.
        label: what stands for the real plates.
        rendered: they are rendered, not given.
        features: of the extractor, for people.
        left_out: scenario to the reason.
        images: data set to its number of images.
        load: least and largest load average at the end of a job.
        times: processor seconds by kind of job.
        elapsed: seconds from nothing to the tables; None where finished work was there before.
    """

    command: str
    date: str
    machine: str
    load: tuple[float, float]
    label: str
    features: str
    scale: float
    left_out: Mapping[str, str]
    images: Mapping[str, int]
    times: Mapping[str, float]
    elapsed: float | None
    rendered: bool = True


def write_results(plan: Plan, results: Results, how: Circumstances, folder: Path) -> str:
    """Tables as CSV and Markdown, curves, findings and summary.json; returns the text of the whole page."""
    two, one = tables.table_2(plan, results, how.left_out), tables.table_1(plan, results)
    judged = judge(plan, results)
    texts = {
        "table_1": tables.table_1_markdown(one, tables.classes_of(plan, results)),
        "table_2": tables.table_2_markdown(two), "findings": text_of(judged),
        "contents": tables.contents_markdown(tables.contents(plan, results)),
        "composition": tables.composition_markdown(tables.composition(plan, results)),
    }
    title = f"{how.label}; preset {plan.preset.name}; features {how.features}"
    titles = {
        "table_1": f"Table I ({title}): per-class pixel-wise and defect-wise recall, %",
        "table_2": f"Table II ({title}): training scenarios, %", "findings": f"The paper's findings ({title})",
        "contents": f"What the test pictures show ({how.label}; labels {_labels(plan, how)})",
        "composition": f"What the coresets are made of ({how.label}): vectors by place, %",
    }
    for name, rows in (("table_1", one), ("table_2", two)):
        write_text(folder / f"{name}.csv", tables.as_csv(rows))
    for name, text in texts.items():
        write_text(folder / f"{name}.md", f"# {titles[name]}\n\n{text}\n{_legend(results)}")
    scenarios = [(name, plan.scenario(name).name) for name in plan.table_1]
    write_coverage_curves(scenarios, results, f"Appendix C ({title})", folder)
    write_text(folder / "coverage_curves.csv", _coverage_csv(plan, results))
    page = _page(plan, results, how, texts, titles)
    write_text(folder / "reproduction.md", page)
    write_text(folder / "summary.json", json.dumps(_summary(plan, how, judged), indent=1) + "\n")
    return page


def _page(plan: Plan, results: Results, how: Circumstances, texts: Mapping[str, str], titles: Mapping[str, str]) -> str:
    # Markdown, not HTML: nothing is to be escaped.
    template = jinja2.Environment(keep_trailing_newline=True, undefined=jinja2.StrictUndefined).from_string(
        (Path(__file__).parent / "page.md.jinja").read_text(encoding="utf-8")
    )
    text = template.render(
        how=how, preset=plan.preset, titles=titles, legend=_legend(results), few=_few(results),
        drawn=results.drawn, count=len(plan.findings), coverage=_coverage_table(plan, results),
        sizes=", ".join(f"{count} of {name}" for name, count in how.images.items()),
        times=", ".join(f"{kind} {seconds / 60:.0f} min" for kind, seconds in how.times.items()), **texts,
    )
    # Paragraphs are filled; tables and titles stay.
    blocks = [
        block if block.startswith(("|", "#")) else textwrap.fill(
            block, 120, break_long_words=False, break_on_hyphens=False
        )
        for block in (each.strip("\n") for each in text.split("\n\n")) if block
    ]
    return "\n\n".join(blocks) + "\n"


def _labels(plan: Plan, how: Circumstances) -> str:
    return {EXACT: "exact", DRAWN: "drawn as a person draws them"}[plan.preset.labels] if how.rendered else "as given"


def _few(results: Results) -> str:
    return ", and over fewer than eight it is itself little more than a guess" if results.few_groups else ""


def _legend(results: Results) -> str:
    lines = [
        f"In a cell: the figure in percent, its 95 % interval over {results.drawn}, and the counts of its "
        "ratio (for F1: 2 TP / (2 TP + FP + FN)).",
        "The mean defect-wise recall is a mean of ratios; table I has their counts. Training: processor seconds of the "
        "scenario's own training, one thread, without that of the scenarios it starts from; a dash where it was "
        "interrupted.",
    ]
    return "\n".join(lines) + "\n"


def _coverage_table(plan: Plan, results: Results) -> str:
    shown = [name for name in plan.table_1 if name in results.metrics]
    percent = results.model(shown[0])["coverage_sweep"]["percent"]
    lines = [f"| mean over the defects, % | {' | '.join(f'{p} %' for p in percent)} |", "|---|" + "---|" * len(percent)]
    for name in shown:
        mean = results.model(name)["coverage_sweep"]["mean_over_defect_classes"]
        cells = ["–" if share is None else f"{100 * share:.1f}" for share in mean]
        lines.append(f"| {plan.scenario(name).name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _coverage_csv(plan: Plan, results: Results) -> str:
    lines = ["scenario,class,kind,coverage_percent,defect_wise_recall,detected_instances,instances"]
    for name in (of.id for of in plan.scenarios if of.id in results.metrics):
        sweep = results.model(name)["coverage_sweep"]
        for of, values in sweep["classes"].items():
            for k, percent in enumerate(sweep["percent"]):
                share = values["recall"][k]
                lines.append(f"{name},{of},{values['kind']},{percent},{'' if share is None else share},"
                             f"{values['detected_instances'][k]},{values['instances']}")
    return "\n".join(lines) + "\n"


def _summary(plan: Plan, how: Circumstances, judged: list) -> dict:
    return {
        "preset": plan.preset.name, "real": how.label, "features": how.features, "left_out": dict(how.left_out),
        "images": dict(how.images), "processor_seconds": dict(how.times), "elapsed_seconds": how.elapsed,
        "load": how.load, "machine": how.machine, "date": how.date,
        "findings": [
            {"title": finding.title, "verdict": verdict, "claims": [
                {"figure": each.claim.figure, "of": each.claim.of, "than": each.claim.than,
                 "expected": each.claim.expected, "mean_of": each.ours, "mean_than": each.other,
                 "difference": each.difference, "interval": each.interval, "paper_difference": each.paper,
                 "verdict": each.verdict, "missing": each.missing}
                for each in claims
            ]}
            for finding, verdict, claims in judged
        ],
    }
