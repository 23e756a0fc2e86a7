# SPDX-License-Identifier: Apache-2.0
"""The written comparison, made of the numbers alone."""

from collections.abc import Sequence

from .findings import Judged
from .plan import SECONDS, Finding

_FIGURE = {"precision": "P_PX", "recall": "R_PX", "f1": "F1_PX", "mean_defect_wise_recall": "mR_DW"}
_EXPECTED = {"higher": "higher", "lower": "lower", "near": "within {margin:g} points"}


def text_of(judged: Sequence[tuple[Finding, str, Sequence[Judged]]]) -> str:
    """Markdown: a table of the verdicts and one of the claims behind them."""
    lines = ["| finding of the paper | here |", "|---|---|"]
    lines += [f"| {finding.title} | **{verdict}** |" for finding, verdict, _ in judged]
    lines += ["", "| claim | paper | here | difference, points | verdict |", "|---|---|---|---|---|"]
    for number, (_, _, claims) in enumerate(judged, 1):
        lines += [f"| {number}. {_row(each)} |" for each in claims]
    return "\n".join(lines) + "\n"


def figure_name(figure: str) -> str:
    kind, _, name = figure.partition(".")
    if name:
        return f"{'R_PX' if kind == 'pixel_recall' else 'R_DW'} of {name.replace('_', ' ')}"
    return _FIGURE.get(figure, figure)


def _row(of: Judged) -> str:
    claim = of.claim
    if claim.figure == SECONDS:
        wanted = f"training seconds of {claim.of_name} at most {claim.share:g} of {claim.than_name}"
    else:
        wanted = (f"{figure_name(claim.figure)} of {claim.of_name} "
                  f"{_EXPECTED[claim.expected].format(margin=claim.margin)} {'of' if claim.margin else 'than'} "
                  f"{claim.than_name}")
    paper = "–" if of.paper is None else f"{100 * of.paper:+.1f}"
    if of.difference is None:
        return f"{wanted} | {paper} | no figure for {', '.join(of.missing)} | – | {of.verdict}"
    if claim.figure == SECONDS:
        ratio = of.ours / of.other if of.other else float("nan")
        here = f"{of.ours:.0f} s and {of.other:.0f} s"
        return f"{wanted} | {paper} | {here} | ratio {ratio:.2f}, measured once | {of.verdict}"
    chance = "no interval" if of.interval is None else f"{100 * of.interval[0]:+.1f} to {100 * of.interval[1]:+.1f}"
    here = f"{100 * of.ours:.1f} and {100 * of.other:.1f}"
    return f"{wanted} | {paper} | {here} | {100 * of.difference:+.1f} ({chance}) | {of.verdict}"
