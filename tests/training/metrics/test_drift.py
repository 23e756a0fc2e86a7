# SPDX-License-Identifier: Apache-2.0
"""The change test: fair bets on exchangeable numbers, the promised run length, and how soon a change is found."""

import numpy as np
import pytest
from scipy import stats
from sequential_patchcore.metrics.drift import SHARPNESS, ChangeTest
from sequential_patchcore.metrics.strangeness import Apart, Beside


def p_values(values: list[float], seed: int) -> list[float]:
    """As the test makes them, written down slowly."""
    rng, found = np.random.default_rng(seed), []
    for number, value in enumerate(values):
        before = values[:number]
        share = 1.0 - rng.random()
        larger, equal = sum(one > value for one in before), sum(one == value for one in before)
        found.append((larger + share * (equal + 1)) / (number + 1))
    return found


def test_the_statistic_against_the_sum_over_all_beginnings() -> None:
    rng = np.random.default_rng(1)
    values = [float(value) for value in np.round(rng.normal(size=60), 1)]
    test = ChangeTest(1e12, seed=5)
    for number, value in enumerate(values):
        assert test.see(value) is None
        p = np.array(p_values(values[: number + 1], 5))
        bets = []
        for exponent in SHARPNESS:
            for chances in (p, 1 - p):
                factors = exponent * chances ** (exponent - 1)
                bets.append(sum(np.prod(factors[begin:]) for begin in range(number + 1)))
        assert test.evidence == pytest.approx(np.mean(bets), rel=1e-6)


def test_p_values_of_exchangeable_numbers_are_uniform_with_many_ties_too() -> None:
    rng = np.random.default_rng(2)
    for values in (rng.normal(size=1500), rng.integers(0, 3, 1500)):
        found = p_values([float(value) for value in values], 3)
        assert stats.kstest(found, "uniform").pvalue > 1e-3


def test_bets_are_fair() -> None:
    """The integral of each over (0, 1) is 1."""
    middles = (np.arange(2_000_000) + 0.5) / 2_000_000
    for exponent in SHARPNESS[1:]:
        assert np.mean(exponent * middles ** (exponent - 1)) == pytest.approx(1, abs=0.05)


def test_at_most_one_false_alarm_in_so_many_stable_images() -> None:
    """40,000 images with a run length of 2,000: at most 20 alarms expected; by the exact tail at one in 10,000."""
    rng = np.random.default_rng(4)
    alarms, test = 0, ChangeTest(2000, seed=0)
    for number in range(40_000):
        if test.see(float(rng.standard_t(2))) is not None:
            alarms += 1
            test = ChangeTest(2000, seed=number)
    assert stats.poisson.sf(alarms - 1, 20) > 1e-4 and alarms > 0


@pytest.mark.parametrize(("shift", "within"), [(5.0, 15), (-5.0, 15), (2.0, 40)])
def test_a_change_is_found_soon_with_its_beginning_and_direction(shift: float, within: int) -> None:
    rng = np.random.default_rng(6)
    for seed in range(20):
        test = ChangeTest(50_000, seed)
        assert not [value for value in rng.normal(size=200) if test.see(value)]
        for _ in range(within):
            found = test.see(rng.normal() + shift)
            if found is not None:
                break
        assert found is not None and found.up == (shift > 0) and abs(found.since - 200) <= 12


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_cannot_be_are_refused(value: float) -> None:
    with pytest.raises(ValueError):
        ChangeTest(100).see(value)
    with pytest.raises(ValueError):
        ChangeTest(1)


@pytest.mark.parametrize("kind", [Beside, Apart])
def test_strangeness_is_that_of_the_whole_table_whatever_the_order(kind) -> None:
    rng = np.random.default_rng(7)
    rows = rng.normal(size=(150, 3)) @ rng.normal(size=(3, 3)) + 100
    order = rng.permutation(len(rows))
    found = []
    for table in (rows, rows[order]):
        strange = kind(3)
        for row in table:
            strange.add(row)
            assert np.isfinite(strange.of_all()).all()
        found.append(strange.of_all())
    middle = found[0] - found[0].mean(), found[1] - found[1].mean()  # a rest is known but for a constant
    assert np.allclose(middle[0][order], middle[1], atol=1e-8)
    if kind is Apart:
        moved = rows - rows.mean(0)
        expected = (moved @ np.linalg.inv(np.cov(rows.T) * (len(rows) - 1)) * moved).sum(1)
    else:
        basis = np.c_[np.ones(len(rows)), rows[:, 1:]]
        expected = rows[:, 0] - basis @ np.linalg.lstsq(basis, rows[:, 0], rcond=None)[0]
    assert np.corrcoef(expected, found[0])[0, 1] > 0.99, "but for the prior"


def test_p_values_of_strange_rows_are_uniform_and_a_hidden_change_is_found() -> None:
    """The first column moves by its own sigma: much beside another that it goes with."""
    rng = np.random.default_rng(8)
    steps, values = [], rng.normal(size=(230, 2))
    values[:, 0] = values[:, 1] + 0.2 * values[:, 0]
    for seed in range(10):
        order = rng.permutation(200)
        changed = values[200:] + np.array([1.0, 0.0])
        beside, alone = ChangeTest(50_000, seed, Beside(2)), ChangeTest(50_000, seed)
        assert not [row for row in values[order] if beside.see(row.tolist()) or alone.see(row[0])]
        found = [step for step, row in enumerate(changed) if beside.see(row.tolist())][:1]
        steps += found
        assert not [row for row in changed[: found[0] + 1] if alone.see(row[0])]
    assert len(steps) == 10 and max(steps) < 20


def test_strange_rows_alarm_falsely_no_more_often_than_is_promised() -> None:
    rng = np.random.default_rng(11)
    alarms = 0
    for start in range(40):
        test = ChangeTest(500, start, (Beside, Apart)[start % 2](3))
        alarms += any(test.see(row.tolist()) is not None for row in rng.standard_t(3, size=(250, 3)))
    assert stats.binom.sf(alarms - 1, 40, 0.5) > 1e-3
