# SPDX-License-Identifier: Apache-2.0
"""Whether the paper's findings hold: each claim's difference, its interval over plates, and a verdict by a fixed rule.

higher, lower: holds when the whole interval lies on the claimed side of zero, does not hold when it lies on the other.
near: holds when the whole interval lies within the margin on both sides of zero, does not hold when it lies outside.
seconds: a ratio measured once, without an interval; holds when it is at most the share asked for.
Everything else is undecided: the interval reaches over the border, or a figure is not defined. A finding holds when all
of its claims do, and does not hold when one of them does not.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sequential_patchcore.metrics.bootstrap import interval

from .plan import FIGURES, SECONDS, Claim, Finding, Plan
from .results import Results

HOLDS, FAILS, UNDECIDED = "holds", "does not hold", "undecided"


@dataclass(frozen=True)
class Judged:
    """A claim with its numbers.

    Attributes:
        ours, other: the two means, shares from 0 to 1 or seconds; None where one of their figures is undefined.
        interval: of `ours` - `other`.
        paper: the same difference (of seconds: None) from the paper's own figures.
        missing: names of the scenarios without a figure.
    """

    claim: Claim
    ours: float | None
    other: float | None
    interval: tuple[float, float] | None
    paper: float | None
    verdict: str
    missing: tuple[str, ...] = ()

    @property
    def difference(self) -> float | None:
        return None if self.ours is None or self.other is None else self.ours - self.other


def judge(plan: Plan, results: Results) -> list[tuple[Finding, str, list[Judged]]]:
    """Every finding with its verdict and its claims."""
    found = []
    for finding in plan.findings:
        claims = [judge_claim(claim, plan, results) for claim in finding.claims]
        found.append((finding, verdict_of([each.verdict for each in claims]), claims))
    return found


def verdict_of(verdicts: Sequence[str]) -> str:
    if FAILS in verdicts:
        return FAILS
    return HOLDS if verdicts and all(each == HOLDS for each in verdicts) else UNDECIDED


def judge_claim(claim: Claim, plan: Plan, results: Results) -> Judged:
    names = {each.id: each.name for each in plan.scenarios}
    missing = [names[of] for of in (*claim.of, *claim.than) if results.value(of, claim.figure) is None]
    if missing:
        return Judged(claim, None, None, None, paper_difference(claim, plan), UNDECIDED, tuple(missing))
    ours, other = (
        float(np.mean([results.value(of, claim.figure) for of in side])) for side in (claim.of, claim.than)
    )
    if claim.figure == SECONDS:
        verdict = HOLDS if ours <= claim.share * other else FAILS
        return Judged(claim, ours, other, None, None, verdict)
    drawn = [
        [results.draws(of, claim.figure) for of in side] for side in (claim.of, claim.than)
    ]
    chance = None
    if all(each is not None for side in drawn for each in side):
        chance = interval(np.mean(drawn[0], axis=0) - np.mean(drawn[1], axis=0))
    return Judged(claim, ours, other, chance and tuple(chance), paper_difference(claim, plan),
                  verdict_on(claim.expected, chance, claim.margin / 100.0))


def verdict_on(expected: str, chance: Sequence[float] | None, margin: float = 0.0) -> str:
    """The rule for an interval of a difference, both as shares."""
    if chance is None:
        return UNDECIDED
    low, high = chance
    if expected == "near":
        if -margin <= low and high <= margin:
            return HOLDS
        return FAILS if low > margin or high < -margin else UNDECIDED
    if expected == "lower":
        low, high = -high, -low
    return HOLDS if low > 0 else FAILS if high < 0 else UNDECIDED


def paper_difference(claim: Claim, plan: Plan) -> float | None:
    """From the paper's figures, as a share; None where it does not give all of them."""
    means = []
    for side in (claim.of, claim.than):
        values = [_paper_value(of, claim.figure, plan) for of in side]
        if any(value is None for value in values):
            return None
        means.append(float(np.mean(values)))
    return (means[0] - means[1]) / 100.0


def _paper_value(scenario: str, figure: str, plan: Plan) -> float | None:
    if figure in FIGURES:
        paper = plan.scenario(scenario).paper
        return None if paper is None else paper[FIGURES.index(figure)]
    kind, _, name = figure.partition(".")
    pair = plan.table_1.get(scenario, {}).get(name)
    if pair is None or kind not in ("pixel_recall", "defect_wise_recall"):
        return None
    return pair[0 if kind == "pixel_recall" else 1]
