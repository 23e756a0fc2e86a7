# SPDX-License-Identifier: Apache-2.0
"""Promises on data sets: whose scores count, what a plate's units are, and scores without a plate's own vectors."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from sequential_patchcore.data.format import Instance
from sequential_patchcore.extractors.builder import build_extractor
from sequential_patchcore.fitting.settings import TrainSettings
from sequential_patchcore.fitting.training import train
from sequential_patchcore.metrics.conformal import false_alarm_threshold
from sequential_patchcore.model.promised import in_words
from sequential_patchcore.runtime.errors import UserError
from sequential_patchcore.scoring.promises import Wish, is_of_wish, promise
from sequential_patchcore.scoring.scorer import Scorer
from sequential_patchcore.scoring.unseen_plates import UnseenPlates, covering_margin


@pytest.fixture(scope="module")
def made(plates, tmp_path_factory):
    """A data set of twelve clean training plates and four spotted ones, and a scorer of a model of the former."""
    data = plates(tmp_path_factory.mktemp("promises") / "d", seed=7, train=12, val=4, test=1)
    extractor = build_extractor("filters", image_scale=0.25)
    model = train([data], extractor, TrainSettings(coreset_size=48, epochs=2))
    return data, Scorer(model, extractor=extractor)


def with_groups(data, groups: dict[str, str]):
    return replace(data, samples=tuple(replace(one, group=groups.get(one.id, one.group)) for one in data.samples))


def test_a_training_plate_is_scored_by_a_memory_without_its_own_vectors(made) -> None:
    """Against a model of the other vectors alone; a plate of two images loses those of both."""
    data, scorer = made
    model = scorer.model
    data = with_groups(data, {"train3": "pair", "train4": "pair"})
    unseen = UnseenPlates(scorer, data)
    for sample in data.samples:
        own = {"train3", "train4"} if sample.group == "pair" else {sample.id}
        kept = np.array([model.sources[row][1] not in own for row in model.source])
        others = replace(model, features=model.features[kept], source=model.source[kept], position=model.position[kept])
        expected = Scorer(others, extractor=scorer.extractor).anomaly_map(data.image(sample))
        assert np.array_equal(unseen.anomaly_map(sample), expected)
        assert (unseen.anomaly_map(sample) >= scorer.anomaly_map(data.image(sample)) - 1e-5).all()
    trained = data.split("train")[0]
    assert unseen.anomaly_map(trained).max() > scorer.anomaly_map(data.image(trained)).max()


def test_a_memory_of_one_plate_cannot_be_left_out(made) -> None:
    data, scorer = made
    data = with_groups(data, {sample.id: "one" for sample in data.split("train")})
    assert not UnseenPlates(scorer, data).possible
    with pytest.raises(UserError, match="came from the plate 'one'"):
        UnseenPlates(scorer, data).anomaly_map(data.split("train")[0])


def test_the_margin_of_a_coreset_holds_where_its_vectors_are_patches_as_they_are(made) -> None:
    model = made[1].model
    assert covering_margin(model) == model.covering_radius > 0
    assert covering_margin(replace(model, parents=("0123",))) is None
    assert covering_margin(replace(model, settings=model.settings | {"images_changed": True})) is None
    assert covering_margin(replace(model, covering_radius=None)) is None


def test_training_plates_promise_by_their_left_out_scores(made) -> None:
    data, scorer = made
    found = promise(scorer, data, Wish(0.1), "train")
    unseen = UnseenPlates(scorer, data)
    assert found.threshold.value == false_alarm_threshold(
        [np.float32([unseen.anomaly_map(sample).max()]) for sample in data.split("train")], 0.1)
    kept = found.threshold.calibrated_on["promises"]["false_alarms"]
    assert (kept["plates"], kept["scores"]) == (12, "left out one by one")
    assert kept["promised"] <= 0.1 and kept["covering_margin"] == scorer.model.covering_radius
    assert "12 plates, left out one by one" in in_words(found.threshold)


def test_plates_that_were_not_trained_on_are_taken_where_they_are_enough(made) -> None:
    """The split holds both kinds: three clean plates of another name are held out."""
    data, scorer = made
    renamed = {f"train{number}": f"new{number}" for number in range(9)}
    model = replace(scorer.model, sources=tuple((name, renamed.get(one, one)) for name, one in scorer.model.sources))
    mixed = Scorer(model, extractor=scorer.extractor)
    kept = promise(mixed, data, Wish(0.1), "train").threshold.calibrated_on["promises"]["false_alarms"]
    assert (kept["plates"], kept["scores"]) == (9, "held out")
    with pytest.raises(UserError, match=r"takes at least 19 plates without a defect; the split 'train' has 9 that "
                                        r"the model was not trained on, and 3 that it was.*can be promised is 0\.1"):
        promise(mixed, data, Wish(0.05), "train")


def test_units_of_a_plate(made) -> None:
    """Images and squares of the surface, counted slowly; what lies outside the region does not count."""
    data, scorer = made
    data = with_groups(data, {f"train{number}": f"plate{number // 2}" for number in range(12)})
    unseen = UnseenPlates(scorer, data)
    images, squares = {}, {}
    for sample in data.split("train"):
        scores = unseen.anomaly_map(sample)
        images.setdefault(sample.group, []).append(scores.max())
        for y in range(0, 96, 24):
            for x in range(0, 128, 24):
                squares.setdefault(sample.group, []).append(scores[y : y + 24, x : x + 24].max())
    for per, units in (("image", images), ("region", squares)):
        expected = false_alarm_threshold([np.float32(one) for one in units.values()], 0.15)
        assert promise(scorer, data, Wish(0.15, per), "train").threshold.value == expected
    whole = false_alarm_threshold([np.float32([max(one)]) for one in images.values()], 0.15)
    assert promise(scorer, data, Wish(0.15), "train").threshold.value == whole


def test_lost_defects_by_the_highest_score_of_each(made) -> None:
    data, scorer = made
    found = promise(scorer, data, Wish(None, lost_defects=0.3))
    peaks = [
        scorer.anomaly_map(data.image(sample))[data.instances(sample) == 1].max() for sample in data.split("val")
    ]
    assert found.threshold.value == min(peaks)  # 0.3 of 5 plates leaves room for half a plate
    kept = found.threshold.calibrated_on["promises"]["lost_defects"]
    assert (kept["plates"], kept["defects"], kept["promised"]) == (4, 4, 0.2)


def test_both_promises_take_the_lowest_threshold_that_keeps_the_first(made) -> None:
    data, scorer = made
    as_val = replace(data, samples=tuple(replace(one, split="val") for one in data.samples if one.split != "test"))
    both = promise(scorer, as_val, Wish(0.1, lost_defects=0.3))
    assert both.threshold.value == promise(scorer, as_val, Wish(0.1)).threshold.value
    assert both.trade.false_alarms[-1] == pytest.approx(1 / 13)
    kept = both.threshold.calibrated_on["promises"]
    assert kept["lost_defects"]["promised"] == 0.2 < 0.3 and both.threshold.value <= kept["lost_defects"]["threshold"]


def test_two_promises_that_exclude_each_other_leave_no_threshold(made) -> None:
    """Every second clean plate is said to be defective as a whole."""
    data, scorer = made
    samples = tuple(
        replace(one, split="val", instances=(Instance(1, "dent", None),) if int(one.id[5:]) % 2 else ())
        for one in data.split("train")
    )
    alike = replace(data, samples=samples)
    found = promise(scorer, alike, Wish(0.2, lost_defects=0.2))
    assert found.threshold is None and "cannot be kept together" in found.words
    lowest, highest = (promise(scorer, alike, wish).threshold.value for wish in (Wish(0.2), Wish(None, "plate", 0.2)))
    assert lowest > highest and f"{lowest:.6g}" in found.words and f"{highest:.6g}" in found.words


def test_a_promise_is_recognised(made) -> None:
    data, scorer = made
    threshold = promise(scorer, data, Wish(0.1), "train").threshold
    assert is_of_wish(threshold, Wish(0.1))
    assert not is_of_wish(threshold, Wish(0.1, "image")) and not is_of_wish(threshold, Wish(0.2))
    assert in_words(replace(threshold, calibrated_on={})) is None


@pytest.mark.parametrize(("wish", "words"), [
    ((None,), "nothing to promise"), ((1.0,), "between 0 and 1"), ((0.1, "pixel"), "plate, image, region"),
    ((None, "plate", 0.0), "between 0 and 1"),
])
def test_wishes_that_cannot_be(wish, words) -> None:
    with pytest.raises(UserError, match=words):
        Wish(*wish)


def test_the_test_split_and_bare_vectors_are_refused(made) -> None:
    data, scorer = made
    with pytest.raises(UserError, match="use `split` val"):
        promise(scorer, data, Wish(0.1), "test")
    with pytest.raises(UserError, match="made of a model"):
        promise(Scorer.of_vectors(scorer.extractor, scorer.model.features), data, Wish(0.1))


def test_a_whole_memory_keeps_its_promise_and_its_own_scores_do_not() -> None:
    """Plates that differ, each of three vectors, all of them in the memory: by the exact binomial over 2,000 draws."""
    rng = np.random.default_rng(8)
    draws, plates, rate = 2000, 19, 0.1
    alarms = naive = 0
    for _ in range(draws):
        vectors = rng.normal(size=(plates + 1, 1, 2)) + 0.3 * rng.normal(size=(plates + 1, 3, 2))
        distances = np.linalg.norm(vectors[:, :, None, None] - vectors[None, None], axis=-1)  # (i, patch, j, vector)
        least = distances.min(3).transpose(0, 2, 1)  # of each patch of i to plate j
        own = np.where(np.eye(plates + 1, dtype=bool)[:, :, None], np.inf, least)
        left_out = own[:plates, :plates].min(1).max(1)
        new = least[plates, :plates].min(0).max()
        alarms += new >= false_alarm_threshold([np.float32([score]) for score in left_out], rate)
        naive += new > least[:plates, :plates].min(1).max(1).max()
    assert stats.binomtest(int(alarms), draws, rate, alternative="greater").pvalue > 1e-4
    assert naive == draws
