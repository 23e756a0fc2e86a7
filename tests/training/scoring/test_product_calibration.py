# SPDX-License-Identifier: Apache-2.0
"""Thresholds by product and zone: each as if it were the whole data set; else the model's one."""

from dataclasses import replace

import numpy as np
import pytest
from sequential_patchcore.extractors.builder import build_extractor
from sequential_patchcore.fitting.settings import TrainSettings
from sequential_patchcore.fitting.training import train
from sequential_patchcore.model.file import Product, Threshold, Zones
from sequential_patchcore.model.promised import in_words
from sequential_patchcore.runtime.errors import UserError
from sequential_patchcore.scoring.limits import BY_HAND, MODEL, limits_of
from sequential_patchcore.scoring.product_calibration import FEWEST_PLATES, Request, calibrate_products
from sequential_patchcore.scoring.promises import Wish, promise
from sequential_patchcore.scoring.scorer import Scorer

LEFT = np.zeros((96, 128), np.uint8)
LEFT[:, :64] = 1


@pytest.fixture(scope="module")
def made(plates, tmp_path_factory):
    """A data set of 24 clean plates, 12 of them trained on, and a scorer of a model of the latter."""
    data = plates(tmp_path_factory.mktemp("products") / "d", seed=3, train=24, val=0, test=0)
    half = replace(data, samples=data.samples[::2])
    extractor = build_extractor("filters", image_scale=0.25)
    model = train([half], extractor, TrainSettings(coreset_size=48, epochs=1))
    return data, Scorer(model, extractor=extractor)


