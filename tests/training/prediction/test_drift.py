# SPDX-License-Identifier: Apache-2.0
"""Drift among photographs made by code: what changed, since when, how soon; and quiet while nothing changes."""

import json

import cv2
import numpy as np
import pytest
from scipy import stats
from sequential_patchcore.cli import parser as cli
from sequential_patchcore.metrics.drift import ChangeTest
from sequential_patchcore.prediction.drift import NUMBERS, RUN_LENGTH, DriftWatch, ProductWatches, cause_of, numbers_of


def surface(rng: np.random.Generator, light: float = 1.0, blur: float = 0.0, noise: float = 0.02, blots: int = 0,
            stripes: bool = False) -> np.ndarray:
    """(96, 128, 3) float32: brushed metal under light that varies by 2 percent."""
    grooves = cv2.GaussianBlur(rng.normal(0, 0.25, (96, 128)).astype(np.float32), (0, 0), sigmaX=6, sigmaY=0.8)
    image = 0.5 + grooves + 0.04 * np.linspace(-1, 1, 128, dtype=np.float32)
    if stripes:
        image = 0.45 + 0.2 * np.sin(np.arange(128) / 2, dtype=np.float32) + 0.3 * grooves
    for _ in range(blots):
        cv2.circle(image, (int(rng.integers(128)), int(rng.integers(96))), int(rng.integers(6, 14)),
                   float(rng.uniform(0.55, 0.75)), -1)
    if blur:
        image = cv2.GaussianBlur(image, (0, 0), blur)
    image = image * light * rng.normal(1, 0.02) + rng.normal(0, noise, image.shape)
    return np.repeat(np.clip(image, 0, 1).astype(np.float32)[..., None], 3, 2)


def scored(image: np.ndarray) -> np.ndarray:
    return np.abs(cv2.GaussianBlur(image[..., 0], (0, 0), 2) - np.float32(0.5))


DRIFTS = [
    ("light", {"light": 0.9}), ("light", {"light": 0.8}), ("light", {"light": 1.15}), ("light", {"light": 0.6}),
    ("focus", {"blur": 1.5}), ("focus", {"blur": 3.0}), ("noise", {"noise": 0.04}), ("noise", {"noise": 0.07}),
    ("surface", {"blots": 12}), ("surface", {"stripes": True}),
]


def drifted(tmp_path, drift: dict, seed: int, before: int = 60):
    """(the drift that was found, after how many images) of images that change after so many."""
    rng, watch = np.random.default_rng(seed), DriftWatch(tmp_path)
    for number in range(before):
        image = surface(rng)
        assert watch.see(f"p{number}", image, scored(image)) is None
    for number in range(50):
        image = surface(rng, **drift)
        found = watch.see(f"q{number}", image, scored(image))
        if found is not None:
            return found, number + 1
    return None, 50


def test_the_cause_is_named_and_when_it_began(tmp_path, capsys) -> None:
    """At least eight of ten drifts by their cause; all within 50 images, a tenth less light among them."""
    right = 0
    for seed, (cause, drift) in enumerate(DRIFTS):
        found, images = drifted(tmp_path / str(seed), drift, seed)
        assert found is not None, drift
        right += found.cause == cause
        assert found.since[0] == "q" or int(found.since[1:]) >= 55, (drift, found, images)
        assert f"since about {found.since}" in capsys.readouterr().err
        if drift == {"light": 0.9}:
            assert found.words == "10% less light" or found.words in ("9% less light", "11% less light")
    assert right >= 8


def test_a_tenth_less_light_is_found_within_fifty_images_each_time(tmp_path) -> None:
    for seed in range(10):
        found, _ = drifted(tmp_path / str(seed), {"light": 0.9}, 100 + seed)
        assert found is not None and found.cause == "light"


