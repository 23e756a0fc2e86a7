# SPDX-License-Identifier: Apache-2.0
"""Calibration on a split against all thresholds tried one by one."""

import threading
from dataclasses import replace

import numpy as np
import pytest
from sequential_patchcore.data.dataset import Dataset
from sequential_patchcore.runtime.errors import UserError
from sequential_patchcore.scoring.calibration import calibrate, is_of_request


class Darkness:
    """A scorer: how much darker than white, in steps, so that many pixels share a score."""

    def anomaly_map(self, image: np.ndarray) -> np.ndarray:
        return (np.round((1 - image.mean(2)) * 50) / 50).astype(np.float32)


def best_by_trying(data, split: str) -> tuple[float, float]:
    """The threshold of highest F1 over the pixels inside the regions, and that F1."""
    scores, positive = [], []
    for sample in data.split(split):
        region = data.region(sample)
        scores.append(Darkness().anomaly_map(data.image(sample))[region])
        positive.append((data.mask(sample) == 2)[region])  # dents; stains count as normal
    scores, positive = np.concatenate(scores), np.concatenate(positive)
    found = {}
    for value in np.unique(scores):
        predicted = scores >= value
        found[float(value)] = 2 * (predicted & positive).sum() / (predicted.sum() + positive.sum())
    value = max(found, key=found.get)
    return value, found[value]


def test_the_threshold_maximises_f1_inside_the_regions(plates, tmp_path):
    region = np.zeros((96, 128), bool)
    region[:, 20:] = True
    data = plates(tmp_path / "d", seed=3, train=1, val=4, test=1, regions={"val1": region})
    threshold = calibrate(Darkness(), data)
    value, f1 = best_by_trying(data, "val")
    assert threshold.value == value and threshold.method == "max_f1"
    origin = threshold.calibrated_on
    assert origin["f1"] == pytest.approx(f1, rel=1e-12)
    assert (origin["dataset"], origin["fingerprint"], origin["split"]) == ("d", data.fingerprint, "val")
    assert origin["images"] == 4 and origin["pixels"] == 4 * 96 * 128 - 96 * 20
    assert origin["positives"] == sum(
        int((data.mask(sample) == 2)[data.region(sample)].sum()) for sample in data.split("val")
    )


def test_the_next_image_is_read_while_one_is_scored(plates, tmp_path, monkeypatch):
    data, begun, second = plates(tmp_path / "d", seed=3, train=1, val=3, test=1), [], threading.Event()
    read = Dataset.image

    def noted(self, sample):
        begun.append(sample.id)
        if len(begun) == 2:
            second.set()
        return read(self, sample)

    class Waiting(Darkness):
        def anomaly_map(self, image: np.ndarray) -> np.ndarray:
            assert second.wait(30), "nothing was read meanwhile"
            return super().anomaly_map(image)

    monkeypatch.setattr(Dataset, "image", noted)
    assert calibrate(Waiting(), data) == calibrate(Darkness(), data)
    assert begun == 2 * [sample.id for sample in data.split("val")]


def test_what_goes_wrong_is_raised_at_its_image(plates, tmp_path):
    """The images before it are scored, none after it."""
    data, scored = plates(tmp_path / "d", train=1, val=3, test=1), []

    class Counting(Darkness):
        def anomaly_map(self, image: np.ndarray) -> np.ndarray:
            scored.append(image)
            return super().anomaly_map(image)

    data.image_path(data.split("val")[1]).write_bytes(b"no picture")
    with pytest.raises(UserError, match="val1"):
        calibrate(Counting(), data)
    assert len(scored) == 1


def test_pixels_outside_the_region_change_nothing(plates, tmp_path):
    """The dent of val0 is masked out: with it nothing is left to find, and the result says so."""
    everything = plates(tmp_path / "d", train=1, val=1, test=1)
    sound = everything.mask(everything.split("val")[0]) == 0
    masked = plates(tmp_path / "e", train=1, val=1, test=1, regions={"val0": sound})
    threshold = calibrate(Darkness(), masked)
    assert threshold.method == "clean_rate" and threshold.calibrated_on["images"] == 1


def test_on_request_it_is_a_quantile_of_the_normal_pixels_without_defects(plates, tmp_path, capsys):
    data = plates(tmp_path / "d", train=3, val=1, test=1)
    threshold = calibrate(Darkness(), data, "train", per="pixel")
    scores = np.concatenate([Darkness().anomaly_map(data.image(sample)).ravel() for sample in data.split("train")])
    above = (scores >= threshold.value).mean()
    assert threshold.method == "nominal_quantile" and above <= 1 - threshold.calibrated_on["quantile"] + 1e-3
    said = capsys.readouterr().err
    assert "holds no defects" in said and "share of the pixels" in said


def peaks(data, split: str) -> list[np.float32]:
    return [Darkness().anomaly_map(data.image(sample)).max() for sample in data.split(split)]


