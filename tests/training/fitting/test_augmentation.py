# SPDX-License-Identifier: Apache-2.0
"""Augmentation: the same draw gives the same image, and each operation keeps its law."""

import json

import numpy as np
import pytest
from sequential_patchcore.fitting.augmentation import AugmentSettings, augment, augmentation_rng, mask_border

SIZE = (60, 80)
OFF = {"brightness": 0.0, "contrast": 0.0, "blur_sigma_px": 0.0, "noise_sigma": 0.0, "flip": False}


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).random((*SIZE, 3), dtype=np.float32) * np.float32(0.6) + np.float32(0.2)


@pytest.fixture
def region() -> np.ndarray:
    region = np.ones(SIZE, bool)
    region[:10, :20] = False
    return region


def only(**settings) -> AugmentSettings:
    return AugmentSettings(probability=1.0, **(OFF | settings))


def test_one_seed_epoch_and_index_give_one_image(image, region):
    settings = AugmentSettings()
    seen = set()
    for key in [(0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0)]:
        first, _ = augment(image, region, augmentation_rng(*key), settings)
        second, _ = augment(image, region, augmentation_rng(*key), settings)
        np.testing.assert_array_equal(first, second)
        seen.add(first.tobytes())
    assert len(seen) == 4


def test_arguments_stay_as_they_are_and_results_are_new(image, region):
    before, before_region = image.copy(), region.copy()
    for settings in (AugmentSettings(probability=1.0), only(), AugmentSettings(probability=0.0)):
        result, result_region = augment(image, region, augmentation_rng(0, 0, 0), settings)
        result[:], result_region[:] = 0, False
        cut, cut_region = mask_border(image, region, augmentation_rng(0, 0, 0))
        cut[:], cut_region[:] = 0, False
    np.testing.assert_array_equal(image, before)
    np.testing.assert_array_equal(region, before_region)


def test_everything_off_changes_nothing(image, region):
    for settings in (only(), AugmentSettings(probability=0.0)):
        result, result_region = augment(image, region, augmentation_rng(3, 0, 0), settings)
        np.testing.assert_array_equal(result, image)
        np.testing.assert_array_equal(result_region, region)


def test_a_flip_moves_the_region_with_the_image(region):
    image = np.repeat(region[..., None], 3, axis=2).astype(np.float32)
    image[30, 40] = 0.5
    variants = set()
    for index in range(40):
        rng = augmentation_rng(0, 0, index)
        result, result_region = augment(image, region, rng, AugmentSettings(**OFF | {"flip": True}))
        np.testing.assert_array_equal(result[..., 0] > 0, result_region)
        variants.add(tuple(result_region[[0, 0, -1, -1], [0, -1, 0, -1]]))
    assert len(variants) == 4, "none, each axis, and both"


def test_brightness_and_contrast_only_increase_and_black_stays_black(image, region):
    image[:5] = 0
    for index in range(20):
        result, _ = augment(image, region, augmentation_rng(0, 0, index), only(brightness=0.2))
        gain = (result[5:] / image[5:])[result[5:] < 1]
        assert gain.min() >= 1 and gain.max() <= 1.2001 and np.ptp(gain) < 1e-4
        assert not result[:5].any()
        result, _ = augment(image, region, augmentation_rng(0, 0, index), only(contrast=0.2))
        slope = np.polyfit(image[30].ravel(), result[30].ravel(), 1)[0]
        assert 1 <= slope <= 1.2001 and not result[:5].any()


def test_contrast_keeps_the_mean(image, region):
    result, _ = augment(image, region, augmentation_rng(0, 0, 1), only(contrast=0.1))
    assert result.mean() == pytest.approx(image.mean(), abs=1e-5) and result.std() > image.std()


def test_blur_keeps_the_mean_and_lowers_the_variance(image, region):
    result, _ = augment(image, region, augmentation_rng(0, 0, 2), only(blur_sigma_px=1.5))
    assert result.mean() == pytest.approx(image.mean(), abs=2e-3) and result.std() < image.std()


def test_noise_is_gaussian_within_its_bound():
    image = np.full((400, 500, 3), 0.5, np.float32)
    image[..., 0] = 0.4
    differences = []
    for index in range(30):
        result, _ = augment(image, np.ones((400, 500), bool), augmentation_rng(0, 0, index), only(noise_sigma=0.02))
        noise = (result - image).astype(np.float64)
        assert abs(noise.mean()) < 1e-4 and noise.std() <= 0.0201
        assert abs(np.corrcoef(noise[..., 0].ravel(), noise[..., 1].ravel())[0, 1]) < 0.02
        standard = noise / noise.std()
        # Shares of a normal distribution within one and two sigma.
        differences.append([np.mean(abs(standard) < 1) - 0.6827, np.mean(abs(standard) < 2) - 0.9545])
    assert np.abs(np.mean(differences, axis=0)).max() < 0.01


def test_a_grey_image_stays_grey(region):
    image = np.repeat(np.random.default_rng(1).random((*SIZE, 1), dtype=np.float32), 3, axis=2)
    result, _ = augment(image, region, augmentation_rng(0, 0, 0), AugmentSettings(probability=1.0))
    np.testing.assert_array_equal(result[..., 0], result[..., 1])
    np.testing.assert_array_equal(result[..., 0], result[..., 2])


def test_values_stay_in_range_and_types_stay(image, region):
    for index in range(20):
        result, result_region = augment(image, region, augmentation_rng(5, 0, index), AugmentSettings(probability=1.0))
        assert result.dtype == np.float32 and result.shape == image.shape and result.flags.c_contiguous
        assert result_region.dtype == bool and result.min() >= 0 and result.max() <= 1


def test_the_border_is_black_outside_the_region_and_untouched_inside(image, region):
    shares, sides = [], set()
    for index in range(60):
        result, kept = mask_border(image, region, augmentation_rng(0, 0, index))
        cut = region & ~kept
        assert cut.any(), "always a part is cut"
        assert not result[cut].any() and not kept[~region].any()
        changed = (result != image).any(axis=2) & kept
        # The antialiased edge is one pixel wide: along a cut at most about one pixel per row or column.
        assert changed.sum() <= 2.5 * (SIZE[0] + SIZE[1]) and (result[changed] <= image[changed]).all()
        shares.append(1 - kept[region].mean())
        sides.add((~kept[30, 0], ~kept[30, -1], ~kept[0, 40], ~kept[-1, 40]))
    assert 0.02 < np.mean(shares) < 0.4 and max(shares) < 0.6
    assert len(sides) == 8, "four sides and four corners"


def test_the_border_is_straight():
    image = np.ones((200, 300, 3), np.float32)
    for index in range(30):
        result, kept = mask_border(image, np.ones((200, 300), bool), augmentation_rng(0, 1, index))
        sides = (~kept[100, 0], ~kept[100, -1], ~kept[0, 150], ~kept[-1, 150])
        if sum(sides) != 1:
            continue
        # The covered length of each line across the border is linear in the line's position.
        length = result[..., 0].sum(axis=1 if sides[0] or sides[1] else 0)[5:-5]
        position = np.arange(len(length))
        residual = length - np.polyval(np.polyfit(position, length, 1), position)
        assert np.abs(residual).max() < 0.2


def test_settings_go_into_json():
    settings = AugmentSettings(noise_sigma=0.1)
    assert AugmentSettings(**json.loads(json.dumps(settings.as_dict()))) == settings
