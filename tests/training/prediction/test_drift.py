# SPDX-License-Identifier: Apache-2.0
"""Drift among photographs made by code: what changed, since when, how soon; and quiet while nothing changes."""

import json

import cv2
import numpy as np
import pytest
from scipy import stats
from sequential_patchcore.cli import parser as cli
from sequential_patchcore.prediction.drift import DriftWatch, ProductWatches, RowWatch
from sequential_patchcore.prediction.drift_cause import cause_of
from sequential_patchcore.prediction.picture_numbers import NUMBERS, SIGNED, as_row, numbers_of


def surface(rng: np.random.Generator, light: float = 1.0, blur: float = 0.0, noise: float = 0.02, blots: int = 0,
            stripes: bool = False, shadow: float = 0.0) -> np.ndarray:
    """(96, 128, 3) float32: brushed metal under light that varies by 2 percent; the left side may be in shadow."""
    grooves = cv2.GaussianBlur(rng.normal(0, 0.25, (96, 128)).astype(np.float32), (0, 0), sigmaX=6, sigmaY=0.8)
    image = 0.5 + grooves + 0.04 * np.linspace(-1, 1, 128, dtype=np.float32)
    if stripes:
        image = 0.45 + 0.2 * np.sin(np.arange(128) / 2, dtype=np.float32) + 0.3 * grooves
    for _ in range(blots):
        cv2.circle(image, (int(rng.integers(128)), int(rng.integers(96))), int(rng.integers(6, 14)),
                   float(rng.uniform(0.55, 0.75)), -1)
    if blur:
        image = cv2.GaussianBlur(image, (0, 0), blur)
    image = image * (1 - shadow * np.linspace(1, 0, 128, dtype=np.float32))
    image = image * light * rng.normal(1, 0.02) + rng.normal(0, noise, image.shape)
    return np.repeat(np.clip(image, 0, 1).astype(np.float32)[..., None], 3, 2)


def scored(image: np.ndarray) -> np.ndarray:
    return np.abs(cv2.GaussianBlur(image[..., 0], (0, 0), 2) - np.float32(0.5))


