# SPDX-License-Identifier: GPL-3.0-or-later
"""Scratch and dent: the slopes are the derivatives of the heights, and the footprints hold the masks."""

import numpy as np
import pytest

from blender_addon.core.dent import Dent, dent_field
from blender_addon.core.scratch import Scratch, scratch_field

SCRATCHES = [
    Scratch(1.0, -2.0),
    Scratch(0.0, 0.0, angle_deg=-130.0, length_mm=8.0, bow_mm=-1.5, unevenness=1.0, shoulder=1.0, phase_deg=200.0),
    Scratch(3.0, 3.0, shoulder=0.0, bow_mm=0.0, waver_um=0.0, unevenness=0.0, width_um=400.0),
]
DENTS = [
    Dent(1.0, -2.0),
    Dent(0.0, 0.0, angle_deg=70.0, aspect=0.5, lean=-0.8, ring_um=5.0),
    Dent(2.0, 1.0, lip_um=0.0),
]
CASES = [(scratch_field, scratch) for scratch in SCRATCHES] + [(dent_field, dent) for dent in DENTS]


def points_on(feature, count=20000):
    """Random points over the footprint and a little beyond, (count, 2) mm."""
    rng = np.random.default_rng(5)
    centres, radius = feature.footprint()
    return centres[rng.integers(len(centres), size=count)] + rng.uniform(-1.2, 1.2, (count, 2)) * radius


@pytest.mark.parametrize(("field", "feature"), CASES)
def test_slopes_are_derivatives_of_the_height(field, feature):
    points = points_on(feature)
    if isinstance(feature, Dent):  # the crest of the lip is a true edge: no derivative there
        u, v = points.T - np.array([[feature.centre_x_mm], [feature.centre_y_mm]])
        angle = np.radians(feature.angle_deg)
        a = feature.diameter_mm / 2
        along, across = np.cos(angle) * u + np.sin(angle) * v, np.cos(angle) * v - np.sin(angle) * u
        rho = np.hypot(along / a, across / (a * feature.aspect))
        points = points[(np.abs(rho - 1) > 0.01) & (rho > 0.01)]
    step = 1e-6
    at = field(points, feature)
    for axis, slope in enumerate((at.slope_x, at.slope_y)):
        shift = np.eye(2)[axis] * step
        numeric = (field(points + shift, feature).height_mm - field(points - shift, feature).height_mm) / (2 * step)
        np.testing.assert_allclose(slope, numeric, atol=2e-6)
    assert np.abs(at.slope_x).max() > 1e-3


@pytest.mark.parametrize(("field", "feature"), CASES)
def test_the_mask_lies_in_the_footprint_and_is_not_empty(field, feature):
    points = np.random.default_rng(6).uniform(-15, 15, (200_000, 2))
    inside = points[field(points, feature).inside]
    assert len(inside) > 20
    centres, radius = feature.footprint()
    assert np.linalg.norm(inside[:, None] - centres[None], axis=-1).min(axis=1).max() <= radius


@pytest.mark.parametrize(("field", "feature"), CASES)
def test_outside_the_mask_the_surface_is_nearly_flat(field, feature):
    at = field(points_on(feature), feature)
    assert np.abs(at.height_mm[~at.inside]).max() <= feature.cut_um * 1e-3 * 1.000001


def test_full_shoulders_keep_the_material():
    # The cross-section of a ploughed groove integrates to zero when all of it stands in the shoulders.
    across = np.linspace(-3, 3, 60001)
    points = np.stack([np.zeros_like(across), across], axis=-1)
    straight = Scratch(0.0, 0.0, angle_deg=0.0, shoulder=1.0, bow_mm=0.0, waver_um=0.0, unevenness=0.0, width_um=500.0)
    height = scratch_field(points, straight).height_mm
    assert abs(height.sum()) < 1e-6 * np.abs(height).sum()
    assert height.min() == pytest.approx(-6e-3)


def test_a_dent_is_as_deep_as_it_says():
    flat = Dent(0.0, 0.0, lean=0.0, lip_um=0.0, ring_um=0.0)
    field = dent_field(np.array([[0.0, 0.0], [1.5, 0.0], [2.0, 0.0]]), flat)
    np.testing.assert_allclose(field.height_mm, [-0.06, 0.0, 0.0], atol=1e-12)
    np.testing.assert_array_equal(field.inside, [True, True, False])


@pytest.mark.parametrize(("field", "feature"), CASES)
def test_outside_its_circle_a_defect_bends_nothing_to_speak_of(field, feature):
    points = np.random.default_rng(7).uniform(-40, 40, (300_000, 2))
    centre, radius = feature.circle()
    at = field(points, feature)
    steep = np.hypot(at.slope_x, at.slope_y)
    assert steep[np.linalg.norm(points - centre, axis=1) > radius].max() < 2e-3 * max(steep.max(), 0.05)
