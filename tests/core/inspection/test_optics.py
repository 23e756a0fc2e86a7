# SPDX-License-Identifier: GPL-3.0-or-later
"""Ring light, camera and sensor against numbers worked out by hand."""

import numpy as np
import pytest

from blender_addon.core.errors import UserError
from blender_addon.core.inspection.camera import Camera
from blender_addon.core.inspection.plate import Plate
from blender_addon.core.inspection.ring_light import RingLight
from blender_addon.core.inspection.sensor import Sensor, blur, expose, vignette


def test_field_of_view_of_the_inspection_camera():
    camera = Camera()
    assert camera.field_mm == pytest.approx((92.9, 77.8), abs=0.05)
    assert camera.object_pixel_um == pytest.approx(37.95)
    assert camera.scaled(25.0) == (612, 512)


def test_what_cannot_be_built_is_refused():
    with pytest.raises(UserError, match="focal_length_mm = 300"):
        Camera(focal_length_mm=300.0)
    with pytest.raises(UserError, match="inner_radius_mm = 66"):
        RingLight(inner_radius_mm=66.0)


def test_exposure_by_the_camera_equation():
    # 1 W/(m² sr) at f/8: π/256 W/m² on 3.45 µm squares for 1 ms; a photon of 550 nm has 3.6117e-19 J.
    camera = Camera(exposure_ms=1.0, quantum_efficiency=1.0, full_well_e=1000.0)
    photons = np.pi / 256 * 3.45e-6**2 * 1e-3 / 3.6117e-19
    assert camera.full_wells_per_radiance == pytest.approx(photons / 1000.0, rel=1e-4)


def polygon_area(corners):
    x, y = corners.T
    return 0.5 * abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1)))


def test_light_variants_keep_the_radiance():
    built, turned, large = (RingLight(variant=variant) for variant in ("as_built", "rot90", "x2"))
    assert built.radiance_w_m2_sr == turned.radiance_w_m2_sr == large.radiance_w_m2_sr
    assert large.total_power_w == 4 * built.total_power_w
    areas = [polygon_area(outer) - polygon_area(inner) for outer, inner in (x.corners_mm() for x in (built, large))]
    assert areas == pytest.approx([built.area_mm2, 4 * built.area_mm2])
    assert built.radiance_w_m2_sr == pytest.approx(built.power_w / (np.pi * areas[0] * 1e-6))
    # A hexagon turned by 90 degrees is one turned by 30: no corner stays.
    gaps = np.linalg.norm(built.corners_mm()[0][:, None] - turned.corners_mm()[0][None], axis=-1)
    assert gaps.min() == pytest.approx(2 * 66.0 * np.sin(np.radians(15)))


def test_plate_pose():
    plate = Plate(offset_x_mm=10.0, offset_y_mm=-5.0, yaw_deg=90.0)
    np.testing.assert_allclose(plate.from_world(np.array([[10.0, -5.0], [10.0, -3.0]])), [[0, 0], [2, 0]], atol=1e-12)


def test_an_ideal_sensor_only_quantises():
    linear = np.array([[0.0, 0.25, 0.5, 1.0, 7.0]], dtype=np.float32)
    np.testing.assert_array_equal(expose(linear, Sensor(), Camera(), 100, 1, 8), [[0, 64, 128, 255, 255]])
    np.testing.assert_array_equal(expose(linear, Sensor(), Camera(), 100, 1, 16), [[0, 16384, 32768, 65535, 65535]])


@pytest.mark.parametrize("percent", [100.0, 25.0])
def test_noise_has_the_variance_of_the_electrons(percent):
    camera, signal = Camera(full_well_e=10000.0), 0.4
    sensor = Sensor(shot_noise=True, read_noise_e=30.0)
    image = expose(np.full((400, 400), signal, np.float32), sensor, camera, percent, 3, 16) / 65535.0
    binned = (100 / percent) ** 2
    expected = np.sqrt((signal * 10000 + 30**2) * binned) / (10000 * binned)
    assert image.std() == pytest.approx(expected, rel=0.02)
    assert image.mean() == pytest.approx(signal, abs=4 * expected / 400)


def test_noise_of_a_pixel_does_not_depend_on_the_others():
    sensor = Sensor(shot_noise=True, read_noise_e=5.0)
    one = np.full((20, 20), 0.5, np.float32)
    other = one.copy()
    other[3, 4] = 0.1
    changed = expose(one, sensor, Camera(), 100, 9, 16) != expose(other, sensor, Camera(), 100, 9, 16)
    assert np.argwhere(changed).tolist() == [[3, 4]]


def test_blur_is_a_gaussian_that_keeps_the_light():
    point = np.zeros((41, 41), np.float32)
    point[20, 20] = 1.0
    spread = blur(point, 2.0)
    y, x = np.mgrid[-20:21, -20:21]
    gaussian = np.exp(-(x**2 + y**2) / 8.0)
    np.testing.assert_allclose(spread, gaussian / gaussian.sum(), atol=2e-5)
    assert spread.sum() == pytest.approx(1.0, abs=1e-5)
    assert np.argwhere(spread > 0).min() == 20 - Sensor(blur_sigma_px=2.0).reach_px(100)


def test_vignetting_darkens_the_corners():
    factor = vignette((11, 21), 0.3)
    assert factor[5, 10] == 1.0
    assert factor[0, 0] == pytest.approx(0.7)
