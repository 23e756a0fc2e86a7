# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np

from blender_addon.core.seeding import SEED_LIMIT, digest, seed, spread, uniform


def test_draws_are_fixed_for_ever():
    # Data sets that exist were drawn by these values.
    assert digest(2025, 3, "stain.radius_mm") == 0xB1E96E07FC186F30
    assert seed(0, 0, "surface") == digest(0, 0, "surface") % 100_000


def test_index_purpose_and_master_are_told_apart():
    keys = [(m, k, p) for m in range(5) for k in range(20) for p in ("a", "b", "a.b")] + [(1, 11, "c"), (11, 1, "c")]
    assert len({digest(*key) for key in keys}) == len(keys)


def test_uniform_is_uniform():
    values = np.array([uniform(1, k, "x") for k in range(4000)])
    assert values.min() >= 0.0 and values.max() < 1.0
    counts, _ = np.histogram(values, bins=20, range=(0, 1))
    assert ((counts - 200) ** 2 / 200).sum() < 43.8  # chi-square, 19 degrees of freedom, 0.1 %


def test_seeds_stay_below_what_shaders_can_carry():
    assert max(seed(k, k, "x") for k in range(2000)) < SEED_LIMIT


def test_spread_serves_every_prefix_evenly():
    for length in (3, 5, 8, 20, 100):
        share = np.mean([spread(k, "") < 0.7 for k in range(length)])
        assert abs(share - 0.7) < 0.75 / length + 0.1
    assert spread(0, "") == 0.0