def told(data, few: int = 0) -> dict[str, str]:
    """The plates by turns of two products, the first `few` of a third."""
    return {sample.id: "few" if number < few else ("a", "b")[number // 2 % 2]
            for number, sample in enumerate(data.samples)}


def test_a_product_is_promised_as_if_its_images_were_all(made) -> None:
    data, scorer = made
    names, wish = told(data), Wish(0.2)
    found = calibrate_products(scorer, data, names, {}, Request(wish), "train")
    assert list(found.products) == ["a", "b"]
    for name, product in found.products.items():
        own = replace(data, samples=tuple(one for one in data.samples if names[one.id] == name))
        expected = promise(scorer, own, wish, "train").threshold
        assert product.threshold.value == expected.value and in_words(product.threshold) == in_words(expected)
        assert product.threshold.calibrated_on["of"] == name
    assert found.products["a"].threshold.value != found.products["b"].threshold.value
    assert found.threshold.value == promise(scorer, data, wish, "train").threshold.value


def test_a_zone_is_promised_as_if_the_rest_were_not_inspected(made, plates, tmp_path) -> None:
    data, scorer = made
    zones = {"": Zones(("left",), LEFT)}
    found = calibrate_products(scorer, data, dict.fromkeys(told(data), ""), zones, Request(Wish(0.1)), "train")
    product = found.products[""]
    for inside, threshold in ((LEFT == 1, product.zone_thresholds["left"]), (LEFT == 0, product.threshold)):
        masked = plates(tmp_path / f"d{int(inside[0, 0])}", seed=3, train=24, val=0, test=0,
                        regions={sample.id: inside for sample in data.samples})
        masked = replace(masked, name=data.name)
        assert threshold.value == promise(scorer, masked, Wish(0.1), "train").threshold.value
    assert product.zone_thresholds["left"].value <= found.threshold.value >= product.threshold.value
    assert product.zone_thresholds["left"].calibrated_on["of"] == "left"


@pytest.mark.parametrize("request_of", [Request(Wish(0.2)), Request(), Request(false_positive_rate=0.1, per="image")])
def test_too_few_plates_are_counted_and_the_one_threshold_decides(made, capsys, request_of) -> None:
    data, scorer = made
    found = calibrate_products(scorer, data, told(data, few=4), {}, request_of, "train")
    assert found.products["few"].threshold is None and found.products["a"].threshold is not None
    said = capsys.readouterr().err
    assert "few: no threshold of its own, the model's one decides" in said
    needed = 4 if request_of.wish else FEWEST_PLATES
    missing = needed - (2 if request_of.wish else 4)  # of two held out and two trained-on ones the kinds are not mixed
    assert (f"{missing} plate(s) are missing" if request_of.wish else f"{missing} more") in said
    limits = limits_of(found.products, found.threshold.value, "few", (96, 128))
    assert limits.values == (found.threshold.value,) and limits.origins == (MODEL,)


def test_other_entries_zones_and_the_one_threshold_stay(made) -> None:
    data, scorer = made
    zones = Zones(("left",), LEFT)
    before = replace(
        scorer.model, threshold=Threshold(7.0, "by_hand"),
        products={"a": Product(Threshold(1.0, "by_hand"), zones), "other": Product(Threshold(2.0, "by_hand"))},
    )
    own = Scorer(before, extractor=scorer.extractor)
    found = calibrate_products(own, data, dict.fromkeys(told(data), "a"), {}, Request(Wish(0.2)), "train", True)
    assert found.threshold.value == 7.0 and found.products["other"].threshold.value == 2.0
    assert found.products["a"].zones is zones and set(found.products["a"].zone_thresholds) == {"left"}
    anew = calibrate_products(own, data, dict.fromkeys(told(data), "a"), {}, Request(Wish(0.2)), "train")
    assert anew.threshold.value != 7.0


def test_every_image_is_scored_once(made, monkeypatch) -> None:
    data, scorer = made
    scored = []
    patches = Scorer.patches
    monkeypatch.setattr(Scorer, "patches", lambda self, image, search=None: scored.append(1) or patches(
        self, image, search))
    zones = {"": Zones(("left",), LEFT)}
    calibrate_products(scorer, data, told(data), zones, Request(Wish(0.2)), "train")
    assert len(scored) <= len(data.samples)


def test_zones_of_another_shape_are_refused(made) -> None:
    data, scorer = made
    with pytest.raises(UserError, match="is 128 x 96 pixels and the zones were drawn on 64 x 96"):
        calibrate_products(scorer, data, told(data), {"": Zones(("left",), LEFT[:, :64])}, Request(Wish(0.2)), "train")


def test_which_threshold_decides_by_hand_by_zone_by_product_by_the_model() -> None:
    zones = Zones(("left",), LEFT)
    products = {
        "a": Product(Threshold(1.0, "by_hand"), zones, {"left": Threshold(2.0, "by_hand")}),
        "b": Product(None, zones, {"left": Threshold(4.0, "by_hand")}), "c": Product(Threshold(5.0, "by_hand")),
    }
    of = {name: limits_of(products, 3.0, name, (96, 128)) for name in ("a", "a/x", "b", "c", "d")}
    assert of["a"].zone_at(0, 0) == ("left", 2.0, "a: left") and of["a"].zone_at(0, 64) == ("", 1.0, "a: no zone")
    assert of["a/x"].zone_at(0, 0) == ("left", 2.0, "a: left") and of["a/x"].product == "a/x"
    assert of["b"].zone_at(0, 64) == ("", 3.0, MODEL)
    assert of["c"].zone_at(0, 0) == ("", 5.0, "c") and of["d"].zone_at(0, 0) == ("", 3.0, MODEL)
    assert np.array_equal(of["a"].map, np.where(LEFT == 1, np.float32(2), np.float32(1)))
    by_hand = limits_of(products, 3.0, "a", (96, 128), by_hand=9.0)
    assert by_hand.map == 9.0 and by_hand.zone_at(0, 0) == ("", 9.0, BY_HAND)
    other = limits_of(products, 3.0, "a", (50, 50))
    assert other.unplaced and other.zone_at(0, 0) == ("", 3.0, MODEL)


def test_scaled_scores_reach_the_common_threshold_where_they_reach_their_own() -> None:
    products = {"": Product(Threshold(1.0, "by_hand"), Zones(("left",), LEFT), {"left": Threshold(2.0, "by_hand")})}
    limits = limits_of(products, 3.0, "", (96, 128))
    scores = np.random.default_rng(0).uniform(0, 3, (96, 128)).astype(np.float32)
    assert np.array_equal(limits.scaled(scores) >= np.float32(limits.common), scores >= limits.map)