def test_good_images_alone_alarm_as_seldom_as_is_said(plates, tmp_path, capsys):
    """A quantile of pixels would alarm on nearly every new image."""
    data = plates(tmp_path / "d", seed=1, train=20, val=1, test=1)
    threshold = calibrate(Darkness(), data, "train")
    assert threshold.method == "clean_rate"
    assert threshold.value == np.nextafter(max(peaks(data, "train")), np.float32(2))
    origin = threshold.calibrated_on
    assert (origin["rate_per"], origin["reached_rate"], origin["largest_rate"]) == ("image", 0, 0.01)
    assert "20 images; 0 of them alarm. Of new clean images like these expect about 1 in 21" in capsys.readouterr().err
    fresh = plates(tmp_path / "new", seed=2, train=20, val=1, test=1)
    assert sum(peak >= np.float32(threshold.value) for peak in peaks(fresh, "train")) <= 3
    by_pixels = calibrate(Darkness(), data, "train", per="pixel")
    assert sum(peak >= np.float32(by_pixels.value) for peak in peaks(fresh, "train")) >= 14


def test_plates_of_several_images_count_as_one(plates, tmp_path, capsys):
    data = plates(tmp_path / "d", seed=1, train=6, val=1, test=1)
    data = replace(data, samples=tuple(replace(s, group=f"plate {s.id[-1] < '3'}") for s in data.samples))
    threshold = calibrate(Darkness(), data, "train")
    assert threshold.calibrated_on["rate_per"] == "plate" and threshold.calibrated_on["images"] == 6
    assert "2 plates; 0 of them alarm. Of new clean plates like these expect about 1 in 3" in capsys.readouterr().err
    asked = calibrate(Darkness(), data, "train", 0.5, "plate")  # the better plate may not alarm, the other may
    highest = sorted(max(peaks(replace(data, samples=tuple(s for s in data.samples if s.group == group)), "train"))
                     for group in {s.group for s in data.split("train")})
    assert asked.value == np.nextafter(highest[0], np.float32(2))
    assert asked.calibrated_on["reached_rate"] <= 0.5


def test_an_impurity_is_no_defect(plates, tmp_path):
    """Its pixels count as normal, so the threshold lies above them too."""
    data = plates(tmp_path / "d", train=1, val=2, test=1)
    stained = replace(data, classes=(replace(data.classes[0], kind="impurity"), data.classes[1]))
    assert calibrate(Darkness(), stained).value == np.nextafter(max(peaks(data, "val")), np.float32(2))


@pytest.mark.parametrize(
    ("split", "asked"),
    [("val", (None, None)), ("val", (None, "image")), *(("train", asked) for asked in (
        (None, None), (None, "pixel"), (None, "image"), (0.2, None), (0.2, "image"), (0.2, "plate")))],
)
def test_a_threshold_is_recognised_by_what_was_asked_for(plates, tmp_path, split, asked):
    data = plates(tmp_path / "d", seed=3, train=3, val=2, test=1)
    threshold = calibrate(Darkness(), data, split, *asked)
    assert is_of_request(threshold, *asked)
    other = (0.3, asked[1]) if asked[0] else (0.2, asked[1])
    assert not is_of_request(threshold, *other)


def test_the_test_split_and_an_empty_one_are_refused(plates, tmp_path):
    data = plates(tmp_path / "d", train=1, val=0, test=1)
    with pytest.raises(UserError, match="use `split` val"):
        calibrate(Darkness(), data, "test")
    with pytest.raises(UserError, match="no samples in the split 'val'"):
        calibrate(Darkness(), data)


def test_a_split_without_a_pixel_inside_is_refused(plates, tmp_path):
    data = plates(tmp_path / "d", train=1, val=1, test=1, regions={"val0": np.zeros((96, 128), bool)})
    with pytest.raises(UserError):
        calibrate(Darkness(), data)


def clean_split(plates, tmp_path):
    """Train plates are clean: 4 of them as the split to calibrate on."""
    return plates(tmp_path / "d", seed=5, train=4, val=1, test=1)


@pytest.mark.parametrize("rate", [0.2, 0.01, 1e-9])
def test_a_rate_of_pixels_is_kept_and_no_lower_threshold_would_keep_it(plates, tmp_path, rate):
    data = clean_split(plates, tmp_path)
    threshold = calibrate(Darkness(), data, "train", rate)
    scores = np.concatenate([Darkness().anomaly_map(data.image(s)).ravel() for s in data.split("train")])
    assert (scores >= np.float32(threshold.value)).mean() <= rate
    assert (scores >= np.nextafter(np.float32(threshold.value), np.float32(0))).mean() > rate or rate == 0
    origin = threshold.calibrated_on
    assert threshold.method == "false_positive_rate" and origin["wanted_rate"] == rate
    assert origin["reached_rate"] == (scores >= np.float32(threshold.value)).mean()
    assert (origin["images"], origin["pixels"]) == (4, 4 * 96 * 128)


def test_a_rate_of_images_counts_alarmed_images(plates, tmp_path):
    data = clean_split(plates, tmp_path)
    highest = sorted(Darkness().anomaly_map(data.image(s)).max() for s in data.split("train"))
    for alarmed in range(4):
        threshold = calibrate(Darkness(), data, "train", alarmed / 4 + 0.01, "image")
        assert sum(peak >= np.float32(threshold.value) for peak in highest) <= alarmed
        assert threshold.value <= np.nextafter(highest[3 - alarmed], np.float32(9))
        assert threshold.calibrated_on["images_alarmed"] == sum(p >= np.float32(threshold.value) for p in highest)


def test_a_rate_needs_clean_images_and_labelled_ones_do_not_count(plates, tmp_path):
    data = plates(tmp_path / "d", train=1, val=2, test=1)
    with pytest.raises(UserError, match="no clean image"):
        calibrate(Darkness(), data, "val", 0.01)
