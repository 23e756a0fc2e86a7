# SPDX-License-Identifier: Apache-2.0
"""The exact limit against scipy's beta quantiles, and the operating point's promise against simulated plates."""

import numpy as np
import pytest
from scipy.stats import beta, binom
from sequential_patchcore.metrics.binomial import at_most, most_seen, trials_needed, upper_limit


@pytest.mark.parametrize("of", [1, 7, 60, 1000])
@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.999])
def test_the_limit_is_the_beta_quantile(of, confidence):
    for seen in {0, 1, of // 3, of - 1, of}:
        expected = 1.0 if seen == of else beta.ppf(confidence, seen + 1, of - seen)
        assert upper_limit(seen, of, confidence) == pytest.approx(expected, rel=1e-9)
        assert at_most(seen, of, 0.1) == pytest.approx(binom.cdf(seen, of, 0.1), rel=1e-10)


def test_none_of_n_is_about_three_of_n():
    assert 2.9 / 100 < upper_limit(0, 100) < 3 / 100


@pytest.mark.parametrize("share", [0.01, 0.05, 0.3])
def test_what_is_needed_is_just_enough(share):
    needed = trials_needed(share)
    assert upper_limit(0, needed) <= share and (needed == 1 or upper_limit(0, needed - 1) > share)
    assert most_seen(needed, share) == 0 and most_seen(needed - 1, share) is None
    most = most_seen(10 * needed, share)
    assert upper_limit(most, 10 * needed) <= share < upper_limit(most + 1, 10 * needed)


@pytest.mark.parametrize(("seen", "of", "confidence"), [(-1, 5, 0.9), (6, 5, 0.9), (1, 5, 1.0), (1, 5, 0.0)])
def test_counts_that_cannot_be_are_refused(seen, of, confidence):
    with pytest.raises(ValueError, match="expected"):
        upper_limit(seen, of, confidence)


def test_a_point_below_the_smallest_of_n_keeps_the_limit_as_often_as_it_says():
    rng = np.random.default_rng(0)
    values = np.sort(rng.random((4000, 40)), 1)
    for k in (0, 2):  # of uniform values, the share below a point is the point itself
        assert (values[:, k] <= upper_limit(k, 40, 0.9)).mean() == pytest.approx(0.9, abs=0.015)
