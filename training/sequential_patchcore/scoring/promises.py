# SPDX-License-Identifier: Apache-2.0
"""A threshold that keeps a promise about new plates: so many false alarms, so many lost defects; or why none can."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..data.dataset import Dataset, Sample
from ..metrics.conformal import (
    Trade,
    false_alarm_threshold,
    lost_defects_threshold,
    plates_needed,
    promised_false_alarms,
    promised_lost_defects,
    rate_below,
    trade,
)
from ..model.file import Threshold
from ..runtime.errors import UserError
from ..runtime.progress import Progress, say
from ..runtime.read_ahead import read_ahead
from .conditions import departures
from .scorer import Scorer
from .unseen_plates import UnseenPlates, covering_margin, plate_of

UNITS = ("plate", "image", "region")
SQUARES = 4  # squares to the shorter side of an image: the pieces of surface that "region" counts


class TooFewPlates(UserError):
    """A promise takes more plates.

    Attributes:
        missing: how many more, at the least; 0 where it is not a matter of number.
    """

    def __init__(self, message: str, missing: int) -> None:
        super().__init__(message)
        self.missing = missing


@dataclass(frozen=True)
class Wish:
    """What is to be promised.

    Attributes:
        false_alarms: largest mean share of a new sound plate that alarms; None for no such promise.
        per: of what the share is: "plate" (it alarms or not), "image", or "region", squares of the surface with a
            quarter of the image's shorter side as edge.
        lost_defects: largest mean share of a new plate's defects that is missed; None for no such promise.

    Raises:
        UserError: nothing is to be promised, or a value that cannot be.
    """

    false_alarms: float | None
    per: str = "plate"
    lost_defects: float | None = None

    def __post_init__(self) -> None:
        if self.false_alarms is None and self.lost_defects is None:
            raise UserError("nothing to promise: give a rate as `promise`, or as `lost_defects`")
        for name, rate in (("promise", self.false_alarms), ("lost_defects", self.lost_defects)):
            if rate is not None and not 0 < rate < 1:
                raise UserError(f"a rate to promise as `{name}` lies between 0 and 1, such as 0.01; got {rate:g}")
        if self.per not in UNITS:
            raise UserError(f"a promise can be `per` {', '.join(UNITS)}; got {self.per!r}")


@dataclass
class _Plates:
    """Scores of plates on which a promise rests.

    Attributes:
        held_out: whether the model was not trained on them; otherwise they are scored without their own vectors.
        scores: of each plate; of sound ones a score for each unit, of the others one for each defect.
    """

    held_out: bool
    scores: dict[str, list[np.ndarray]] = field(default_factory=dict)

    def add(self, plate: str, scores: np.ndarray) -> None:
        if len(scores):
            self.scores.setdefault(plate, []).append(scores)

    def arrays(self, whole: bool = False) -> list[np.ndarray]:
        """A float32 array for each plate; with `whole` its highest score alone."""
        joined = [np.concatenate(parts) for parts in self.scores.values()]
        return [part.max(keepdims=True) for part in joined] if whole else joined

    @property
    def origin(self) -> str:
        return "held out" if self.held_out else "left out one by one"


@dataclass(frozen=True)
class Promise:
    """What came of a wish.

    Attributes:
        threshold: None where the two promises cannot be kept together.
        trade: which pairs of promises can be; None where only one of the two was asked for.
        words: what is promised, or why it cannot be.
    """

    threshold: Threshold | None
    trade: Trade | None
    words: str


def promise(
    scorer: Scorer, dataset: Dataset, wish: Wish, split: str = "val", unseen: UnseenPlates | None = None
) -> Promise:
    """Find a threshold that keeps what is wished for, on a split of a data set.

    Plates without a defect, whatever impurities they show, are those that must not alarm; a plate is what `group` in
    the data set says. Plates that the model was not trained on are taken where they are enough for the promise; else
    those that it was trained on, each scored without the vectors that came from it (`unseen_plates`). Scores of the two
    kinds are not mixed. Where both promises are asked for, the threshold is the lowest that keeps the first, so that as
    few defects are lost as that allows.

    Args:
        unseen: makes the maps of the images, such as one that keeps them for several promises.

    Raises:
        TooFewPlates: with the number that it takes.
        UserError: the test split; a scorer without a model.
    """
    if split == "test":
        raise UserError("a threshold set on the test split would make its results worthless; use `split` val")
    if scorer.model is None:
        raise UserError("expected a scorer that was made of a model; bare vectors do not know where they came from")
    samples = dataset.split(split)
    defects = {info.name for info in dataset.classes if info.kind == "defect"}
    with_defect = {
        plate_of(sample) for sample in samples
        if any(instance.class_name in defects for instance in sample.instances)
    }
    unseen = unseen or UnseenPlates(scorer, dataset)
    sound_names = {plate_of(sample) for sample in samples} - with_defect
    sound = lost = None
    if wish.false_alarms is not None:
        sound = _chosen(sound_names, unseen, wish.false_alarms, "without a defect", "promise", split)
    if wish.lost_defects is not None:
        lost = _chosen(with_defect, unseen, wish.lost_defects, "with a defect", "lost_defects", split)
    for sample, scores in _scored(unseen, dataset, samples, sound, lost):
        plate = plate_of(sample)
        if sound is not None and plate in sound[1]:
            sound[0].add(plate, _units(scores, dataset.region(sample), wish.per))
        if lost is not None and plate in lost[1]:
            lost[0].add(plate, _defect_peaks(scores, dataset, sample, defects))
    return _decided(
        scorer, dataset, split, wish, None if sound is None else sound[0], None if lost is None else lost[0]
    )


def is_of_wish(threshold: Threshold, wish: Wish) -> bool:
    """Whether `promise` with this wish makes such a threshold, on the split that it names."""
    kept = threshold.calibrated_on.get("promises", {})
    return threshold.method == "promise" and kept.get("wish") == _wish_record(wish)


def _wish_record(wish: Wish) -> dict:
    return {"false_alarms": wish.false_alarms, "per": wish.per, "lost_defects": wish.lost_defects}


def _chosen(
    names: set[str], unseen: UnseenPlates, rate: float, what: str, setting: str, split: str
) -> tuple[_Plates, set[str]]:
    """The plates that a promise is to rest on."""
    held, trained = names - unseen.trained, names & unseen.trained
    needed = plates_needed(rate)
    for chosen, held_out in ((held, True), (trained, False)):
        if len(chosen) >= needed:
            return _Plates(held_out), chosen
    raise _too_few(len(held), len(trained), rate, what, setting, split)


def _too_few(held: int, trained: int, rate: float, what: str, setting: str, split: str) -> TooFewPlates:
    most = max(held, trained)
    least = f"with {most} the least that can be promised is {_least(most)}" if most else "with none nothing can be"
    kinds = f"{held} that the model was not trained on"
    if trained:
        kinds += f", and {trained} that it was trained on; the two kinds are not mixed"
    return TooFewPlates(
        f"promising {rate:g} takes at least {plates_needed(rate)} plates {what}; the split {split!r} has {kinds}. Give "
        f"more plates (`data`, `split`), or promise less as `{setting}`: {least}", plates_needed(rate) - most,
    )


def _least(plates: int) -> str:
    """The least rate that so many plates allow, rounded up so that it still does."""
    digits = 3
    value = np.ceil(10**digits / (plates + 1)) / 10**digits
    return f"{value:g}"


def _scored(
    unseen: UnseenPlates, dataset: Dataset, samples: Sequence[Sample], *chosen: tuple[_Plates, set[str]] | None
) -> Iterator[tuple[Sample, np.ndarray]]:
    """The images of the chosen plates with their maps."""
    wanted = set().union(*(part[1] for part in chosen if part is not None))
    left = [sample for sample in unseen.in_order(samples) if plate_of(sample) in wanted]
    with Progress("scoring", len(left)) as progress:
        for sample, image in zip(left, read_ahead(dataset.image, left), strict=True):
            yield sample, unseen.anomaly_map(sample, image)
            progress.step()


def _units(scores: np.ndarray, region: np.ndarray, per: str) -> np.ndarray:
    """(c,) float32: the highest score of each unit of an image, inside its region; units outside it have none."""
    if not region.any():
        return np.zeros(0, np.float32)
    if per != "region":
        return scores[region].max(keepdims=True)
    edge = max(1, min(scores.shape) // SQUARES)
    inside = np.where(region, scores, np.float32(-1))
    rows, columns = (np.arange(0, side, edge) for side in scores.shape)
    peaks = np.maximum.reduceat(np.maximum.reduceat(inside, rows, 0), columns, 1).ravel()
    return peaks[peaks >= 0].astype(np.float32)


def _defect_peaks(scores: np.ndarray, dataset: Dataset, sample: Sample, defects: set[str]) -> np.ndarray:
    """(c,) float32: the highest score of each defect, of one without a place that of the image; inside the region."""
    region = dataset.region(sample)
    wanted = [instance for instance in sample.instances if instance.class_name in defects]
    if not wanted or not region.any():
        return np.zeros(0, np.float32)
    numbers = dataset.instances(sample)
    places = [region if one.pixels is None else region & (numbers == one.id) for one in wanted]
    return np.array([scores[place].max() for place in places if place.any()], np.float32)


def _decided(
    scorer: Scorer, dataset: Dataset, split: str, wish: Wish, sound: _Plates | None, lost: _Plates | None
) -> Promise:
    sound_scores = [] if sound is None else sound.arrays(whole=wish.per == "plate")
    lost_scores = [] if lost is None else lost.arrays()
    facts: dict[str, Any] = {"wish": _wish_record(wish)}
    lowest = highest = None
    sentences = []
    if sound is not None:
        lowest, found, sentence = _false_alarms(scorer, wish, sound, sound_scores, split)
        facts["false_alarms"] = found
        sentences.append(sentence)
    if lost is not None:
        highest, found, sentence = _lost(wish, lost, lost_scores, split)
        facts["lost_defects"] = found
        sentences.append(sentence)
    both = trade(sound_scores, lost_scores) if sound is not None and lost is not None else None
    if lowest is not None and highest is not None and lowest > highest:
        return Promise(None, both, _cannot(wish, lowest, highest, sound_scores, lost_scores))
    value = highest if lowest is None else lowest
    assert value is not None
    if both is not None:
        facts["lost_defects"]["promised"] = promised_lost_defects(lost_scores, value)
    facts["words"] = "; ".join(sentences)
    origin: dict[str, Any] = {
        "dataset": dataset.name, "fingerprint": dataset.fingerprint, "split": split, "promises": facts,
    }
    if changed := departures(scorer.model, scorer.conditions):
        origin["conditions"] = changed
    say(f"threshold {value:.6g}: {facts['words']}")
    return Promise(Threshold(value, "promise", origin), both, facts["words"])


def _false_alarms(
    scorer: Scorer, wish: Wish, plates: _Plates, scores: list[np.ndarray], split: str
) -> tuple[float, dict, str]:
    """The lowest threshold that keeps the promise about sound plates, its figures, and a sentence."""
    rate = wish.false_alarms
    assert rate is not None
    value = false_alarm_threshold(scores, rate)
    if value is None:  # plates of which nothing is inspected
        raise _too_few(*_counted(plates, scores), rate, "without a defect", "promise", split)
    share = float(np.mean([(plate >= np.float32(value)).mean() for plate in scores]))
    found = {
        "plates": len(scores), "units": int(sum(map(len, scores))), "scores": plates.origin, "reached": share,
        "promised": promised_false_alarms(scores, value), "threshold": value,
    }
    what = {"plate": "of new plates without a defect alarm", "image": "of a new sound plate's images alarm",
            "region": "of a new sound plate's surface, in squares, alarms"}[wish.per]
    sentence = f"at most {rate:.3g} {what}, on the average ({len(scores)} plates, {plates.origin})"
    if wish.per == "plate":
        found["nine_in_ten_below"] = rate_below(len(scores), rate)
        sentence += f"; in nine of ten such calibrations below {found['nine_in_ten_below']:.3g}"
    if not plates.held_out and scorer.model is not None:
        margin = covering_margin(scorer.model)
        found["covering_margin"] = margin
        if margin is not None:
            sentence += f"; proven for a coreset from {value + margin:.6g} on"
    return value, found, sentence


def _lost(wish: Wish, plates: _Plates, scores: list[np.ndarray], split: str) -> tuple[float, dict, str]:
    """The highest threshold that keeps the promise about defects, its figures, and a sentence."""
    rate = wish.lost_defects
    assert rate is not None
    value = lost_defects_threshold(scores, rate)
    if value is None:
        raise _too_few(*_counted(plates, scores), rate, "with a defect", "lost_defects", split)
    found = {
        "plates": len(scores), "defects": int(sum(map(len, scores))), "scores": plates.origin,
        "promised": promised_lost_defects(scores, value), "threshold": value,
    }
    sentence = (
        f"at most {rate:.3g} of a new plate's defects missed, on the average ({found['defects']} defects on "
        f"{len(scores)} plates, {plates.origin})"
    )
    return value, found, sentence


def _counted(plates: _Plates, scores: list[np.ndarray]) -> tuple[int, int]:
    return (len(scores), 0) if plates.held_out else (0, len(scores))


def _cannot(
    wish: Wish, lowest: float, highest: float, sound: list[np.ndarray], lost: list[np.ndarray]
) -> str:
    """Why the two cannot be kept together, and what could be."""
    return (
        f"these two promises cannot be kept together: {wish.false_alarms:.3g} of false alarms takes a threshold of at "
        f"least {lowest:.6g}, {wish.lost_defects:.3g} of lost defects one of at most {highest:.6g}. With the first "
        f"{promised_lost_defects(lost, lowest):.3g} of lost defects can be promised, with the second "
        f"{promised_false_alarms(sound, highest):.3g} of false alarms. The model is as it was"
    )