DRIFTS = [
    ("light", {"light": 0.9}), ("light", {"light": 0.8}), ("light", {"light": 1.15}), ("light", {"light": 0.6}),
    ("focus", {"blur": 1.5}), ("focus", {"blur": 3.0}), ("noise", {"noise": 0.04}), ("noise", {"noise": 0.07}),
    ("surface", {"blots": 12}), ("surface", {"stripes": True}), ("light", {"shadow": 0.2}),
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
    """At least nine of eleven drifts by their cause; all within 50 images, a tenth less light among them."""
    right = 0
    for seed, (cause, drift) in enumerate(DRIFTS):
        found, images = drifted(tmp_path / str(seed), drift, seed)
        assert found is not None, drift
        right += found.cause == cause
        assert found.since[0] == "q" or int(found.since[1:]) >= 55, (drift, found, images)
        assert f"since about {found.since}" in capsys.readouterr().err
        if "shadow" in drift:
            assert found.words.startswith("less light on the left side")
        if drift == {"light": 0.9}:
            assert found.words.endswith("% less light") and 7 <= int(found.words.split("%")[0]) <= 12
    assert right >= 9


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


def test_stable_images_are_quiet() -> None:
    """All tests as the watch runs them, over 10,000 stable images: at most half an alarm is to be expected."""
    rng, alarms = np.random.default_rng(9), 0
    mixing = rng.normal(size=(len(NUMBERS), len(NUMBERS)))  # the numbers of an image depend on each other
    for number in range(10_000):
        if number % 250 == 0:
            watch = RowWatch(number)
        if watch.see(mixing @ rng.standard_t(4, len(NUMBERS))) is not None:
            alarms += 1
            watch = RowWatch(number)
    assert stats.poisson.sf(alarms - 1, 0.5) > 1e-3


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
    """By the command: half the light from the 51st photograph on, found while they arrive; none without the test."""
    monkeypatch.chdir(tmp_path)
    plates(tmp_path / "d", train=2, val=1, test=1)
    assert cli.main(["train", "--data", "d", "--out", "m.h5", "--backbone", "filters", "--coreset-size", "16",
                     "--epochs", "1", "--device", "cpu"]) == 0
    assert cli.main(["calibrate", "--model", "m.h5", "--threshold", "50"]) == 0
    rng = np.random.default_rng(5)
    (tmp_path / "line").mkdir()
    for number in range(70):
        image = surface(rng, light=0.5 if number >= 50 else 1.0)
        cv2.imwrite(f"line/p{number:02}.png", (image * 255).astype(np.uint8))
    capsys.readouterr()
    command = ["predict", "--model", "m.h5", "line", "--watch", "--interval", "0.05", "--idle-exit", "0.3", "--out"]
    assert cli.main([*command, "plain", "--no-drift"]) == 0
    assert "DRIFT" not in capsys.readouterr().err and not (tmp_path / "plain" / "drift.jsonl").exists()
    assert cli.main([*command, "today", "--json"]) == 0
    captured = capsys.readouterr()
    assert len([json.loads(line) for line in captured.out.splitlines()]) == 70
    (told,) = [line for line in captured.err.splitlines() if "DRIFT" in line]
    assert "less light, since about line/p5" in told
    found = [json.loads(line) for line in (tmp_path / "today" / "drift.jsonl").read_text().splitlines()]
    assert [line["cause"] for line in found if "cause" in line] == ["light"] and len(found) == 71


def test_lines_of_a_version_with_other_numbers_are_said_and_left_out(tmp_path, capsys) -> None:
    (tmp_path / "drift.jsonl").write_text('{"image": "p0", "score": 1.0, "brightness": 0.5, "sharpness": 0.1}\n' * 3)
    watch = DriftWatch(tmp_path)
    assert "3 line(s)" in capsys.readouterr().err
    image = surface(np.random.default_rng(1))
    assert watch.see("p1", image, scored(image)) is None


def test_light_changes_the_brightness_and_no_other_number_of_the_picture() -> None:
    image = surface(np.random.default_rng(4))
    bright, dim = (numbers_of(np.float32(factor) * image, scored(image)) for factor in (1.0, 0.7))
    assert dim["brightness"] == pytest.approx(0.7 * bright["brightness"], rel=1e-5)
    for name in NUMBERS[2:]:
        assert dim[name] == pytest.approx(bright[name], rel=1e-4, abs=1e-6), name


def test_the_numbers_of_known_pictures() -> None:
    """A plane in the logarithm is a tilt, a parabola a bow; a checkerboard is grain of its own size alone."""
    y, x = np.mgrid[-1:1:96j, -1:1:128j].astype(np.float32)
    for name, formula in (("tilt_x", x), ("tilt_y", y), ("bow_x", x * x), ("bow_y", y * y)):
        image = np.repeat(np.exp(-1 + 0.2 * formula)[..., None], 3, 2)
        found = numbers_of(image, image[..., 0])
        for other in SIGNED:
            expected = 0.2 if other == name else 0.0  # at the middles of the cells, which lie inside the edges
            assert found[other] == pytest.approx(expected, abs=0.06), (name, other)
    rows, columns = np.mgrid[:96, :128]
    for size, grain in ((1, 1), (2, 2), (4, 3)):
        board = 0.5 + 0.1 * ((rows // size + columns // size) % 2)
        found = numbers_of(np.repeat(np.float32(board)[..., None], 3, 2), board)
        grains = [found[f"grain_{level}"] for level in range(1, 5)]
        assert int(np.argmax(grains)) == grain - 1 and max(grains[grain:]) < 1e-3


@pytest.mark.parametrize(("moved", "cause"), [
    ({"brightness": -0.1}, "light"), ({"brightness": -0.7, "grain_1": 0.4}, "light"),
    ({"brightness": 0.15, "score": 3, "grain_1": -0.1, "grain_3": -0.15}, "light"),
    ({"tilt_x": 0.06, "bow_x": 0.1, "brightness": -0.1}, "light"), ({"bow_x": 0.2, "brightness": -0.5}, "surface"),
    ({"grain_1": -0.9, "grain_2": -0.4, "grain_3": -0.1}, "focus"),
    ({"grain_1": -0.6, "grain_2": -1.2, "grain_3": -0.9, "grain_4": -0.4}, "focus"),
    ({"grain_1": 0.4, "grain_2": 0.2}, "noise"), ({"grain_1": -0.3}, "focus"),
    ({"grain_1": -0.9, "grain_2": -1.2, "grain_3": -1.5, "grain_4": -1.8, "brightness": -0.8}, "surface"),
    ({"grain_2": 0.2, "grain_3": 0.5, "grain_4": 0.6, "brightness": -0.1}, "surface"), ({"score": 2}, "surface"),
])
def test_what_shifts_point_to(moved: dict, cause: str) -> None:
    rng = np.random.default_rng(3)
    sizes = np.array([{"score": 0.1, "tilt_x": 0.01, "tilt_y": 0.01, "bow_x": 0.01, "bow_y": 0.01}.get(name, 0.05)
                      for name in NUMBERS])
    before, after = (rng.normal(size=(count, len(NUMBERS))) * sizes for count in (60, 9))
    after += np.array([moved.get(name, 0.0) for name in NUMBERS])
    assert cause_of(before, after)[0] == cause


def test_a_row_is_of_logarithms_where_numbers_are_shares() -> None:
    row = as_row(dict.fromkeys(NUMBERS, 0.5))
    assert [value == 0.5 for value in row] == [name in SIGNED for name in NUMBERS]
