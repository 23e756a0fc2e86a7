# SPDX-License-Identifier: Apache-2.0
"""The sweep over all levels of the threshold is the binary map of each of them."""

import numpy as np
import pytest
from sequential_patchcore.metrics.binarize import PLAIN, Rule, binary_map
from sequential_patchcore.metrics.threshold_levels import level_codes, threshold_levels

RULES = (PLAIN, Rule(12), Rule(0, 0.7), Rule(30, 0.85), Rule(10**6), Rule(5, 0.01))


def maps(kind: str) -> np.ndarray:
    rng = np.random.default_rng(3)
    noise = rng.gamma(3, 0.3, (31, 44))
    smooth = sum(np.roll(noise, shift, (0, 1)) for shift in ((0, 0), (1, 0), (0, 1), (2, 2))) / 4
    return {"noise": noise, "smooth": smooth, "steps": np.round(smooth * 5) / 5, "constant": np.full((31, 44), 0.8),
            "zero": np.zeros((31, 44))}[kind].astype(np.float32)


@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize("kind", ["noise", "smooth", "steps", "constant", "zero"])
def test_at_each_level_it_is_the_binary_map(kind, rule):
    scores, levels = maps(kind), threshold_levels(0.8)
    region = np.random.default_rng(4).random(scores.shape) < 0.9
    region[:, :3] = False
    codes = level_codes(scores, levels, region, rule)
    for place, level in enumerate(levels):
        np.testing.assert_array_equal(codes > place, binary_map(scores, float(level), region, rule), err_msg=str(place))


def test_one_row_and_one_column():
    for shape in ((1, 9), (9, 1), (1, 1)):
        scores = np.linspace(0.5, 2, 9, dtype=np.float32)[: np.prod(shape)].reshape(shape)
        codes = level_codes(scores, threshold_levels(1.0), np.ones(shape, bool), Rule(3, 0.9))
        for place, level in enumerate(threshold_levels(1.0)):
            np.testing.assert_array_equal(
                codes > place, binary_map(scores, float(level), np.ones(shape, bool), Rule(3, 0.9)))