def test_products_that_arrive_by_turns_are_no_change(tmp_path, capsys) -> None:
    """Each has a watch of its own, that goes on after a new start; all in one, the shifts of a line would be drift."""
    rng, alone = np.random.default_rng(4), DriftWatch(tmp_path / "alone")
    watches = ProductWatches(tmp_path / "each", lambda path: path.parent.name)
    confused = 0
    for number in range(120):  # shifts of twenty
        product = ("bright", "dim")[number // 20 % 2]
        image = surface(rng, light=1.0 if product == "bright" else 0.7)
        path = tmp_path / product / f"p{number}"
        confused += alone.see(path, image, scored(image)) is not None
        assert watches.see(path, image, scored(image)) is None
        if number == 60:
            watches = ProductWatches(tmp_path / "each", lambda path: path.parent.name)
    assert confused
    capsys.readouterr()
    for number in range(30):
        image = surface(rng, light=0.55)
        if watches.see(tmp_path / "dim" / f"q{number}", image, scored(image)) is not None:
            break
    assert "DRIFT of dim: 2" in capsys.readouterr().err


def test_stable_images_are_quiet(tmp_path) -> None:
    """The five tests as the watch runs them over 40,000 stable images, by the tail of one alarm in 10,000 each."""
    rng, alarms = np.random.default_rng(9), 0
    tests = [ChangeTest(RUN_LENGTH * len(NUMBERS), seed) for seed in range(len(NUMBERS))]
    mixing = rng.normal(size=(5, 5))  # the numbers of an image depend on each other
    for number in range(40_000):
        found = [test.see(value) for test, value in zip(tests, mixing @ rng.standard_t(4, 5), strict=True)]
        if any(found):
            alarms += 1
            tests = [ChangeTest(RUN_LENGTH * len(NUMBERS), number + seed) for seed in range(len(NUMBERS))]
    assert stats.poisson.sf(alarms - 1, 4) > 1e-3


def test_a_new_start_goes_on_with_the_numbers_of_before(tmp_path) -> None:
    rng = np.random.default_rng(3)
    images = [surface(rng) for _ in range(60)] + [surface(rng, light=0.8) for _ in range(20)]
    whole, parts = DriftWatch(tmp_path / "a"), DriftWatch(tmp_path / "b")
    for number, image in enumerate(images):
        if number in (30, 62):
            with open(parts.path, "a") as file:
                file.write('{"image": "cut o\n')
            parts = DriftWatch(tmp_path / "b")
        one, other = (watch.see(f"p{number}", image, scored(image)) for watch in (whole, parts))
        assert one == other
    lines = [json.loads(line) for line in (tmp_path / "a" / "drift.jsonl").read_text().splitlines()]
    assert sum("cause" in line for line in lines) == 1 and len(lines) == 81


def test_a_watched_folder_is_tested_unless_it_is_not_to_be(plates, tmp_path, monkeypatch, capsys) -> None:
    """By the command: half the light from the 31st photograph on, found while they arrive; none without the test."""
    monkeypatch.chdir(tmp_path)
    plates(tmp_path / "d", train=2, val=1, test=1)
    assert cli.main(["train", "--data", "d", "--out", "m.h5", "--backbone", "filters", "--coreset-size", "16",
                     "--epochs", "1", "--device", "cpu"]) == 0
    assert cli.main(["calibrate", "--model", "m.h5", "--threshold", "50"]) == 0
    rng = np.random.default_rng(5)
    (tmp_path / "line").mkdir()
    for number in range(45):
        image = surface(rng, light=0.5 if number >= 30 else 1.0)
        cv2.imwrite(f"line/p{number:02}.png", (image * 255).astype(np.uint8))
    capsys.readouterr()
    command = ["predict", "--model", "m.h5", "line", "--watch", "--interval", "0.05", "--idle-exit", "0.3", "--out"]
    assert cli.main([*command, "plain", "--no-drift"]) == 0
    assert "DRIFT" not in capsys.readouterr().err and not (tmp_path / "plain" / "drift.jsonl").exists()
    assert cli.main([*command, "today", "--json"]) == 0
    captured = capsys.readouterr()
    assert len([json.loads(line) for line in captured.out.splitlines()]) == 45
    (told,) = [line for line in captured.err.splitlines() if "DRIFT" in line]
    assert "less light, since about line/p3" in told
    found = [json.loads(line) for line in (tmp_path / "today" / "drift.jsonl").read_text().splitlines()]
    assert [line["cause"] for line in found if "cause" in line] == ["light"] and len(found) == 46


def test_light_changes_the_brightness_and_no_other_number_of_the_picture() -> None:
    image = surface(np.random.default_rng(4))
    bright, dim = (numbers_of(np.float32(factor) * image, scored(image)) for factor in (1.0, 0.7))
    assert dim["brightness"] == pytest.approx(0.7 * bright["brightness"], rel=1e-5)
    for name in ("sharpness", "noise", "evenness"):
        assert dim[name] == pytest.approx(bright[name], rel=1e-4)


@pytest.mark.parametrize(("shifts", "ratios", "cause"), [
    ({"brightness": -9}, {"brightness": 0.9}, "light"), ({"brightness": -9}, {"brightness": 0.5, "noise": 2}, "light"),
    ({"brightness": 9, "score": 30, "noise": -6}, {"brightness": 1.1, "noise": 0.9}, "light"),
    ({"sharpness": -6, "noise": -7}, {"sharpness": 0.7, "noise": 0.6}, "focus"),
    ({"noise": 8}, {"noise": 1.5}, "noise"), ({"noise": -5}, {"noise": 0.4}, "focus"),
    ({"sharpness": -2, "noise": -7}, {"sharpness": 0.8, "noise": 0.1}, "focus"),
    ({"brightness": -6, "evenness": -9, "noise": -3}, {"brightness": 0.5, "evenness": 0.42, "noise": 0.7}, "surface"),
    ({"brightness": 2, "evenness": -2}, {"brightness": 1.16, "evenness": 0.87}, "light"),
    ({"score": 12}, {"score": 3}, "surface"), ({"evenness": 8}, {"evenness": 1.5}, "surface"),
    ({"brightness": 9, "sharpness": 8, "noise": 9, "evenness": 6}, {"brightness": 1.1, "evenness": 1.9}, "surface"),
])
def test_what_shifts_point_to(shifts: dict, ratios: dict, cause: str) -> None:
    found = cause_of({name: shifts.get(name, 0.0) for name in NUMBERS}, {name: ratios.get(name, 1) for name in NUMBERS},
                     after=9)
    assert found[0] == cause
